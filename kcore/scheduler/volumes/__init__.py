"""Claims and volumes: what there is of them, and the four plugins that judge nodes by them."""
