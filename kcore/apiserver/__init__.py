"""The door to the cluster: one CRUD path for every row, its guards, its watch cache, its HTTP server."""
