"""Who asks: certificates, tokens, proxies, nobody."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.apiserver import tokens
from kcore.apiserver.authn import Authenticator
from kcore.apiserver.authn.authenticator import (
    ANONYMOUS_USER,
    InvalidCertificate,
    InvalidToken,
    is_spaced_token,
)
from kcore.apiserver.authn.certificates import ClientCertificates, FrontProxy
from kcore.apiserver.authn.service_accounts import ServiceAccountTokens
from kcore.apiserver.authn.token_file import StaticTokens, read_tokens
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.reviews import TokenRequests
from kcore.apiserver.tokens import TokenKeys
from kcore.apiserver.user import UserInfo
from tests.apiserver.view import Cluster, named

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = NOW.timestamp()
AUDIENCES = ("https://kubernetes.default.svc.cluster.local",)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def subject(**parts: Any) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in parts.get("groups", ())]
    if name := parts.get("name"):
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    if uid := parts.get("uid"):
        attributes.append(x509.NameAttribute(ObjectIdentifier("1.3.6.1.4.1.57683.2"), uid))
    return x509.Name(attributes)


def certificate(
    who: x509.Name, signer: Any, issuer: x509.Name, *, authority: bool = False
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(issuer)
        .public_key((signer if authority else EC_KEY).public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(signer, hashes.SHA256())
    )


CA_NAME = subject(name="ca")
CA = certificate(CA_NAME, OTHER_KEY, CA_NAME, authority=True).public_bytes(Encoding.PEM)


def der(signer: Any = OTHER_KEY, **parts: Any) -> bytes:
    return certificate(subject(**parts), signer, CA_NAME).public_bytes(Encoding.DER)


def headers(*pairs: tuple[str, str]) -> HeaderFields:
    return HeaderFields([(name.encode(), value.encode()) for name, value in pairs])


def bearer(token: str) -> HeaderFields:
    return headers(("Authorization", f"Bearer {token}"))


def test_certificates_name_users_and_groups() -> None:
    now_s = NOW_S
    certificates = ClientCertificates(CA, lambda: now_s)
    mine = der(name="joe", groups=["a", "b"], uid="u-1")
    assert certificates.identify(mine) == UserInfo(
        "joe",
        "u-1",
        ("a", "b", "system:authenticated"),
        {"authentication.kubernetes.io/credential-id": (f"X509SHA256={hashlib.sha256(mine).hexdigest()}",)},
    )
    assert certificates.identify(der(groups=["a"])) is None
    for _ in range(2):  # found out, and remembered
        with pytest.raises(InvalidCertificate, match="signed by unknown authority"):
            certificates.identify(der(EC_KEY, name="joe"))
        with pytest.raises(InvalidCertificate):
            certificates.identify(b"no certificate")
    now_s += 2 * 86_400
    with pytest.raises(InvalidCertificate, match="has expired"):
        certificates.identify(mine)  # it ran out on an open connection


def test_proxies_speak_for_users() -> None:
    proxy = FrontProxy(
        ClientCertificates(CA, lambda: NOW_S), allowed_names=["proxy"], uid_headers=["X-Remote-Uid"]
    )
    fields = headers(
        ("X-Remote-User", "joe"), ("X-Remote-Group", "a"), ("x-remote-group", "b"), ("X-Remote-Uid", "7"),
        ("X-Remote-Extra-Scopes%2fx", "one"), ("X-Remote-Extra-Scopes%2fx", "two"),
    )  # fmt: skip
    assert proxy.identify(fields, der(name="proxy")) == UserInfo(
        "joe", "7", ("a", "b"), {"scopes/x": ("one", "two")}
    )
    with pytest.raises(InvalidCertificate, match="cn=joe is not in the allowed list"):
        proxy.identify(fields, der(name="joe"))
    assert proxy.identify(headers(), der(name="proxy")) is None
    with pytest.raises(InvalidCertificate, match="signed by unknown authority"):
        proxy.identify(fields, der(EC_KEY, name="proxy"))


def test_token_files() -> None:
    users = read_tokens('t1,joe,u1,"a,b"\nt2,jane,u2\n,nobody,u3\n', "f")
    assert users == {"t1": UserInfo("joe", "u1", ("a", "b")), "t2": UserInfo("jane", "u2")}
    with pytest.raises(InputError, match="must have at least 3 columns"):
        read_tokens("t1,joe\n", "f")


def test_the_first_that_knows_decides_and_falsehood_is_no_anonymity() -> None:
    authenticator = Authenticator(
        certificates=ClientCertificates(CA, lambda: NOW_S),
        tokens=[StaticTokens({"t1": UserInfo("joe")}, AUDIENCES)],
        audiences=AUDIENCES,
    )

    def ask(
        fields: HeaderFields, certificate: bytes | None = None, of: Authenticator = authenticator
    ) -> UserInfo:
        return asyncio.run(of.authenticate(fields, certificate, "/api"))

    assert ask(bearer("t1")) == UserInfo("joe", groups=("system:authenticated",))
    assert ask(bearer("t1"), der(name="jane")).name == "jane"
    assert ask(bearer("t1"), der(EC_KEY, name="jane")).name == "joe"
    assert ask(headers()) == ANONYMOUS_USER
    assert ask(headers(("Authorization", "Basic abc"))) == ANONYMOUS_USER
    with pytest.raises(ApiError, match="Unauthorized") as caught:
        ask(bearer("t2"))
    assert caught.value.status() == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    }  # fmt: skip
    for strict in (Authenticator(anonymous=False), Authenticator(anonymous_paths=["/healthz"])):
        with pytest.raises(ApiError, match="Unauthorized"):
            ask(headers(), of=strict)
    assert is_spaced_token("Bearer  x")


class World:
    """A cluster with an account, and tokens for it."""

    def __init__(self, key: Any = EC_KEY) -> None:
        self.now_s = NOW_S
        self.cluster = Cluster([
            named("v1", "ServiceAccount", "bot", "one"),
            named("v1", "Node", "n"),
            named("v1", "Secret", "s", "one"),
            named("v1", "Pod", "p", "one", spec={"serviceAccountName": "bot", "nodeName": "n"}),
        ])  # fmt: skip
        self.keys = TokenKeys(pem(key))
        self.requests = TokenRequests(
            self.keys, self.cluster, audiences=AUDIENCES, now_s=lambda: self.now_s, token_id=lambda: "id-1"
        )
        self.tokens = ServiceAccountTokens(
            self.keys, self.cluster, audiences=AUDIENCES, now_s=lambda: self.now_s, writer=self.cluster
        )

    def request(self, **spec: Any) -> dict[str, Any]:
        return asyncio.run(self.requests.create("one", "bot", {"spec": spec}, []))

    def token(self, **spec: Any) -> str:
        return str(self.request(**spec)["status"]["token"])

    def user(self, token: str, audiences: tuple[str, ...] = ()) -> UserInfo | None:
        verified = asyncio.run(self.tokens.verify(token, audiences))
        return None if verified is None else verified.user


def bound(kind: str, name: str, **more: str) -> dict[str, Any]:
    return {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, **more}}


@pytest.mark.parametrize("key", [EC_KEY, rsa.generate_private_key(65537, 2048)], ids=["ES256", "RS256"])
def test_tokens_go_round(key: Any) -> None:
    world = World(key)
    made = world.request(expirationSeconds=600)
    assert made["spec"] == {"audiences": list(AUDIENCES), "expirationSeconds": 600}
    assert made["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
    claims = jwt.decode(made["status"]["token"], options={"verify_signature": False})
    now_s = int(NOW_S)
    assert claims == {
        "iss": AUDIENCES[0], "aud": list(AUDIENCES), "iat": now_s, "nbf": now_s, "exp": now_s + 600, "jti": "id-1",
        "sub": "system:serviceaccount:one:bot",
        "kubernetes.io": {"namespace": "one", "serviceaccount": {"name": "bot", "uid": "uid-bot"}},
    }  # fmt: skip
    assert jwt.get_unverified_header(made["status"]["token"]).keys() == {"alg", "kid"}
    assert world.user(made["status"]["token"]) == UserInfo(
        "system:serviceaccount:one:bot",
        "uid-bot",
        ("system:serviceaccounts", "system:serviceaccounts:one"),
        {"authentication.kubernetes.io/credential-id": ("JTI=id-1",)},
    )
    # a relying party verifies it by the published key
    published = jwt.PyJWKSet.from_json(world.keys.jwks().decode())
    header = jwt.get_unverified_header(made["status"]["token"])
    verified = jwt.decode(
        made["status"]["token"], published[header["kid"]].key, [header["alg"]],
        audience=AUDIENCES[0], options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )  # fmt: skip
    assert verified == claims
    der_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert header["kid"] == base64.urlsafe_b64encode(hashlib.sha256(der_key).digest()).rstrip(b"=").decode()


def test_tokens_die_with_what_they_are_bound_to() -> None:
    world = World()
    of_pod = world.token(**bound("Pod", "p"))
    of_secret = world.token(**bound("Secret", "s"))
    of_node = world.token(**bound("Node", "n"))
    user = world.user(of_pod)
    assert user is not None
    assert {key.rpartition("/")[2]: values for key, values in user.extra.items()} == {
        "pod-name": ("p",), "pod-uid": ("uid-p",), "node-name": ("n",), "node-uid": ("uid-n",),
        "credential-id": ("JTI=id-1",),
    }  # fmt: skip
    for token, key in (
        (of_pod, ("", "pods", "one", "p")), (of_secret, ("", "secrets", "one", "s")), (of_node, ("", "nodes", "", "n")),
    ):  # fmt: skip
        assert world.user(token) is not None
        world.cluster.drop(key)
        with pytest.raises(InvalidToken, match="service account token has been invalidated"):
            world.user(token)
    world.cluster.put(named("v1", "Pod", "p", "one", metadata={"uid": "other"}, spec={}))
    with pytest.raises(
        InvalidToken, match=r"pod UID \(other\) does not match service account pod ref claim \(uid-p\)"
    ):
        world.user(of_pod)
    world.cluster.drop(("", "serviceaccounts", "one", "bot"))
    with pytest.raises(InvalidToken, match="not found"):
        world.user(world.keys.sign(tokens.claims("one", tokens.Reference("bot", "u"), audiences=AUDIENCES, expiration_seconds=600, now_s=int(NOW_S), token_id="")))  # fmt: skip


def test_tokens_have_their_time_audience_and_key() -> None:
    world = World()
    token = world.token()
    world.now_s = NOW_S + 3600 + 61
    with pytest.raises(InvalidToken, match="service account token has expired"):
        world.user(token)
    world.now_s = NOW_S - 61
    with pytest.raises(InvalidToken, match="service account token is not valid yet"):
        world.user(token)
    world.now_s = NOW_S
    with pytest.raises(InvalidToken, match="is invalid for the target audiences"):
        world.user(world.token(audiences=["else"]))
    assert world.user(world.token(audiences=["else"]), ("else", "more")) is not None
    assert world.user("no.token.atall") is None
    assert world.user(jwt.encode({"iss": "https://other"}, "k" * 32, algorithm="HS256")) is None
    forged = jwt.encode({"iss": AUDIENCES[0], "aud": list(AUDIENCES)}, pem(OTHER_KEY), algorithm="ES256")
    with pytest.raises(InvalidToken):
        world.user(forged)
    unsigned = jwt.encode({"iss": AUDIENCES[0]}, None, algorithm="none")
    with pytest.raises(InvalidToken):
        world.user(unsigned)


def test_legacy_tokens_are_compared_with_their_secret() -> None:
    world = World()
    token = world.keys.sign(tokens.legacy_claims("one", tokens.Reference("bot", "uid-bot"), "t"))
    with pytest.raises(InvalidToken, match="Token has been invalidated"):
        world.user(token)
    data = {"token": base64.b64encode(token.encode()).decode()}
    world.cluster.put(named("v1", "Secret", "t", "one", data=data))
    assert world.user(token) == UserInfo(
        "system:serviceaccount:one:bot", "uid-bot", ("system:serviceaccounts", "system:serviceaccounts:one")
    )
    used = "kubernetes.io/legacy-token-last-used"

    def last_used() -> str:
        found = world.cluster.get("", "secrets", "one", "t")
        assert found is not None
        return str(found["metadata"]["labels"][used])

    assert last_used() == "2026-01-01"
    world.now_s += 86_400
    world.user(token)
    assert last_used() == "2026-01-02"
    world.cluster.put(named("v1", "Secret", "t", "one", data={"token": "eA=="}))
    with pytest.raises(InvalidToken, match="Token does not match server's copy"):
        world.user(token)


def test_token_requests_say_what_is_wrong() -> None:
    world = World()

    def refusal(namespace: str = "one", name: str = "bot", metadata: Any = None, **spec: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            asyncio.run(
                world.requests.create(namespace, name, {"metadata": metadata or {}, "spec": spec}, [])
            )
        return caught.value

    assert refusal(expirationSeconds=1).message == (
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 1: may not specify a '
        "duration less than 10 minutes"
    )
    assert refusal(expirationSeconds=2**33).message.endswith(
        "may not specify a duration larger than 2^32 seconds"
    )
    assert refusal(name="none").message == 'serviceaccounts "none" not found'
    assert refusal(metadata={"name": "x"}).message.endswith(
        "must match the service account name if specified"
    )
    assert refusal(**bound("Pod", "none")).message == 'pods "none" not found'
    assert refusal(**bound("Pod", "p", uid="x")).code == 409
    assert refusal(**bound("Service", "p")).message == "cannot bind token to object of type /v1, Kind=Service"
    world.cluster.put(named("v1", "Pod", "p", "one", spec={"serviceAccountName": "other"}))
    assert refusal(**bound("Pod", "p")).message == (
        'cannot bind token for serviceaccount "bot" to pod running with different serviceaccount name.'
    )


def test_tokens_of_kubelets_hold_for_a_year() -> None:
    world = World()
    made = world.request(expirationSeconds=3607, **bound("Pod", "p"))
    claims = jwt.decode(made["status"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 365 * 86_400
    assert claims["kubernetes.io"]["warnafter"] == int(NOW_S) + 3607
    assert made["status"]["expirationTimestamp"] == "2026-01-01T01:00:07Z"


def test_the_discovery_document() -> None:
    import json

    document = json.loads(World().keys.openid_configuration("10.0.0.1:6443"))
    assert document == {
        "issuer": AUDIENCES[0],
        "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
