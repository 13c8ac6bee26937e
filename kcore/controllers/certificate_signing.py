"""Certificate requests are approved where a kubelet may have them, signed once approved, and gone in time.

Source: pkg/controller/certificates (approver, signer, cleaner) of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.certificate_requests import (
    FAULTS,
    KUBELET_CLIENT,
    TTL_SECONDS,
    Authority,
    is_expired,
    kubelet_client_fault,
    moment,
    request_of,
    seconds_of,
)
from kcore.controllers.contract import (
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Object,
    Steps,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.times import ms_of, text_of

RESOURCE: Final = "certificatesigningrequests"
PERMISSIONS: Final = (
    ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."),
    ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
)
CLEAN_MS: Final = 3_600_000
DECIDED_MS_MAX: Final = 3_600_000  # approved and issued, denied, failed
PENDING_MS_MAX: Final = 86_400_000


def _keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    if new is not None and not (new.get("status") or {}).get("certificate"):
        yield Key("", new["metadata"]["name"])


def _nothing(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    return ()


def conditions_of(csr: Object) -> list[Object]:
    """The request's conditions."""
    return (csr.get("status") or {}).get("conditions") or []


def _types(csr: Object) -> set[str]:
    return {each["type"] for each in conditions_of(csr)}


class CertificateApproving(Controller):
    """``certificatesigningrequest-approving-controller``."""

    name: ClassVar = "certificatesigningrequest-approving-controller"
    aliases: ClassVar = ("csrapproving",)
    component: ClassVar = "certificatesigningrequest-approving-controller"
    workers: ClassVar[int] = 5

    @property
    def watches(self) -> Sequence[Watched]:
        """Requests without a certificate."""
        return (Watched(RESOURCE, _keys),)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """A kubelet's request for a client certificate is approved where its user may have one so."""
        csr = view.get(RESOURCE, "", key.name)
        if (
            csr is None
            or (csr.get("status") or {}).get("certificate")
            or _types(csr) & {"Approved", "Denied"}
        ):
            return None
        request = request_of(csr)
        spec = csr["spec"]
        if spec["signerName"] != KUBELET_CLIENT or kubelet_client_fault(request, spec.get("usages") or ()):
            return None
        tried = []
        for subresource, message in PERMISSIONS:
            if subresource == "selfnodeclient" and spec.get("username", "") != request.common_name:
                continue
            tried.append(subresource)
            review = yield from must(Create("subjectaccessreviews", _review(spec, subresource)))
            if review["status"].get("allowed"):
                condition = {
                    "type": "Approved",
                    "status": "True",
                    "reason": "AutoApproved",
                    "message": message,
                }
                status = {**(csr.get("status") or {}), "conditions": [*conditions_of(csr), condition]}
                (outcome,) = yield [Update(RESOURCE, {**csr, "status": status}, "approval")]
                if isinstance(outcome, ApiError):
                    raise Failed(f"error updating approval for csr: {outcome}") from outcome
                return None
        raise Failed(
            f'recognized csr "{key.name}" as [{" ".join(tried)}] but subject access review was not approved'
        )


def _review(spec: Object, subresource: str) -> Object:
    attributes = {
        "group": "certificates.k8s.io", "resource": RESOURCE, "verb": "create", "subresource": subresource,
        "version": "*",
    }  # fmt: skip
    who = {
        "user": spec.get("username"), "uid": spec.get("uid"), "groups": spec.get("groups"), "extra": spec.get("extra"),
    }  # fmt: skip
    return {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {**{name: value for name, value in who.items() if value}, "resourceAttributes": attributes},
    }  # fmt: skip


class CertificateSigning(Controller):
    """``certificatesigningrequest-signing-controller``. ``authorities``: who signs, by the signer's name."""

    name: ClassVar = "certificatesigningrequest-signing-controller"
    aliases: ClassVar = ("csrsigning",)
    component: ClassVar = "certificatesigningrequest-signing-controller"
    workers: ClassVar[int] = 5

    def __init__(self, authorities: Mapping[str, Authority], ttl_seconds: int = TTL_SECONDS) -> None:
        self._authorities = authorities
        self._ttl_seconds = ttl_seconds

    @property
    def watches(self) -> Sequence[Watched]:
        """Requests without a certificate."""
        return (Watched(RESOURCE, _keys),)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """An approved request has its certificate, or says why it cannot have one."""
        csr = view.get(RESOURCE, "", key.name)
        if csr is None or (csr.get("status") or {}).get("certificate"):
            return None
        types = _types(csr)
        failed = any(
            each["type"] == "Failed" and each.get("status", "True") == "True" for each in conditions_of(csr)
        )
        spec = csr["spec"]
        authority = self._authorities.get(spec["signerName"])
        if "Approved" not in types or "Denied" in types or failed or authority is None:
            return None
        request, usages = request_of(csr), spec.get("usages") or ()
        fault = FAULTS[spec["signerName"]](request, usages)
        status = dict(csr.get("status") or {})
        if fault is not None:
            condition = {
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": fault,
                "lastUpdateTime": text_of(now_ms),
            }  # fmt: skip
            status["conditions"] = [*conditions_of(csr), condition]
            says = "error adding failure condition for csr"
        else:
            seconds = seconds_of(spec.get("expirationSeconds"), self._ttl_seconds)
            made = authority.signed(request, usages, seconds, moment(now_ms))
            status["certificate"] = base64.b64encode(made).decode()
            says = "error updating signature for csr"
        (outcome,) = yield [Update(RESOURCE, {**csr, "status": status}, "status")]
        if isinstance(outcome, ApiError):
            raise Failed(f"{says}: {outcome}") from outcome
        return None


class CertificateCleaner(Controller):
    """``certificatesigningrequest-cleaner-controller``: all requests are looked at once an hour."""

    name: ClassVar = "certificatesigningrequest-cleaner-controller"
    aliases: ClassVar = ("csrcleaner",)
    component: ClassVar = "certificatesigningrequest-cleaner-controller"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """Nothing wakes it but time."""
        return (Watched(RESOURCE, _nothing),)

    def at_start(self, view: View, now_ms: int) -> Iterable[Key]:
        """The one key."""
        yield Key("", RESOURCE)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Requests that are over are gone."""
        going = [csr for csr in view.list(RESOURCE) if is_over(csr, now_ms)]
        if going:
            yield [Delete(RESOURCE, "", csr["metadata"]["name"], csr["metadata"]["uid"]) for csr in going]
        return CLEAN_MS


def is_over(csr: Object, now_ms: int) -> bool:
    """Whether it was decided, or waits, for so long that nobody will look at it; or its certificate has ended."""
    certificate = (csr.get("status") or {}).get("certificate")
    conditions = conditions_of(csr)
    if not conditions:
        created = ms_of(csr["metadata"].get("creationTimestamp"))
        return created is not None and now_ms - created > PENDING_MS_MAX
    for condition in conditions:
        kind, since = condition["type"], ms_of(condition.get("lastUpdateTime"))
        longest = PENDING_MS_MAX if kind == "Approved" and not certificate else DECIDED_MS_MAX
        if kind in ("Approved", "Denied", "Failed") and since is not None and now_ms - since > longest:
            return True
        if kind == "Approved" and certificate and is_expired(certificate, moment(now_ms)):
            return True
    return False
