"""Source: imagelocality/image_locality.go."""

from __future__ import annotations

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo
from tests.naive.framework import MAX_NODE_SCORE, CycleState, Plugin

MEBIBYTE = 1024 * 1024
THRESHOLD_MIN = 23 * MEBIBYTE
THRESHOLD_MAX_PER_CONTAINER = 1000 * MEBIBYTE


def normalized_image_name(name: str) -> str:
    """The name with ``:latest`` added where it has no tag (a digest counts as one)."""
    return f"{name}:latest" if name.rfind(":") <= name.rfind("/") else name


class ImageLocality(Plugin):
    """Prefers nodes that hold the pod's images, the more so the more nodes hold them."""

    name = "ImageLocality"

    def score(self, state: CycleState, pod: Pod, node_info: NodeInfo) -> int:
        containers = (pod.spec.init_containers or []) + (pod.spec.containers or [])
        images = [container.image for container in containers]
        volumes = [volume.image for volume in pod.spec.volumes or () if volume.image]
        images += [image_volume.get("reference", "") for image_volume in volumes]
        total = sum(self._image_score(normalized_image_name(image), node_info) for image in images)
        highest = THRESHOLD_MAX_PER_CONTAINER * len(containers)
        if total < THRESHOLD_MIN:
            total = THRESHOLD_MIN
        elif total > highest:
            total = highest
        return MAX_NODE_SCORE * (total - THRESHOLD_MIN) // (highest - THRESHOLD_MIN)

    def _image_score(self, name: str, node_info: NodeInfo) -> int:
        holders = self.cluster.image_nodes.get(name, set())
        if node_info.name not in holders:
            return 0
        spread = len(holders) / len(self.cluster.nodes)
        return int(float(self.cluster.image_sizes[name]) * spread)
