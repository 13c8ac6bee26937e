"""Tokens by the clock that the test holds; passwords."""

from __future__ import annotations

import random

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kcore.store import passwords, tokens
from kcore.store.errors import StoreError
from kcore.store.tokens import Bearer, SignedTokens, SimpleTokens

NOW_S = 1_700_000_000.0


def simple(ttl_ms: int = 1000) -> SimpleTokens:
    """Switched-on tokens."""
    made = SimpleTokens(ttl_ms)
    made.enable()
    return made


def test_a_simple_token_lives_by_its_use() -> None:
    made = simple()
    made.assign("ann", "abc.1")
    assert made.look_up("abc.1", 5000) == Bearer("ann")
    assert made.look_up("abc.1", 6000) == Bearer("ann")
    assert made.look_up("abc.1", 7000) == Bearer("ann")
    assert made.look_up("abc.1", 8001) is None
    assert made.look_up("abc.1", 7000) is None
    assert len(made) == 0


def test_an_unused_token_ages_from_the_next_sweep() -> None:
    made = simple()
    made.assign("ann", "abc.1")
    made.sweep(10_000)
    made.assign("ann", "def.2")
    made.sweep(11_000)
    assert len(made) == 2
    made.sweep(11_001)
    assert made.look_up("abc.1", 11_001) is None
    assert made.look_up("def.2", 12_000) == Bearer("ann")


def test_tokens_die_with_their_user_and_with_the_checks() -> None:
    made = simple()
    made.assign("ann", "a.1")
    made.assign("bob", "b.2")
    made.invalidate("ann")
    assert made.look_up("a.1", 0) is None
    assert made.look_up("b.2", 0) == Bearer("bob")
    made.disable()
    made.assign("ann", "c.3")
    made.enable()
    assert [made.look_up(token, 0) for token in ("b.2", "c.3")] == [None, None]


@pytest.mark.parametrize(
    ("token", "index"),
    [
        ("abc.12", 12), ("abc.0", 0), ("abc.18446744073709551615", 2**64 - 1), ("abc.18446744073709551616", None),
        ("abc", None), ("a.b.1", None), ("abc.", None), ("abc.-1", None), ("abc. 1", None), ("", None), (".5", 5),
    ],
)  # fmt: skip
def test_the_index_of_a_token(token: str, index: int | None) -> None:
    assert tokens.token_index(token) == index


def test_a_prefix_is_sixteen_letters() -> None:
    prefix = tokens.random_prefix(random.Random(1).randrange)
    assert len(prefix) == tokens.PREFIX_LENGTH
    assert prefix.isalpha()
    assert prefix != tokens.random_prefix(random.Random(2).randrange)


def pem(key: object) -> tuple[bytes, bytes]:
    """(private, public) in PEM."""
    private = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def key_for(method: str) -> tuple[bytes, bytes]:
    """A key pair that the method takes."""
    if method.startswith(("RS", "PS")):
        return pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    if method == "EdDSA":
        return pem(ed25519.Ed25519PrivateKey.generate())
    return pem(ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}.get(method, ec.SECP521R1())))  # fmt: skip


