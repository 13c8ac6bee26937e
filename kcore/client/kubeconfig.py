"""Where a cluster is and as whom to go there: a kubeconfig's context, or the account of the pod that this runs in.

Everything is checked when it is read, files included; what is wrong is an InputError of one line with file and field.
Several files in ``KUBECONFIG`` are one: of each name the first one counts.

Source: client-go tools/clientcmd (loader.go, client_config.go, validation.go), rest.InClusterConfig.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from kcore.api.errors import InputError
from kcore.http.dial import PROXY_SCHEMES

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
INTERACTIVE_MODES: Final = ("Never", "IfAvailable", "Always")
EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"


class Pem(NamedTuple):
    """Certificates or a key: the bytes, or the file that has them, which is read again when a connection is made."""

    data: bytes = b""
    path: str = ""

    def __bool__(self) -> bool:
        return bool(self.data or self.path)

    def read(self) -> bytes:
        """The bytes as they are now."""
        return self.data or Path(self.path).read_bytes()


NO_PEM: Final = Pem()


class ExecPlugin(NamedTuple):
    """A command that says who one is. ``cluster``: what it is told of the cluster, None: nothing."""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    api_version: str
    interactive_mode: str
    install_hint: str
    cluster: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster and one user (client-go's rest.Config). ``namespace``: the context's."""

    server: str
    authority: Pem = NO_PEM
    is_insecure: bool = False
    server_name: str = ""
    proxy_url: str = ""
    certificate: Pem = NO_PEM
    key: Pem = NO_PEM
    token: str = ""
    token_path: str = ""
    username: str = ""
    password: str = ""
    exec_plugin: ExecPlugin | None = None
    impersonate: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()
    impersonate_extra: tuple[tuple[str, str], ...] = ()
    namespace: str = "default"
    source: str = ""  # the file, for messages

    @property
    def url(self) -> SplitResult:
        """The server's address; ``https`` where it says none."""
        return urlsplit(self.server if "://" in self.server else f"https://{self.server}")

    @property
    def proxy(self) -> str:
        """The proxy to go through, the environment's where the kubeconfig names none; empty: none."""
        if self.proxy_url:
            return self.proxy_url
        url = self.url
        host = url.hostname or ""
        if host in ("localhost", "::1") or host.startswith("127."):
            return ""  # httpproxy.Config.useProxy
        found = getproxies().get(url.scheme) or ""
        if not found or proxy_bypass(host):
            return ""
        return found if "://" in found else f"http://{found}"


# -- reading ------------------------------------------------------------------------------------------------------------


