"""The scheduler of a living cluster: the engine fed by watches, its decisions written back as bindings.

``queue`` holds the pods that wait, ``events`` says what may help which of them, ``mirror`` keeps the engine's state in step
with the cluster; they decide, and have no clock, chance or I/O. ``driver`` watches, binds, evicts and tells.
"""
