"""A control plane in this process: ``with kcore.ControlPlane() as cp:`` is an API server on loopback, ready at once.

The server runs in a thread with its own event loop; kubectl, client-go and the Python clients reach it over TLS by
``cp.kubeconfig``, this process without HTTP by ``cp.client``.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from kcore.client.local import Client, LocalClient

if TYPE_CHECKING:
    from kcore.apiserver.driver import Running

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 30.0
HOST: Final = "127.0.0.1"


class ControlPlane:
    """An API server with its store; the attributes are there between ``start`` and ``stop``, or inside ``with``.

    Parameters
    ----------
    data_dir
        Where the store is kept; in memory without one.
    port
        Port on loopback; 0 is a free one.
    flags
        Any flags of ``kcore apiserver`` by name, as text: ``{"authorization-mode": "AlwaysAllow"}``.

    Attributes
    ----------
    url
        Of the API server.
    kubeconfig
        Path of the admin's kubeconfig; the file is gone after ``stop``.
    kubeconfig_dict
        The same as a dict.
    client
        ``kcore.client.local.Client``: synchronous, without HTTP.
    """

    def __init__(
        self, *, data_dir: str | Path | None = None, port: int = 0, flags: dict[str, str] | None = None
    ) -> None:
        self._data_dir = data_dir
        self._port = port
        self._flags = flags or {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.url = ""
        self.kubeconfig = ""
        self.kubeconfig_dict: dict[str, Any] = {}
        self.client: Client
        self.async_client: LocalClient

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """The API server answers; raises what kept it from that."""
        if self._thread is not None:
            raise RuntimeError("it runs already")
        self._folder = tempfile.TemporaryDirectory(prefix="kcore-")
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="kcore-controlplane", daemon=True
        )
        self._thread.start()
        if not ready.wait(START_SECONDS_MAX):
            raise TimeoutError(f"the control plane was not ready within {START_SECONDS_MAX:g} s")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._thread.join()
            self._thread = None
            self._folder.cleanup()
            raise failure

    def stop(self) -> None:
        """Nothing of it is left; a second time changes nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(STOP_SECONDS_MAX)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _run(self, ready: threading.Event) -> None:
        import uvloop

        try:
            uvloop.run(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 - the thread that waits for ``ready`` is told
            self._failure = error
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        from kcore.apiserver import driver
        from kcore.apiserver.flags import gather
        from kcore.apiserver.local import LocalCalls

        assert self._folder is not None
        folder = Path(self._data_dir) if self._data_dir is not None else Path(self._folder.name)
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
        try:
            self._publish(running, Path(self._folder.name))
            assembly = running.assembly
            calls = LocalCalls(assembly.registry, assembly.cacher, assembly.catalog)
            self.async_client = LocalClient(calls)
            self.client = Client(self.async_client, self._loop)
            ready.set()
            await self._stop.wait()
        finally:
            await running.stop()

    def _publish(self, running: Running, folder: Path) -> None:
        from kcore.apiserver.pki import kubeconfig_text, write_private

        self.kubeconfig_dict = running.kubeconfig(HOST)
        self.url = f"https://{HOST}:{running.port}"
        path = folder / "kubeconfig"
        write_private(path, kubeconfig_text(self.kubeconfig_dict))
        self.kubeconfig = str(path)
