"""Controllers of single objects of a cluster: ranges of cluster IPs, the time that nodes are told, signed cluster-info."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kcore.controllers.bootstrap_signer import BootstrapSigner, signature
from kcore.controllers.node_ttl import ANNOTATION, NodeTtl, step_of
from kcore.controllers.service_cidr import FINALIZER, KEPT, RANGES, ServiceCidr
from kcore.controllers.times import text_of
from tests.controllers.paper import NOW_MS, Paper

Object = dict[str, Any]


def cidr(name: str, *cidrs: str, **metadata: Any) -> Object:
    return {"kind": "ServiceCIDR", "metadata": {"name": name, **metadata}, "spec": {"cidrs": list(cidrs)}}


def address(text: str, manager: str = "ipallocator.k8s.io") -> Object:
    labels = {"ipaddress.kubernetes.io/managed-by": manager}
    return {"kind": "IPAddress", "metadata": {"name": text, "labels": labels}}


def test_a_new_range_is_held_and_ready() -> None:
    paper = Paper(ServiceCidr())
    paper.put(cidr("more", "10.9.0.0/24"))
    assert paper.round("more", "") is None
    found = paper.get(RANGES, "", "more")
    assert found is not None and found["metadata"]["finalizers"] == [FINALIZER]
    (ready,) = found["status"]["conditions"]
    assert (ready["status"], ready["message"]) == ("True", "Kubernetes Service CIDR is ready")
    before = len(paper.acted)
    paper.round("more", "")
    assert len(paper.acted) == before  # nothing to say any more


@pytest.mark.parametrize(
    ("others", "addresses", "is_kept"),
    [
        ((), (), False),
        ((), ("10.9.0.7",), True),
        ((), ("10.8.0.7", "fd00::7"), False),  # of other ranges
        (("10.0.0.0/8",), ("10.9.0.7",), False),  # a larger one holds them
        (("10.9.0.0/24",), ("10.9.0.7",), False),  # one like it does
        (("10.9.0.0/28",), ("10.9.0.7",), False),  # a part that has all there are
        (("10.9.0.0/28",), ("10.9.0.7", "10.9.0.77"), True),
    ],
)
def test_a_range_goes_once_no_address_is_left_without_one(
    others: tuple[str, ...], addresses: tuple[str, ...], is_kept: bool
) -> None:
    paper = Paper(ServiceCidr())
    gone = {"deletionTimestamp": text_of(NOW_MS), "finalizers": [FINALIZER]}
    paper.put(cidr("more", "10.9.0.0/24", **gone))
    for number, each in enumerate(others):
        paper.put(cidr(f"other-{number}", each))
    for text in addresses:
        paper.put(address(text))
    paper.put(address("10.9.0.200", "somebody.example.com"))
    left = paper.round("more", "")
    found = paper.get(RANGES, "", "more")
    assert found is not None
    if is_kept:
        assert (left, found["status"]["conditions"][0]["message"]) == (None, KEPT)
    else:
        assert left == 10_000  # every server is to hear of it first
        paper.now_ms += 10_000
        paper.round("more", "")
        assert paper.get(RANGES, "", "more") is None


def test_nodes_are_told_longer_times_in_larger_clusters() -> None:
    # TestDesiredTTL of pkg/controller/ttl: up at the upper bound, down only below the lower one
    assert [step_of(0, count) for count in (0, 100, 101, 500, 501, 1001, 5000)] == [0, 0, 1, 1, 2, 3, 4]
    assert [step_of(1, count) for count in (100, 90, 89)] == [1, 1, 0]
    assert step_of(4, 1800) == 4 and step_of(4, 0) == 0
    paper = Paper(NodeTtl())
    for number in range(101):
        paper.put({"kind": "Node", "metadata": {"name": f"n{number}"}})
    paper.round("n7", "")
    node = paper.get("nodes", "", "n7")
    assert node is not None and node["metadata"]["annotations"] == {ANNOTATION: "15"}
    paper.round("n7", "")
    assert len(paper.acted) == 1


def token(name: str, **more: str) -> Object:
    data = {
        "token-id": name,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-signing": "true",
        **more,
    }
    return {
        "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{name}", "namespace": "kube-system"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }  # fmt: skip


def test_cluster_info_is_signed_with_every_token_that_may() -> None:
    paper = Paper(BootstrapSigner())
    data = {"kubeconfig": "clusters: []", "jws-kubeconfig-ffffff": "of a token that is gone", "other": "kept"}
    paper.put(
        {
            "kind": "ConfigMap",
            "metadata": {"name": "cluster-info", "namespace": "kube-public"},
            "data": data,
        }
    )
    for each in (
        token("aaaaaa"),
        token("bbbbbb", **{"usage-bootstrap-signing": "false"}),
        token("cccccc", **{"token-id": "dddddd"}),
        token("eeeeee", expiration="2001-01-01T00:00:00Z"),
    ):
        paper.put(each)
    paper.round("cluster-info", "kube-public")
    found = paper.get("configmaps", "kube-public", "cluster-info")
    assert found is not None
    assert found["data"].keys() == {"kubeconfig", "other", "jws-kubeconfig-aaaaaa"}
    said = signature("clusters: []", "aaaaaa", "0123456789abcdef")
    assert found["data"]["jws-kubeconfig-aaaaaa"] == said
    paper.round("cluster-info", "kube-public")
    assert len(paper.acted) == 1


def test_a_signature_is_that_of_upstream() -> None:
    # TestComputeDetachedSignature of k8s.io/cluster-bootstrap/token/jws
    content = "Hello from the other side. I must have called a thousand times."
    head = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9.."
    secret = "my voice is my passcode"
    assert signature(content, "joshua", secret) == head + "VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
    assert signature("", "joshua", secret) == head + "7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk"
