"""FlowSchemas and PriorityLevelConfigurations.

Sources, Kubernetes 1.36: pkg/apis/flowcontrol/validation/validation.go, v1/defaults.go, pkg/registry/flowcontrol,
apiserver pkg/util/shufflesharding. That the mandatory ones are as they must be is seen to by who makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.names import dns1123_label, dns1123_subdomain, faults
from kcore.api.kinds.updates import count_generation, keep, semantically_equal, validate_named
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Part = Mapping[str, Any]

PRECEDENCE: Final = 1000
PRECEDENCE_MAX: Final = 10_000
QUEUES_MAX: Final = 10_000_000
HASH_BITS_MAX: Final = 60
SHARES: Final = 30
QUEUING: Final = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}
EXEMPT: Final = "exempt"
PRESERVE_ZERO_SHARES: Final = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
DISTINGUISHERS: Final = ("ByNamespace", "ByUser")
LEVEL_TYPES: Final = ("Exempt", "Limited")
RESPONSES: Final = ("Queue", "Reject")
SUBJECT_KINDS: Final = ("Group", "ServiceAccount", "User")
VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS: Final = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
_NOT_NEGATIVE: Final = "must be a non-negative integer"


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {}
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    managed = obj["metadata"].get("managedFields")
    version = obj["metadata"].get("resourceVersion")
    obj["metadata"] = dict(old["metadata"])
    for name, value in (("managedFields", managed), ("resourceVersion", version)):
        if value is not None:
            obj["metadata"][name] = value


def _validate_conditions(obj: Object) -> list[FieldError]:
    errors = []
    seen = set()
    for index, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        at, kind = f"status.conditions[{index}].type", condition.get("type") or ""
        if kind in seen:
            errors.append(duplicate(at, kind))
        seen.add(kind)
        if not kind:
            errors.append(required(at))
    return errors


def _validate_status(obj: Object, *_: Any) -> list[FieldError]:
    return _validate_conditions(obj)


# FlowSchemas


def _default_schema(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = PRECEDENCE


def _validate_subject(subject: Part, path: str) -> list[FieldError]:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        return [not_supported(f"{path}.kind", kind, SUBJECT_KINDS)]
    name = _SUBJECTS[kind]
    at, given = f"{path}.{name}", subject.get(name)
    errors: list[FieldError] = []
    if given is None:
        errors.append(required(at, f"{name} is required when subject kind is '{kind}'"))
    else:
        called = given.get("name") or ""
        if not called:
            errors.append(required(f"{at}.name"))
        elif kind == "ServiceAccount" and called != "*":
            errors += faults(f"{at}.name", called, dns1123_subdomain(called))
        if kind == "ServiceAccount":
            if namespace := given.get("namespace") or "":
                errors += faults(f"{at}.namespace", namespace, dns1123_label(namespace))
            else:
                detail = "must specify namespace for service account"
                errors.append(required(f"{at}.namespace", detail))
    return errors + [
        forbidden(f"{path}.{other}", f"{other} is forbidden when subject kind is not '{needed}'")
        for needed, other in _SUBJECTS.items()
        if needed != kind and subject.get(other) is not None
    ]


def _validate_verbs(verbs: Sequence[str], path: str) -> list[FieldError]:
    if not verbs:
        return [required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        detail = "if '*' is present, must not specify other verbs"
        return [invalid(path, verbs, detail)] if len(verbs) > 1 else []
    return [] if set(verbs) <= set(VERBS) else [not_supported(path, list(verbs), VERBS)]


def _validate_wild(values: Sequence[str], path: str, one: str, others: str) -> list[FieldError]:
    if not values:
        return [required(path, f"resource rules must supply at least one {one}")]
    if len(values) > 1 and "*" in values:
        return [invalid(path, values, f"if '*' is present, must not specify other {others}")]
    return []


def _validate_resource_rule(rule: Part, path: str) -> list[FieldError]:
    errors = _validate_verbs(rule.get("verbs") or (), f"{path}.verbs")
    errors += _validate_wild(rule.get("apiGroups") or (), f"{path}.apiGroups", "api group", "api groups")
    errors += _validate_wild(rule.get("resources") or (), f"{path}.resources", "resource", "resources")
    namespaces, at = rule.get("namespaces") or (), f"{path}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(at, detail))
    elif "*" in namespaces:
        if len(namespaces) > 1:
            detail = "if '*' is present, must not specify other namespaces"
            errors.append(invalid(at, namespaces, detail))
    else:
        for index, namespace in enumerate(namespaces):
            errors += [
                invalid(
                    f"{at}[{index}]",
                    namespace,
                    f"each member of this list must be '*' or a DNS-1123 label; {complaint}",
                )
                for complaint in dns1123_label(namespace)
            ]
    return errors


def _url_fault(url: str) -> str:
    """ValidateNonResourceURLPath."""
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    stars = url.count("*")
    if stars > 1 or (stars == 1 and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def _validate_url_rule(rule: Part, path: str) -> list[FieldError]:
    errors = _validate_verbs(rule.get("verbs") or (), f"{path}.verbs")
    urls, at = rule.get("nonResourceURLs") or (), f"{path}.nonResourceURLs"
    if not urls:
        errors.append(required(at, "nonResourceURLs must contain at least one value"))
    elif "*" in urls:
        if len(urls) > 1:
            detail = "if '*' is present, must not specify other non-resource URLs"
            errors.append(invalid(at, urls, detail))
    else:
        errors += [
            invalid(f"{at}[{index}]", url, fault)
            for index, url in enumerate(urls)
            if (fault := _url_fault(url))
        ]
    return errors


def _validate_schema(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec, path = obj["spec"], "spec.matchingPrecedence"
    precedence = spec.get("matchingPrecedence") or 0
    if precedence <= 0:
        errors.append(invalid(path, precedence, "must be a positive value"))
    if precedence > PRECEDENCE_MAX:
        errors.append(invalid(path, precedence, f"must not be greater than {PRECEDENCE_MAX}"))
    if precedence == 1 and obj["metadata"].get("name") != EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        errors.append(invalid(path, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and (kind := method.get("type") or "") not in DISTINGUISHERS:
        shown = {"Type": kind}
        errors.append(not_supported("spec.distinguisherMethod.type", shown, DISTINGUISHERS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    at = "spec.priorityLevelConfiguration.name"
    if level:
        errors += faults(at, level, dns1123_subdomain(level))
    else:
        errors.append(required(at, "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or ()):
        errors += _validate_schema_rule(rule, f"spec.rules[{index}]")
    return errors + _validate_conditions(obj)


def _validate_schema_rule(rule: Part, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    subjects, resources = rule.get("subjects") or (), rule.get("resourceRules") or ()
    urls = rule.get("nonResourceRules") or ()
    if not subjects:
        detail = "subjects must contain at least one value"
        errors.append(required(f"{path}.subjects", detail))
    for index, subject in enumerate(subjects):
        errors += _validate_subject(subject, f"{path}.subjects[{index}]")
    if not resources and not urls:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.append(required(path, detail))
    for index, each in enumerate(resources):
        errors += _validate_resource_rule(each, f"{path}.resourceRules[{index}]")
    for index, each in enumerate(urls):
        errors += _validate_url_rule(each, f"{path}.nonResourceRules[{index}]")
    return errors


# PriorityLevelConfigurations


def _default_level(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for side, shares in (("exempt", 0), ("limited", SHARES)):
        if (given := spec.get(side)) is not None:
            for name, value in (("nominalConcurrencyShares", shares), ("lendablePercent", 0)):
                if given.get(name) is None:
                    given[name] = value
    response = (spec.get("limited") or {}).get("limitResponse") or {}
    if (queuing := response.get("queuing")) is not None:
        for name, value in QUEUING.items():
            if not queuing.get(name):
                queuing[name] = value


def _validate_shares(given: Part, path: str) -> list[FieldError]:
    errors = []
    if (shares := given.get("nominalConcurrencyShares") or 0) < 0:
        errors.append(invalid(f"{path}.nominalConcurrencyShares", shares, _NOT_NEGATIVE))
    return errors


def _validate_lending(given: Part, path: str) -> list[FieldError]:
    percent = given.get("lendablePercent")
    if percent is None or 0 <= percent <= 100:
        return []
    return [invalid(f"{path}.lendablePercent", percent, "must be between 0 and 100, inclusive")]


def _entropy_bits(queues: int, hand: int) -> int:
    """RequiredEntropyBits."""
    return math.ceil(math.log2(queues) * hand)


def _validate_queuing(queuing: Part, path: str) -> list[FieldError]:
    errors = []
    limit, queues, hand = (queuing.get(name) or 0 for name in ("queueLengthLimit", "queues", "handSize"))
    if limit <= 0:
        errors.append(invalid(f"{path}.queueLengthLimit", limit, "must be positive"))
    if queues <= 0:
        errors.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > QUEUES_MAX:
        errors.append(invalid(f"{path}.queues", queues, f"must not be greater than {QUEUES_MAX}"))
    if hand <= 0:
        errors.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        detail = f"should not be greater than queues ({queues})"
        errors.append(invalid(f"{path}.handSize", hand, detail))
    elif _entropy_bits(queues, hand) > HASH_BITS_MAX:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than "
            f"{HASH_BITS_MAX}"
        )
        errors.append(invalid(f"{path}.handSize", hand, detail))
    return errors


def _validate_limited(limited: Part, path: str) -> list[FieldError]:
    errors = _validate_shares(limited, path)
    response, at = limited.get("limitResponse") or {}, f"{path}.limitResponse"
    kind, queuing = response.get("type") or "", response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            detail = "must be nil if limited.limitResponse.type is not Limited"
            errors.append(forbidden(f"{at}.queuing", detail))
    elif kind != "Queue":
        errors.append(not_supported(f"{at}.type", kind, RESPONSES))
    elif queuing is None:
        detail = "must not be empty if limited.limitResponse.type is Limited"
        errors.append(required(f"{at}.queuing", detail))
    else:
        errors += _validate_queuing(queuing, f"{at}.queuing")
    errors += _validate_lending(limited, path)
    if (percent := limited.get("borrowingLimitPercent") or 0) < 0:
        detail = "if specified, must be a non-negative integer"
        errors.append(invalid(f"{path}.borrowingLimitPercent", percent, detail))
    return errors


def _validate_level(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    if PRESERVE_ZERO_SHARES in (obj["metadata"].get("annotations") or {}):
        detail = f"annotation '{PRESERVE_ZERO_SHARES}' is forbidden"
        errors.append(forbidden("metadata.annotations", detail))
    spec = obj["spec"]
    kind, exempt, limited = spec.get("type") or "", spec.get("exempt"), spec.get("limited")
    if (obj["metadata"].get("name") == EXEMPT) != (kind == "Exempt"):
        detail = "must be 'Exempt' if and only if `name` is 'exempt'"
        errors.append(invalid("spec.type", kind, detail))
    if kind == "Exempt":
        if limited is not None:
            errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            errors += _validate_shares(exempt, "spec.exempt") + _validate_lending(exempt, "spec.exempt")
    elif kind == "Limited":
        if exempt is not None:
            errors.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            errors.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            errors += _validate_limited(limited, "spec.limited")
    else:
        errors.append(not_supported("spec.type", kind, LEVEL_TYPES))
    return errors + _validate_conditions(obj)


_STATUS: Final = MappingProxyType(
    {"status": UpdateStrategy(_prepare_status, _validate_status, reset_fields=("spec", "metadata"))}
)
FLOW_SCHEMA: Final = Strategy(
    default=_default_schema,
    prepare_for_create=_prepare_for_create,
    validate=_validate_schema,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_schema,
    reset_fields=("status",),
    subresources=_STATUS,
)
PRIORITY_LEVEL_CONFIGURATION: Final = Strategy(
    default=_default_level,
    prepare_for_create=_prepare_for_create,
    validate=_validate_level,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_level,
    reset_fields=("status",),
    subresources=_STATUS,
)
