"""Who one is to the server, kept fresh: headers for each request, a TLS context for each new connection.

A token file is read again once a minute, certificate files when they have changed, a plugin is run again when what it
said has expired or the server answers 401.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from kcore.api.errors import InputError
from kcore.client import exec_plugin
from kcore.client.exec_plugin import Credential
from kcore.client.kubeconfig import Access
from kcore.clock import REAL, Clock
from kcore.http.message import Header

FILES_SECONDS: Final = 60.0  # between looks at the files
ALPN: Final = ["h2", "http/1.1"]


class Credentials:
    """See the module. ``headers`` are of the moment; ``fresh`` sees to it that they are right."""

    def __init__(self, access: Access, clock: Clock = REAL) -> None:
        self._access = access
        self._clock = clock
        self._due_s = float("-inf")
        self._token = access.token
        self._plugin = (
            access.exec_plugin
            if not (access.token or access.token_path or access.username or access.certificate)
            else None
        )
        self._credential: Credential | None = None  # None: it must be asked for
        self._said: Credential | None = None  # the last one
        self._running: asyncio.Task[Credential] | None = None
        self._stamp: tuple[Any, ...] = ()
        self._impersonation = _impersonation(access)
        self.tls: ssl.SSLContext | None = None
        self.headers: tuple[Header, ...] = ()
        self.generation = 0  # rises when who one is is said in another way

    @property
    def is_due(self) -> bool:
        """Whether ``fresh`` has something to look at."""
        return self._clock.monotonic_s() >= self._due_s or (
            self._credential is not None
            and self._credential.expires_s > 0
            and self._clock.time_s() >= self._credential.expires_s
        )

    async def fresh(self) -> bool:
        """Headers and TLS context are right; True where the latter is another than before. InputError."""
        if self._plugin is not None:
            known = self._credential
            if known is None or (0 < known.expires_s <= self._clock.time_s()):
                await self._run_plugin()
        self._due_s = self._clock.monotonic_s() + FILES_SECONDS
        if self._access.token_path:
            self._read_token()
        self._set_headers()
        stamp = self._shown()
        if self._access.url.scheme == "https" and (self.tls is None or stamp != self._stamp):
            self.tls = self._context()
            self._stamp = stamp
            return True
        return False

    async def refused(self, generation: int) -> bool:
        """The server answered 401 to what was of that generation: True where it is worth another try."""
        if generation != self.generation:
            return True  # it has been renewed meanwhile
        if self._plugin is not None:
            self._credential = None
        elif not self._access.token_path:
            return False
        await self.fresh()
        return generation != self.generation

    async def _run_plugin(self) -> None:
        """The plugin was run, once for all that wait for it."""
        assert self._plugin is not None
        if self._running is None or self._running.done():
            work = exec_plugin.run(self._plugin, self._access.source)
            self._running = asyncio.get_running_loop().create_task(work)
        before, self._credential = self._said, await asyncio.shield(self._running)
        self._said = self._credential
        if before != self._said:
            self.generation += 1

    def _read_token(self) -> None:
        try:
            text = Path(self._access.token_path).read_text(encoding="utf-8").strip()
        except OSError as error:
            if self._token:
                return  # the one that was read last is perhaps still good, as client-go's tokens are
            raise InputError(
                f"cannot read {self._access.token_path}: {error.strerror}",
                file=self._access.source,
                field="tokenFile",
            ) from None
        if text and text != self._token:
            self._token = text
            self.generation += 1

    def _set_headers(self) -> None:
        access = self._access
        token = self._credential.token if self._credential is not None else self._token
        made: list[Header] = []
        if token:
            made.append((b"authorization", b"Bearer " + token.encode()))
        elif access.username or access.password:
            pair = f"{access.username}:{access.password}".encode()
            made.append((b"authorization", b"Basic " + base64.b64encode(pair)))
        self.headers = (*made, *self._impersonation)

    def _shown(self) -> tuple[Any, ...]:
        """What tells one set of certificates from another: when their files were written, what a plugin gave."""
        access = self._access
        paths = [each.path for each in (access.authority, access.certificate, access.key) if each.path]
        times = [os.stat(path).st_mtime if Path(path).exists() else 0.0 for path in paths]
        return (*times, self._credential.certificate if self._credential is not None else b"")

    def _context(self) -> ssl.SSLContext:
        access = self._access
        try:
            if access.is_insecure:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif access.authority:
                context = ssl.create_default_context(cadata=access.authority.read().decode("ascii"))
            else:
                context = ssl.create_default_context()
        except (OSError, ValueError) as error:
            raise self._wrong("certificate-authority", error) from None
        # a cluster's own authority often lacks what Python 3.13 asks of one by default, and client-go does not
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(ALPN)
        try:
            if self._credential is not None and self._credential.certificate:
                show_certificate(context, self._credential.certificate, self._credential.key)
            elif access.certificate:
                show_certificate(context, access.certificate.read(), access.key.read())
        except (OSError, ValueError) as error:
            raise self._wrong("client-certificate", error) from None
        return context

    def _wrong(self, field: str, error: Exception) -> InputError:
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        return InputError(f"cannot be used: {said}", file=self._access.source, field=field, expected="PEM")


def show_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The context shows the certificate. Python takes it from a file only, which is there for a moment and for us alone."""
    handle, path = tempfile.mkstemp(prefix="kcore-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(path, password=_no_password)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _no_password() -> str:
    """Keeps OpenSSL from asking on the terminal."""
    return ""


def _impersonation(access: Access) -> tuple[Header, ...]:
    """Source: client-go transport/round_trippers.go (impersonatingRoundTripper)."""
    if not access.impersonate:
        return ()
    made: list[Header] = [(b"impersonate-user", access.impersonate.encode())]
    if access.impersonate_uid:
        made.append((b"impersonate-uid", access.impersonate_uid.encode()))
    made += [(b"impersonate-group", group.encode()) for group in access.impersonate_groups]
    for name, value in access.impersonate_extra:
        made.append((f"impersonate-extra-{quote(name.lower(), safe='')}".encode(), value.encode()))
    return tuple(made)
