"""Agreement with recorded decisions of the real kube-scheduler."""
