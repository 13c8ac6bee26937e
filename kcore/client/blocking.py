"""The in-process client for programs without an event loop: ``ControlPlane.client``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

from kcore.client.asynchronous import DEFAULT_NAMESPACE, AsyncClient, Warn
from kcore.client.calls import Object
from kcore.client.thread import ServerLoop, ended, following


class GetOptions(TypedDict, total=False):
    """Keyword arguments of ``get``."""

    api_version: str
    subresource: str
    resource_version: str


class ListOptions(TypedDict, total=False):
    """Keyword arguments of ``list``."""

    api_version: str
    label_selector: str
    field_selector: str
    limit: int
    continue_token: str
    resource_version: str


class CreateOptions(TypedDict, total=False):
    """Keyword arguments of ``create``."""

    subresource: str
    name: str
    dry_run: bool
    field_validation: str
    resource: str
    answered: bool


class UpdateOptions(TypedDict, total=False):
    """Keyword arguments of ``update``."""

    subresource: str
    dry_run: bool
    field_validation: str
    resource: str


class PatchOptions(TypedDict, total=False):
    """Keyword arguments of ``patch``."""

    type: str
    api_version: str
    subresource: str
    dry_run: bool
    force: bool
    field_manager: str
    field_validation: str
    answered: bool


class ApplyOptions(TypedDict, total=False):
    """Keyword arguments of ``apply``."""

    field_manager: str
    force: bool
    subresource: str
    dry_run: bool
    field_validation: str
    resource: str


class DeleteOptions(TypedDict, total=False):
    """Keyword arguments of ``delete``."""

    api_version: str
    grace_period_seconds: int | None
    propagation_policy: str
    preconditions: Mapping[str, str] | None
    dry_run: bool
    answered: bool


class DeleteCollectionOptions(TypedDict, total=False):
    """Keyword arguments of ``delete_collection``."""

    api_version: str
    label_selector: str
    field_selector: str
    grace_period_seconds: int | None
    propagation_policy: str
    dry_run: bool


class WatchOptions(TypedDict, total=False):
    """Keyword arguments of ``watch``."""

    api_version: str
    label_selector: str
    field_selector: str
    resource_version: str
    timeout_seconds: int
    bookmarks: bool
    send_initial_events: bool | None


class Client:
    """The synchronous face of ``AsyncClient``; methods and keyword arguments are its own.

    For threads other than the server's. RuntimeError once the control plane has stopped, and in a forked process.
    """

    def __init__(self, client: AsyncClient, loop: ServerLoop) -> None:
        self._client = client
        self._wait = loop.wait
        self._loop = loop

    @property
    def on_warning(self) -> Warn | None:
        """Called with each warning, in the server's thread; None: they are logged."""
        return self._client.on_warning

    @on_warning.setter
    def on_warning(self, warn: Warn | None) -> None:
        self._client.on_warning = warn

    def get(
        self, resource: str, name: str, namespace: str = DEFAULT_NAMESPACE, **options: Unpack[GetOptions]
    ) -> Object:
        """The object."""
        return self._wait(self._client.get(resource, name, namespace, **options))

    def list(self, resource: str, namespace: str = "", **options: Unpack[ListOptions]) -> Object:
        """The list, of all namespaces where none is given: ``{"metadata": .., "items": [..]}``."""
        return self._wait(self._client.list(resource, namespace, **options))

    def create(self, obj: Object, namespace: str = "", **options: Unpack[CreateOptions]) -> Object:
        """The object as stored. ``resource`` with ``name`` and ``subresource``: binding, eviction, token."""
        return self._wait(self._client.create(obj, namespace, **options))

    def update(self, obj: Object, **options: Unpack[UpdateOptions]) -> Object:
        """The object as stored; ApiError 409 where it carries a resourceVersion that is not the last."""
        return self._wait(self._client.update(obj, **options))

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = DEFAULT_NAMESPACE,
        **options: Unpack[PatchOptions],
    ) -> Object:
        """The object after the patch, whose ``type`` is json, merge (if not said), strategic or apply."""
        return self._wait(self._client.patch(resource, name, patch, namespace, **options))

    def apply(self, obj: Object, **options: Unpack[ApplyOptions]) -> Object:
        """Server-side apply; ApiError 409 where others own what would change, unless ``force``."""
        return self._wait(self._client.apply(obj, **options))

    def delete(
        self, resource: str, name: str, namespace: str = DEFAULT_NAMESPACE, **options: Unpack[DeleteOptions]
    ) -> Object:
        """The Status, or the object where it only begins to go."""
        return self._wait(self._client.delete(resource, name, namespace, **options))

    def delete_collection(
        self, resource: str, namespace: str = DEFAULT_NAMESPACE, **options: Unpack[DeleteCollectionOptions]
    ) -> Object:
        """The list of what was deleted."""
        return self._wait(self._client.delete_collection(resource, namespace, **options))

    def watch(
        self, resource: str, namespace: str = "", **options: Unpack[WatchOptions]
    ) -> Iterator[tuple[str, Object]]:
        """Events as they come: (type, object). ``timeout_seconds`` ends them, as do leaving the loop and the server's end."""
        events = self._client.batches(resource, namespace, **options)
        try:
            while (some := self._wait(following(events))) is not None:
                yield from some
        finally:
            if not self._loop.closing:
                self._loop.submit(ended(events))
