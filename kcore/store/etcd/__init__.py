"""A member's client port: etcd's v3 gRPC services, and its pages over HTTP/1.1, on one listener.

Requests flow ``server`` (sockets, TLS) -> ``http2`` (gRPC calls) or ``http1`` (pages) -> the services -> the store's
face (``kcore.store.face``). ``messages`` has the message classes; ``daemon`` puts everything together.
"""
