"""Nodes that are not there: objects that live through stages given as data, in Kwok's Stage format.

The flow: ``stage_file`` reads stages; ``lifecycle`` says which stage an object is in and when it is over; ``core`` turns
changes and the time into actions, without I/O, clock or chance; ``driver`` watches, performs the actions and renews
leases; ``kubelet`` answers logs, exec, attach and port-forward for every node. Source of the format and of its semantics:
kubernetes-sigs/kwok pkg/apis/v1alpha1/stage_types.go and pkg/utils/lifecycle.
"""
