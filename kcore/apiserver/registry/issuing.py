"""POST of a TokenRequest: a token for a service account, bound to an object where it asks for that.

Source: pkg/registry/core/serviceaccount/storage/token.go of Kubernetes 1.36.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kcore.api import field as faults
from kcore.api.field import quoted
from kcore.api.rows import GroupVersionKind
from kcore.api.status import bad_request, conflict, internal, invalid, not_found
from kcore.apiserver.operation import Object, Operation, Result
from kcore.apiserver.registry.core import CLOCK_TEXT, Core
from kcore.apiserver.registry.metadata import metadata_of
from kcore.apiserver.registry.stored_form import decode
from kcore.apiserver.tokens import Reference, TokenKeys, claims

GROUP: Final = "authentication.k8s.io"
KIND: Final = "TokenRequest"
EXPIRATION_SECONDS: Final = 3600  # where the request names none
EXPIRATION_SECONDS_MIN: Final = 600
EXPIRATION_SECONDS_MAX: Final = 1 << 32
PROJECTED_SECONDS: Final = (
    3607  # what a kubelet asks for: old clients in the pod may go on with it for a year
)
EXTENDED_SECONDS: Final = 365 * 24 * 3600


@dataclass(slots=True)
class TokenIssuer:
    """``audiences`` are those of the server; ``seconds_max`` 0: no limit beyond upstream's."""

    keys: TokenKeys
    audiences: Sequence[str]
    seconds_max: int = 0
    extends: bool = True


@dataclass(slots=True)
class _Bound:
    """What a token is bound to."""

    uid: str = ""
    pod: Reference | None = None
    node: Reference | None = None
    secret: Reference | None = None


async def issue_token(core: Core, op: Operation, request: Object) -> Result:
    """201 with the request and its token."""
    issuer: TokenIssuer | None = core.tokens
    if issuer is None:
        raise internal("no issuer of service account tokens is configured")
    metadata = metadata_of(request)
    for key, own in (("name", op.name), ("namespace", op.namespace)):
        if (given := metadata.get(key)) and given != own:
            text = f"must match the service account {key} if specified"
            raise invalid(GROUP, KIND, op.name, [faults.invalid(f"metadata.{key}", given, text)])
    account = await _get(core, "serviceaccounts", op.namespace, op.name)
    uid = account["metadata"].get("uid", "")
    if (given := metadata.get("uid")) and given != uid:
        why = f"the UID in the token request ({given}) does not match the UID of the service account ({uid})"
        raise conflict(GROUP, KIND, op.name, why)
    now_s = int(core.now_seconds())
    metadata |= {"name": op.name, "namespace": op.namespace, "uid": uid, "creationTimestamp": core.now()}
    spec: Object = request.setdefault("spec", {})
    spec["audiences"] = spec.get("audiences") or list(issuer.audiences)
    spec.setdefault("expirationSeconds", EXPIRATION_SECONDS)
    request.pop("status", None)
    await core.admission.mutate(op, request, None, now=core.now())
    _validate(spec)
    await core.admission.validate(op, request, None, now=core.now())
    bound = await _bound(core, op, spec.get("boundObjectRef"))
    seconds = spec["expirationSeconds"]
    if 0 < issuer.seconds_max < seconds:
        op.warn(f"requested expiration of {seconds} seconds shortened to {issuer.seconds_max} seconds")
        seconds = spec["expirationSeconds"] = issuer.seconds_max
    valid_seconds, warn_after = seconds, 0
    ours = all(each in issuer.audiences for each in spec["audiences"])
    if issuer.extends and bound.pod is not None and seconds == PROJECTED_SECONDS and ours:
        valid_seconds, warn_after = EXTENDED_SECONDS, seconds
    said = claims(
        op.namespace,
        Reference(op.name, uid),
        audiences=spec["audiences"],
        expiration_seconds=valid_seconds,
        now_s=now_s,
        token_id=core.chance.uid(),
        pod=bound.pod,
        secret=bound.secret,
        node=bound.node,
        warn_after_seconds=warn_after,
    )
    ends = time.strftime(CLOCK_TEXT, time.gmtime(now_s + seconds))
    made = {
        "kind": KIND,
        "apiVersion": f"{GROUP}/v1",
        "metadata": metadata,
        "spec": spec,
        "status": {"token": issuer.keys.sign(said), "expirationTimestamp": ends},
    }
    return Result(201, made)


def _validate(spec: Object) -> None:
    seconds, path = spec["expirationSeconds"], "spec.expirationSeconds"
    errors = []
    if seconds < EXPIRATION_SECONDS_MIN:
        errors.append(faults.invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > EXPIRATION_SECONDS_MAX:
        errors.append(faults.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    if errors:
        raise invalid(GROUP, KIND, "", errors)


async def _bound(core: Core, op: Operation, reference: Object | None) -> _Bound:
    """The object that the token is to be bound to; 400 or 409 where it cannot be."""
    bound = _Bound()
    if not reference:
        return bound
    kind = GroupVersionKind.of(reference.get("apiVersion", ""), reference.get("kind", ""))
    name = reference.get("name", "")
    if kind.group or kind.kind not in ("Pod", "Node", "Secret"):
        text = f"{kind.group}/{kind.version}, Kind={kind.kind}"
        raise bad_request(f"cannot bind token to object of type {text}")
    namespace = "" if kind.kind == "Node" else op.namespace
    found = await _get(core, f"{kind.kind.lower()}s", namespace, name)
    bound.uid = found["metadata"].get("uid", "")
    own = Reference(name, bound.uid)
    if kind.kind == "Pod":
        if (found.get("spec") or {}).get("serviceAccountName", "") != op.name:
            text = f"cannot bind token for serviceaccount {quoted(op.name)} to pod running with different serviceaccount name."
            raise bad_request(text)
        bound.pod = own
        if node_name := (found.get("spec") or {}).get("nodeName"):
            row = core.catalog.row("", "v1", "nodes")
            assert row is not None
            stored = await core.store.get(row, "", node_name)
            node = decode(stored.value, stored.revision) if stored is not None else {"metadata": {}}
            bound.node = Reference(node_name, node["metadata"].get("uid", ""))
    elif kind.kind == "Node":
        bound.node = own
    else:
        bound.secret = own
    if (uid := reference.get("uid")) and uid != bound.uid:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind.group, kind.kind, name, why)
    return bound


async def _get(core: Core, plural: str, namespace: str, name: str) -> Object:
    row = core.catalog.row("", "v1", plural)
    assert row is not None
    stored = await core.store.get(row, namespace, name)
    if stored is None:
        raise not_found("", plural, name)
    return decode(stored.value, stored.revision)
