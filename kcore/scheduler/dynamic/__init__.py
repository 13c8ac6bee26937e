"""Dynamic resources: which devices a pod's resource claims get on a node, and what that means for the pod."""
