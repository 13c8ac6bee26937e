"""Namespaces, owners, quotas, accounts, certificates, roles and tokens, as a user sees them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.session.user import Object, User, condition, names, workload


def test_a_namespace_has_what_it_must_and_goes(user: User) -> None:
    user.space("shop")
    user.run("create deployment web --image=web:1 --replicas=3")
    user.run("rollout status deployment/web --timeout=45s")
    user.run("delete namespace shop --wait=false")
    user.space("bare")
    assert "ca.crt" in user.get("configmap kube-root-ca.crt")["data"]
    user.run("delete serviceaccount/default configmap/kube-root-ca.crt")
    user.wait("serviceaccount/default configmap/kube-root-ca.crt", "create")


@pytest.mark.parametrize(
    ("policy", "stays"), [("background", False), ("foreground", False), ("orphan", True)]
)
def test_owned_objects_go_with_their_owner_as_the_policy_says(user: User, policy: str, stays: bool) -> None:
    user.space(f"owned-{policy}")
    user.run("create deployment web --image=web:1 --replicas=2")
    user.run("rollout status deployment/web --timeout=45s")
    user.run(f"delete deployment/web --cascade={policy} --timeout=45s")
    if stays:
        left = user.items("pods,replicasets")
        assert sorted(each["kind"] for each in left) == ["Pod", "Pod", "ReplicaSet"]
        (replica_set,) = (each for each in left if each["kind"] == "ReplicaSet")
        assert "ownerReferences" not in replica_set["metadata"]
        user.run(f"delete replicaset {replica_set['metadata']['name']}")
    user.until("pods,replicasets", lambda left: not left)


def test_a_quota_is_counted_and_kept_to(user: User) -> None:
    user.space("quota")
    user.run("create quota small --hard=pods=3,configmaps=5")
    user.wait("quota/small", "jsonpath={.status.used.configmaps}=1")
    user.apply(workload("ReplicaSet", "web", replicas=5))
    user.wait("quota/small", "jsonpath={.status.used.pods}=3")
    user.wait("rs/web", "jsonpath={.status.readyReplicas}=3")
    said = condition(user.get("rs/web"), "ReplicaFailure")
    assert "exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3" in said["message"]
    assert "exceeded quota" in user.refused("run one --image=web:1")
    user.run("scale rs/web --replicas=1")
    user.wait("quota/small", "jsonpath={.status.used.pods}=1")


def test_tokens_of_accounts_are_made_and_go_with_them(user: User, tmp_path: Path) -> None:
    user.space("tokens")
    user.run("create serviceaccount bot")
    of_bot = {"kubernetes.io/service-account.name": "bot"}
    secret = {
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "bot", "annotations": of_bot},
    }
    user.apply({"apiVersion": "v1", "kind": "Secret", **secret})
    user.wait("secret/bot", "jsonpath={.data.token}")
    legacy = base64.b64decode(user.get("secret/bot")["data"]["token"]).decode()
    bound = user.run("create token bot").strip()
    bare = json.loads(user.run("config view --raw --minify -o json"))
    for token in (legacy, bound):
        bare["users"][0]["user"] = {"token": token}
        (tmp_path / "bare.conf").write_text(json.dumps(bare))
        assert "system:serviceaccount:tokens:bot" in user.run(
            f"--kubeconfig={tmp_path / 'bare.conf'} auth whoami"
        )
    user.run("delete serviceaccount bot")
    user.wait("secret/bot", "delete")
    assert "Unauthorized" in user.refused(f"--kubeconfig={tmp_path / 'bare.conf'} get pods")


def request(name: str, group: str, signer: str, user_name: str = "jane") -> Object:
    """A CertificateSigningRequest with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
        x509.NameAttribute(NameOID.COMMON_NAME, user_name),
    ]
    asked = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    )
    pem = asked.public_bytes(serialization.Encoding.PEM)
    return {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(pem).decode(), "signerName": signer,
            "usages": ["digital signature", "client auth"],
        },
    }  # fmt: skip


def test_certificates_are_approved_and_signed(user: User) -> None:
    client, kubelet = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
    user.apply(
        request("jane", "devs", client), request("node", "system:nodes", kubelet, "system:node:node-000009")
    )
    user.wait("csr/node", "jsonpath={.status.certificate}")  # approved by itself: the admin may ask for nodes
    assert condition(user.get("csr/node"), "Approved")["reason"] == "AutoApproved"
    assert "Pending" in user.run("get csr jane")
    user.run("certificate approve jane")
    user.wait("csr/jane", "jsonpath={.status.certificate}")
    made = x509.load_pem_x509_certificate(base64.b64decode(user.get("csr/jane")["status"]["certificate"]))
    assert made.subject.rfc4514_string() == "CN=jane,O=devs"
    assert "Approved,Issued" in user.run("get csr jane")


def test_cluster_roles_are_aggregated(user: User) -> None:
    label = {"rbac.example.com/aggregate": "true"}
    rule = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    user.apply(
        {**role, "metadata": {"name": "part", "labels": label}, "rules": [rule]},
        {
            **role,
            "metadata": {"name": "whole"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
            "rules": [],
        },
    )
    user.wait("clusterrole/whole", "jsonpath={.rules[0].resources[0]}=widgets")


def token(name: str, expiration: str) -> Object:
    said = {
        "token-id": name, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true",
        "expiration": expiration,
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token", "stringData": said,
        "metadata": {"name": f"bootstrap-token-{name}", "namespace": "kube-system"},
    }  # fmt: skip


def test_bootstrap_tokens_sign_cluster_info_until_their_time_is_over(user: User) -> None:
    info = {"name": "cluster-info", "namespace": "kube-public"}
    user.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": info, "data": {"kubeconfig": "clusters: []"}},
        token("aaaaaa", "2096-01-01T00:00:00Z"),
        token("bbbbbb", "2001-01-01T00:00:00Z"),
    )
    user.wait("secret/bootstrap-token-bbbbbb -n kube-system", "delete")
    user.wait("configmap/cluster-info -n kube-public", "jsonpath={.data.jws-kubeconfig-aaaaaa}")
    assert "jws-kubeconfig-bbbbbb" not in user.get("configmap cluster-info -n kube-public")["data"]
    assert names(user.items("secrets -n kube-system")) == {"bootstrap-token-aaaaaa"}


def test_a_namespace_is_gone_with_all_that_was_in_it(user: User) -> None:
    user.wait("namespace/shop", "delete")  # for which all tests above had their time
    assert user.items("pods -n shop") == []
