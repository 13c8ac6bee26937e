"""ImageLocality: nodes that already have the pod's images score higher.

Source: plugins/imagelocality of Kubernetes 1.36; sizes are scaled by how many nodes have the image (nodes.py).
"""

from __future__ import annotations

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.codes import MAX_NODE_SCORE
from kcore.scheduler.plugins.arithmetic import divide

MIN_THRESHOLD = 23 * 1024 * 1024
MAX_CONTAINER_THRESHOLD = 1000 * 1024 * 1024


@kernel
def any_image_scores(images, first, last, image_most):
    """Tell whether a node could have enough of the images to score above 0."""
    present = 0
    for index in range(first, last):
        present += image_most[images.item[index, 0]]
    return present > MIN_THRESHOLD


@kernel
def image_score(images, first, last, container_count, image, count, raw):
    """Scale the bytes present of the pod's images to 0..100 between 23 MiB and 1000 MiB a container."""
    for node in range(count):
        raw[node] = 0
    for index in range(first, last):
        row = images.item[index, 0]
        for node in range(count):
            raw[node] += image[row, node]
    most = MAX_CONTAINER_THRESHOLD * container_count
    for node in range(count):
        present = min(max(raw[node], MIN_THRESHOLD), most)
        raw[node] = divide(MAX_NODE_SCORE * (present - MIN_THRESHOLD), most - MIN_THRESHOLD)


@image_score.over_arrays("count")
def image_score_arrays(images, first, last, container_count, image, count, raw):
    """As :func:`image_score`."""
    most = MAX_CONTAINER_THRESHOLD * int(container_count)
    present = image[images.item[first:last, 0], :count].sum(axis=0)
    present = np.minimum(np.maximum(present, MIN_THRESHOLD), most)
    raw[:count] = MAX_NODE_SCORE * (present - MIN_THRESHOLD) // (most - MIN_THRESHOLD)
