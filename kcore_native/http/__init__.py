"""What the HTTP server does for every answer, compiled."""
