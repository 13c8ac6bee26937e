"""RBAC against its twin on random policies, and the texts that users see."""

from __future__ import annotations

import asyncio
import random

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.contract import Attributes, Decision
from kcore.apiserver.authz.escalation import confirm_binding, confirm_role
from kcore.apiserver.authz.impersonation import impersonated, wanted_user
from kcore.apiserver.authz.modes import PrivilegedGroups, Union, authorizer_of
from kcore.apiserver.authz.rbac import RBAC
from kcore.apiserver.authz.refusal import forbidden
from kcore.apiserver.bootstrap.policy import policy
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.user import UserInfo, service_account_groups, service_account_username
from tests.apiserver.view import Cluster, key_of, named
from tests.naive import rbac as naive

GROUP = "rbac.authorization.k8s.io"
VERSION = f"{GROUP}/v1"


def rbac_of(cluster: Cluster) -> RBAC:
    bindings = Bindings()
    asyncio.run(bindings.follow(cluster))
    return RBAC(bindings)


def role(name: str, *rules: dict[str, list[str]], namespace: str = "") -> dict:
    return named(VERSION, "Role" if namespace else "ClusterRole", name, namespace, rules=list(rules))


def binding(
    name: str, role_name: str, *subjects: dict, namespace: str = "", kind: str = "ClusterRole"
) -> dict:
    reference = {"apiGroup": GROUP, "kind": kind, "name": role_name}
    made = "RoleBinding" if namespace else "ClusterRoleBinding"
    return named(VERSION, made, name, namespace, roleRef=reference, subjects=list(subjects))


def user_subject(name: str) -> dict:
    return {"kind": "User", "apiGroup": GROUP, "name": name}


def rule(verbs: str, resources: str, groups: str = "core", names: str = "") -> dict:
    made = {
        "verbs": verbs.split(), "resources": resources.split(),
        "apiGroups": ["" if each == "core" else each for each in groups.split()],
    }  # fmt: skip
    return made | ({"resourceNames": names.split()} if names else {})


VERBS = ["get", "list", "create", "*"]
GROUPS = ["", "apps", "*"]
RESOURCES = ["pods", "pods/log", "*/scale", "deployments", "deployments/scale", "*"]
NAMES = ["a", "b"]
URLS = ["/healthz", "/api*", "*", "/apis/*"]


def random_rule(chance: random.Random) -> dict:
    if chance.random() < 0.2:
        return {"verbs": chance.sample(VERBS, 1), "nonResourceURLs": chance.sample(URLS, 2)}
    made = {
        "verbs": chance.sample(VERBS, chance.randint(1, 2)),
        "apiGroups": chance.sample(GROUPS, 1),
        "resources": chance.sample(RESOURCES, chance.randint(1, 2)),
    }
    return made | ({"resourceNames": chance.sample(NAMES, 1)} if chance.random() < 0.3 else {})


def random_subject(chance: random.Random) -> dict:
    kind = chance.choice(["User", "Group", "ServiceAccount"])
    subject = {"kind": kind, "name": chance.choice(["x", "y", "z"])}
    return subject | (
        {"namespace": chance.choice(["one", "two"])}
        if kind == "ServiceAccount" and chance.random() < 0.5
        else {}
    )


def random_change(chance: random.Random, cluster: Cluster) -> None:
    namespace = chance.choice(["", "one", "two"])
    name = chance.choice(["p", "q", "r"])
    if chance.random() < 0.5:
        obj = role(name, *(random_rule(chance) for _ in range(chance.randint(0, 2))), namespace=namespace)
    else:
        kind = "Role" if namespace and chance.random() < 0.5 else "ClusterRole"
        subjects = [random_subject(chance) for _ in range(chance.randint(0, 3))]
        obj = binding(name, chance.choice(["p", "q", "r"]), *subjects, namespace=namespace, kind=kind)
    if chance.random() < 0.2 and key_of(obj) in cluster.objects:
        cluster.drop(key_of(obj))
    else:
        cluster.put(obj)


def random_question(chance: random.Random) -> Attributes:
    verb = chance.choice(VERBS[:3])
    if chance.random() < 0.2:
        return Attributes(
            verb, path=chance.choice(["/healthz", "/api/v1", "/apis", "/x"]), is_resource_request=False
        )
    resource, _, subresource = chance.choice(
        ["pods", "pods/log", "deployments", "deployments/scale", "pods/scale"]
    ).partition("/")
    return Attributes(
        verb,
        chance.choice(GROUPS[:2]),
        resource,
        subresource,
        chance.choice(["", "one", "two"]),
        chance.choice(["", "a", "b"]),
    )


