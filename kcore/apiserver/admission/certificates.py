"""Certificate signing requests: who may approve and sign for a signer, and whom nobody signs for.

Sources: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction} and
pkg/registry/certificates authorization helpers of Kubernetes 1.36.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Final

from kcore.api.field import quoted
from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request, refused
from kcore.apiserver.authz.contract import Attributes, Authorizer
from kcore.apiserver.user import MASTERS, UserInfo

GROUP: Final = "certificates.k8s.io"
REQUESTS: Final = frozenset({(GROUP, "certificatesigningrequests")})
CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"


def may_use_signer(authorizer: Authorizer, user: UserInfo, verb: str, signer: str) -> bool:
    """True where the user may do that for the signer, or for all signers of its domain."""
    names = (signer, f"{signer.split('/', maxsplit=1)[0]}/*")
    return any(
        authorizer.authorize(user, Attributes(verb, GROUP, "signers", name=name)).allowed for name in names
    )


def certificate_approval(authorizer: Authorizer) -> Plugin:
    """Only who may ``approve`` for the signer approves or denies."""

    def validate(request: Request) -> None:
        signer = ((request.old or {}).get("spec") or {}).get("signerName", "")
        if not may_use_signer(authorizer, request.op.user, "approve", signer):
            raise refused(request, f"user not permitted to approve requests with signerName {quoted(signer)}")

    return Plugin(
        "CertificateApproval", frozenset({UPDATE}), REQUESTS, frozenset({"approval"}), validate=validate
    )


def certificate_signing(authorizer: Authorizer) -> Plugin:
    """Only who may ``sign`` for the signer issues the certificate."""

    def validate(request: Request) -> None:
        new, old = ((each or {}).get("status") or {} for each in (request.obj, request.old))
        if all(new.get(key) == old.get(key) for key in ("certificate", "conditions")):
            return
        signer = ((request.old or {}).get("spec") or {}).get("signerName", "")
        if not may_use_signer(authorizer, request.op.user, "sign", signer):
            raise refused(request, f"user not permitted to sign requests with signerName {quoted(signer)}")

    return Plugin(
        "CertificateSigning", frozenset({UPDATE}), REQUESTS, frozenset({"status"}), validate=validate
    )


def certificate_subject_restriction() -> Plugin:
    """Nobody becomes a superuser by a certificate signing request."""

    def validate(request: Request) -> None:
        spec = (request.obj or {}).get("spec") or {}
        if spec.get("signerName") != CLIENT_SIGNER:
            return
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        try:
            parsed = x509.load_pem_x509_csr(b64decode(spec.get("request") or ""))
        except ValueError:
            raise refused(
                request, "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST"
            ) from None
        groups = [each.value for each in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if MASTERS in groups:
            raise refused(request, f"use of {CLIENT_SIGNER} signer with system:masters group is not allowed")

    return Plugin("CertificateSubjectRestriction", frozenset({CREATE}), REQUESTS, validate=validate)


def cluster_trust_bundle_attest(authorizer: Authorizer) -> Plugin:
    """Only who may ``attest`` for the signer publishes its trust anchors."""

    def validate(request: Request) -> None:
        signer = ((request.obj or {}).get("spec") or {}).get("signerName", "")
        if signer and not may_use_signer(authorizer, request.op.user, "attest", signer):
            raise refused(request, f"user not permitted to attest for signerName {quoted(signer)}")

    return Plugin(
        "ClusterTrustBundleAttest",
        frozenset({CREATE, UPDATE}),
        frozenset({(GROUP, "clustertrustbundles")}),
        validate=validate,
    )
