"""One cluster for all that the user does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apiserver.kubectl_suite.session import kubectl_binary
from tests.session.user import NODES, User, cluster, is_ready


@pytest.fixture(scope="package")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with cluster(kubectl_binary(), tmp_path_factory.mktemp("session")) as made:
        made.until("nodes", lambda nodes: sum(map(is_ready, nodes)) == NODES)
        yield made
