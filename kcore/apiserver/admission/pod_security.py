"""PodSecurity: namespaces say by labels which of the Pod Security Standards their pods must keep.

Source: pod-security-admission admission/admission.go and api/helpers.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any, Final, NamedTuple

from kcore.api import field, status
from kcore.api.field import FieldError, quoted
from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request, refused
from kcore.apiserver.admission.pod_security_checks import LATEST_MINOR, Finding, findings
from kcore.apiserver.view import Object, View

LEVELS: Final = ("privileged", "baseline", "restricted")  # each forbids what the one before does, and more
LABEL_PREFIX: Final = "pod-security.kubernetes.io/"
PODS_CHECKED_MAX: Final = 3000  # of a namespace whose level is raised
IGNORED_SUBRESOURCES: Final = frozenset(
    {"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"}
)
TEMPLATES: Final = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
_VERSION: Final = re.compile(r"v1\.([0-9]|[1-9][0-9]*)", re.ASCII)


class Level(NamedTuple):
    """``minor`` None is the latest version."""

    name: str = "privileged"
    minor: int | None = None

    @property
    def text(self) -> str:
        """As messages name it."""
        return f"{self.name}:{'latest' if self.minor is None else f'v1.{self.minor}'}"

    def findings(self, metadata: Object, spec: Object) -> list[Finding]:
        """What the pod does that this forbids."""
        return findings(self.name, LATEST_MINOR if self.minor is None else self.minor, metadata, spec)


class Policy(NamedTuple):
    """What a namespace asks for."""

    enforce: Level = Level()
    audit: Level = Level()
    warn: Level = Level()


PRIVILEGED: Final = Policy()


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """What the labels ask for, and what is wrong with them: a wrong level is enforced as restricted."""
    errors: list[FieldError] = []
    made: dict[str, Level] = {}
    for mode in ("enforce", "audit", "warn"):
        name, minor = "privileged", None
        if (text := labels.get(key := LABEL_PREFIX + mode)) is not None:
            name = text
            if text not in LEVELS:
                errors.append(_wrong(key, text, f"must be one of {', '.join(LEVELS)}"))
                name = "restricted" if mode == "enforce" else "privileged"
        if (text := labels.get(key := f"{LABEL_PREFIX}{mode}-version")) is not None and text != "latest":
            match = _VERSION.fullmatch(text)
            if match is None:
                errors.append(_wrong(key, text, 'must be "latest" or "v1.x"'))
            else:
                minor = int(match[1])
        made[mode] = Level(name, minor)
    if labels.get(LABEL_PREFIX + "enforce") in LEVELS and LABEL_PREFIX + "warn" not in labels:
        enforce, warn = made["enforce"], made["warn"]
        if LEVELS.index(enforce.name) > LEVELS.index(warn.name):
            is_versioned = f"{LABEL_PREFIX}warn-version" in labels
            made["warn"] = Level(enforce.name, warn.minor if is_versioned else enforce.minor)
    return Policy(**made), errors


def _wrong(key: str, text: str, detail: str) -> FieldError:
    return field.invalid(f"metadata.labels[{key}]", text, detail)


def pod_security(view: View) -> Plugin:
    """The plugin over the namespaces of the view."""
    policies: dict[str, tuple[str, Policy]] = {}  # by namespace, with the version it was read from

    def policy_for(namespace: Object) -> Policy:
        metadata = namespace["metadata"]
        version = metadata.get("resourceVersion", "")
        known = policies.get(metadata["name"])
        if known is not None and known[0] == version and version:
            return known[1]
        policy, _ = policy_of(metadata.get("labels") or {})
        policies[metadata["name"]] = (version, policy)
        return policy

    async def look_up(request: Request, name: str) -> None:
        namespace = await view.live("", "namespaces", "", name)
        if namespace is None:
            raise status.internal(f"failed to lookup namespace {quoted(name)}")
        judge(request, policy_for(namespace))

    def judge(request: Request, policy: Policy) -> None:
        if policy == PRIVILEGED:
            return
        if request.op.row.plural == "pods" and not request.op.row.group:
            assert request.obj is not None
            if request.old is None or _is_significant(request.obj["spec"], request.old["spec"]):
                _judge_pod(request, policy, request.obj, enforces=True)
            return
        template: Any = request.obj
        for key in TEMPLATES[request.op.row.group, request.op.row.plural]:
            template = (template or {}).get(key)
        if template:
            _judge_pod(request, policy, template, enforces=False)

    def validate(request: Request) -> Awaitable[None] | None:
        op = request.op
        if op.row.plural == "namespaces":
            if not op.subresource:
                _judge_namespace(request, view)
            return None
        is_pod = op.row.plural == "pods"
        if op.subresource in IGNORED_SUBRESOURCES if is_pod else op.subresource:
            return None
        namespace = view.get("", "namespaces", "", op.namespace)
        if namespace is None:
            return look_up(request, op.namespace)
        judge(request, policy_for(namespace))
        return None

    return Plugin(
        "PodSecurity",
        frozenset({CREATE, UPDATE}),
        frozenset({("", "pods"), ("", "namespaces"), *TEMPLATES}),
        frozenset({"", "ephemeralcontainers", "resize"}),
        validate=validate,
        traceable=True,
    )


def _shown(found: list[Finding]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)


def _judge_pod(request: Request, policy: Policy, pod: Object, *, enforces: bool) -> None:
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if enforces and (found := policy.enforce.findings(metadata, spec)):
        raise refused(request, f"violates PodSecurity {quoted(policy.enforce.text)}: {_shown(found)}")
    if found := policy.warn.findings(metadata, spec):
        text = f"would violate PodSecurity {quoted(policy.warn.text)}: {_shown(found)}"
        if text not in request.op.warnings:
            request.op.warnings.append(text)


def _is_significant(new: Object, old: Object) -> bool:
    """True where containers, or their images, have changed."""
    for side in ("containers", "initContainers"):
        now, before = new.get(side) or [], old.get(side) or []
        if len(now) != len(before):
            return True
        if any(one.get("image") != two.get("image") for one, two in zip(now, before, strict=True)):
            return True
    images = {each.get("name"): each.get("image") for each in old.get("ephemeralContainers") or ()}
    return any(
        each.get("name") not in images or each.get("image") != images[each.get("name")]
        for each in new.get("ephemeralContainers") or ()
    )


def _judge_namespace(request: Request, view: View) -> None:
    """Labels are right; raising the level warns of the pods that it would refuse."""
    assert request.obj is not None
    metadata = request.obj["metadata"]
    policy, errors = policy_of(metadata.get("labels") or {})
    old_policy, old_errors = PRIVILEGED, None
    if request.old is not None:
        old_policy, old_errors = policy_of(request.old["metadata"].get("labels") or {})
    if errors and errors != old_errors:
        raise status.invalid("", "Namespace", metadata.get("name", ""), errors)
    new, old = policy.enforce, old_policy.enforce
    if request.old is None or new == old or new.name == "privileged":
        return
    if new.minor == old.minor and LEVELS.index(new.name) < LEVELS.index(old.name):
        return
    request.op.warnings.extend(_of_existing_pods(view, metadata["name"], new))


def _of_existing_pods(view: View, namespace: str, level: Level) -> list[str]:
    owners: set[str] = set()
    first: list[Object] = []
    more: list[Object] = []
    for pod in view.list("", "pods", namespace):
        references = pod["metadata"].get("ownerReferences") or ()
        owner = next((each.get("uid", "") for each in references if each.get("controller")), "")
        (more if owner and owner in owners else first).append(pod)
        owners.add(owner)
    pods = [*first, *more]
    reasons: dict[str, list[str]] = {}
    for pod in pods[:PODS_CHECKED_MAX]:
        if found := level.findings(pod["metadata"], pod["spec"]):
            reasons.setdefault(", ".join(reason for reason, _ in found), []).append(pod["metadata"]["name"])
    warnings = []
    if len(pods) > PODS_CHECKED_MAX:
        warnings.append(
            f"new PodSecurity enforce level only checked against the first {PODS_CHECKED_MAX} of {len(pods)} existing "
            "pods"
        )
    if reasons:
        warnings.append(
            f"existing pods in namespace {quoted(namespace)} violate the new PodSecurity enforce level "
            f"{quoted(level.text)}"
        )
    return warnings + sorted(_counted(names, reason) for reason, names in reasons.items())


def _counted(names: list[str], reason: str) -> str:
    others = len(names) - 1
    also = "" if not others else f" (and {others} other pod{'s' * (others > 1)})"
    return f"{min(names)}{also}: {reason}"