@pytest.mark.differential
def test_decisions_are_the_twins() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        cluster = Cluster()
        rbac = rbac_of(cluster)
        users = [
            UserInfo(name, groups=tuple(chance.sample(["x", "y", "z"], 2)))
            for name in ("x", "y", "system:serviceaccount:one:x", "system:serviceaccount:two:y")
        ]
        for _ in range(30):
            random_change(chance, cluster)
            for _ in range(12):
                user, info = chance.choice(users), random_question(chance)
                decision = rbac.authorize(user, info)
                is_allowed, reasons = naive.allowed(cluster, user, info)
                assert decision.allowed == is_allowed, (seed, user, info)
                assert decision.reason in reasons, (seed, user, info, reasons)


def test_reasons_and_refusals_are_upstreams() -> None:
    cluster = Cluster([
        role("reader", rule("get list", "pods")),
        binding("readers", "reader", {"kind": "ServiceAccount", "name": "bot"}, namespace="one"),
        binding("lost", "nothing", user_subject("joe")),
    ])  # fmt: skip
    rbac = rbac_of(cluster)
    bot = UserInfo(service_account_username("one", "bot"), groups=service_account_groups("one"))
    question = Attributes("list", "", "pods", "", "one")
    assert rbac.authorize(bot, question) == Decision(
        True, 'RBAC: allowed by RoleBinding "readers/one" of ClusterRole "reader" to ServiceAccount "bot/one"'
    )
    assert not rbac.authorize(bot, question._replace(namespace="two")).allowed
    refused = rbac.authorize(UserInfo("joe"), question)
    assert refused == Decision(False, 'RBAC: clusterrole.rbac.authorization.k8s.io "nothing" not found')
    error = forbidden(UserInfo("joe"), question, refused.reason)
    assert error.message == (
        'pods is forbidden: User "joe" cannot list resource "pods" in API group "" in the namespace "one": '
        'RBAC: clusterrole.rbac.authorization.k8s.io "nothing" not found'
    )
    path = Attributes("get", path="/metrics", is_resource_request=False)
    assert forbidden(UserInfo("joe"), path).message == 'forbidden: User "joe" cannot get path "/metrics"'


def test_masters_may_do_everything_and_modes_are_refused_by_name() -> None:
    question = Attributes("delete", "", "nodes")
    authorizer = authorizer_of(["RBAC"], lambda: rbac_of(Cluster()))
    assert authorizer.authorize(UserInfo("root", groups=("system:masters",)), question).allowed
    assert not authorizer.authorize(UserInfo("joe"), question).allowed
    assert (
        authorizer_of(["AlwaysAllow"], lambda: rbac_of(Cluster()))
        .authorize(UserInfo("joe"), question)
        .allowed
    )
    for modes in (["Node", "RBAC"], ["RBAC", "RBAC"], [], ["Nonsense"]):
        with pytest.raises(Exception, match="authorization-mode"):
            authorizer_of(modes, lambda: rbac_of(Cluster()))


def escalating(cluster: Cluster) -> tuple[Bindings, Union]:
    rbac = rbac_of(cluster)
    return rbac.bindings, Union([PrivilegedGroups("system:masters"), rbac])


def test_nobody_grants_what_they_do_not_hold() -> None:
    cluster = Cluster([
        role("own", rule("get list", "pods"), rule("create update", "roles rolebindings", GROUP)),
        binding("owners", "own", user_subject("joe"), namespace="one"),
        role("wide", rule("get delete", "pods"), {"verbs": ["get"], "nonResourceURLs": ["/x"]}),
        role("small", rule("get", "pods")),
    ])  # fmt: skip
    bindings, authorizer = escalating(cluster)
    joe = UserInfo("joe", groups=("system:authenticated",))
    confirm_role(
        bindings, authorizer, joe, "roles", "one", "", role("r", rule("get", "pods"), namespace="one"), None
    )
    wide = role("r", rule("get delete", "pods nodes"), namespace="one")
    with pytest.raises(ApiError) as caught:
        confirm_role(bindings, authorizer, joe, "roles", "one", "", wide, None)
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "joe" (groups=["system:authenticated"]) is attempting to '
        "grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "delete"]}\n'
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'
    )
    masters = UserInfo("root", groups=("system:masters",))
    confirm_role(bindings, authorizer, masters, "roles", "one", "", wide, None)
    confirm_binding(
        bindings, authorizer, joe, "rolebindings", "one", binding("b", "small", namespace="one"), None
    )
    with pytest.raises(ApiError, match="not currently held"):
        confirm_binding(
            bindings, authorizer, joe, "rolebindings", "one", binding("b", "wide", namespace="one"), None
        )
    with pytest.raises(ApiError) as caught:
        confirm_binding(
            bindings, authorizer, joe, "rolebindings", "one", binding("b", "no", namespace="one"), None
        )
    assert (caught.value.code, caught.value.message) == (
        404, 'clusterroles.rbac.authorization.k8s.io "no" not found',
    )  # fmt: skip
    # the verbs that lift the check
    cluster.put(role("lifter", rule("escalate", "roles", GROUP), rule("bind", "clusterroles", GROUP, "wide")))
    cluster.put(binding("lifters", "lifter", user_subject("joe"), namespace="one"))
    confirm_role(bindings, authorizer, joe, "roles", "one", "r", wide, None)
    confirm_binding(
        bindings, authorizer, joe, "rolebindings", "one", binding("b", "wide", namespace="one"), None
    )


