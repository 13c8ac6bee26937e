"""Tokens that stand for a name and password: etcd's simple tokens, and signed ones (etcd ``server/auth``).

Time is an argument everywhere: ``now_ms`` on the monotonic clock for simple tokens, ``now_s`` since 1970 for signed
ones, which other machines judge too. Chance is not: the caller makes prefixes (``random_prefix`` says how).
"""

import re
import string
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeGuard

from kcore.api.durations import duration_ns

SIMPLE_TTL_MS: Final = 300_000
SIGNED_TTL_MS: Final = 300_000
PREFIX_LENGTH: Final = 16
TOKEN_INDEX_MAX: Final = 2**64 - 1
METHODS: Final = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip


class Bearer(NamedTuple):
    """Whom a token stands for; ``auth_revision`` is that of the users' table at its making, None: the present one."""

    username: str
    auth_revision: int | None = None


class Choice(Protocol):
    """What picks an index below a bound (``secrets.SystemRandom().randrange``)."""

    def __call__(self, bound: int, /) -> int: ...


def random_prefix(choose: Choice) -> str:
    """Sixteen letters: the secret half of a simple token."""
    return "".join(string.ascii_letters[choose(len(string.ascii_letters))] for _ in range(PREFIX_LENGTH))


class SimpleTokens:
    """``prefix.index`` to username, on this member only; each lives ``ttl_ms`` after its last use.

    The users' table says when a token begins (every member applies that, so none reads a clock there): its time runs
    from the next ``sweep``, which the driver calls every second.

    Invariant: no tokens while the checks are off.
    """

    def __init__(self, ttl_ms: int = SIMPLE_TTL_MS) -> None:
        self._ttl_ms = ttl_ms if ttl_ms > 0 else SIMPLE_TTL_MS
        self._enabled = False
        self._usernames: dict[str, str] = {}
        self._deadlines_ms: dict[str, int] = {}  # none yet: made since the last sweep

    def __len__(self) -> int:
        return len(self._usernames)

    def enable(self) -> None:
        """Tokens are kept from now on."""
        self._enabled = True

    def disable(self) -> None:
        """All tokens are forgotten, and none is kept."""
        self._enabled = False
        self._usernames.clear()
        self._deadlines_ms.clear()

    def assign(self, username: str, token: str) -> None:
        """The token stands for the user."""
        if self._enabled:
            self._usernames[token] = username
            self._deadlines_ms.pop(token, None)

    def invalidate(self, username: str) -> None:
        """All tokens of the user are forgotten."""
        for token in [token for token, name in self._usernames.items() if name == username]:
            self._forget(token)

    def look_up(self, token: str, now_ms: int) -> Bearer | None:
        """Whom the token stands for, its time running anew; None for one that is unknown or has died.

        Ask only once this member has applied ``token_index(token)``: before, it may not have heard of the token.
        """
        username = self._usernames.get(token)
        if username is None:
            return None
        if self._deadlines_ms.get(token, now_ms) < now_ms:
            self._forget(token)
            return None
        self._deadlines_ms[token] = now_ms + self._ttl_ms
        return Bearer(username)

    def sweep(self, now_ms: int) -> None:
        """The dead are forgotten, and the new begin to age."""
        for token in list(self._usernames):
            if self._deadlines_ms.setdefault(token, now_ms + self._ttl_ms) < now_ms:
                self._forget(token)

    def _forget(self, token: str) -> None:
        del self._usernames[token]
        self._deadlines_ms.pop(token, None)


def token_index(token: str) -> int | None:
    """The log index that a member must have applied before it can judge the token; None: it is no simple token."""
    parts = token.split(".")
    if len(parts) != 2 or not re.fullmatch("[0-9]{1,20}", parts[1]):
        return None
    index = int(parts[1])
    return index if index <= TOKEN_INDEX_MAX else None


