"""What stays true: kube-controller-manager's controllers, each one file, and one driver.

A controller says what wakes it and, for a key, what is to be done; the driver watches, waits, writes and tries again.
"""