def test_what_the_garbage_collector_changes_is_no_escalation() -> None:
    bindings, authorizer = escalating(Cluster())
    old = role("r", rule("*", "*", "*"))
    new = {**old, "metadata": {**old["metadata"], "finalizers": ["x"]}}
    confirm_role(bindings, authorizer, UserInfo("gc"), "clusterroles", "", "r", new, old)
    with pytest.raises(ApiError):
        confirm_role(bindings, authorizer, UserInfo("gc"), "clusterroles", "", "r", new, None)


def headers(**fields: str | list[str]) -> HeaderFields:
    raw = []
    for name, values in fields.items():
        title = f"Impersonate-{name.replace('_', '-').title()}".encode()
        raw.extend((title, value.encode()) for value in ([values] if isinstance(values, str) else values))
    return HeaderFields(raw)


def test_impersonation_asks_the_constrained_modes_first() -> None:
    cluster = Cluster([
        role("plain", rule("impersonate", "users groups")),
        binding("plains", "plain", user_subject("admin")),
    ])  # fmt: skip
    rbac = rbac_of(cluster)
    info = Attributes("list", "", "pods", "", "one")
    wanted = wanted_user(headers(User="jane", Group=["devs", "ops"]))
    assert wanted is not None
    made = impersonated(rbac, UserInfo("admin"), wanted, info)
    assert made == UserInfo("jane", groups=("devs", "ops", "system:authenticated"), extra={})
    with pytest.raises(ApiError) as caught:
        impersonated(rbac, UserInfo("joe"), wanted, info)
    assert caught.value.message == (
        'pods is forbidden: User "joe" cannot impersonate-on:user-info:list resource "pods" in API group "" in the '
        'namespace "one"'
    )
    account = wanted_user(headers(User="system:serviceaccount:one:bot"))
    assert account is not None
    with pytest.raises(ApiError):
        impersonated(rbac, UserInfo("admin"), account, info)
    cluster.put(role("accounts", rule("impersonate", "serviceaccounts")))
    cluster.put(binding("accounts", "accounts", user_subject("admin"), namespace="one"))
    made = impersonated(rbac, UserInfo("admin"), account, info)
    assert made.groups == ("system:serviceaccounts", "system:serviceaccounts:one", "system:authenticated")
    assert wanted_user(HeaderFields([(b"Accept", b"*/*")])) is None
    with pytest.raises(
        ApiError, match=r'requested &user.DefaultInfo\{Name:"", UID:"", Groups:\[\]string\{"devs"\}'
    ):
        wanted_user(headers(Group="devs"))


def test_constrained_impersonation_needs_both_rights() -> None:
    cluster = Cluster([
        role("act", rule("impersonate:user-info", "users", "authentication.k8s.io", "jane")),
        binding("acts", "act", user_subject("joe")),
        role("on", rule("impersonate-on:user-info:list", "pods")),
        binding("ons", "on", user_subject("joe"), namespace="one"),
    ])  # fmt: skip
    rbac = rbac_of(cluster)
    jane = UserInfo("jane")
    assert impersonated(rbac, UserInfo("joe"), jane, Attributes("list", "", "pods", "", "one")).name == "jane"
    for info in (Attributes("get", "", "pods", "", "one"), Attributes("list", "", "pods", "", "two")):
        with pytest.raises(ApiError, match="cannot impersonate-on:user-info"):
            impersonated(rbac, UserInfo("joe"), jane, info)


def test_the_policy_of_a_new_cluster_lets_its_parts_work() -> None:
    rbac = rbac_of(Cluster(policy()))
    anonymous = UserInfo("system:anonymous", groups=("system:unauthenticated",))
    assert rbac.authorize(anonymous, Attributes("get", path="/healthz", is_resource_request=False)).allowed
    assert not rbac.authorize(anonymous, Attributes("get", path="/api", is_resource_request=False)).allowed
    anybody = UserInfo("joe", groups=("system:authenticated",))
    assert rbac.authorize(anybody, Attributes("get", path="/apis/apps/v1", is_resource_request=False)).allowed
    review = Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews")
    assert rbac.authorize(anybody, review).allowed
    assert not rbac.authorize(anybody, Attributes("list", "", "pods", "", "default")).allowed
    scheduler = UserInfo("system:kube-scheduler", groups=("system:authenticated",))
    assert rbac.authorize(scheduler, Attributes("create", "", "pods", "binding", "default", "p")).allowed
    controller = UserInfo(
        "system:serviceaccount:kube-system:deployment-controller", groups=("system:authenticated",)
    )
    assert rbac.authorize(controller, Attributes("create", "apps", "replicasets", "", "default")).allowed
