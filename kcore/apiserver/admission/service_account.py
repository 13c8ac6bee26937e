"""ServiceAccount: every pod runs as one, and finds its token mounted unless it asks not to.

Source: plugin/pkg/admission/serviceaccount/admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request, refused
from kcore.apiserver.tokens import WARN_ONLY_EXPIRATION_SECONDS
from kcore.apiserver.view import Object, View

DEFAULT_NAME: Final = "default"
VOLUME_PREFIX: Final = "kube-api-access-"
MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
ENFORCE_ANNOTATION: Final = "kubernetes.io/enforce-mountable-secrets"
DEFAULT_MODE: Final = 0o644
LOOK_UPS_OF_DEFAULT_MAX: Final = 10  # the account may be made only now, after its namespace
LOOK_UP_PAUSE_S: Final = 0.15
TRUE_WORDS: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


def service_account(view: View, suffix: Callable[[], str]) -> Plugin:
    """The plugin over the accounts of the view; ``suffix`` makes what a generated name ends with."""
    accounts = _Accounts(view, suffix)
    return Plugin(
        "ServiceAccount",
        frozenset({CREATE, UPDATE}),
        frozenset({("", "pods")}),
        frozenset({"", "ephemeralcontainers"}),
        accounts.mutate,
        accounts.validate,
        traceable=True,
        keeps_shared=frozenset({"", "ephemeralcontainers"}),  # it changes new pods alone
    )


class _Accounts:
    """Both phases wait only where the cache does not show the account yet."""

    def __init__(self, view: View, suffix: Callable[[], str]) -> None:
        self._view = view
        self._suffix = suffix

    def mutate(self, request: Request) -> Awaitable[None] | None:
        """The pod has an account, and finds its token."""
        pod = request.obj
        if request.verb != CREATE or pod is None:
            return None
        if MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or ()):
            _check_mirror(request, pod)
            return None
        spec = pod["spec"]
        name = spec.get("serviceAccountName")
        if not name:
            name = spec["serviceAccountName"] = DEFAULT_NAME
        spec["serviceAccount"] = name
        account = self._view.get("", "serviceaccounts", request.op.namespace, name)
        if account is None:
            return self._complete_late(request, spec)
        _complete(spec, account, self._suffix)
        return None

    def validate(self, request: Request) -> Awaitable[None] | None:
        """The pod's account is there and lets it refer to the secrets that it refers to."""
        pod = request.obj
        if pod is None or (request.verb == UPDATE and request.op.subresource != "ephemeralcontainers"):
            return None
        if request.verb == CREATE and MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or ()):
            _check_mirror(request, pod)
            return None
        spec = pod["spec"]
        name = spec.get("serviceAccountName")
        if not name:
            title = pod["metadata"].get("name", "")
            raise refused(request, f"no service account specified for pod {request.op.namespace}/{title}")
        account = self._view.get("", "serviceaccounts", request.op.namespace, name)
        if account is None:
            return self._check_late(request, spec)
        _check_secrets(request, spec, account)
        return None

    async def _complete_late(self, request: Request, spec: Object) -> None:
        _complete(spec, await self._look_up(request, spec["serviceAccountName"]), self._suffix)

    async def _check_late(self, request: Request, spec: Object) -> None:
        _check_secrets(request, spec, await self._look_up(request, spec["serviceAccountName"]))

    async def _look_up(self, request: Request, name: str) -> Object:
        """The account as the store has it; that of a new namespace is waited for."""
        namespace = request.op.namespace
        for attempt in range(LOOK_UPS_OF_DEFAULT_MAX if name == DEFAULT_NAME else 1):
            if attempt:
                await asyncio.sleep(LOOK_UP_PAUSE_S)
            found = await self._view.live("", "serviceaccounts", namespace, name)
            if found is not None:
                return found
        raise refused(
            request, f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        )


def token_volume_source() -> Object:
    """The projected volume: a token that is renewed, the cluster's authority, the namespace's name."""
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": WARN_ONLY_EXPIRATION_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": DEFAULT_MODE,
    }


def _complete(spec: Object, account: Object, suffix: Callable[[], str]) -> None:
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = account.get("automountServiceAccountToken")
    if automount is None or automount:
        _mount(spec, suffix)
    if not spec.get("imagePullSecrets") and (secrets := account.get("imagePullSecrets")):
        spec["imagePullSecrets"] = [{"name": each.get("name", "")} for each in secrets]


