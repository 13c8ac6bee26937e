"""A control plane in this process: ``with kcore.ControlPlane() as cp:`` is an API server on loopback, ready at once.

With ``nodes=100`` it is a whole cluster, of simulated nodes.

The server runs in a thread with its own event loop; kubectl, client-go and the Python clients reach it over TLS by
``cp.kubeconfig``, this process without HTTP by ``cp.client`` and, in asyncio, by ``cp.async_client``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import difflib
import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kcore.api.errors import InputError
from kcore.client.asynchronous import AsyncClient
from kcore.client.blocking import Client
from kcore.client.thread import STOPPED, Elsewhere, ServerLoop
from kcore.components.choice import choose

if TYPE_CHECKING:
    from kcore.apiserver.driver import Running
    from kcore.components.assembly import Components

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 30.0
HOST: Final = "127.0.0.1"
PORT_MAX: Final = (1 << 16) - 1

T = TypeVar("T")
FlagValue = str | int | float | bool | Iterable[str]


class ControlPlane:
    """An API server with its store in this process, from ``start`` to ``stop`` or inside ``with`` or ``async with``.

    With ``nodes`` or ``components`` also a scheduler, the controllers and simulated nodes.

    Several may run at once, each with its own store, certificates and port. Errors of what is given here are
    ``kcore.InputError`` and, of a data directory, its base ``kcore.KcoreError``: one line each.

    Parameters
    ----------
    data_dir
        Where store, certificates and keys are kept, made where it is not there; a second control plane of the same
        folder goes on where the first stopped. Without one the store is in memory and everything ends with ``stop``.
    port
        Port on loopback; 0 is a free one.
    flags
        Any flags of ``kcore apiserver`` by name, dashes or underscores:
        ``{"authorization-mode": "AlwaysAllow", "service_cluster_ip_range": ["10.96.0.0/16"]}``.
    nodes
        How many simulated nodes there are. With any, a scheduler and the controllers run, too: pods come to life.
    components
        What runs beside the API server, of ``scheduler``, ``controller-manager`` and ``nodes``. By default nothing, and
        all of it with ``nodes``.
    node_template
        A file of manifests that the nodes are made from, in turn.
    stages
        How nodes and pods live: Kwok's stage files, folders, or built-in ones by name.

    Attributes
    ----------
    url : str
        Of the API server, as ``https://127.0.0.1:40123``.
    kubeconfig : str
        Path of the admin's kubeconfig; the file is gone after ``stop``.
    kubeconfig_dict : dict
        The same as a dict.
    client : kcore.client.blocking.Client
        Synchronous, without HTTP, as an admin.
    async_client : kcore.client.asynchronous.AsyncClient
        The same for ``await``, in any event loop of this process.

    Examples
    --------
    >>> with kcore.ControlPlane() as cp:
    ...     cp.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    ...     subprocess.run(["kubectl", "--kubeconfig", cp.kubeconfig, "get", "namespaces"], check=True)
    """

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        port: int = 0,
        flags: Mapping[str, FlagValue] | None = None,
        nodes: int = 0,
        components: Iterable[str] = (),
        node_template: str | Path = "",
        stages: Iterable[str | Path] = (),
    ) -> None:
        if not isinstance(port, int) or not 0 <= port <= PORT_MAX:
            raise InputError(f"cannot be {port!r}", field="port", expected=f"0 to {PORT_MAX}")
        self._data_dir = data_dir
        self._port = port
        self._flags = _texts(flags or {})
        self._choice = choose(
            [*components] or (None if nodes else ()),
            nodes,
            str(node_template),
            [*map(str, stages)],
            dashes="",
        )
        self._components: Components | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._server: ServerLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._folder: Path | None = None
        self.url = ""
        self.kubeconfig = ""
        self.kubeconfig_dict: dict[str, Any] = {}
        self.client: Client
        self.async_client: AsyncClient

    def __repr__(self) -> str:
        return f"<kcore.ControlPlane {self.url if self.is_running else 'stopped'}>"

    @property
    def is_running(self) -> bool:
        """True between ``start`` and ``stop``, in the process that started it."""
        return self._thread is not None and self._process == os.getpid()

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> ControlPlane:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def start(self) -> None:
        """The API server answers; raises what kept it from that, with nothing left behind."""
        if self._thread is not None:
            raise RuntimeError("it runs already")
        self._process = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="kcore-"))
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="kcore-controlplane", daemon=True
        )
        self._thread.start()
        atexit.register(self.stop)
        try:
            if not ready.wait(START_SECONDS_MAX):
                raise TimeoutError(f"the control plane was not ready within {START_SECONDS_MAX:g} s")
        except BaseException:  # the time is up, or somebody pressed Ctrl-C: it is not left running
            self.stop()
            raise
        if self._failure is not None:
            self.stop()  # which raises it

    def stop(self) -> None:
        """Nothing of it is left: no thread, socket or file but ``data_dir``'s. A second time changes nothing.

        In a process forked from the one that started it, nothing is done: all of it is the other's.
        """
        thread, self._thread = self._thread, None
        if thread is None or self._process != os.getpid():
            return
        atexit.unregister(self.stop)
        if self._server is not None:
            self._server.closing = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(STOP_SECONDS_MAX)
        self._loop = self._stop = None
        failure, self._failure = self._failure, None
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if thread.is_alive():
            raise TimeoutError(f"the control plane did not stop within {STOP_SECONDS_MAX:g} s")
        if failure is not None:
            raise failure

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns, run in the server's own loop while this thread waits.

        For many calls of ``async_client``: none of them goes from thread to thread then. What blocks in it blocks the
        server.
        """
        if self._server is None:
            work.close()
            raise RuntimeError(STOPPED)
        return self._server.wait(work)

    def _run(self, ready: threading.Event) -> None:
        import uvloop

        try:
            uvloop.run(self._serve(ready))
        except OSError as error:
            if self._data_dir is None or not error.filename:
                self._failure = error
            else:
                problem = f"cannot keep data there: {error.strerror}"
                self._failure = InputError(problem, file=str(error.filename), field="data_dir")
            ready.set()
        except BaseException as error:  # noqa: BLE001 - the thread that waits for ``ready`` is told
            self._failure = error
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        from kcore.apiserver import driver
        from kcore.apiserver.flags import gather
        from kcore.apiserver.local import LocalCalls

        assert self._folder is not None
        folder = Path(self._data_dir) if self._data_dir is not None else self._folder
        given = {
            "bind-address": HOST, "secure-port": str(self._port), "cert-dir": str(folder / "pki"),
            "data-dir": str(folder / "store") if self._data_dir is not None else "",
        }  # fmt: skip
        flags = gather({**given, **self._flags})
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        bound = driver.bind(flags["bind-address"], flags["secure-port"])
        try:
            running = await driver.start(flags, bound)
        except BaseException:
            bound.close()
            raise
        assembly = running.assembly
        calls = LocalCalls(assembly.registry, assembly.cacher, assembly.catalog)
        froze = not gc.get_freeze_count()  # else the program has, and would not want it undone
        try:
            self._publish(running, self._folder)
            await self._accompany(running)
            if froze:
                gc.freeze()  # else every collection of what callers are given walks what the start made
            server = self._server = ServerLoop(self._loop)
            self.client = Client(AsyncClient(calls), server)
            self.async_client = AsyncClient(Elsewhere(calls, server))
            ready.set()
            await self._stop.wait()
        finally:
            calls.end_watches()
            if self._components is not None:
                await self._components.stop()
            await running.stop()
            if froze:
                gc.unfreeze()

    async def _accompany(self, running: Running) -> None:
        """The components work, the nodes are registered."""
        if self._choice.names:
            from kcore.components.assembly import Components

            self._components = Components(self._choice, running)
            await self._components.start()

    def _publish(self, running: Running, folder: Path) -> None:
        from kcore.apiserver.pki import kubeconfig_text, write_private

        self.kubeconfig_dict = running.kubeconfig(HOST)
        self.url = f"https://{HOST}:{running.port}"
        path = folder / "kubeconfig"
        write_private(path, kubeconfig_text(self.kubeconfig_dict))
        self.kubeconfig = str(path)


def _texts(flags: Mapping[str, FlagValue]) -> dict[str, str]:
    """Flags by their own names, values as the command line has them; InputError where there is no such flag."""
    from kcore.apiserver.flags import BY_NAME

    made: dict[str, str] = {}
    for given, value in flags.items():
        name = given.removeprefix("--").replace("_", "-")
        if name not in BY_NAME:
            near = difflib.get_close_matches(name, BY_NAME, 1)
            raise InputError(
                f"there is no flag {given!r}", field="flags",
                expected=near[0] if near else "one of kcore apiserver --help",
            )  # fmt: skip
        if isinstance(value, bool):
            made[name] = str(value).lower()
        elif isinstance(value, str | int | float):
            made[name] = str(value)
        else:
            made[name] = ",".join(value)
    return made
