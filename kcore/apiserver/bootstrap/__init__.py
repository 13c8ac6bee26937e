"""The objects that a cluster has before anybody made one."""
