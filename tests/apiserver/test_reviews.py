"""Access reviews, rules, whose token, and who one is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.authn import Authenticator
from kcore.apiserver.authn.token_file import StaticTokens
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.rbac import RBAC
from kcore.apiserver.bootstrap.policy import policy
from kcore.apiserver.reviews import Reviews
from kcore.apiserver.user import UserInfo
from tests.apiserver.view import Cluster

JOE = UserInfo("joe", "u", ("devs", "system:authenticated"), {"scopes": ("a",)})
NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def reviews() -> Reviews:
    bindings = Bindings()
    asyncio.run(bindings.follow(Cluster(policy())))
    authenticator = Authenticator(tokens=[StaticTokens({"t": JOE}, ("api",))], audiences=("api",))
    return Reviews(authenticator, RBAC(bindings), bindings, ("api",))


def post(
    reviews: Reviews, kind: str, spec: dict[str, Any], place: str = "", **metadata: str
) -> dict[str, Any]:
    group = (
        "authentication.k8s.io" if kind in ("TokenReview", "SelfSubjectReview") else "authorization.k8s.io"
    )
    obj = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return asyncio.run(reviews.create(group, f"{kind.lower()}s", place, obj, JOE, NOW))


def test_subject_access_reviews(reviews: Reviews) -> None:
    bind = {"resourceAttributes": {"verb": "create", "resource": "pods", "subresource": "binding"}}
    scheduler = {**bind, "user": "system:kube-scheduler"}
    assert post(reviews, "SubjectAccessReview", scheduler)["status"] == {
        "allowed": True,
        "reason": (
            'RBAC: allowed by ClusterRoleBinding "system:kube-scheduler" of ClusterRole "system:kube-scheduler" to User '
            '"system:kube-scheduler"'
        ),
    }
    assert post(reviews, "SelfSubjectAccessReview", bind)["status"] == {"allowed": False}
    url = {"nonResourceAttributes": {"verb": "get", "path": "/version"}}
    assert post(reviews, "SelfSubjectAccessReview", url)["status"]["allowed"]
    local = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "one"}, "user": "joe"}
    answer = post(reviews, "LocalSubjectAccessReview", local, "one", namespace="one")
    assert answer["status"] == {"allowed": False}


@pytest.mark.parametrize(
    ("kind", "spec", "text"),
    [
        ("SubjectAccessReview", {"user": "x"}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        ("SubjectAccessReview", {"nonResourceAttributes": {}}, "spec.user: Invalid value: \"\": at least one of user or group must be specified"),
        ("SelfSubjectAccessReview", {"nonResourceAttributes": {}, "resourceAttributes": {}}, "cannot be specified in combination with resourceAttributes"),
        ("LocalSubjectAccessReview", {"user": "x", "resourceAttributes": {"namespace": "n"}}, 'spec.resourceAttributes.namespace: Invalid value: "n": must match metadata.namespace'),
    ],
)  # fmt: skip
def test_senseless_questions(reviews: Reviews, kind: str, spec: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError) as caught:
        post(reviews, kind, spec)
    assert caught.value.code == 422
    assert text in caught.value.message


def test_rules_and_oneself(reviews: Reviews) -> None:
    status = post(reviews, "SelfSubjectRulesReview", {"namespace": "one"})["status"]
    assert {
        "verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    } in status["resourceRules"]  # fmt: skip
    assert status["incomplete"] is False
    assert any("/healthz" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert post(reviews, "SelfSubjectReview", {}) == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": NOW},
        "status": {
            "userInfo": {
                "username": "joe", "uid": "u", "groups": ["devs", "system:authenticated"], "extra": {"scopes": ["a"]},
            }
        },
    }  # fmt: skip
    with pytest.raises(ApiError, match="no namespace on request"):
        post(reviews, "SelfSubjectRulesReview", {})


def test_token_reviews(reviews: Reviews) -> None:
    good = post(reviews, "TokenReview", {"token": "t"})["status"]
    assert good["authenticated"] is True
    assert good["audiences"] == ["api"]
    assert good["user"]["username"] == "joe"
    bad = post(reviews, "TokenReview", {"token": "x"})["status"]
    assert bad == {"user": {}, "error": "invalid bearer token"}
    with pytest.raises(ApiError, match="token is required for TokenReview in authentication"):
        post(reviews, "TokenReview", {})
