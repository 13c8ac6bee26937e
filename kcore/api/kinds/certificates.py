"""CertificateSigningRequests: who asked, what was decided, the certificate.

Sources, Kubernetes 1.36: pkg/apis/certificates/validation/validation.go, helpers.go,
pkg/registry/certificates/certificates/strategy.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kcore.api.field import FieldError, Struct, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.configuration import decoded
from kcore.api.kinds.go_structs import difference
from kcore.api.kinds.names import NONE, Complaints, signer_name
from kcore.api.kinds.updates import keep, semantically_equal, validate_named, validate_named_update
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Conditions = Sequence[Mapping[str, Any]]

EXPIRATION_SECONDS_MIN: Final = 600
LEGACY_SIGNER: Final = "kubernetes.io/legacy-unknown"
USAGES: Final = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
DECISIONS: Final = ("Approved", "Denied", "Failed")
STATUSES: Final = ("False", "True", "Unknown")
REQUEST_BLOCK: Final = "CERTIFICATE REQUEST"
_USER_FIELDS: Final = ("username", "uid", "groups", "extra")
_BLOCK: Final = re.compile(rb"-----BEGIN ([^\n-]*)-----\r?\n(.*?)-----END \1-----", re.DOTALL)


class _Leave(NamedTuple):
    """What an old request had and a new one may keep."""

    contradiction: bool = False
    legacy_signer: bool = False
    duplicate_types: bool = False
    empty_types: bool = False
    certificate: bool = False
    duplicate_usages: bool = False
    unknown_usages: bool = False


def _prepare_for_create(obj: Object, context: Context) -> None:
    spec = obj.setdefault("spec", {})
    for name in _USER_FIELDS:
        spec.pop(name, None)
    for name, value in (
        ("username", context.user),
        ("uid", context.user_uid),
        ("groups", [*context.groups]),
        ("extra", {key: [*values] for key, values in context.user_extra.items()}),
    ):
        if value:
            spec[name] = value
    obj["status"] = {}


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec", "status")


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _of_type(obj: Object, kind: str) -> list[Object]:
    return [each for each in _conditions(obj) if each.get("type") == kind]


def _set_times(obj: Object, old: Object, now: str) -> None:
    """populateConditionTimestamps."""
    for condition in _conditions(obj):
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            same = (
                each["lastTransitionTime"]
                for each in _conditions(old)
                if each.get("type") == condition.get("type")
                and each.get("status") == condition.get("status")
                and each.get("lastTransitionTime")
            )
            condition["lastTransitionTime"] = next(same, now)


def _prepare_status(obj: Object, old: Object, context: Context) -> None:
    keep(obj, old, "spec")
    for kind in ("Approved", "Denied"):
        ours, theirs = _of_type(obj, kind), _of_type(old, kind)
        if len(ours) == len(theirs):
            for mine, kept in zip(ours, theirs, strict=True):
                mine.clear()
                mine |= kept
    _set_times(obj, old, context.now)


def _prepare_approval(obj: Object, old: Object, context: Context) -> None:
    _set_times(obj, old, context.now)
    conditions = (obj.get("status") or {}).get("conditions")
    keep(obj, old, "spec")
    obj["status"] = {name: value for name, value in (old.get("status") or {}).items() if name != "conditions"}
    if conditions:
        obj["status"]["conditions"] = conditions


def _any_name(_: str, __: bool = False) -> Complaints:
    return NONE


def _request_fault(pem: bytes) -> str:
    """Why the text is no request to sign a certificate."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    found = _BLOCK.search(pem)
    if found is None or found[1].decode(errors="replace") != REQUEST_BLOCK:
        return f"PEM block type must be {REQUEST_BLOCK}"
    try:
        request = x509.load_pem_x509_csr(found[0])
        valid = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return "asn1: syntax error: data truncated"
    return "" if valid else "x509: ECDSA verification failure"


def _certificate_fault(pem: bytes) -> str:
    """Why the text is no chain of certificates (validateCertificate)."""
    from cryptography import x509

    if not pem:
        return ""
    count = 0
    for found in _BLOCK.finditer(pem):
        kind = found[1].decode(errors="replace")
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if b":" in found[2]:
            return "no PEM block headers are permitted"
        try:
            x509.load_pem_x509_certificate(found[0])
        except ValueError:
            return "x509: malformed certificate"
        count += 1
    return "" if count else "must contain at least one CERTIFICATE PEM block"


def _certificate(obj: Object) -> bytes:
    return decoded((obj.get("status") or {}).get("certificate"))


