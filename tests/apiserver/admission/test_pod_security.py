"""The Pod Security Standards in upstream's words; modes, versions and labels of namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.admission.pod_security import Level, policy_of
from kcore.apiserver.admission.pod_security_checks import checks_of, findings
from tests.apiserver.admission.operations import NOW, chain, operation, pod, ready_cluster
from tests.apiserver.view import Cluster, named

PREFIX = "pod-security.kubernetes.io/"
GOOD: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def cluster_of(**modes: str) -> Cluster:
    labels = {PREFIX + mode.replace("_", "-"): value for mode, value in modes.items()}
    cluster = ready_cluster()
    cluster.put(named("v1", "Namespace", "one", metadata={"labels": labels}, status={"phase": "Active"}))
    return cluster


def judged(cluster: Cluster, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    import asyncio

    op = operation(obj)
    asyncio.run(chain(cluster, disable=["ServiceAccount", "ResourceQuota"]).validate(op, obj, old, now=NOW))
    return op.warnings


def test_restricted_names_all_that_is_wrong() -> None:
    with pytest.raises(ApiError) as caught:
        judged(cluster_of(enforce="restricted"), pod())
    assert caught.value.message == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container '
        '"c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must '
        'set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
        'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    assert (
        judged(cluster_of(enforce="restricted"), pod(containers=[{"name": "c", "securityContext": GOOD}]))
        == []
    )


def test_warnings_and_versions() -> None:
    assert judged(cluster_of(warn="baseline", warn_version="v1.20"), pod(hostNetwork=True)) == [
        'would violate PodSecurity "baseline:v1.20": host namespaces (hostNetwork=true)'
    ]
    deployment = named("apps/v1", "Deployment", "d", "one", spec={"template": pod(hostPID=True)})
    assert judged(cluster_of(enforce="baseline"), deployment) == [
        'would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)'
    ]
    old = pod(hostPID=True)
    judged(
        cluster_of(enforce="baseline"), {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}, old
    )


@pytest.mark.parametrize(
    ("spec", "reason", "detail"),
    [
        ({"hostIPC": True, "hostPID": True}, "host namespaces", "hostPID=true, hostIPC=true"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath volumes", 'volume "v"'),
        ({"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 8}]}]}, "hostPort", 'container "a" uses hostPorts 8, 80'),
        ({"containers": [{"name": "a", "securityContext": {"privileged": True}}, {"name": "b", "securityContext": {"privileged": True}}]}, "privileged", 'containers "a", "b" must not set securityContext.privileged=true'),
        ({"containers": [{"name": "a", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}]}, "non-default capabilities", 'container "a" must not include "SYS_ADMIN" in securityContext.capabilities.add'),
        ({"containers": [{"name": "a", "securityContext": {"procMount": "Unmasked"}}]}, "procMount", 'container "a" must not set securityContext.procMount to "Unmasked"'),
        ({"securityContext": {"seLinuxOptions": {"type": "x", "role": "r"}}}, "seLinuxOptions", 'pod set forbidden securityContext.seLinuxOptions: type "x"; role may not be set'),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile", 'pod must not set securityContext.seccompProfile.type to "Unconfined"'),
        ({"securityContext": {"sysctls": [{"name": "a.b"}, {"name": "net.ipv4.tcp_rmem"}]}}, "forbidden sysctls", "a.b"),
        ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "hostProcess", "pod must not set securityContext.windowsOptions.hostProcess=true"),
        ({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "forbidden AppArmor profile", 'pod must not set AppArmor profile type to "Unconfined"'),
        ({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h"}}}]}, "probe or lifecycle host", 'container "a" uses probe or lifecycle host "h"'),
    ],
)  # fmt: skip
def test_baseline(spec: dict[str, Any], reason: str, detail: str) -> None:
    assert findings("baseline", 36, {}, {"containers": [], **spec}) == [(reason, detail)]
    assert findings("privileged", 36, {}, {"containers": [], **spec}) == []


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"runAsNonRoot": False}, "runAsNonRoot != true", 'container "c" must not set securityContext.runAsNonRoot=false'),
        ({"runAsUser": 0}, "runAsUser=0", 'container "c" must not set runAsUser=0'),
        ({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, "unrestricted capabilities", 'container "c" must not include "CHOWN" in securityContext.capabilities.add'),
        ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation != false", 'container "c" must set securityContext.allowPrivilegeEscalation=false'),
    ],
)  # fmt: skip
def test_restricted(changes: dict[str, Any], reason: str, detail: str) -> None:
    spec = {"containers": [{"name": "c", "securityContext": GOOD | changes}]}
    assert findings("restricted", 36, {}, spec) == [(reason, detail)]
    volumes = [{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]
    spec = {"containers": [{"name": "c", "securityContext": GOOD}], "volumes": volumes}
    assert findings("restricted", 36, {}, spec) == [
        ("restricted volume types", 'volume "v" uses restricted volume type "nfs"')
    ]


def test_older_versions_forbid_less_or_more() -> None:
    own_users = {
        "containers": [{"name": "c", "securityContext": GOOD | {"runAsNonRoot": False}}],
        "hostUsers": False,
    }
    assert findings("restricted", 34, {}, own_users)
    assert not findings("restricted", 36, {}, own_users)
    assert (
        len(checks_of("restricted", 7)) < len(checks_of("restricted", 8)) < len(checks_of("restricted", 36))
    )


def test_labels_of_namespaces() -> None:
    policy, errors = policy_of({PREFIX + "enforce": "baseline", PREFIX + "enforce-version": "v1.30"})
    assert errors == []
    assert policy.warn == policy.enforce == Level("baseline", 30)
    cluster = ready_cluster()
    bad = named(
        "v1", "Namespace", "n", metadata={"labels": {PREFIX + "enforce": "x", PREFIX + "warn-version": "1.2"}}
    )
    with pytest.raises(ApiError) as caught:
        judged(cluster, bad)
    assert caught.value.message == (
        'Namespace "n" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one '
        "of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "
        '"1.2": must be "latest" or "v1.x"]'
    )


def test_raising_the_level_warns_of_pods_that_are_there() -> None:
    cluster = cluster_of()
    for name in "ba":
        cluster.put(pod(name, hostNetwork=True))
    old = cluster.objects["", "namespaces", "", "one"]
    new = {**old, "metadata": {**old["metadata"], "labels": {PREFIX + "enforce": "baseline"}}}
    assert judged(cluster, new, old) == [
        'existing pods in namespace "one" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
