"""Questions about access that are answered and not stored: access reviews, rules, who one is, whose a token is.

Each function takes the object as it was sent, decoded and defaulted, and returns the answer. Sources:
pkg/registry/authorization/*, pkg/registry/authentication/*, pkg/registry/core/serviceaccount/storage/token.go and
pkg/apis/authorization/validation of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kcore.api import field, status
from kcore.api.field import FieldError, quoted
from kcore.api.rows import GroupVersionKind
from kcore.apiserver import tokens
from kcore.apiserver.authn.authenticator import Authenticator, InvalidToken
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.contract import Attributes, Authorizer
from kcore.apiserver.authz.rbac import aggregated
from kcore.apiserver.tokens import TokenKeys
from kcore.apiserver.user import UserInfo
from kcore.apiserver.view import View

Object = dict[str, Any]

AUTHORIZATION: Final = "authorization.k8s.io"
AUTHENTICATION: Final = "authentication.k8s.io"
EXPIRATION_SECONDS_DEFAULT: Final = 60 * 60
EXPIRATION_SECONDS_MIN: Final = 10 * 60
EXPIRATION_SECONDS_MAX: Final = 1 << 32


class Reviews:
    """The virtual resources. ``find(row's group, plural)`` says whether it answers for that one."""

    def __init__(
        self,
        authenticator: Authenticator | None,
        authorizer: Authorizer,
        bindings: Bindings,
        audiences: Sequence[str],
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._bindings = bindings
        self._audiences = tuple(audiences)

    async def create(
        self, group: str, plural: str, namespace: str, obj: Object, user: UserInfo, now: str
    ) -> Object:
        """The answer to a POST of the object; ApiError where the question makes no sense."""
        if group == AUTHENTICATION:
            if plural == "tokenreviews":
                return await self._token_review(obj)
            return _self_subject_review(obj, user, now)
        if plural == "selfsubjectrulesreviews":
            return self._rules_review(obj, user)
        if plural == "selfsubjectaccessreviews":
            return self._access_review(obj, "SelfSubjectAccessReview", "", user)
        if plural == "localsubjectaccessreviews":
            return self._access_review(obj, "LocalSubjectAccessReview", namespace, None)
        return self._access_review(obj, "SubjectAccessReview", "", None)

    def _access_review(self, obj: Object, kind: str, namespace: str, user: UserInfo | None) -> Object:
        spec = obj.get("spec") or {}
        errors = _faults(obj, spec, kind)
        if errors:
            raise status.invalid(AUTHORIZATION, kind, "", errors)
        if kind == "LocalSubjectAccessReview" and namespace != (obj.get("metadata") or {}).get(
            "namespace", ""
        ):
            raise status.bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        if user is None:
            extra = {key: tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
            user = UserInfo(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)
        decision = self._authorizer.authorize(user, _question(spec))
        answer: Object = {"allowed": decision.allowed}
        if decision.denied:
            answer["denied"] = True
        if decision.reason:
            answer["reason"] = decision.reason
        if decision.error:
            answer["evaluationError"] = decision.error
        return {**obj, "status": answer}

    def _rules_review(self, obj: Object, user: UserInfo) -> Object:
        namespace = (obj.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise status.bad_request("no namespace on request")
        rules, faults = self._bindings.rules_for(user, namespace)
        answer: Object = {
            "resourceRules": [
                _pruned(
                    verbs=rule.verbs,
                    apiGroups=rule.groups,
                    resources=rule.resources,
                    resourceNames=rule.names,
                )
                for rule in rules
                if rule.resources
            ],
            "nonResourceRules": [
                _pruned(verbs=rule.verbs, nonResourceURLs=rule.urls) for rule in rules if rule.urls
            ],
            "incomplete": False,
        }
        if faults:
            answer["evaluationError"] = aggregated(faults)
        return {
            "apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": {}, "spec": {}, "status": answer,
        }  # fmt: skip

    async def _token_review(self, obj: Object) -> Object:
        spec = obj.get("spec") or {}
        token = spec.get("token", "")
        if not token:
            raise status.bad_request("token is required for TokenReview in authentication")
        if self._authenticator is None:  # nobody can tell
            return obj
        audiences = tuple(spec.get("audiences") or ()) or self._audiences
        try:
            verified = await self._authenticator.verify_token(token, audiences)
        except InvalidToken as fault:
            return {**obj, "status": {"user": {}, "error": str(fault)}}
        if audiences and not set(audiences) & set(verified.audiences):
            raise status.internal("error validating audiences")
        answer: Object = {"authenticated": True, "user": verified.user.document()}
        if verified.audiences:
            answer["audiences"] = list(verified.audiences)
        return {**obj, "status": answer}


def _self_subject_review(obj: Object, user: UserInfo, now: str) -> Object:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {"creationTimestamp": now},
        "status": {"userInfo": user.document()},
    }


def _pruned(**lists: Sequence[str]) -> Object:
    return {key: list(values) for key, values in lists.items() if values}


def _question(spec: Object) -> Attributes:
    resource = spec.get("resourceAttributes")
    if resource is None:
        url = spec["nonResourceAttributes"]
        return Attributes(url.get("verb", ""), path=url.get("path", ""), is_resource_request=False)
    return Attributes(
        resource.get("verb", ""),
        resource.get("group", ""),
        resource.get("resource", ""),
        resource.get("subresource", ""),
        resource.get("namespace", ""),
        resource.get("name", ""),
        api_version=resource.get("version") or "*",
    )


def _faults(obj: Object, spec: Object, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    resource, url = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and url is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        errors.append(field.invalid("spec.nonResourceAttributes", url, detail))
    if resource is None and url is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(field.invalid("spec.resourceAttributes", None, detail))
    if kind != "SelfSubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        errors.append(
            field.invalid(
                "spec.user", spec.get("user", ""), "at least one of user or group must be specified"
            )
        )
    for side in ("fieldSelector", "labelSelector"):
        if resource is not None and (selector := resource.get(side)) is not None:
            errors.extend(_selector_faults(selector, f"spec.resourceAttributes.{side}"))
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    local = kind == "LocalSubjectAccessReview"
    namespace = metadata.pop("namespace", "") if local else ""
    if any(metadata.values()):
        detail = "must be empty except for namespace" if local else "must be empty"
        errors.append(field.invalid("metadata", obj["metadata"], detail))
    if local and resource is not None and resource.get("namespace", "") != namespace:
        errors.append(
            field.invalid(
                "spec.resourceAttributes.namespace",
                resource.get("namespace", ""),
                "must match metadata.namespace",
            )
        )
    if local and url is not None:
        errors.append(field.invalid("spec.nonResourceAttributes", url, "disallowed on this kind of request"))
    return errors


def _selector_faults(selector: Object, path: str) -> list[FieldError]:
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        return [
            field.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
        ]
    if not raw and not requirements:
        return [
            field.required(
                f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required"
            )
        ]
    return []


class TokenRequests:
    """Makes tokens of service accounts (the subresource ``serviceaccounts/token``).

    ``max_expiration_seconds`` shortens what is asked for (0: nothing does); ``extend_expiration`` lets the tokens
    of kubelets hold for a year.
    """

    def __init__(
        self,
        keys: TokenKeys,
        view: View,
        *,
        audiences: Sequence[str],
        now_s: Callable[[], float],
        token_id: Callable[[], str],
        max_expiration_seconds: int = 0,
        extend_expiration: bool = True,
    ) -> None:
        self._keys = keys
        self._view = view
        self._audiences = tuple(audiences)
        self._now_s = now_s
        self._token_id = token_id
        self._max_expiration_seconds = max_expiration_seconds
        self._extend_expiration = extend_expiration

    async def create(self, namespace: str, name: str, obj: Object, warnings: list[str]) -> Object:
        """The request with its token; ApiError. Validating admission comes after it, on what it returns."""
        metadata = obj.get("metadata") or {}
        for key, value, word in (("name", name, "name"), ("namespace", namespace, "namespace")):
            if metadata.get(key) and metadata[key] != value:
                error = field.invalid(
                    f"metadata.{key}", metadata[key], f"must match the service account {word} if specified"
                )
                raise status.invalid(AUTHENTICATION, "TokenRequest", name, [error])
        account = await self._view.live("", "serviceaccounts", namespace, name)
        if account is None:
            raise status.not_found("", "serviceaccounts", name)
        uid = account["metadata"].get("uid", "")
        if metadata.get("uid") and metadata["uid"] != uid:
            raise status.conflict(
                AUTHENTICATION,
                "TokenRequest",
                name,
                f"the UID in the token request ({metadata['uid']}) does not match the UID of the service account "
                f"({uid})",
            )
        spec = dict(obj.get("spec") or {})
        spec["audiences"] = list(spec.get("audiences") or self._audiences)
        seconds = _expiration(spec)
        bound = await self._bound(namespace, name, spec.get("boundObjectRef"))
        if 0 < self._max_expiration_seconds < seconds:
            warnings.append(
                f"requested expiration of {seconds} seconds shortened to {self._max_expiration_seconds} seconds"
            )
            seconds = self._max_expiration_seconds
        spec["expirationSeconds"] = seconds
        now_s = int(self._now_s())
        holds_s, warn_after_s = seconds, 0
        if self._is_extended(seconds, bound, spec["audiences"]):
            holds_s, warn_after_s = tokens.EXTENDED_EXPIRATION_SECONDS, seconds
        claims = tokens.claims(
            namespace,
            tokens.Reference(name, uid),
            audiences=spec["audiences"],
            expiration_seconds=holds_s,
            now_s=now_s,
            token_id=self._token_id(),
            warn_after_seconds=warn_after_s,
            **bound,
        )
        return {
            "kind": "TokenRequest",
            "apiVersion": f"{AUTHENTICATION}/v1",
            "metadata": {
                **metadata, "name": name, "namespace": namespace, "uid": uid, "creationTimestamp": _stamp(now_s),
            },
            "spec": spec,
            "status": {"token": self._keys.sign(claims), "expirationTimestamp": _stamp(now_s + seconds)},
        }  # fmt: skip

    def _is_extended(self, seconds: int, bound: Mapping[str, Any], audiences: Sequence[str]) -> bool:
        return (
            self._extend_expiration
            and "pod" in bound
            and seconds == tokens.WARN_ONLY_EXPIRATION_SECONDS
            and set(audiences) <= set(self._audiences)
        )

    async def _bound(
        self, namespace: str, account: str, reference: Object | None
    ) -> dict[str, tokens.Reference]:
        """The objects that the token is bound to, by the names of the claims."""
        if reference is None:
            return {}
        gvk = GroupVersionKind.of(reference.get("apiVersion", ""), reference.get("kind", ""))
        plural = (
            {"Pod": "pods", "Node": "nodes", "Secret": "secrets"}.get(gvk.kind) if not gvk.group else None
        )
        if plural is None:
            raise status.bad_request(
                f"cannot bind token to object of type {gvk.group}/{gvk.version}, Kind={gvk.kind}"
            )
        name = reference.get("name", "")
        found = await self._view.live("", plural, "" if plural == "nodes" else namespace, name)
        if found is None:
            raise status.not_found("", plural, name)
        uid = found["metadata"].get("uid", "")
        bound = {gvk.kind.lower(): tokens.Reference(name, uid)}
        if plural == "pods":
            if found["spec"].get("serviceAccountName", "") != account:
                raise status.bad_request(
                    f"cannot bind token for serviceaccount {quoted(account)} to pod running with different "
                    "serviceaccount name."
                )
            if node_name := found["spec"].get("nodeName"):
                node = await self._view.live("", "nodes", "", node_name)
                bound["node"] = tokens.Reference(node_name, node["metadata"].get("uid", "") if node else "")
        if reference.get("uid") and reference["uid"] != uid:
            raise status.conflict(
                gvk.group,
                gvk.kind,
                name,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. The "
                "object might have been deleted and then recreated",
            )
        return bound


def _expiration(spec: Object) -> int:
    seconds = spec.get("expirationSeconds")
    seconds = EXPIRATION_SECONDS_DEFAULT if seconds is None else int(seconds)
    detail = ""
    if seconds < EXPIRATION_SECONDS_MIN:
        detail = "may not specify a duration less than 10 minutes"
    elif seconds > EXPIRATION_SECONDS_MAX:
        detail = "may not specify a duration larger than 2^32 seconds"
    if detail:
        error = field.invalid("spec.expirationSeconds", seconds, detail)
        raise status.invalid(AUTHENTICATION, "TokenRequest", "", [error])
    return seconds


def _stamp(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
