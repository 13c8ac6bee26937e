"""The door to the cluster state: what kubectl, client-go and controllers talk to."""
