"""The flags of ``kcore etcd``: etcd's names, defaults and meanings, from command line, environment or a file.

As in etcd, a flag wins over its environment variable (``ETCD_NAME`` for ``--name``), and a configuration file replaces
both. Every value is read from text by the one reader of its kind, whichever way it comes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.flags import Flag, boolean, seconds, texts

LOCAL_CLIENT: Final = "http://localhost:2379"
LOCAL_PEER: Final = "http://localhost:2380"


MEMBER: Final = (
    Flag("name", "text", "default", "Name of this member, of your choice."),
    Flag("data-dir", "text", "", "Where it keeps its data; NAME.etcd if not given."),
    Flag("snapshot-count", "count", 10_000, "Applied entries after which the log in memory is cut."),
    Flag("heartbeat-interval", "count", 100, "Milliseconds between heartbeats."),
    Flag("election-timeout", "count", 1_000, "Milliseconds without a leader until an election."),
    Flag("listen-peer-urls", "urls", (LOCAL_PEER,), "URLs to listen on for other members."),
    Flag("listen-client-urls", "urls", (LOCAL_CLIENT,), "URLs to listen on for clients: gRPC and pages."),
    Flag("listen-client-http-urls", "urls", (), "URLs for pages alone; they then leave the client URLs."),
    Flag("quota-backend-bytes", "number", 0, "Size of the store at which it refuses writes; 0: 2 GiB, negative: none."),
    Flag("max-txn-ops", "count", 128, "Operations in one transaction at most."),
    Flag("max-request-bytes", "count", 3 << 19, "Bytes of one request at most."),
    Flag("grpc-keepalive-interval", "duration", 60.0, "How long a client may be silent until it is asked whether it lives; 0: never."),
    Flag("snapshot-catchup-entries", "count", 5_000, "Entries kept in memory for slow followers."),
    Flag("unsafe-no-fsync", "bool", False, "Do not wait for the disk: an outage of power then loses acknowledged writes."),
)  # fmt: skip

CLUSTER: Final = (
    Flag("initial-advertise-peer-urls", "urls", (LOCAL_PEER,), "Where the other members reach this one."),
    Flag("initial-cluster", "cluster", {}, "All first members: name=URL,name=URL; this one alone if not given."),
    Flag("initial-cluster-state", "text", "new", "new, or existing to join a cluster that runs."),
    Flag("initial-cluster-token", "text", "etcd-cluster", "Tells clusters apart that were begun alike."),
    Flag("advertise-client-urls", "urls", (LOCAL_CLIENT,), "Where clients reach this member."),
    Flag("strict-reconfig-check", "bool", True, "Refuse changes of membership that would lose the quorum."),
    Flag("pre-vote", "bool", True, "Ask before an election whether it could be won."),
    Flag("auto-compaction-mode", "text", "periodic", "periodic or revision."),
    Flag("auto-compaction-retention", "text", "0", "How long, or how many revisions, history is kept; 0: for ever."),
)  # fmt: skip

SECURITY: Final = (
    Flag("cert-file", "text", "", "Certificate shown to clients."),
    Flag("key-file", "text", "", "Its key."),
    Flag("client-cert-auth", "bool", False, "Clients must show a certificate; its common name is the user."),
    Flag("trusted-ca-file", "text", "", "Whose certificates clients may show; they must show one then."),
    Flag("client-crl-file", "text", "", "Certificates of clients that are revoked."),
    Flag("client-cert-allowed-hostname", "texts", (), "Names that a client's certificate must have one of."),
    Flag("auto-tls", "bool", False, "Make a certificate for clients that signs itself."),
    Flag("peer-cert-file", "text", "", "Certificate shown to other members."),
    Flag("peer-key-file", "text", "", "Its key."),
    Flag("peer-client-cert-auth", "bool", False, "Other members must show a certificate."),
    Flag("peer-trusted-ca-file", "text", "", "Whose certificates other members may show."),
    Flag("peer-cert-allowed-cn", "text", "", "The common name that other members' certificates must have."),
    Flag("peer-auto-tls", "bool", False, "Make a certificate for other members that signs itself."),
    Flag("self-signed-cert-validity", "count", 1, "Years that a certificate lasts which signs itself."),
    Flag("cipher-suites", "texts", (), "Of TLS 1.2, by their Go names."),
    Flag("tls-min-version", "text", "TLS1.2", "TLS1.2 or TLS1.3."),
    Flag("tls-max-version", "text", "", "TLS1.2 or TLS1.3; the newest if not given."),
    Flag("auth-token", "text", "simple", "simple, or jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=5m."),
    Flag("auth-token-ttl", "count", 300, "Seconds that a simple token lives after its last use."),
    Flag("bcrypt-cost", "count", 10, "What a password's hash costs, 4 to 31."),
)  # fmt: skip

WATCHING: Final = (
    Flag("listen-metrics-urls", "urls", (), "Further URLs for /metrics and /health."),
    Flag("log-level", "text", "info", "debug, info, warn, error, panic or fatal."),
    Flag("log-format", "text", "json", "json or console."),
    Flag("log-outputs", "texts", ("default",), "stderr, stdout or files."),
    Flag("corrupt-check-time", "duration", 0.0, "Time between comparisons of all members' data; 0: never."),
    Flag("experimental-initial-corrupt-check", "bool", False, "Compare the data with the others' before serving."),
    Flag("watch-progress-notify-interval", "duration", 600.0, "Time between progress marks of quiet watches."),
    Flag("enable-grpc-gateway", "bool", True, "Serve JSON over HTTP under /v3."),
    Flag("feature-gates", "gates", {}, "Name=true,Name=false of etcd's gates: LeaseCheckpoint, InitialCorruptCheck have effect."),
)  # fmt: skip

# Known, so that a manifest written for etcd starts kcore; what they tune is not there or tunes itself.
WITHOUT_EFFECT: Final = tuple(
    Flag(name, "any", "", "Accepted, without effect.")
    for name in (
        "wal-dir", "max-wals", "max-snapshots", "memory-mlock", "backend-bbolt-freelist-type", "backend-batch-interval",
        "backend-batch-limit", "max-concurrent-streams", "grpc-keepalive-min-time", "grpc-keepalive-timeout",
        "socket-reuse-port", "socket-reuse-address", "raft-read-timeout", "raft-write-timeout",
        "initial-election-tick-advance", "cors", "host-whitelist", "enable-pprof", "metrics", "logger",
        "enable-log-rotation", "log-rotation-config-json", "warning-unary-request-duration", "warning-apply-duration",
        "compact-hash-check-time", "compaction-batch-limit", "compaction-sleep-interval", "max-learners",
        "bootstrap-defrag-threshold-megabytes", "downgrade-check-time", "peer-client-cert-file",
        "peer-client-key-file", "client-cert-file", "client-key-file", "peer-skip-client-san-verification",
    )
)  # fmt: skip

FLAGS: Final = (*MEMBER, *CLUSTER, *SECURITY, *WATCHING, *WITHOUT_EFFECT)
BY_NAME: Final = {flag.name: flag for flag in FLAGS}
# older names of some flags
RENAMED: Final = {
    "experimental-watch-progress-notify-interval": "watch-progress-notify-interval",
    "experimental-corrupt-check-time": "corrupt-check-time",
    "experimental-snapshot-catchup-entries": "snapshot-catchup-entries",
}
# groups of etcd's configuration file whose keys are flags without the prefix
SECTIONS: Final = {"client-transport-security": "", "peer-transport-security": "peer-"}

Settings = dict[str, Any]


def number(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def count(text: str) -> int:
    """A whole number, 0 or more."""
    value = number(text)
    if value < 0:
        raise ValueError("a whole number that is not negative")
    return value


def urls(text: str) -> tuple[str, ...]:
    """URLs with commas between, each of a scheme, a host and a port."""
    from kcore.store.etcd.addresses import checked

    return tuple(checked(url) for url in texts(text))


def cluster(text: str) -> dict[str, tuple[str, ...]]:
    """``name=URL`` with commas between; a name may come more than once."""
    from kcore.store.etcd.addresses import checked

    members: dict[str, tuple[str, ...]] = {}
    for part in texts(text):
        name, separator, url = part.partition("=")
        if not separator or not name:
            raise ValueError("name=URL,name=URL")
        members[name] = (*members.get(name, ()), checked(url))
    return members


def gates(text: str) -> dict[str, bool]:
    """``Name=true`` with commas between."""
    return {part.partition("=")[0]: boolean(part.partition("=")[2]) for part in texts(text)}


READERS: Final[dict[str, Callable[[str], Any]]] = {
    "text": str,
    "any": str,
    "texts": texts,
    "number": number,
    "count": count,
    "bool": boolean,
    "duration": seconds,
    "urls": urls,
    "cluster": cluster,
    "gates": gates,
}


def read(flag: Flag, text: str, where: str) -> Any:
    """The value; InputError, naming where the text stands, for one that cannot be read."""
    try:
        return READERS[flag.kind](text)
    except ValueError as error:
        raise InputError(f"cannot read {text!r}", field=where, expected=str(error)) from None


def variable(name: str) -> str:
    """The environment variable of a flag."""
    return "ETCD_" + name.upper().replace("-", "_")


def gather(
    given: Mapping[str, str], environment: Mapping[str, str], file: Mapping[str, Any] | None
) -> Settings:
    """All settings by flag name; ``given`` are the texts of the command line, ``file`` a configuration file's mapping."""
    settings: Settings = {flag.name: flag.default for flag in FLAGS}
    chosen: set[str] = set()
    if file is not None:
        for name, value in flattened(file).items():
            settings[name] = read(BY_NAME[name], value, f"--config-file: {name}")
            chosen.add(name)
    else:
        for name in (*BY_NAME, *RENAMED):
            flag = BY_NAME[RENAMED.get(name, name)]
            if variable(name) in environment:
                settings[flag.name] = read(flag, environment[variable(name)], variable(name))
                chosen.add(flag.name)
        for name, text in given.items():
            flag = BY_NAME[RENAMED.get(name, name)]
            settings[flag.name] = read(flag, text, f"--{name}")
            chosen.add(flag.name)
    return finished(settings, chosen)


