"""Rows of certificates.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import READ_WRITE, STATUS
from kcore.api.rows import Row, Subresource

GROUP: Final = "certificates.k8s.io"
SCHEMA: Final = "io.k8s.api.certificates."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
        False,
        "certificatesigningrequests",
        SCHEMA + "v1.CertificateSigningRequest",
        short_names=("csr",),
        fields=("spec.signerName",),
        subresources=(Subresource("approval", READ_WRITE), STATUS),
    ),
)
