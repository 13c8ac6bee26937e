"""What validation permits a pod because it, or its old self, is what it is.

Source, Kubernetes 1.36: pkg/api/pod/util.go (GetValidationOptionsFromPodSpecAndMeta) with the feature gates at their
defaults. Gates that are on for good have no option here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Object = Mapping[str, Any]

CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class PodOptions:
    """The defaults are those of a new object; ``is_pod``: a pod, no template of one."""

    is_pod: bool = False
    allow_invalid_deletion_cost: bool = False
    allow_invalid_label_value_in_selector: bool = False
    allow_invalid_label_value_in_node_affinity: bool = False
    allow_indivisible_huge_pages: bool = False
    allow_invalid_spread_selector: bool = False
    old_violates_match_label_keys: bool = False
    allow_any_token_path: bool = False
    allow_host_sysctls: bool = False
    allow_restart_of_plain_init_container: bool = False
    allow_devices_in_user_namespace: bool = False
    allow_host_network_in_user_namespace: bool = False  # gate UserNamespacesHostNetworkSupport: off
    allow_comparing_tolerations: bool = False  # gate TaintTolerationComparisonOperators: off
    allow_selinux_mount_option: bool = False  # gate SELinuxMount: off
    allow_privileged: bool = True  # --allow-privileged, which every real cluster sets


OF_POD: Final = PodOptions(is_pod=True)
OF_TEMPLATE: Final = PodOptions()


def containers_of(spec: Object) -> list[tuple[str, int, Object]]:
    """List, index and container of every container, in the order in which upstream visits them."""
    found = []
    for side in CONTAINER_LISTS:
        if listed := spec.get(side):
            found += [(side, index, container) for index, container in enumerate(listed)]
    return found
