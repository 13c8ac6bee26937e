"""What can go wrong when devices are sought, each in upstream's words."""

from __future__ import annotations


class AllocationError(Exception):
    """Nothing can be allocated on any node: something is wrong with a claim or a class."""


class AllocationTimeout(Exception):
    """The search was given up: it took too long."""


class NodeRefused(Exception):
    """Nothing can be allocated on this node, and why; on others it may."""


class CompileError(Exception):
    """An expression that is none."""


class EvaluationError(Exception):
    """An expression that has no answer for a device."""
