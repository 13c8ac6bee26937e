"""The kv face over an external etcd cluster, or ``kcore etcd``: ``remote.connect(endpoints)`` opens it.

Calls go to one endpoint until it fails, then to the next. ``channel.py`` says which calls are tried again, ``watch.py``
how a watch outlives its connection, ``convert.py`` how values become etcd's messages and back.
"""

from kcore.store.remote.channel import Credentials, Endpoint, Limits
from kcore.store.remote.client import Remote, connect

__all__ = ["Credentials", "Endpoint", "Limits", "Remote", "connect"]
