"""Kubernetes protobuf over a table of messages: bytes to JSON-form dicts and back. Sans-IO."""
