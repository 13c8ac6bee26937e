"""Claims are not modelled; only what a pod without claims sees. Source: dynamicresources/dynamicresources.go."""

from __future__ import annotations

from kcore.api.objects import Pod
from tests.naive.framework import ERROR, UNSCHEDULABLE, CycleState, Plugin, Skip, Status


class DynamicResources(Plugin):
    """Scores 0 everywhere (it has no PreScore to skip it) and answers first when a pod fits nowhere."""

    name = "DynamicResources"

    def pre_filter(self, state: CycleState, pod: Pod) -> Skip:
        state.filter_states[self.name] = True
        return Skip()

    def post_filter(self, state: CycleState) -> Status:
        """Nothing to deallocate; or "not found", if another PreFilter gave up before this plugin's turn."""
        if self.name not in state.filter_states:
            return Status(ERROR, ("not found",))
        return Status(UNSCHEDULABLE, ("no new claims to deallocate",))
