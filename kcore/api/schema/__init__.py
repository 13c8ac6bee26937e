"""Kubernetes' OpenAPI definitions, compiled when the package was built, and the nodes that walk objects by them."""

from kcore.api.schema.definitions import Definitions
from kcore.api.schema.graph import Schemas, load

__all__ = ["Definitions", "Schemas", "load"]