def _mount(spec: Object, suffix: Callable[[], str]) -> None:
    volumes = spec.get("volumes") or []
    name = next((each["name"] for each in volumes if each.get("name", "").startswith(VOLUME_PREFIX)), None)
    is_there = name is not None
    is_used = False
    for side in ("initContainers", "containers"):
        for container in spec.get(side) or ():
            mounts = container.get("volumeMounts")
            if mounts and any(each.get("mountPath") == MOUNT_PATH for each in mounts):
                continue
            if name is None:
                name = VOLUME_PREFIX + suffix()
            mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
            container["volumeMounts"] = [*mounts, mount] if mounts else [mount]
            is_used = True
    if is_used and not is_there:
        spec["volumes"] = [*volumes, {"name": name, "projected": token_volume_source()}]


def _check_mirror(request: Request, pod: Object) -> None:
    spec = pod["spec"]
    if spec.get("serviceAccountName"):
        raise refused(request, "a mirror pod may not reference service accounts")
    if next(_secret_names(spec), None) is not None:
        raise refused(request, "a mirror pod may not reference secrets")
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("serviceAccountToken") is not None:
                raise refused(request, "a mirror pod may not use ServiceAccountToken volume projections")


def _secret_names(spec: Object) -> Iterator[str]:
    """Secrets that the pod refers to (VisitPodSecretNames)."""
    for secret in spec.get("imagePullSecrets") or ():
        yield secret.get("name", "")
    for _, _, container in _containers(spec):
        for _, name in _secrets_of(container):
            yield name
    for volume in spec.get("volumes") or ():
        if (secret := volume.get("secret")) is not None:
            yield secret.get("secretName", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (secret := source.get("secret")) is not None:
                yield secret.get("name", "")
        for kind in ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"):
            if (secret := (volume.get(kind) or {}).get("secretRef")) is not None:
                yield secret.get("name", "")
        if "azureFile" in volume:
            yield volume["azureFile"].get("secretName", "")
        if (secret := (volume.get("csi") or {}).get("nodePublishSecretRef")) is not None:
            yield secret.get("name", "")


def _containers(spec: Object) -> Iterator[tuple[str, str, Object]]:
    """Each with the side it stands on and the words for it."""
    for side, title in (
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ):
        for container in spec.get(side) or ():
            yield side, title, container


def _secrets_of(container: Object) -> Iterator[tuple[str, str]]:
    """Each secret's name after the words for the place that names it."""
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference is not None:
            yield f"envVar {variable.get('name', '')}", reference.get("name", "")
    for source in container.get("envFrom") or ():
        if (reference := source.get("secretRef")) is not None:
            yield "envFrom", reference.get("name", "")


def _check_secrets(request: Request, spec: Object, account: Object) -> None:
    annotation = (account["metadata"].get("annotations") or {}).get(ENFORCE_ANNOTATION)
    if annotation not in TRUE_WORDS:
        return
    fault = _unmountable(spec, account, request.op.subresource == "ephemeralcontainers")
    if fault is not None:
        raise refused(request, fault)


def _unmountable(spec: Object, account: Object, only_ephemeral: bool) -> str | None:
    title = account["metadata"].get("name", "")
    mountable = _names(account.get("secrets"))
    if not only_ephemeral:
        for volume in spec.get("volumes") or ():
            secret = volume.get("secret")
            if secret is not None and (name := secret.get("secretName", "")) not in mountable:
                return (
                    f'volume with secret.secretName="{name}" is not allowed because service account {title} does not '
                    "reference that secret"
                )
    for side, words, container in _containers(spec):
        if (side == "ephemeralContainers") != only_ephemeral:
            continue
        for place, name in _secrets_of(container):
            if name not in mountable:
                return (
                    f'{words} {container.get("name", "")} with {place} referencing secret.secretName="{name}" is not '
                    f"allowed because service account {title} does not reference that secret"
                )
    if only_ephemeral:
        return None
    pullable = _names(account.get("imagePullSecrets"))
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if secret.get("name", "") not in pullable:
            return (
                f'imagePullSecrets[{index}].name="{secret.get("name", "")}" is not allowed because service account '
                f"{title} does not reference that imagePullSecret"
            )
    return None


def _names(references: Any) -> set[str]:
    return {each.get("name", "") for each in references or ()}
