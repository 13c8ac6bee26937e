"""Python clients as their users write them, against a control plane of this process over TLS."""
