"""The objects that a cluster has before anybody made one."""

from kcore.apiserver.bootstrap.cluster import ClusterSettings
from kcore.apiserver.bootstrap.namespace_objects import NamespaceObjects
from kcore.apiserver.bootstrap.writing import bootstrap

__all__ = ["ClusterSettings", "NamespaceObjects", "bootstrap"]
