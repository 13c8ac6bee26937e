"""Every namespace has its ``default`` service account, and the root certificate in ``kube-root-ca.crt``.

Source: pkg/controller/serviceaccount/serviceaccounts_controller.go, pkg/controller/certificates/rootcacertpublisher of
Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Controller,
    Create,
    Failed,
    Key,
    Object,
    Steps,
    Update,
    View,
    Watched,
    done,
)
from kcore.controllers.refusals import is_terminating

ACCOUNT: Final = "default"
CONFIG_MAP: Final = "kube-root-ca.crt"
DESCRIPTION: Final = "kubernetes.io/description"
TEXT: Final = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def _of_namespace(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    if new is not None:
        yield Key("", new["metadata"]["name"])


def is_active(namespace: Object) -> bool:
    """Whether something may be created in it."""
    return bool(namespace.get("status", {}).get("phase", "Active") == "Active")


class ServiceAccount(Controller):
    """``serviceaccount-controller``."""

    name: ClassVar = "serviceaccount-controller"
    aliases: ClassVar = ("serviceaccount",)
    component: ClassVar = "serviceaccount-controller"
    workers: ClassVar[int] = 10

    @property
    def watches(self) -> Sequence[Watched]:
        """Namespaces, and accounts that go."""
        return (Watched("namespaces", _of_namespace), Watched("serviceaccounts", self._of_account))

    def _of_account(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is None and old is not None and old["metadata"]["name"] == ACCOUNT:
            yield Key("", old["metadata"]["namespace"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The namespace has its account."""
        namespace = view.get("namespaces", "", key.name)
        if namespace is None or not is_active(namespace) or view.get("serviceaccounts", key.name, ACCOUNT):
            return None
        account = {
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": key.name},
        }  # fmt: skip
        (outcome,) = yield [Create("serviceaccounts", account)]
        if (
            isinstance(outcome, ApiError)
            and outcome.reason != "AlreadyExists"
            and not is_terminating(outcome)
        ):
            raise Failed(str(outcome)) from outcome
        return None


class RootCertificate(Controller):
    """``root-ca-certificate-publisher-controller``: ``certificate`` is the PEM that clients verify the API server by."""

    name: ClassVar = "root-ca-certificate-publisher-controller"
    aliases: ClassVar = ("root-ca-cert-publisher",)
    component: ClassVar = "root-ca-cert-publisher"
    workers: ClassVar[int] = 10

    def __init__(self, certificate: str) -> None:
        self._certificate = certificate

    @property
    def watches(self) -> Sequence[Watched]:
        """Namespaces, and the config maps of that name."""
        return (Watched("namespaces", _of_namespace), Watched("configmaps", self._of_config_map))

    def _of_config_map(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if old is not None and old["metadata"]["name"] == CONFIG_MAP:
            yield Key("", old["metadata"]["namespace"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The namespace's config map has the certificate."""
        namespace = view.get("namespaces", "", key.name)
        if namespace is None or not is_active(namespace):
            return None
        data = {"ca.crt": self._certificate}
        found = view.get("configmaps", key.name, CONFIG_MAP)
        if found is None:
            metadata = {"name": CONFIG_MAP, "namespace": key.name, "annotations": {DESCRIPTION: TEXT}}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            (outcome,) = yield [Create("configmaps", made)]
            if isinstance(outcome, ApiError) and is_terminating(outcome):
                return None
            done([outcome])
            return None
        annotations = found["metadata"].get("annotations") or {}
        if found.get("data") == data and annotations.get(DESCRIPTION):
            return None
        metadata = {**found["metadata"], "annotations": {**annotations, DESCRIPTION: TEXT}}
        done((yield [Update("configmaps", {**found, "metadata": metadata, "data": data})]))
        return None