def flattened(file: Mapping[str, Any]) -> dict[str, str]:
    """A configuration file's keys as flags with their texts; InputError for keys that are none."""
    found: dict[str, str] = {}
    for key, value in file.items():
        if key in SECTIONS and isinstance(value, Mapping):
            for inner, text in value.items():
                found[_known(f"{SECTIONS[key]}{inner}", f"{key}.{inner}")] = text
        else:
            found[_known(key, key)] = value
    return {name: _text(BY_NAME[name], value) for name, value in found.items()}


def _known(name: str, said: str) -> str:
    name = RENAMED.get(name, name)
    if name not in BY_NAME:
        raise InputError(
            f"{said} is no setting of etcd that kcore knows", field="--config-file", expected="a flag's name"
        )
    return name


def _text(flag: Flag, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if flag.kind == "duration" and isinstance(value, int):
        return f"{value}ns" if value else "0"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def finished(settings: Settings, chosen: set[str]) -> Settings:
    """What follows from other settings is filled in; InputError for what cannot be together."""
    if not settings["data-dir"]:
        settings["data-dir"] = f"{settings['name']}.etcd"
    if "listen-client-urls" in chosen and "advertise-client-urls" not in chosen:
        raise InputError(
            "must be given where --listen-client-urls is",
            field="--advertise-client-urls",
            expected="URLs that clients reach",
        )
    for one, other in (("cert-file", "key-file"), ("peer-cert-file", "peer-key-file")):
        if bool(settings[one]) != bool(settings[other]):
            missing = other if settings[one] else one
            raise InputError(f"--{one} and --{other} go together", field=f"--{missing}", expected="a file")
    for name, allowed in (
        ("initial-cluster-state", ("new", "existing")),
        ("auto-compaction-mode", ("periodic", "revision")),
        ("log-format", ("json", "console")),
        ("log-level", ("debug", "info", "warn", "error", "panic", "fatal")),
        ("tls-min-version", ("TLS1.2", "TLS1.3")),
        ("tls-max-version", ("", "TLS1.2", "TLS1.3")),
    ):
        if settings[name] not in allowed:
            raise InputError(
                f"cannot be {settings[name]!r}",
                field=f"--{name}",
                expected=" or ".join(filter(None, allowed)),
            )
    retention = settings["auto-compaction-retention"]
    if settings["auto-compaction-mode"] == "periodic" and not retention.isdigit():
        read(BY_NAME["watch-progress-notify-interval"], retention, "--auto-compaction-retention")
    elif not retention.isdigit():
        raise InputError(
            f"cannot read {retention!r}",
            field="--auto-compaction-retention",
            expected="a number of revisions",
        )
    return settings
