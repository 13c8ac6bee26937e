"""A live cluster is read through its API: lists only, a page at a time, decoded as files are.

Kubeconfig files, contexts, certificates, tokens and credential plugins are lightkube's business (the extra ``live``);
the pages are taken as raw bytes and decoded by msgspec, never as the client's models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from kcore.api.errors import InputError
from kcore.sources.intake import Intake
from kcore.sources.reading import SourceObjects, collector_off, from_intake

PAGE_OBJECTS = 1000  # asked for at a time
TIMEOUT_SECONDS = 60.0  # for one page
PAGES_MAX = 10_000
EXPIRED_RESTARTS_MAX = 3  # a list whose continue token expires is begun again this often


class Listed(NamedTuple):
    """A kind that is listed, and its path."""

    kind: str
    path: str


LISTED = (
    Listed("Node", "/api/v1/nodes"),
    Listed("Namespace", "/api/v1/namespaces"),
    Listed("Pod", "/api/v1/pods"),
    Listed("Service", "/api/v1/services"),
    Listed("ReplicationController", "/api/v1/replicationcontrollers"),
    Listed("ReplicaSet", "/apis/apps/v1/replicasets"),
    Listed("StatefulSet", "/apis/apps/v1/statefulsets"),
    Listed("PodDisruptionBudget", "/apis/policy/v1/poddisruptionbudgets"),
    Listed("PriorityClass", "/apis/scheduling.k8s.io/v1/priorityclasses"),
    Listed("PersistentVolume", "/api/v1/persistentvolumes"),
    Listed("PersistentVolumeClaim", "/api/v1/persistentvolumeclaims"),
    Listed("StorageClass", "/apis/storage.k8s.io/v1/storageclasses"),
    Listed("CSINode", "/apis/storage.k8s.io/v1/csinodes"),
    Listed("CSIDriver", "/apis/storage.k8s.io/v1/csidrivers"),
    Listed("CSIStorageCapacity", "/apis/storage.k8s.io/v1/csistoragecapacities"),
    Listed("VolumeAttachment", "/apis/storage.k8s.io/v1/volumeattachments"),
)


class _ListMeta(Struct, rename={"continue_": "continue"}, gc=False):
    continue_: str | None = None


class _Page(Struct, gc=False):
    metadata: _ListMeta = field(default_factory=_ListMeta)


class _Status(Struct, gc=False):
    message: str = ""


def from_kubeconfig(path: str | None = None, context: str | None = None) -> SourceObjects:
    """Everything that scheduling needs of a live cluster; nothing in it is changed.

    Without a path the file is that of ``KUBECONFIG`` or ``~/.kube/config``; without a context, its current one.
    Raises InputError in one line for an unreachable server, wrong credentials or a missing permission.
    """
    client, server, errors = _client(path, context)
    intake = Intake()
    with client, collector_off():
        for listed in LISTED:
            for page in _pages(client, listed, server, errors):
                intake.json(page, server)
        return from_intake(intake)


def _client(path: str | None, context: str | None) -> tuple[Any, str, tuple[type[Exception], ...]]:
    """An HTTP client that is logged in to the context's cluster, the server's URL, and the errors it may raise."""
    try:
        from lightkube.config import client_adapter
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ModuleNotFoundError as error:
        raise InputError(
            f"reading a live cluster needs the package {error.name}", expected="pip install 'kcore[live]'"
        ) from None
    listed = [each for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    name = path or (listed[0] if listed else os.path.join("~", ".kube", "config"))
    errors = (client_adapter.httpx.HTTPError, client_adapter.httpx.InvalidURL, OSError, ConfigError)
    try:
        config = KubeConfig.from_file(name).get(context)
        parameters = client_adapter.ConnectionParams(timeout=client_adapter.httpx.Timeout(TIMEOUT_SECONDS))
        if config is None or not config.cluster.server:
            raise InputError("names no server", file=name, field="clusters")
        if config.user is None:  # the adapter insists on a user; an anonymous one has no credentials
            config = config._replace(user=client_adapter.User())
        return client_adapter.Client(config, parameters), config.cluster.server, errors
    except errors as error:
        raise InputError(f"cannot be used: {error}", file=name, expected="a kubeconfig") from None
    except KeyError as error:
        raise InputError(f"has no {error}", file=name, expected="a kubeconfig") from None
    except (msgspec.ValidationError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is not a kubeconfig: {error}", file=name, expected="a kubeconfig") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        raise InputError(f"is not YAML: {error}", file=name, expected="a kubeconfig") from None


def _pages(client: Any, listed: Listed, server: str, errors: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """The bodies of all pages of one list; begun again where its continue token has expired meanwhile."""
    for _ in range(EXPIRED_RESTARTS_MAX):
        pages: list[bytes] = []
        token: str | None = None
        while len(pages) < PAGES_MAX:
            parameters = {"limit": str(PAGE_OBJECTS), **({"continue": token} if token else {})}
            try:
                response = client.get(listed.path, params=parameters, headers={"Accept": "application/json"})
                body = response.content
            except errors as error:
                raise InputError(f"cannot be reached: {error or type(error).__name__}", file=server) from None
            if response.status_code == 410 and token:
                break
            if response.status_code != 200:
                raise _refused(listed, response.status_code, body, server)
            pages.append(body)
            try:
                token = msgspec.json.decode(body, type=_Page).metadata.continue_
            except (msgspec.DecodeError, RecursionError, UnicodeError):
                raise InputError(
                    f"answers {listed.path} with something that is no list",
                    file=server,
                    expected="a Kubernetes API",
                ) from None
            if not token:
                yield from pages
                return
        else:
            raise InputError(f"lists {listed.kind} on more than {PAGES_MAX} pages", file=server)
    raise InputError(f"the list of {listed.kind} changes faster than it can be read", file=server)


def _refused(listed: Listed, code: int, body: bytes, server: str) -> InputError:
    """What the server's refusal means, with its own words."""
    try:
        message = msgspec.json.decode(body, type=_Status).message
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        message = ""
    said = f": {message}" if message else ""
    if code == 401:
        return InputError(
            f"does not accept the credentials{said}", file=server, expected="a user that may log in"
        )
    if code == 403:
        return InputError(
            f"does not permit listing {listed.kind}{said}",
            file=server,
            expected="the verb list, as in ClusterRole view",
        )
    return InputError(
        f"answers {listed.path} with HTTP {code}{said}", file=server, expected="a Kubernetes API"
    )
