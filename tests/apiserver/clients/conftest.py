"""One control plane for all clients of a session; each test has a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from kcore import ControlPlane

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as made:
        yield made


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    name = f"client-{next(_numbers)}"
    plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
