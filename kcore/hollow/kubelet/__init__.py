"""The kubelet's own server, one for all simulated nodes: logs, exec, attach, port-forward, usage.

The flow: ``server`` takes requests and asks ``answers`` what is configured for a pod; ``logs`` chooses lines,
``programs`` are commands that run in no container; ``websocket`` and ``spdy`` carry the streams of both, ``sessions``
is what the two have in common. Source: pkg/kubelet/server of Kubernetes 1.36, kwok pkg/kwok/server.
"""
