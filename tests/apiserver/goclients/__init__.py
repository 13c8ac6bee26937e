"""Programs in Go that use the API server, and what they find."""