@pytest.mark.parametrize("method", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_signed_token_is_judged_by_the_public_key(method: str) -> None:
    private, public = key_for(method)
    signing = SignedTokens(method, private_key=private, public_key=public, ttl_ms=5000)
    judging = SignedTokens(method, public_key=public)
    token = signing.sign("ann", 7, NOW_S)
    for one in (signing, judging):
        assert one.look_up(token, NOW_S + 4.9) == Bearer("ann", 7)
        assert one.look_up(token, NOW_S + 5) is None
        assert one.look_up(token[:-4] + "AAAA", NOW_S) is None
        assert one.look_up("garbage", NOW_S) is None
    with pytest.raises(ValueError, match="verify-only"):
        judging.sign("ann", 7, NOW_S)


def test_a_token_of_another_method_key_or_shape_is_refused() -> None:
    secret = b"s" * 64
    made = SignedTokens("HS256", private_key=secret)
    good = {"username": "ann", "revision": 3, "exp": NOW_S + 9}
    assert made.look_up(jwt.encode(good, secret, "HS256"), NOW_S) == Bearer("ann", 3)
    assert made.look_up(jwt.encode(good, secret, "HS512"), NOW_S) is None
    assert made.look_up(jwt.encode(good, "t" * 64, "HS256"), NOW_S) is None
    assert made.look_up(jwt.encode(good, "", "none"), NOW_S) is None
    for wrong in (
        {"username": 5}, {"revision": "3"}, {"revision": True}, {"exp": NOW_S - 1}, {"exp": "soon"},
        {"nbf": NOW_S + 5}, {"username": None},
    ):  # fmt: skip
        assert made.look_up(jwt.encode(good | wrong, secret, "HS256"), NOW_S) is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("", "unknown token type"), ("magic", "unknown token type"), ("jwt,sign-method", "invalid auth options"),
        ("jwt,a=b=c", "invalid auth options"), ("jwt,ttl=1m,ttl=2m", "invalid auth options"),
        ("jwt", "signature method"), ("jwt,sign-method=none", "signature method"),
        ("jwt,sign-method=RS256", "missing key"), ("jwt,sign-method=HS256,pub-key=public", "missing key"),
        ("jwt,sign-method=RS256,priv-key=garbage", "unreadable"), ("jwt,sign-method=ES256,priv-key=private", "does not fit"),
        ("jwt,sign-method=RS256,priv-key=private,pub-key=other", "don't match"),
        ("jwt,sign-method=RS256,priv-key=private,ttl=5", "invalid duration"),
    ],
)  # fmt: skip
def test_options_that_say_nothing_sensible(option: str, message: str) -> None:
    private, public = key_for("RS256")
    files = {"private": private, "public": public, "other": key_for("RS256")[1], "garbage": b"no key"}
    with pytest.raises(ValueError, match=message):
        tokens.of_option(option, files.__getitem__)


def test_options_of_the_daemon() -> None:
    private, public = key_for("RS256")
    files = {"private": private, "public": public}
    assert isinstance(tokens.of_option("simple", files.__getitem__), SimpleTokens)
    made = tokens.of_option(
        "jwt,sign-method=RS256,priv-key=private,pub-key=public,ttl=10m", files.__getitem__
    )
    assert isinstance(made, SignedTokens)
    token = made.sign("ann", 1, NOW_S)
    assert made.look_up(token, NOW_S + 599) is not None
    assert made.look_up(token, NOW_S + 600) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1500),
        ("250ms", 250),
        ("2h45m30.5s", 9_930_500),
        (".5s", 500),
    ],
)
def test_durations_as_go_writes_them(text: str, wanted: int) -> None:
    assert tokens.duration_ms(text) == wanted


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5x", "-5m", "5m3"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        tokens.duration_ms(text)


def test_a_password_matches_its_own_hash_only() -> None:
    made = passwords.hashed("secret", passwords.COST_MIN)
    assert made.startswith(b"$2a$04$")
    assert passwords.matches("secret", made)
    assert not passwords.matches("secrets", made)
    assert not passwords.matches("", made)
    assert not passwords.matches("secret", b"")
    assert not passwords.matches("", b"")
    assert passwords.hashed("secret", passwords.COST_MIN) != made


def test_a_password_that_bcrypt_cannot_read_whole_is_refused_when_set() -> None:
    longest = "x" * passwords.PASSWORD_BYTES_MAX
    assert passwords.matches(longest + "more", passwords.hashed(longest, passwords.COST_MIN))
    with pytest.raises(StoreError, match="exceeds 72 bytes"):
        passwords.hashed(longest + "x")


def test_an_empty_password_can_be_hashed_as_etcd_does() -> None:
    assert passwords.matches("", passwords.hashed("", passwords.COST_MIN))
