"""The flags of ``kcore scheduler``: kube-scheduler's names, defaults and meanings.

Source: cmd/kube-scheduler/app/options of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kcore.api.errors import InputError
from kcore.flags import Flag, Settings, read
from kcore.online.settings import LEASE_NAME, LEASE_NAMESPACE, Election, ProcessSettings

SECURE_PORT: Final = 10259

CLUSTER: Final = (
    Flag("config", "text", "", "A KubeSchedulerConfiguration; flags that it covers are ignored then."),
    Flag("master", "text", "", "The API server's address, instead of the kubeconfig's."),
    Flag("kubeconfig", "text", "", "The cluster's kubeconfig; ignored where --config is given."),
    Flag("context", "text", "", "Its context, if not the current one (kcore's own flag)."),
    Flag("kube-api-qps", "number", 0.0, "Requests a second, at most; 0: no limit. Ignored where --config is given."),
    Flag("kube-api-burst", "count", 100, "How many of them at once. Ignored where --config is given."),
)  # fmt: skip
ELECTION: Final = (
    Flag("leader-elect", "bool", True, "Schedule only while this is the one that leads."),
    Flag("leader-elect-lease-duration", "duration", 15.0, "How long a lease lasts that is not renewed."),
    Flag("leader-elect-renew-deadline", "duration", 10.0, "How long the leader tries to renew it."),
    Flag("leader-elect-retry-period", "duration", 2.0, "Time between tries."),
    Flag("leader-elect-resource-lock", "text", "leases", "What the lease is; leases alone."),
    Flag("leader-elect-resource-name", "text", LEASE_NAME, "Its name."),
    Flag("leader-elect-resource-namespace", "text", LEASE_NAMESPACE, "Its namespace."),
)  # fmt: skip
SERVING: Final = (
    Flag("bind-address", "text", "0.0.0.0", "Address to listen on for /healthz, /livez, /readyz, /metrics and /configz."),
    Flag("secure-port", "count", SECURE_PORT, "Port to listen on with TLS; 0: none."),
    Flag("cert-dir", "text", "", "Where a certificate is kept that is made here; a new one each time if not given."),
    Flag("tls-cert-file", "text", "", "Certificate shown to clients; made if not given."),
    Flag("tls-private-key-file", "text", "", "Its key."),
    Flag(
        "authorization-always-allow-paths", "texts", ("/healthz", "/readyz", "/livez"),
        "Paths that anybody may ask for; for others the cluster is asked.",
    ),
    Flag(
        "client-ca-file", "text", "",
        "Clients with a certificate of these authorities are its common name; if not given, the cluster says which.",
    ),
    Flag("v", "count", 0, "How much is logged; 4 and more: everything."),
)  # fmt: skip

# Known, so that a manifest written for kube-scheduler starts kcore; what they tune is not there or tunes itself.
WITHOUT_EFFECT: Final = tuple(
    Flag(name, "any", "", "Accepted, without effect.")
    for name in (
        "allow-metric-labels", "allow-metric-labels-manifest", "authentication-kubeconfig",
        "authentication-skip-lookup", "authentication-token-webhook-cache-ttl",
        "authentication-tolerate-lookup-failure", "authorization-kubeconfig",
        "authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl",
        "contention-profiling", "disable-http2-serving", "disabled-metrics", "emulated-version",
        "emulation-forward-compatible", "feature-gates", "http2-max-streams-per-connection",
        "kube-api-content-type", "log-flush-frequency", "log-json-info-buffer-size", "log-json-split-stream",
        "log-text-info-buffer-size", "log-text-split-stream", "logging-format", "min-compatibility-version",
        "permit-address-sharing", "permit-port-sharing", "pod-max-in-unschedulable-pods-duration", "profiling",
        "requestheader-allowed-names", "requestheader-client-ca-file", "requestheader-extra-headers-prefix",
        "requestheader-group-headers", "requestheader-uid-headers", "requestheader-username-headers",
        "show-hidden-metrics-for-version", "tls-cipher-suites", "tls-min-version", "tls-sni-cert-key", "vmodule",
    )
)  # fmt: skip

FLAGS: Final = (*CLUSTER, *ELECTION, *SERVING, *WITHOUT_EFFECT)
BY_NAME: Final = {flag.name: flag for flag in FLAGS}


def gather(given: Mapping[str, str]) -> Settings:
    """All settings by flag name. InputError for what cannot be."""
    settings = read(BY_NAME, given)
    if bool(settings["tls-cert-file"]) != bool(settings["tls-private-key-file"]):
        raise InputError(
            "--tls-cert-file and --tls-private-key-file go together", field="--tls-cert-file",
            expected="two files",
        )  # fmt: skip
    if settings["secure-port"] > 65535:
        raise InputError(f"is {settings['secure-port']}", field="--secure-port", expected="0 to 65535")
    if settings["leader-elect-resource-lock"] != "leases":
        raise InputError(
            f'is "{settings["leader-elect-resource-lock"]}"', field="--leader-elect-resource-lock",
            expected="leases",
        )  # fmt: skip
    return settings


def merged(process: ProcessSettings, settings: Settings, given: Mapping[str, str]) -> ProcessSettings:
    """What the file says, and the flags that were given: those of the election win, the others stand back for a file."""
    names = {
        "leader-elect": "is_on", "leader-elect-lease-duration": "lease_seconds",
        "leader-elect-renew-deadline": "renew_deadline_seconds", "leader-elect-retry-period": "retry_seconds",
        "leader-elect-resource-name": "name", "leader-elect-resource-namespace": "namespace",
    }  # fmt: skip
    changes = {field: settings[flag] for flag, field in names.items() if flag in given}
    made = replace(process, election=replace(process.election, **changes))
    _check(made.election)
    if settings["config"]:
        return made
    return replace(
        made,
        kubeconfig=settings["kubeconfig"],
        qps=settings["kube-api-qps"],
        burst=settings["kube-api-burst"],
    )


def _check(election: Election) -> None:
    if not election.is_on:
        return
    if election.lease_seconds <= election.renew_deadline_seconds:
        raise InputError(
            f"is {election.lease_seconds:g}s", field="--leader-elect-lease-duration",
            expected=f"more than the renew deadline, {election.renew_deadline_seconds:g}s",
        )  # fmt: skip
    if election.renew_deadline_seconds <= 1.2 * election.retry_seconds:
        raise InputError(
            f"is {election.renew_deadline_seconds:g}s", field="--leader-elect-renew-deadline",
            expected=f"more than 1.2 times the retry period, {election.retry_seconds:g}s",
        )  # fmt: skip
