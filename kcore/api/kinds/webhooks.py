"""Webhook configurations, and the rules by which requests are matched, which admission policies have as well.

Sources, Kubernetes 1.36: pkg/apis/admissionregistration/validation/validation.go and v1/defaults.go,
apiserver pkg/util/webhook/validation.go, pkg/registry/admissionregistration/*webhookconfiguration/strategy.go.
Expressions of match conditions are not compiled here: CEL is another part's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from kcore.api.field import FieldError, duplicate, invalid, not_supported, required, too_many
from kcore.api.kinds.metadata import validate_label_selector
from kcore.api.kinds.names import (
    dns1035_label,
    dns1123_subdomain,
    faults,
    fully_qualified_name,
    port_number,
    qualified_name,
)
from kcore.api.kinds.updates import count_generation, validate_named
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]
Part = Mapping[str, Any]

PORT: Final = 443
STATIC_SUFFIX: Final = ".static.k8s.io"
TIMEOUT_SECONDS: Final = 10
TIMEOUT_SECONDS_MAX: Final = 30
MATCH_CONDITIONS_MAX: Final = 64
FAILURE_POLICIES: Final = ("Fail", "Ignore")
MATCH_POLICIES: Final = ("Equivalent", "Exact")
SIDE_EFFECTS: Final = ("None", "NoneOnDryRun", "Some", "Unknown")
NO_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
REINVOCATION_POLICIES: Final = ("IfNeeded", "Never")
REVIEW_VERSIONS: Final = ("v1", "v1beta1")
SCOPES: Final = ("*", "Cluster", "Namespaced")
_FORM: Final = "; desired format: https://host[/path]"
_match_url = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://(?:([^/?#@]*)@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?",
    re.DOTALL,
).fullmatch


class _Strictness(NamedTuple):
    """What an old configuration lacked is not asked of its successor."""

    no_side_effects: bool = True
    review_versions: bool = True
    unique_names: bool = True
    allow_invalid_values: bool = False
    match_conditions: bool = True


def default_rule(rule: Object) -> None:
    """SetDefaults_Rule."""
    if rule.get("scope") is None:
        rule["scope"] = "*"


def default_matching(part: Object) -> None:
    """matchPolicy and both selectors."""
    if part.get("matchPolicy") is None:
        part["matchPolicy"] = "Equivalent"
    for name in ("namespaceSelector", "objectSelector"):
        if part.get(name) is None:
            part[name] = {}


def _default(obj: Object) -> None:
    mutating = obj.get("kind") == "MutatingWebhookConfiguration"
    for hook in obj.get("webhooks") or ():
        if hook.get("failurePolicy") is None:
            hook["failurePolicy"] = "Fail"
        default_matching(hook)
        if hook.get("timeoutSeconds") is None:
            hook["timeoutSeconds"] = TIMEOUT_SECONDS
        if mutating and hook.get("reinvocationPolicy") is None:
            hook["reinvocationPolicy"] = "Never"
        for rule in hook.get("rules") or ():
            default_rule(rule)
        service = (hook.get("clientConfig") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = PORT


def static_name_warnings(obj: Object, *_: Any) -> list[str]:
    """WarningsForStaticSuffix."""
    if not (obj["metadata"].get("name") or "").endswith(STATIC_SUFFIX):
        return []
    text = "are reserved for static manifest-based configurations and cannot be managed via the API"
    return [f'metadata.name: names ending with "{STATIC_SUFFIX}" {text}']


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    count_generation(obj, old, (obj.get("webhooks") or None) != (old.get("webhooks") or None))


# Rules


def _validate_wildcard(values: Sequence[str], what: str, path: str) -> list[FieldError]:
    if len(values) > 1 and "*" in values:
        return [invalid(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _validate_resources(resources: Sequence[str], path: str) -> list[FieldError]:
    errors = [] if resources else [required(path)]
    any_sub, any_resource = set(), set()
    plain = False
    for index, text in enumerate(resources):
        at = f"{path}[{index}]"
        if not text:
            errors.append(required(at))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            plain = text != "*"
            continue
        if resource in any_sub:
            detail = f"if '{resource}/*' is present, must not specify {text}"
            errors.append(invalid(at, text, detail))
        if sub in any_resource:
            errors.append(invalid(at, text, f"if '*/{sub}' is present, must not specify {text}"))
        if sub == "*":
            any_sub.add(resource)
        if resource == "*":
            any_resource.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        detail = "if '*/*' is present, must not specify other resources"
        errors.append(invalid(path, resources, detail))
    if "*" in resources and plain:
        detail = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(path, resources, detail))
    return errors


def validate_rule(rule: Part, path: str) -> list[FieldError]:
    """validateRuleWithOperations."""
    operations = rule.get("operations") or []
    at = f"{path}.operations"
    errors = [] if operations else [required(at)]
    errors += _validate_wildcard(operations, "operations", at)
    errors += [
        not_supported(f"{at}[{index}]", operation, OPERATIONS)
        for index, operation in enumerate(operations)
        if operation not in OPERATIONS
    ]
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(name) or []
        if not values:
            errors.append(required(f"{path}.{name}"))
        errors += _validate_wildcard(values, what, f"{path}.{name}")
    errors += [
        required(f"{path}.apiVersions[{index}]")
        for index, version in enumerate(rule.get("apiVersions") or ())
        if not version
    ]
    errors += _validate_resources(rule.get("resources") or [], f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, SCOPES))
    return errors


def validate_match_conditions(conditions: Sequence[Part], path: str) -> list[FieldError]:
    """validateMatchConditions."""
    errors = (
        [too_many(path, len(conditions), MATCH_CONDITIONS_MAX)]
        if len(conditions) > MATCH_CONDITIONS_MAX
        else []
    )
    seen = set()
    for index, condition in enumerate(conditions):
        at, name = f"{path}[{index}]", condition.get("name") or ""
        if not (condition.get("expression") or "").strip():
            errors.append(required(f"{at}.expression"))
        if not name:
            errors.append(required(f"{at}.name"))
            continue
        errors += faults(f"{at}.name", name, qualified_name(name))
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
    return errors


# Clients


def validate_url(url: str, path: str) -> list[FieldError]:
    """ValidateWebhookURL."""
    found = _match_url(url)
    if found is None or any(ord(char) < 0x20 or ord(char) == 0x7F for char in url):
        detail = f'url must be a valid URL: parse "{url}": net/url: invalid control character in URL{_FORM}'
        return [required(path, detail)]
    scheme, user, host, _, query, fragment = found.groups()
    errors = []
    if (scheme or "").lower() != "https":
        detail = f"'https' is the only allowed URL scheme{_FORM}"
        errors.append(invalid(path, (scheme or "").lower(), detail))
    if not host:
        errors.append(invalid(path, "", f"host must be specified{_FORM}"))
    if user is not None:
        errors.append(invalid(path, user, "user information is not permitted in the URL"))
    if fragment:
        errors.append(invalid(path, fragment, "fragments are not permitted in the URL"))
    if query:
        errors.append(invalid(path, query, "query parameters are not permitted in the URL"))
    return errors


def validate_service(service: Part, path: str) -> list[FieldError]:
    """ValidateWebhookService. It is handed name and namespace in each other's place, and so blames the other one."""
    swapped = (("name", "namespace"), ("namespace", "name"))
    errors = [required(f"{path}.{shown}") for shown, name in swapped if not service.get(name)]
    port = service.get("port") or 0
    if complaints := port_number(port):
        detail = f"port is not valid: {', '.join(complaints)}"
        errors.append(invalid(f"{path}.port", port, detail))
    where, at = service.get("path"), f"{path}.path"
    if not where or where == "/":
        return errors
    if where == "//":
        return [*errors, invalid(at, where, "segment[0] may not be empty")]
    if not where.startswith("/"):
        errors.append(invalid(at, where, "must start with a '/'"))
    for index, step in enumerate(where[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(at, where, f"segment[{index}] may not be empty"))
        else:
            errors += [invalid(at, where, f"segment[{index}]: {each}") for each in dns1123_subdomain(step)]
    return errors


def validate_client(client: Part, path: str) -> list[FieldError]:
    """The URL or the service of a webhook."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if service is not None:
        return validate_service(service, f"{path}.service")
    return validate_url(url or "", f"{path}.url")


def validate_review_versions(versions: Sequence[str], path: str, recognized: bool) -> list[FieldError]:
    """validateAdmissionReviewVersions, and the same of conversion reviews."""
    accepted = ", ".join(REVIEW_VERSIONS)
    if not versions:
        return [required(path, f"must specify one of {accepted}")]
    errors = []
    seen = set()
    for index, version in enumerate(versions):
        if version in seen:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        errors += faults(f"{path}[{index}]", version, dns1035_label(version))
    if recognized and not seen.intersection(REVIEW_VERSIONS):
        errors.append(invalid(path, versions, f"must include at least one of {accepted}"))
    return errors


# Configurations


def _validate_hook(hook: Part, path: str, strict: _Strictness, errors: list[FieldError]) -> None:
    get = hook.get
    errors += fully_qualified_name(f"{path}.name", get("name") or "")
    for index, rule in enumerate(get("rules") or ()):
        errors += validate_rule(rule, f"{path}.rules[{index}]")
    for name, supported in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        if (value := get(name)) is not None and value not in supported:
            errors.append(not_supported(f"{path}.{name}", value, supported))
    effects, allowed = get("sideEffects"), NO_SIDE_EFFECTS if strict.no_side_effects else SIDE_EFFECTS
    if effects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(allowed)}"))
    elif effects not in allowed:
        errors.append(not_supported(f"{path}.sideEffects", effects, allowed))
    seconds = get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= TIMEOUT_SECONDS_MAX:
        detail = f"the timeout value must be between 1 and {TIMEOUT_SECONDS_MAX} seconds"
        errors.append(invalid(f"{path}.timeoutSeconds", seconds, detail))
    for name in ("namespaceSelector", "objectSelector"):
        errors += validate_label_selector(
            get(name), f"{path}.{name}", allow_invalid_values=strict.allow_invalid_values
        )
    policy = get("reinvocationPolicy")
    if policy is not None and policy not in REINVOCATION_POLICIES:
        errors.append(not_supported(f"{path}.reinvocationPolicy", policy, REINVOCATION_POLICIES))
    errors += validate_client(get("clientConfig") or {}, f"{path}.clientConfig")
    if strict.match_conditions:
        errors += validate_match_conditions(get("matchConditions") or (), f"{path}.matchConditions")


def _check(obj: Object, strict: _Strictness) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    seen = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", hook.get("name") or ""
        _validate_hook(hook, path, strict, errors)
        versions = hook.get("admissionReviewVersions") or []
        at = f"{path}.admissionReviewVersions"
        errors += validate_review_versions(versions, at, strict.review_versions)
        if strict.unique_names and name:
            if name in seen:
                errors.append(duplicate(f"{path}.name", name))
            seen.add(name)
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return _check(obj, _Strictness())


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    hooks = old.get("webhooks") or ()
    names = [hook.get("name") for hook in hooks]
    conditions, had = (
        [hook.get("matchConditions") or None for hook in each.get("webhooks") or ()] for each in (obj, old)
    )
    strict = _Strictness(
        no_side_effects=all(hook.get("sideEffects") in NO_SIDE_EFFECTS for hook in hooks),
        review_versions=all(
            not versions or set(versions).intersection(REVIEW_VERSIONS)
            for versions in (hook.get("admissionReviewVersions") for hook in hooks)
        ),
        unique_names=len(set(names)) == len(names),
        allow_invalid_values=any(
            validate_label_selector(hook.get(name), "")
            for hook in hooks
            for name in ("namespaceSelector", "objectSelector")
        ),
        match_conditions=conditions != had,
    )
    return _check(obj, strict)


WEBHOOK_CONFIGURATION: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=static_name_warnings,
    warnings_on_update=static_name_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    allow_unconditional_update=False,
)