def load(path: str = "", context: str = "") -> Access:
    """The context of that file; of KUBECONFIG, ~/.kube/config or the pod's own account where none is given."""
    if path:
        return of(_read(Path(path).expanduser()), context, file=path)
    named = [each for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    if named:
        found = [each for each in named if Path(each).exists()]
        if not found:
            raise InputError(
                "there is no such file", file=named[0], expected="a kubeconfig, as KUBECONFIG says"
            )
        merged = _merged([_read(Path(each)) for each in found])
        return of(merged, context, file=os.pathsep.join(found))
    home = Path("~/.kube/config").expanduser()
    if home.exists():
        return of(_read(home), context, file=str(home))
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not context:
        return in_cluster()
    raise InputError("there is no such file", file=str(home), expected="a kubeconfig, there or by KUBECONFIG")


def in_cluster() -> Access:
    """The API server of the cluster whose pod this runs in, as the pod's account."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise InputError(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined",
            field="environment",
        )
    token, authority, space = ACCOUNT / "token", ACCOUNT / "ca.crt", ACCOUNT / "namespace"
    if not token.is_file():
        raise InputError("there is no such file", file=str(token), expected="the token of a service account")
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authority=Pem(path=str(authority)) if authority.is_file() else Pem(),
        token_path=str(token),
        namespace=space.read_text(encoding="utf-8").strip() if space.is_file() else "default",
        source=str(ACCOUNT),
    )


def of(config: Mapping[str, Any], context: str = "", *, file: str = "kubeconfig") -> Access:
    """The context, its current one where none is named, of a kubeconfig as a mapping; InputError."""
    try:
        return _access(_Part(config, ""), context, file)
    except InputError as error:
        raise error.at(file=file) from None


def _read(path: Path) -> dict[str, Any]:
    """A kubeconfig, its relative paths made absolute."""
    import yaml

    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", file=str(path), expected="a kubeconfig"
        ) from None
    try:
        read = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"is not YAML: {error}", file=str(path), expected="a kubeconfig") from None
    if not isinstance(read, dict):
        raise InputError(
            "is not a kubeconfig", file=str(path), expected="a mapping with clusters, users and contexts"
        )
    folder = path.resolve().parent
    for entries, part, names in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key", "tokenFile")),
    ):
        listed = read.get(entries)
        for entry in listed if isinstance(listed, list) else ():
            found = entry.get(part) if isinstance(entry, dict) else None
            if not isinstance(found, dict):
                continue
            for name in names:
                if isinstance(found.get(name), str) and found[name]:
                    found[name] = str(folder / found[name])
            plugin = found.get("exec")
            if (
                isinstance(plugin, dict)
                and isinstance(plugin.get("command"), str)
                and os.sep in plugin["command"]
            ):
                plugin["command"] = str(folder / plugin["command"])
    return read


def _merged(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Several files as one: of each name the first counts."""
    merged: dict[str, Any] = {}
    for entries in ("clusters", "users", "contexts"):
        found: dict[Any, Any] = {}
        for config in configs:
            for entry in config.get(entries) or ():
                if isinstance(entry, dict):
                    found.setdefault(entry.get("name"), entry)
        merged[entries] = [*found.values()]
    current = (config.get("current-context") for config in configs)
    merged["current-context"] = next((each for each in current if each), "")
    return merged


class _Part:
    """A mapping of the kubeconfig and its place there; reading from it checks the type."""

    def __init__(self, mapping: Any, place: str) -> None:
        if not isinstance(mapping, Mapping):
            raise InputError("is not a mapping", field=place or None, expected="a mapping")
        self.mapping = mapping
        self.place = place

    def at(self, name: str) -> str:
        """The place of an entry."""
        return f"{self.place}.{name}" if self.place else name

    def text(self, name: str) -> str:
        """A string, empty where there is none."""
        return self._checked(name, str, "a string") or ""

    def flag(self, name: str) -> bool:
        """True or false; false where there is none."""
        return bool(self._checked(name, bool, "true or false"))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found = self._checked(name, list, "a list of strings") or []
        for index, each in enumerate(found):
            if not isinstance(each, str):
                raise InputError(f"is {each!r}", field=f"{self.at(name)}[{index}]", expected="a string")
        return tuple(found)

    def parts(self, name: str) -> list[_Part]:
        """A list of mappings."""
        found = self._checked(name, list, "a list") or []
        return [_Part(each, f"{self.at(name)}[{index}]") for index, each in enumerate(found)]

    def part(self, name: str) -> _Part | None:
        """A mapping."""
        found = self.mapping.get(name)
        return None if found is None else _Part(found, self.at(name))

    def named(self, entries: str, part: str, name: str, asker: str) -> _Part:
        """The entry of that name."""
        for entry in self.parts(entries):
            if entry.mapping.get("name") == name:
                return _Part(entry.mapping.get(part) or {}, f"{entries}[{name}].{part}")
        raise InputError(f"{name!r} is not among the {entries}", field=asker, expected=self._names(entries))

    def _names(self, entries: str) -> str:
        names = [str(entry.mapping.get("name")) for entry in self.parts(entries)]
        return f"one of {', '.join(names)}" if names else f"an entry in {entries}"

    def _checked(self, name: str, kind: type, expected: str) -> Any:
        found = self.mapping.get(name)
        if found is not None and not isinstance(found, kind):
            raise InputError(f"is {found!r}", field=self.at(name), expected=expected)
        return found

    def pem(self, name: str) -> Pem:
        """Certificates or a key by ``name-data`` or by the file ``name``."""
        data = self.text(f"{name}-data")
        if data:
            try:
                return Pem(base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError):
                raise InputError(
                    "is not base64", field=self.at(f"{name}-data"), expected="PEM in base64"
                ) from None
        path = self.text(name)
        if path:
            self.readable(name, path)
        return Pem(path=path)

    def readable(self, name: str, path: str) -> None:
        """InputError where the file cannot be read."""
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", field=self.at(name)) from None


def _access(config: _Part, context: str, file: str) -> Access:
    asker = "context" if context else "current-context"
    name = context or config.text("current-context")
    if not name:
        raise InputError("is not set", field=asker, expected="the name of a context")
    chosen = config.named("contexts", "context", name, asker)
    cluster_name, user_name = chosen.text("cluster"), chosen.text("user")
    if not cluster_name:
        raise InputError("is not set", field=chosen.at("cluster"), expected="the name of a cluster")
    cluster = config.named("clusters", "cluster", cluster_name, chosen.at("cluster"))
    user = config.named("users", "user", user_name, chosen.at("user")) if user_name else _Part({}, "users")
    server = cluster.text("server")
    url = urlsplit(server if "://" in server else f"https://{server}")
    if not url.hostname or url.scheme not in ("http", "https") or not _has_good_port(url):
        problem = f"is {server!r}" if server else "is not set"
        raise InputError(problem, field=cluster.at("server"), expected="a URL as https://host:6443")
    is_insecure = cluster.flag("insecure-skip-tls-verify")
    authority = cluster.pem("certificate-authority")
    if is_insecure and authority:
        raise InputError(
            "specifying a root certificates file with the insecure flag is not allowed",
            field=cluster.at("insecure-skip-tls-verify"),
        )
    return Access(
        server=server, authority=authority, is_insecure=is_insecure, server_name=cluster.text("tls-server-name"),
        proxy_url=_proxy(cluster), namespace=chosen.text("namespace") or "default", source=file,
        exec_plugin=_plugin(user, cluster), **_identity(user),
    )  # fmt: skip


def _has_good_port(url: SplitResult) -> bool:
    try:
        return url.port is None or 0 < url.port < 1 << 16
    except ValueError:
        return False


def _proxy(cluster: _Part) -> str:
    found = cluster.text("proxy-url")
    if found:
        url = urlsplit(found)
        if url.scheme not in PROXY_SCHEMES or not url.hostname or not _has_good_port(url):
            raise InputError(
                f"is {found!r}",
                field=cluster.at("proxy-url"),
                expected=f"a URL of {', '.join(PROXY_SCHEMES)}",
            )
    return found


def _identity(user: _Part) -> dict[str, Any]:
    """What the user's entry says of who one is."""
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if certificate and not key:
        raise InputError(
            "is not set, but client-certificate is", field=user.at("client-key"), expected="its key"
        )
    token, path = user.text("token"), user.text("tokenFile")
    if path:
        user.readable("tokenFile", path)
    username, password = user.text("username"), user.text("password")
    if token and (username or password):
        raise InputError("more than one authentication method: token and basicAuth", field=user.place)
    if user.part("auth-provider") is not None:
        raise InputError(
            "is no longer part of Kubernetes",
            field=user.at("auth-provider"),
            expected="a credential plugin: exec",
        )
    extra = user.part("as-user-extra")
    pairs = [
        (name, value)
        for name in (extra.mapping if extra else ())
        for value in (extra.texts(name) if extra else ())
    ]
    made = {
        "certificate": certificate, "key": key, "token": token, "token_path": path, "username": username,
        "password": password, "impersonate": user.text("as"), "impersonate_uid": user.text("as-uid"),
        "impersonate_groups": user.texts("as-groups"), "impersonate_extra": tuple(pairs),
    }  # fmt: skip
    if not made["impersonate"] and (made["impersonate_uid"] or made["impersonate_groups"] or pairs):
        raise InputError(
            "is not set, but a uid, groups or extra fields are", field=user.at("as"), expected="a user"
        )
    return made


def _plugin(user: _Part, cluster: _Part) -> ExecPlugin | None:
    plugin = user.part("exec")
    if plugin is None:
        return None
    version, mode = plugin.text("apiVersion"), plugin.text("interactiveMode")
    if version == EXEC_VERSIONS[1] and not mode:
        mode = "IfAvailable"  # the default of v1beta1
    checks: tuple[tuple[str, Callable[[], bool], str], ...] = (
        ("command", lambda: bool(plugin.text("command")), "a command"),
        ("apiVersion", lambda: version in EXEC_VERSIONS, f"one of {', '.join(EXEC_VERSIONS)}"),
        ("interactiveMode", lambda: mode in INTERACTIVE_MODES, f"one of {', '.join(INTERACTIVE_MODES)}"),
    )
    for name, holds, expected in checks:
        if not holds():
            found = plugin.text(name)
            raise InputError(
                f"is {found!r}" if found else "is not set", field=plugin.at(name), expected=expected
            )
    environment = []
    for entry in plugin.parts("env"):
        if not entry.text("name"):
            raise InputError("is not set", field=entry.at("name"), expected="the name of a variable")
        environment.append((entry.text("name"), entry.text("value")))
    return ExecPlugin(
        plugin.text("command"), plugin.texts("args"), tuple(environment), version, mode, plugin.text("installHint"),
        _told(cluster) if plugin.flag("provideClusterInfo") else None,
    )  # fmt: skip


def _told(cluster: _Part) -> dict[str, Any]:
    """What a plugin is told of the cluster (clientauthentication.Cluster)."""
    made: dict[str, Any] = {"server": cluster.text("server")}
    for name in ("tls-server-name", "proxy-url"):
        if cluster.text(name):
            made[name] = cluster.text(name)
    if cluster.flag("insecure-skip-tls-verify"):
        made["insecure-skip-tls-verify"] = True
    authority = cluster.pem("certificate-authority")
    if authority:
        made["certificate-authority-data"] = base64.b64encode(authority.read()).decode()
    for extension in cluster.parts("extensions"):
        if extension.mapping.get("name") == EXEC_EXTENSION:
            made["config"] = extension.mapping.get("extension")
    return made
