"""What runs beside an API server, in its process and event loop: scheduler, controllers, simulated nodes."""
