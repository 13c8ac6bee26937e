"""kubectl against ``kcore up``: commands, what they print and their exit codes, recorded.

``steps`` are the commands in the order in which they run, ``session`` runs them, ``record`` writes ``recorded.txt``,
and the test compares. Recorded output is reviewed against Kubernetes 1.36's source; it is not what kcore happens to say.
"""