class SignedTokens:
    """JSON Web Tokens with the claims username, revision and exp: any member, and any service with the key, judges them.

    They need no log entry; they cannot be taken back, but a changed users' table refuses their revision.
    """

    def __init__(
        self, method: str, *, private_key: bytes = b"", public_key: bytes = b"", ttl_ms: int = SIGNED_TTL_MS
    ) -> None:
        """``ValueError`` where the method is unknown, no key is given, or two that do not belong together."""
        if method not in METHODS:
            raise ValueError("auth: invalid auth signature method")
        self._method = method
        self._ttl_ms = ttl_ms
        if method.startswith("HS"):
            if not private_key:
                raise ValueError("auth: missing key data")
            self._signing: Any = private_key
            self._verifying: Any = private_key
        else:
            self._signing, self._verifying = _key_pair(method, private_key, public_key)

    def sign(self, username: str, auth_revision: int, now_s: float) -> str:
        """A token for the user at that revision of the users' table; ``ValueError`` with a public key only."""
        import jwt

        if self._signing is None:
            raise ValueError("auth: token signing attempted with verify-only key")
        claims = {"username": username, "revision": auth_revision, "exp": int(now_s + self._ttl_ms / 1000)}
        return jwt.encode(claims, self._signing, algorithm=self._method)

    def look_up(self, token: str, now_s: float) -> Bearer | None:
        """Whom the token stands for; None where it is not ours, has died, or is not yet valid."""
        import jwt

        unchecked = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
        try:
            claims = jwt.decode(token, self._verifying, algorithms=[self._method], options=unchecked)  # type: ignore[arg-type]
        except jwt.PyJWTError:
            return None
        username, revision = claims.get("username"), claims.get("revision")
        expiry, start = claims.get("exp", now_s + 1), claims.get("nbf", now_s)
        if not isinstance(username, str) or not _is_number(revision):
            return None
        if not _is_number(expiry) or not _is_number(start) or now_s >= expiry or now_s < start:
            return None
        return Bearer(username, int(revision))


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _key_pair(method: str, private_key: bytes, public_key: bytes) -> tuple[Any, Any]:
    """(key to sign with or None, key to verify with) from PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509 import load_pem_x509_certificate

    families: dict[str, tuple[type, type]] = {
        "RS": (rsa.RSAPrivateKey, rsa.RSAPublicKey), "PS": (rsa.RSAPrivateKey, rsa.RSAPublicKey),
        "ES": (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey),
        "Ed": (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey),
    }  # fmt: skip
    private_type, public_type = families[method[:2]]
    private: Any = None
    public: Any = None
    try:
        if private_key:
            private = serialization.load_pem_private_key(private_key, None)
        if public_key.lstrip().startswith(b"-----BEGIN CERTIFICATE"):
            public = load_pem_x509_certificate(public_key).public_key()
        elif public_key:
            public = serialization.load_pem_public_key(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        raise ValueError(f"the key of the auth token is unreadable: {wrong}") from None
    if private is None and public is None:
        raise ValueError("auth: missing key data")
    fits = (private is None or isinstance(private, private_type)) and (
        public is None or isinstance(public, public_type)
    )
    if not fits:
        raise ValueError(f"the key of the auth token does not fit the sign-method {method}")
    if private is None:
        return None, public
    if public is not None and public != private.public_key():
        raise ValueError("auth: public and private keys don't match")
    return private, private.public_key()


def duration_ms(text: str) -> int:
    """Milliseconds of a Go duration such as ``5m`` or ``1h30m``; ``ValueError`` for anything else."""
    found = duration_ns(text)
    if found is None or found < 0:
        raise ValueError(f'invalid duration "{text}"')
    return round(found / 1e6)


def of_option(
    option: str, read_file: Callable[[str], bytes], simple_ttl_ms: int = SIMPLE_TTL_MS
) -> SimpleTokens | SignedTokens:
    """What etcd's ``--auth-token`` asks for: ``simple``, or ``jwt,sign-method=RS256,pub-key=F,priv-key=F,ttl=5m``.

    ``ValueError`` where it cannot be read as either; ``OSError`` passes through from ``read_file``.
    """
    kind, *pairs = option.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or "=" in value or name in options:
            raise ValueError(f'auth: invalid auth options: "{option}"')
        options[name] = value
    if kind == "simple":
        return SimpleTokens(simple_ttl_ms)
    if kind != "jwt":
        raise ValueError(f'auth: invalid auth options: unknown token type "{kind}"')
    return _signed(options, read_file)


def _signed(options: Mapping[str, str], read_file: Callable[[str], bytes]) -> SignedTokens:
    ttl = options.get("ttl", "")
    keys = {name: read_file(options[name]) if options.get(name) else b"" for name in ("pub-key", "priv-key")}
    return SignedTokens(
        options.get("sign-method", ""),
        private_key=keys["priv-key"],
        public_key=keys["pub-key"],
        ttl_ms=duration_ms(ttl) if ttl else SIGNED_TTL_MS,
    )
