"""In every namespace: the account that pods run as, and the authority that they verify this server by.

``reconcile`` is the controllers' part (serviceaccount and root-ca-cert-publisher), pure; ``NamespaceObjects`` performs
what it says until the controller manager does. Source: pkg/controller/serviceaccount and
pkg/controller/certificates/rootcacertpublisher of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.apiserver.view import View, Writer

Object = dict[str, Any]

ACCOUNT: Final = "default"
ROOT_CA: Final = "kube-root-ca.crt"
ROOT_CA_KEY: Final = "ca.crt"
DESCRIPTION: Final = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
RETRY_PAUSE_S: Final = 0.5

_log = logging.getLogger(__name__)


def objects_of(namespace: str, root_ca: str) -> list[Object]:
    """What a namespace must hold."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": ROOT_CA,
                "namespace": namespace,
                "annotations": {"kubernetes.io/description": DESCRIPTION},
            },
            "data": {ROOT_CA_KEY: root_ca},
        },
    ]


def reconcile(namespace: str, view: View, root_ca: str) -> list[tuple[str, Object]]:
    """What to do for the namespace: ``("create" | "update", object)`` pairs; none where all is well or it is going."""
    found = view.get("", "namespaces", "", namespace)
    if found is None or (found.get("status") or {}).get("phase") == "Terminating":
        return []
    if found["metadata"].get("deletionTimestamp"):
        return []
    account, bundle = objects_of(namespace, root_ca)
    actions: list[tuple[str, Object]] = []
    if view.get("", "serviceaccounts", namespace, ACCOUNT) is None:
        actions.append(("create", account))
    present = view.get("", "configmaps", namespace, ROOT_CA)
    if present is None:
        actions.append(("create", bundle))
    elif present.get("data") != bundle["data"]:
        actions.append(("update", {**present, "data": bundle["data"]}))
    return actions


class NamespaceObjects:
    """Follows namespaces, accounts and config maps, and does what ``reconcile`` says."""

    def __init__(self, view: View, writer: Writer, root_ca: str) -> None:
        self._view = view
        self._writer = writer
        self._root_ca = root_ca
        self._pending: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        self._view.follow("", "namespaces", self._namespace_changed)
        self._view.follow("", "serviceaccounts", self._account_changed)
        self._view.follow("", "configmaps", self._bundle_changed)
        while True:
            await self._wake.wait()
            self._wake.clear()
            pending, self._pending = self._pending, set()
            results = await asyncio.gather(
                *(self.ensure(namespace) for namespace in pending), return_exceptions=True
            )
            failed = [ns for ns, result in zip(pending, results, strict=True) if result is not None]
            if failed:
                await asyncio.sleep(RETRY_PAUSE_S)
                self._pending.update(failed)
                self._wake.set()

    async def ensure(self, namespace: str) -> None:
        """The namespace holds what it must; ApiError where that cannot be written now."""
        for verb, obj in reconcile(namespace, self._view, self._root_ca):
            metadata = obj["metadata"]
            if verb == "create":
                with contextlib.suppress(_Harmless):
                    await self._create(obj)
            else:
                await self._writer.update("", "configmaps", namespace, metadata["name"], self._with_bundle)

    def _with_bundle(self, live: Object) -> Object:
        return {**live, "data": {ROOT_CA_KEY: self._root_ca}}

    async def _create(self, obj: Object) -> None:
        try:
            await self._writer.create(obj)
        except ApiError as error:
            # it is there already, or its namespace is going or gone: nothing is missing
            if error.reason in ("AlreadyExists", "NotFound") or error.code == 403:
                raise _Harmless from None
            _log.warning("%s %s: %s", obj["kind"], obj["metadata"]["name"], error)
            raise

    def _namespace_changed(self, namespace: str, name: str, obj: Object | None) -> None:
        if obj is not None:
            self._queue(name)

    def _account_changed(self, namespace: str, name: str, obj: Object | None) -> None:
        if name == ACCOUNT and obj is None:
            self._queue(namespace)

    def _bundle_changed(self, namespace: str, name: str, obj: Object | None) -> None:
        if name == ROOT_CA and (obj is None or (obj.get("data") or {}).get(ROOT_CA_KEY) != self._root_ca):
            self._queue(namespace)

    def _queue(self, namespace: str) -> None:
        self._pending.add(namespace)
        self._wake.set()


class _Harmless(Exception):
    """A refusal that leaves nothing to do."""
