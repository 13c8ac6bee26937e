"""The client port: gRPC services, pages, TLS, the daemon and snapshot files."""
