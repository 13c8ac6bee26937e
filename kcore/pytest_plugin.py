"""Fixtures for tests that need a Kubernetes API: pytest finds them by the entry point, nothing is to be imported.

Under pytest-xdist every worker has a cluster of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kcore.controlplane import ControlPlane

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kcore_options() -> dict[str, Any]:
    """Keyword arguments of the ``kcore.ControlPlane`` that is ``kcore_cluster``; override it in a conftest.py."""
    return {}


@pytest.fixture(scope="session")
def kcore_cluster(kcore_options: dict[str, Any]) -> Iterator[ControlPlane]:
    """A control plane in this process for the whole session, its store in memory: a ``kcore.ControlPlane``.

    ``kcore_cluster.client`` needs no HTTP; ``kcore_cluster.kubeconfig`` is for every other client.
    """
    from kcore.controlplane import ControlPlane

    with ControlPlane(**kcore_options) as control_plane:
        yield control_plane


@pytest.fixture
def kcore_namespace(kcore_cluster: ControlPlane) -> Iterator[str]:
    """The name of a namespace of this test's own; it is deleted afterwards."""
    name = f"test-{next(_numbers)}"
    kcore_cluster.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kcore_cluster.client.delete("namespaces", name)
