"""One API server from its parts: store, cache, registry, guards, pages.

The order of the start: the watch cache begins to follow the store, what guards need is read, bootstrap objects are
written; then ``/readyz`` says so. Everything is in the loop that calls this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.api.resources import ROWS
from kcore.api.resources import catalog as catalogs
from kcore.api.rows import GroupVersionKind, Row
from kcore.api.status import ApiError
from kcore.apiserver import local_groups
from kcore.apiserver.admission.order import Surroundings, admission
from kcore.apiserver.authn import Authenticator
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.impersonation import impersonated, wanted_user
from kcore.apiserver.authz.modes import authorizer_of
from kcore.apiserver.authz.rbac import RBAC
from kcore.apiserver.bootstrap import ClusterSettings, NamespaceObjects, bootstrap
from kcore.apiserver.bootstrap.writing import ensure
from kcore.apiserver.cache_view import CacheView
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.compaction import Compactor
from kcore.apiserver.dangling import DanglingConditions
from kcore.apiserver.documents import Documents
from kcore.apiserver.fairness import Classifier
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.health import Health
from kcore.apiserver.local_groups import LocalGroup
from kcore.apiserver.metrics import Metrics
from kcore.apiserver.operation import Operation, Result
from kcore.apiserver.proxying import Kubelets
from kcore.apiserver.registry import Registry
from kcore.apiserver.registry.components import components_of
from kcore.apiserver.registry.core import Core, SystemChance
from kcore.apiserver.registry_of import make_registry
from kcore.apiserver.release import GIT_VERSION, version_info
from kcore.apiserver.request import RequestInfo
from kcore.apiserver.reviews import Reviews
from kcore.apiserver.served import served
from kcore.apiserver.server import ApiServer, Guards, Settings
from kcore.apiserver.services.repair import AddressRepair
from kcore.apiserver.storage import Storage
from kcore.apiserver.tracing import TracedView, Tracing
from kcore.apiserver.user import UserInfo
from kcore.apiserver.verbs import Verbs
from kcore.apiserver.writer import RegistryWriter
from kcore.store.errors import StoreError
from kcore.store.kv import KV

# what guards and admission look at on every request; in memory before the first
GUARDED: Final = (
    ("", "namespaces"), ("", "serviceaccounts"), ("", "limitranges"), ("", "nodes"), ("", "configmaps"),
    ("", "resourcequotas"), ("", "services"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "servicecidrs"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"), ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("node.k8s.io", "runtimeclasses"), ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "storageclasses"), ("networking.k8s.io", "ingressclasses"),
    ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"), ("rbac.authorization.k8s.io", "clusterrolebindings"),
)  # fmt: skip
REVIEWED: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
HOOK: Final = "start-kcore-bootstrap"
CHECK_SECONDS_MAX: Final = 2.0

log = logging.getLogger("kcore.apiserver")


@dataclass(slots=True)
class Options:
    """What an API server is to be. ``authenticator`` is made with view and writer of the cluster; None: everybody is admin."""

    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    authorization_modes: Sequence[str] = ("RBAC",)
    authenticator: Callable[[Any, Any], Authenticator] | None = None
    plugins_on: Sequence[str] = ()
    plugins_off: Sequence[str] = ()
    root_ca: str = ""
    settings: Settings = field(default_factory=Settings)
    event_ttl_seconds: int = 3600
    prefix: str = "/registry"
    address: Callable[[], str] = str
    openid: Any = None
    tokens: Any = None
    kubelet_tls: Callable[[], ssl.SSLContext | None] = lambda: None
    audiences: Sequence[str] = ()
    node_ports: tuple[int, int] | None = None
    compaction_seconds: float = 300.0
    switches: Mapping[str, bool] = field(default_factory=dict)  # --runtime-config
    git_version: str = GIT_VERSION  # that is reported


class Assembly:
    """A running API server without a socket."""

    def __init__(self, kv: KV, options: Options) -> None:
        self.kv = kv
        self.options = options
        self.catalog = catalogs.Catalog(served(ROWS, options.switches, GUARDED) if options.switches else ROWS)
        self.storage = Storage(kv, prefix=options.prefix, event_ttl_seconds=options.event_ttl_seconds)
        self.cacher = Cacher(self.storage)
        self.view = CacheView(self.cacher, self.catalog.rows)
        self.metrics = Metrics(version_info(options.git_version))
        self.storage.observe = self.metrics.stored
        self.health = Health(self._store_is_well)
        self.health.hooks[HOOK] = False
        self.tasks: list[asyncio.Task[None]] = []
        self._namespaces: asyncio.Task[None] | None = None
        self.registry: Registry
        self.server: ApiServer

    async def start(self) -> ApiServer:
        """The server answers; bootstrap objects are there."""
        await self.cacher.start()
        await self.view.start(*GUARDED)
        options = self.options
        bindings = Bindings()
        await bindings.follow(self.view)
        self.authorizer = authorizer_of(options.authorization_modes, lambda: RBAC(bindings))
        chance = SystemChance()
        writer = RegistryWriter(self.catalog)
        tracing = Tracing()
        around = Surroundings(
            TracedView(self.view, tracing), writer, self.authorizer, bindings, tracing.suffix(chance.suffix),
            self._kind_of, tracing=tracing,
        )  # fmt: skip
        self.registry = writer.registry = make_registry(
            self.storage,
            self.cacher,
            self.catalog,
            admission(around, enable=options.plugins_on, disable=options.plugins_off),
            chance=chance,
            tokens=options.tokens,
            service_cidrs=options.cluster.service_ranges,
            node_ports=options.node_ports,
            view=self.view,
        )
        self._writer = writer
        self.registry.core.computed["", "componentstatuses"] = components_of(self._store_is_well)
        guards = self._guards(bindings, writer)
        verbs = Verbs(self.registry, self.cacher, self.catalog, time.time, self.metrics)
        self.server = ApiServer(
            self.catalog, verbs, guards, self.health,
            Documents(self.catalog, options.address, options.git_version), self.metrics, kubelets=Kubelets(self.registry.core, options.kubelet_tls), openid=options.openid, settings=options.settings, storage_objects=self._objects,
        )  # fmt: skip
        now = self.registry.core.now
        await bootstrap(options.cluster, self.view, writer, now=now, root_ca=options.root_ca)
        conditions = DanglingConditions(self.view, self.cacher, self.registry, self.catalog)
        await conditions.write()
        self._run(conditions.run())
        self.health.hooks[HOOK] = True
        self._forgetting = self._run(local_groups.forget_others(self.view, self.catalog, writer))
        if options.root_ca:
            self._namespaces = self._run(NamespaceObjects(self.view, writer, options.root_ca).run())
        self._run(AddressRepair(self.view, writer, self.registry.core.now_seconds).run())
        if options.compaction_seconds:
            compactor = Compactor(self.kv, self.cacher.before_compaction, options.compaction_seconds)
            self._run(compactor.run())
        return self.server

    def _kind_of(self, api_version: str, kind: str) -> Row | None:
        return self.catalog.by_kind(GroupVersionKind.of(api_version, kind))

    def _guards(self, bindings: Bindings, writer: RegistryWriter) -> Guards:
        authorizer = self.authorizer
        if self.options.authenticator is None:
            self._answer_reviews(Reviews(None, authorizer, bindings, self.options.audiences))
            admin = UserInfo("kcore-admin", groups=("system:masters", "system:authenticated"))

            async def everybody(headers: HeaderFields, der: bytes | None, path: str) -> UserInfo:
                return admin

            return Guards(everybody, authorizer, classify=self._classify())
        authenticator = self.options.authenticator(self.view, writer)
        self._answer_reviews(Reviews(authenticator, authorizer, bindings, self.options.audiences))

        def impersonate(user: UserInfo, info: RequestInfo, headers: HeaderFields) -> UserInfo:
            wanted = wanted_user(headers)
            return user if wanted is None else impersonated(authorizer, user, wanted, info)

        return Guards(authenticator.authenticate, authorizer, impersonate, self._classify())

    def _classify(self) -> Any:
        return Classifier(self.view).headers

    def _answer_reviews(self, reviews: Reviews) -> None:
        """POSTs of reviews store nothing; they are answered."""

        async def review(core: Core, op: Operation, obj: Any) -> Result:
            row = op.row
            made = await reviews.create(row.group, row.plural, op.namespace, obj, op.user, core.now())
            made.setdefault("kind", row.kind)
            made.setdefault("apiVersion", row.api_version)
            return Result(201, made)

        creates = self.registry.core.creates
        for row in self.catalog.rows:
            if row.group in REVIEWED and row.plural.endswith("reviews"):
                creates[row.group, row.plural, ""] = review

    async def serve(self, group: LocalGroup) -> None:
        """The group is served too, until ``withdraw``; an APIService says so."""
        await asyncio.wait([self._forgetting])
        self.catalog.add(group.sources)
        for row, source in group.sources.items():
            self.registry.core.computed[row.group, row.plural] = source
        await ensure(local_groups.objects_of(group), self.view, self._writer)

    async def withdraw(self, group: LocalGroup) -> None:
        """The group is served no more."""
        self.catalog.remove(group.sources)
        for row in group.sources:
            del self.registry.core.computed[row.group, row.plural]
        await local_groups.forget(group.name, self._writer)

    def leave_namespaces(self) -> None:
        """Controllers see to what every namespace must hold, and the server does no longer."""
        if self._namespaces is not None:
            self._namespaces.cancel()

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        return task

    async def _store_is_well(self) -> str:
        await asyncio.sleep(
            0
        )  # in a task from here on, which wait_for needs: the door runs a request without one
        try:
            await asyncio.wait_for(self.kv.get(b"health"), CHECK_SECONDS_MAX)
        except (StoreError, ApiError) as error:
            return f"error getting data from etcd: {error}"
        except TimeoutError:
            return "error getting data from etcd: context deadline exceeded"
        return ""

    def _objects(self) -> dict[tuple[str, str], int]:
        """How many objects of each resource are in memory."""
        counts: dict[tuple[str, str], int] = {}
        for resource in self.cacher._resources.values():
            row = resource.row
            counts[row.group, row.plural] = len(resource.cache.table)
        return counts

    async def stop(self) -> None:
        """Watches have ended; nothing runs any more. The store is the caller's to close."""
        self.health.stopping = True
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if hasattr(self, "server"):
            self.server.verbs.end_watches()
        await self.cacher.close()
