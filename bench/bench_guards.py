"""What guards cost a request: the admission chain on a pod's creation, and one authorization.

Budgets: the chain well under 40 us, a decision that was made before well under 20 us.
"""

from __future__ import annotations

import asyncio

import orjson
from pytest_benchmark.fixture import BenchmarkFixture

from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.contract import Attributes
from kcore.apiserver.authz.rbac import RBAC
from kcore.apiserver.bootstrap.policy import policy
from kcore.apiserver.user import UserInfo
from tests.apiserver.admission.operations import NOW, chain, operation, pod, ready_cluster
from tests.apiserver.view import Cluster

SCHEDULER = UserInfo("system:kube-scheduler", groups=("system:authenticated",))
QUESTION = Attributes("create", "", "pods", "binding", "default", "p")


def rbac() -> RBAC:
    bindings = Bindings()
    asyncio.run(bindings.follow(Cluster(policy())))
    return RBAC(bindings)


def test_admission_of_a_pod(benchmark: BenchmarkFixture) -> None:
    admission = chain(ready_cluster())
    body = orjson.dumps(pod(containers=[{"name": name, "image": "i"} for name in "ab"]))
    op = operation(pod())

    def made() -> tuple[tuple[object, ...], dict[str, object]]:
        return (orjson.loads(body),), {}

    def admit(obj: dict[str, object]) -> None:
        for phase in (admission.mutate, admission.validate):
            try:
                phase(op, obj, None, now=NOW).send(None)
            except StopIteration:
                continue
            raise AssertionError("the chain waited")

    benchmark.pedantic(admit, setup=made, rounds=5000, warmup_rounds=500)


def test_a_decision_made_before(benchmark: BenchmarkFixture) -> None:
    authorizer = rbac()
    assert benchmark(authorizer.authorize, SCHEDULER, QUESTION).allowed


def test_a_first_decision(benchmark: BenchmarkFixture) -> None:
    authorizer = rbac()

    def decide() -> bool:
        authorizer.bindings.changes += 1
        return authorizer.authorize(SCHEDULER, QUESTION).allowed

    assert benchmark(decide)
