"""HTTP/1.1 and HTTP/2 on one port: bytes of a socket in, requests to one coroutine, its responses out.

The flow: ``listener`` accepts, speaks TLS and chooses the protocol by a connection's first bytes; ``http1`` and
``http2`` hold one connection each and call the ``Handler``; what they exchange with it is in ``message``. zttp does the
parsing and framing. The store's gRPC speaks HTTP/2 through the same listener and the same ``frames``.
"""
