"""Tokens of service accounts: made, shown to relying parties, and read back.

Source: pkg/serviceaccount/{jwt,claims,legacy,openidmetadata}.go of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import orjson

from kcore.apiserver.user import service_account_username

LEGACY_ISSUER: Final = "kubernetes/serviceaccount"
OPENID_CONFIGURATION_PATH: Final = "/.well-known/openid-configuration"
JWKS_PATH: Final = "/openid/v1/jwks"
JWKS_MAX_AGE_SECONDS: Final = 3600
DEFAULT_ISSUER: Final = "https://kubernetes.default.svc.cluster.local"

# A kubelet that asks for this many seconds gets a token that holds longer and warns after them.
WARN_ONLY_EXPIRATION_SECONDS: Final = 60 * 60 + 7
EXTENDED_EXPIRATION_SECONDS: Final = 24 * 365 * 60 * 60

SIGNATURE_ONLY: Final[Any] = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip

_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class Key(NamedTuple):
    """A public key: ``id`` is the hash of its DER, ``algorithm`` JOSE's name."""

    id: str
    algorithm: str
    key: Any


class NoToken(Exception):
    """The text is no token of one of our issuers."""


class BadToken(Exception):
    """The token claims to be ours and its signature does not hold."""


class TokenKeys:
    """The keys of the server: one that signs, and all that are believed (``--service-account-key-file``)."""

    def __init__(
        self,
        signing_key_pem: bytes | None,
        public_keys_pem: Sequence[bytes] = (),
        *,
        issuers: Sequence[str] = (DEFAULT_ISSUER,),
    ) -> None:
        self.issuers = tuple(issuers)
        self._signing_key_pem = signing_key_pem
        self._public_keys_pem = tuple(public_keys_pem)

    @cached_property
    def _private(self) -> Any:
        """Read when it is first asked for: a start need not load cryptography."""
        if self._signing_key_pem is None:
            return None
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(self._signing_key_pem, password=None)

    @cached_property
    def _signing(self) -> Key:
        return _described(self._private.public_key())

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """All that are believed, the one that signs first. ValueError for one that cannot be read."""
        keys = [] if self._private is None else [self._signing]
        keys.extend(_described(_public_key(pem)) for pem in self._public_keys_pem)
        return tuple({key.id: key for key in keys}.values())

    @cached_property
    def _by_id(self) -> dict[str, Key]:
        return {key.id: key for key in self.keys}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with the claims and the first issuer's name."""
        import jwt

        if self._private is None:
            raise ValueError("no signing key")
        made = {"iss": self.issuers[0], **claims}
        return jwt.encode(
            dict(sorted(made.items())),
            self._private,
            algorithm=self._signing.algorithm,
            headers={"kid": self._signing.id, "typ": None},
            sort_headers=True,
        )

    def read(self, token: str, *, issuers: Sequence[str]) -> dict[str, Any]:
        """The claims of a token whose signature holds; NoToken for another issuer's, BadToken for a false one.

        Neither its time nor its audience is looked at.
        """
        import jwt

        issuer = unverified_issuer(token)
        if issuer is None or issuer not in issuers:
            raise NoToken
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise NoToken from None
        key_id = header.get("kid", "")
        candidates: Sequence[Key] = self.keys
        if key_id:
            candidates = [self._by_id[key_id]] if key_id in self._by_id else []
        if not candidates:
            raise BadToken("invalid signature, no keys found")
        fault = ""
        for key in candidates:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[key.algorithm],
                    options=SIGNATURE_ONLY,
                )
            except jwt.PyJWTError:
                fault = "go-jose/go-jose: error in cryptographic primitive"
                continue
            return claims
        raise BadToken(fault)

    def jwks(self) -> bytes:
        """The key set as relying parties fetch it from JWKS_PATH."""
        return orjson.dumps({"keys": [_jwk(key) for key in self.keys]})

    def openid_configuration(self, external_address: str, jwks_uri: str = "") -> bytes:
        """The discovery document; ``external_address`` is ``host:port``."""
        return orjson.dumps(
            {
                "issuer": self.issuers[0],
                "jwks_uri": jwks_uri or f"https://{external_address}{JWKS_PATH}",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self.keys}),
            }
        )


def unverified_issuer(token: str) -> str | None:
    """The issuer that the token names, None where the text is no token; nothing is verified."""
    if token.lstrip().startswith("{"):
        return None
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    issuer = payload.get("iss", "") if isinstance(payload, dict) else None
    return issuer if isinstance(issuer, str) else None


class Reference(NamedTuple):
    """An object that a token is bound to."""

    name: str
    uid: str

    def claim(self) -> dict[str, str]:
        """As it stands in the token."""
        return {key: value for key, value in (("name", self.name), ("uid", self.uid)) if value}


def claims(
    namespace: str,
    service_account: Reference,
    *,
    audiences: Sequence[str],
    expiration_seconds: int,
    now_s: int,
    token_id: str,
    pod: Reference | None = None,
    secret: Reference | None = None,
    node: Reference | None = None,
    warn_after_seconds: int = 0,
) -> dict[str, Any]:
    """What a token says; ``node`` beside ``pod`` says where that runs."""
    private: dict[str, Any] = {"namespace": namespace, "serviceaccount": service_account.claim()}
    for name, reference in (("pod", pod), ("secret", secret), ("node", node)):
        if reference is not None:
            private[name] = reference.claim()
    if warn_after_seconds:
        private["warnafter"] = now_s + warn_after_seconds
    return {
        "aud": list(audiences),
        "exp": now_s + expiration_seconds,
        "iat": now_s,
        "jti": token_id,
        "kubernetes.io": private,
        "nbf": now_s,
        "sub": service_account_username(namespace, service_account.name),
    }


def legacy_claims(namespace: str, service_account: Reference, secret_name: str) -> dict[str, Any]:
    """What the token of a Secret of type kubernetes.io/service-account-token says; its issuer is LEGACY_ISSUER."""
    return {
        "iss": LEGACY_ISSUER,
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret_name,
        "kubernetes.io/serviceaccount/service-account.name": service_account.name,
        "kubernetes.io/serviceaccount/service-account.uid": service_account.uid,
        "sub": service_account_username(namespace, service_account.name),
    }


def _public_key(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    if b"PRIVATE KEY" in pem:
        return load_pem_private_key(pem, password=None).public_key()
    if b"BEGIN CERTIFICATE" in pem:
        return load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def _described(key: Any) -> Key:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = _base64url(hashlib.sha256(der).digest())
    if isinstance(key, RSAPublicKey):
        return Key(key_id, "RS256", key)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return Key(key_id, _CURVES[key.curve.name], key)
    raise ValueError("unknown public key type, must be RSA or ECDSA on the curves P-256, P-384 or P-521")


def _jwk(key: Key) -> dict[str, str]:
    numbers = key.key.public_numbers()
    made = {"use": "sig"}
    if key.algorithm == "RS256":
        made |= {
            "kty": "RSA",
            "kid": key.id,
            "alg": key.algorithm,
            "n": _integer(numbers.n),
            "e": _integer(numbers.e),
        }
    else:
        size = (key.key.curve.key_size + 7) // 8
        made |= {
            "kty": "EC", "kid": key.id, "crv": f"P-{key.key.curve.key_size}", "alg": key.algorithm,
            "x": _base64url(numbers.x.to_bytes(size)), "y": _base64url(numbers.y.to_bytes(size)),
        }  # fmt: skip
    return made


def _integer(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
