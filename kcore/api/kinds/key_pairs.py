"""Why a certificate and a key in PEM are no pair, in the words of Go's tls.X509KeyPair."""

from __future__ import annotations

import re
from typing import Final

_BLOCK: Final = re.compile(rb"-----BEGIN ([^\n-]*)-----\r?\n.*?-----END \1-----", re.DOTALL)


def _blocks(pem: bytes) -> list[tuple[str, bytes]]:
    return [(found[1].decode(errors="replace"), found[0]) for found in _BLOCK.finditer(pem)]


def key_pair_fault(certificate: bytes, key: bytes) -> str:
    """Empty for a pair."""
    found = _blocks(certificate)
    leaf = next((block for kind, block in found if kind == "CERTIFICATE"), None)
    if leaf is None:
        skipped = [kind for kind, _ in found]
        if not skipped:
            return "tls: failed to find any PEM data in certificate input"
        if len(skipped) == 1 and skipped[0].endswith("PRIVATE KEY"):
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            )
        return (
            'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the '
            f"following types: [{' '.join(skipped)}]"
        )
    skipped = []
    for kind, block in _blocks(key):
        if kind == "PRIVATE KEY" or kind.endswith(" PRIVATE KEY"):
            return _mismatch(leaf, block)
        skipped.append(kind)
    if not skipped:
        return "tls: failed to find any PEM data in key input"
    if skipped == ["CERTIFICATE"]:
        return "tls: found a certificate rather than a key in the PEM for the private key"
    return (
        'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of '
        f"the following types: [{' '.join(skipped)}]"
    )


def _mismatch(certificate: bytes, key: bytes) -> str:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "x509: malformed certificate"
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "tls: failed to parse private key"
    mine = private.public_key()
    if type(mine) is not type(public):
        return "tls: private key type does not match public key type"
    shown = [
        each.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for each in (mine, public)
    ]
    return "" if shown[0] == shown[1] else "tls: private key does not match public key"
