"""Certificate requests from a kubelet's question to the certificate; tokens in secrets."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kcore.api.status import ApiError
from kcore.controllers import certificate_requests
from kcore.controllers.certificate_requests import Authority, request_of, seconds_of
from kcore.controllers.certificate_signing import (
    CertificateApproving,
    CertificateCleaner,
    CertificateSigning,
    is_over,
)
from kcore.controllers.contract import Failed, Key
from kcore.controllers.service_account_tokens import LegacyTokenCleaner, ServiceAccountTokens, secrets_of
from tests.controllers.living import Living, living

Object = dict[str, Any]
KEY = ec.generate_private_key(ec.SECP256R1())
NODE = ("system:node:n", "system:nodes")
USAGES = ["digital signature", "client auth"]


def csr(
    name: str, *subject: str, usages: list[str] = USAGES, names: tuple[str, ...] = (), signer: str = ""
) -> Object:
    common, *organizations = subject
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False
        )
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = {
        "request": base64.b64encode(pem).decode(), "usages": usages,
        "signerName": signer or certificate_requests.KUBELET_CLIENT,
    }  # fmt: skip
    return {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": spec,
    }  # fmt: skip


def authority(days: int = 3650) -> Authority:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), False)
        .sign(KEY, hashes.SHA256())
    )  # fmt: skip
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Authority(made.public_bytes(serialization.Encoding.PEM), pem)


def test_what_a_kubelet_may_ask_for() -> None:
    def fault(*subject: str, usages: list[str] = USAGES, names: tuple[str, ...] = ()) -> str | None:
        request = request_of(csr("x", *subject, usages=usages, names=names))
        return certificate_requests.kubelet_client_fault(request, usages)

    assert fault(*NODE) is None
    assert fault("system:node:n") == "subject organization is not system:nodes"
    assert fault("n", "system:nodes") == "subject common name does not begin with system:node:"
    assert fault(*NODE, names=("a.b",)) == "DNS subjectAltNames are not allowed"
    wanted = "usages did not match [client auth digital signature key encipherment]"
    assert fault(*NODE, usages=["server auth"]) == wanted
    serving = request_of(csr("x", *NODE))
    assert (
        certificate_requests.kubelet_serving_fault(serving, USAGES) == "DNS or IP subjectAltName is required"
    )


def test_how_long_a_certificate_holds() -> None:
    assert [seconds_of(asked, 1000) for asked in (None, 700, 5, 2000)] == [1000, 700, 600, 1000]
    now = datetime(2030, 1, 1, tzinfo=UTC)
    request = request_of(csr("x", *NODE, names=("a.b",)))

    def signed(seconds: int) -> x509.Certificate:
        pem = authority().signed(request, ["digital signature", "server auth"], seconds, now)
        return x509.load_pem_x509_certificate(pem)

    short, long = signed(3600), signed(86_400)
    assert short.not_valid_before_utc == now - timedelta(minutes=5)
    assert short.not_valid_after_utc == now + timedelta(hours=1)
    assert long.not_valid_after_utc == now + timedelta(hours=24, minutes=-5)
    kinds = [type(each.value).__name__ for each in long.extensions]
    assert kinds == [
        "KeyUsage", "ExtendedKeyUsage", "BasicConstraints", "AuthorityKeyIdentifier", "SubjectAlternativeName",
    ]  # fmt: skip
    with pytest.raises(Exception, match="expired in the past"):
        authority(days=1).signed(request, [], 3600, now)


def test_when_a_request_is_over() -> None:
    def decided(kind: str, certificate: str = "") -> Object:
        condition = {"type": kind, "lastUpdateTime": "1970-01-01T00:00:00Z"}
        return {"metadata": {}, "status": {"conditions": [condition], "certificate": certificate}}

    hour = 3_600_000
    assert is_over(decided("Denied"), hour + 1) and not is_over(decided("Denied"), hour)
    assert is_over(decided("Approved", "x"), hour + 1)
    assert not is_over(decided("Approved"), 24 * hour) and is_over(decided("Approved"), 24 * hour + 1)
    assert is_over({"metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"}}, 24 * hour + 1)


def test_a_kubelet_is_asked_for_by_itself_or_by_somebody_who_may() -> None:
    def asked(username: str, *allowed: bool) -> Any:
        """The subresources that are asked about, and what is written."""
        told = csr("node", *NODE)
        told["spec"] |= {"username": username, "groups": ["g"]}
        view: Any = SimpleNamespace(get=lambda *of: told)
        steps: Any = CertificateApproving().reconcile(Key("", "node"), view, 0)
        actions, seen = next(steps), []
        for answer in allowed:
            attributes = actions[0].obj["spec"]["resourceAttributes"]
            assert actions[0].obj["spec"]["user"] == username
            seen.append(attributes["subresource"])
            actions = steps.send([{"status": {"allowed": answer}}])
        return seen, actions[0]

    seen, update = asked(NODE[0], True)
    assert seen == ["selfnodeclient"] and update.subresource == "approval"
    (condition,) = update.obj["status"]["conditions"]
    assert condition["message"] == "Auto approving self kubelet client certificate after SubjectAccessReview."
    seen, update = asked("bootstrap", True)
    assert seen == ["nodeclient"]
    assert asked(NODE[0], False, True)[0] == ["selfnodeclient", "nodeclient"]
    with pytest.raises(
        Failed, match=r'recognized csr "node" as \[nodeclient\] but subject access review was not'
    ):
        asked("somebody", False)


async def sign_requests(it: Living) -> None:
    await it.client.create(csr("node", *NODE))
    made = await it.until_there(
        "certificatesigningrequests", "node", lambda obj: obj["status"].get("certificate"), ""
    )
    certificate = x509.load_pem_x509_certificate(base64.b64decode(made["status"]["certificate"]))
    assert certificate.subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"

    approved = {"type": "Approved", "status": "True", "reason": "x", "message": "y"}
    signer = certificate_requests.API_SERVER_CLIENT
    bad = await it.client.create(csr("bad", "me", usages=["server auth"], signer=signer))
    await it.client.update({**bad, "status": {"conditions": [approved]}}, subresource="approval")
    bad = await it.until_there(
        "certificatesigningrequests", "bad", lambda obj: len(obj["status"]["conditions"]) == 2, ""
    )
    failed = bad["status"]["conditions"][1]
    assert (failed["reason"], failed["message"]) == (
        "SignerValidationFailure", "invalid usage for client certificate: server auth",
    )  # fmt: skip


async def fill_tokens(it: Living) -> None:
    account = {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "default"},
        "secrets": [{"name": "t"}],
    }  # fmt: skip
    uid = (await it.client.create(account))["metadata"]["uid"]
    annotations = {"kubernetes.io/service-account.name": "bot"}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}
    metadata = {"name": "t", "namespace": "default", "annotations": annotations}
    await it.client.create({**secret, "metadata": metadata})
    filled = await it.until_there("secrets", "t", lambda obj: (obj.get("data") or {}).get("token"))
    assert {name: base64.b64decode(value).decode() for name, value in filled["data"].items()} == {
        "token": f"default/bot/{uid}/t", "namespace": "default", "ca.crt": "PEM",
    }  # fmt: skip
    assert filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == uid
    await it.client.delete("secrets", "t", "default")
    await it.until_there("serviceaccounts", "bot", lambda obj: not obj.get("secrets"))

    await it.client.create({**secret, "metadata": {**metadata, "name": "u"}})
    await it.until_there("secrets", "u", lambda obj: (obj.get("data") or {}).get("token"))
    await it.client.delete("serviceaccounts", "bot", "default")
    async with asyncio.timeout(10):
        while True:
            try:
                await it.client.get("secrets", "u", "default")
                await asyncio.sleep(0.01)
            except ApiError:
                break


def test_requests_and_tokens_in_a_cluster() -> None:
    async def run() -> None:
        authorities = dict.fromkeys(certificate_requests.FAULTS, authority())
        tokens = ServiceAccountTokens(lambda *of: "/".join(of), "PEM")
        signing = CertificateSigning(authorities)
        async with living(
            CertificateApproving(), signing, CertificateCleaner(), tokens, LegacyTokenCleaner()
        ) as it:
            await sign_requests(it)
            await fill_tokens(it)

    asyncio.run(run())


class Tokens:
    """A view of one account with a token that the server made."""

    def __init__(self, **labels: str) -> None:
        self.secret = {
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "t", "namespace": "a", "uid": "u", "resourceVersion": "7", "labels": labels,
                "creationTimestamp": "2020-01-01T00:00:00Z", "annotations": {"kubernetes.io/service-account.name": "bot"},
            },
        }  # fmt: skip
        self.pods: list[Object] = []

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        return self.pods if resource == "pods" else [self.secret]

    def get(self, resource: str, namespace: str, name: str) -> Object:
        return {"metadata": {"uid": "b"}, "secrets": [{"name": "t"}]}


def test_an_unused_token_is_marked_and_then_deleted() -> None:
    now_ms = int(datetime(2030, 6, 1, tzinfo=UTC).timestamp() * 1000)

    def done(view: Tokens) -> list[Any]:
        steps: Any = LegacyTokenCleaner().reconcile(Any, view, now_ms)  # type: ignore[arg-type]
        next(steps)
        try:
            return list(steps.send([{"data": {"since": "2024-01-01"}}]))
        except StopIteration:
            return []

    (mark,) = done(Tokens())
    assert mark.body["metadata"]["labels"] == {"kubernetes.io/legacy-token-invalid-since": "2030-06-01"}
    (delete,) = done(Tokens(**{"kubernetes.io/legacy-token-invalid-since": "2029-05-31"}))
    assert (delete.name, delete.version) == ("t", "7")
    assert not done(Tokens(**{"kubernetes.io/legacy-token-invalid-since": "2029-06-01"}))
    assert not done(Tokens(**{"kubernetes.io/legacy-token-last-used": "2029-06-01"}))
    mounted = Tokens()
    mounted.pods = [{"spec": {"volumes": [{"secret": {"secretName": "t"}}]}}]
    assert not done(mounted)


def test_the_secrets_of_a_pod() -> None:
    spec = {
        "imagePullSecrets": [{"name": "a"}],
        "containers": [
            {
                "envFrom": [{"secretRef": {"name": "b"}}, {"configMapRef": {"name": "no"}}],
                "env": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}}, {"name": "y"}],
            }
        ],
        "volumes": [
            {"csi": {"nodePublishSecretRef": {"name": "d"}}}, {"projected": {"sources": [{"secret": {"name": "e"}}]}},
            {"azureFile": {"secretName": "f"}}, {"emptyDir": {}},
        ],
    }  # fmt: skip
    assert [*secrets_of({"spec": spec})] == ["a", "b", "c", "d", "e", "f"]
