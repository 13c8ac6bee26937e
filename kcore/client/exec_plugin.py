"""A credential plugin is run: an ExecCredential goes in by its environment, one with a status comes out.

Source: client-go plugin/pkg/client/auth/exec/exec.go; KEP-541.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.errors import InputError
from kcore.client.kubeconfig import ExecPlugin

EXEC_INFO: Final = "KUBERNETES_EXEC_INFO"


class Credential(NamedTuple):
    """Who a plugin says one is. ``expires_s``: seconds since 1970, 0: never."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    expires_s: float = 0.0


async def run(plugin: ExecPlugin, file: str = "") -> Credential:
    """What the plugin said; InputError where it cannot be run or says nothing of use."""
    try:
        return await _run(plugin)
    except InputError as error:
        raise error.at(file=file or None, field="exec") from None


async def _run(plugin: ExecPlugin) -> Credential:
    has_terminal = sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not has_terminal:
        raise InputError(
            "exec plugin cannot support interactive mode: standard input is not a terminal",
            field="interactiveMode",
        )
    is_interactive = has_terminal and plugin.interactive_mode != "Never"
    spec: dict[str, Any] = {"interactive": is_interactive}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    told = orjson.dumps({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}).decode()
    environment = {**os.environ, **dict(plugin.environment), EXEC_INFO: told}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *plugin.arguments, env=environment, stdout=subprocess.PIPE,
            stdin=None if is_interactive else subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise InputError(f"exec: executable {plugin.command} not found{hint}", field="command") from None
    except OSError as error:
        raise InputError(f"exec: {plugin.command}: {error.strerror}", field="command") from None
    try:
        said, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    if process.returncode:
        raise InputError(
            f"exec: executable {plugin.command} failed with exit code {process.returncode}", field="command"
        )
    return _credential(said, plugin)


def _credential(said: bytes, plugin: ExecPlugin) -> Credential:
    try:
        made = orjson.loads(said)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"decoding stdout: {error}", field="command", expected="an ExecCredential in JSON"
        ) from None
    if not isinstance(made, dict) or made.get("kind") != "ExecCredential":
        raise InputError(
            "the plugin printed something else", field="command", expected="an ExecCredential in JSON"
        )
    if made.get("apiVersion") != plugin.api_version:
        raise InputError(
            f"exec plugin is configured to use API version {plugin.api_version}, "
            f"plugin returned version {made.get('apiVersion')}",
            field="apiVersion",
        )
    status = made.get("status")
    if not isinstance(status, dict):
        raise InputError("exec plugin didn't return a status field", field="command")
    token = status.get("token") or ""
    certificate, key = status.get("clientCertificateData") or "", status.get("clientKeyData") or ""
    if not token and not certificate and not key:
        raise InputError("exec plugin didn't return a token or cert/key pair", field="command")
    if bool(certificate) != bool(key):
        raise InputError("exec plugin returned only certificate or key, not both", field="command")
    expires = status.get("expirationTimestamp")
    try:
        expires_s = datetime.fromisoformat(expires).timestamp() if expires else 0.0
    except (TypeError, ValueError):
        raise InputError(
            f"expirationTimestamp is {expires!r}", field="command", expected="an RFC 3339 time"
        ) from None
    return Credential(token, certificate.encode(), key.encode(), expires_s)
