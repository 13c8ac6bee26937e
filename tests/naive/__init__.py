"""The naive twin: kube-scheduler 1.36 in plain Python, one pod and one node at a time.

It reads the API objects of :mod:`kcore.api.objects` and a :class:`kcore.scheduler.profile.Profile`, and shares no
code with the engine. Obviousness beats speed everywhere here: each file follows one upstream file.
"""
