"""A user's session at kubectl, over every controller and with its visible effects."""