def _validate_conditions(obj: Object, leave: _Leave) -> list[FieldError]:
    errors = []
    path = "status.conditions"
    seen: set[str] = set()
    for index, condition in enumerate(_conditions(obj)):
        at = f"{path}[{index}]"
        kind, status = condition.get("type") or "", condition.get("status") or ""
        if not kind and not leave.empty_types:
            errors.append(required(f"{at}.type"))
        allowed = ("True",) if kind in DECISIONS else STATUSES
        if not status:
            errors.append(required(f"{at}.status"))
        elif status not in allowed:
            errors.append(not_supported(f"{at}.status", status, allowed))
        opposite = {"Approved": "Denied", "Denied": "Approved"}.get(kind)
        if opposite in seen and not leave.contradiction:
            detail = "Approved and Denied conditions are mutually exclusive"
            errors.append(invalid(path, kind, detail))
        if kind in seen and not leave.duplicate_types:
            errors.append(duplicate(f"{at}.type", kind))
        seen.add(kind)
    return errors


def _check(obj: Object, leave: _Leave) -> list[FieldError]:
    errors = validate_named(obj, _any_name, namespaced=False)
    spec = obj.get("spec") or {}
    request, usages = spec.get("request"), spec.get("usages") or ()
    if fault := _request_fault(decoded(request)):
        errors.append(invalid("spec.request", request, fault))
    if not usages:
        errors.append(required("spec.usages"))
    if not leave.unknown_usages:
        errors += [
            not_supported(f"spec.usages[{index}]", usage, USAGES)
            for index, usage in enumerate(usages)
            if usage not in USAGES
        ]
    if not leave.duplicate_usages:
        errors += [
            duplicate(f"spec.usages[{index}]", usage)
            for index, usage in enumerate(usages)
            if usage in usages[:index]
        ]
    signer = spec.get("signerName") or ""
    if signer == LEGACY_SIGNER and not leave.legacy_signer:
        detail = "the legacy signerName is not allowed via this API version"
        errors.append(invalid("spec.signerName", signer, detail))
    else:
        errors += signer_name("spec.signerName", signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < EXPIRATION_SECONDS_MIN:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", seconds, detail))
    errors += _validate_conditions(obj, leave)
    if not leave.certificate and (fault := _certificate_fault(_certificate(obj))):
        errors.append(invalid("status.certificate", "<certificate data>", fault))
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return _check(obj, _Leave())


def _leave(obj: Object, old: Object) -> _Leave:
    kinds = [each.get("type") or "" for each in _conditions(old)]
    usages = (old.get("spec") or {}).get("usages") or ()
    return _Leave(
        contradiction="Approved" in kinds and "Denied" in kinds,
        legacy_signer=(old.get("spec") or {}).get("signerName") == LEGACY_SIGNER,
        duplicate_types=len(set(kinds)) < len(kinds),
        empty_types="" in kinds,
        certificate=_certificate(obj) == _certificate(old) or bool(_certificate_fault(_certificate(old))),
        duplicate_usages=len(set(usages)) < len(usages),
        unknown_usages=any(usage not in USAGES for usage in usages),
    )


_SHOWN: Final = (
    ("Type", "type"), ("Status", "status"), ("Reason", "reason"), ("Message", "message"),
    ("LastUpdateTime", "lastUpdateTime"), ("LastTransitionTime", "lastTransitionTime"),
)  # fmt: skip


def _shown(conditions: Conditions) -> list[Struct]:
    return [
        Struct({name: each.get(key) or (None if "Time" in name else "") for name, key in _SHOWN})
        for each in conditions
    ]


def _check_update(obj: Object, old: Object, *, approval: bool, certificate: bool) -> list[FieldError]:
    errors = _check(obj, _leave(obj, old))
    path = "status.conditions"
    for kind in DECISIONS:
        if len(_of_type(obj, kind)) < len(_of_type(old, kind)):
            errors.append(forbidden(path, f'updates may not remove a condition of type "{kind}"'))
    for kind in () if approval else DECISIONS[:2]:
        ours, theirs = _of_type(obj, kind), _of_type(old, kind)
        if len(ours) > len(theirs):
            errors.append(forbidden(path, f'updates may not add a condition of type "{kind}"'))
        elif len(ours) == len(theirs) and not semantically_equal(ours, theirs):
            changed = difference(_shown(theirs), _shown(ours))
            detail = f'updates may not modify a condition of type "{kind}"\n{changed}'
            errors.append(forbidden(path, detail))
    before = _certificate(old)
    if _certificate(obj) != before:
        if not certificate:
            errors.append(forbidden("status.certificate", "updates may not set certificate content"))
        elif before:
            detail = "updates may not modify existing certificate content"
            errors.append(forbidden("status.certificate", detail))
    return errors + validate_named_update(obj, old)


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_update(obj, old, approval=False, certificate=False)


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_update(obj, old, approval=False, certificate=True)


def _validate_approval(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_update(obj, old, approval=True, certificate=False)


CERTIFICATE_SIGNING_REQUEST: Final = Strategy(
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("spec", "status"),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_status, _validate_status, reset_fields=("spec", "status.conditions")
            ),
            "approval": UpdateStrategy(
                _prepare_approval, _validate_approval, reset_fields=("spec", "status.certificate")
            ),
        }
    ),
)
