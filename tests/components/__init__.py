"""What runs beside an API server, in its process."""
