"""The flags of ``kcore apiserver``: kube-apiserver's names, defaults and meanings.

Source: cmd/kube-apiserver/app/options and apiserver pkg/server/options of Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from kcore import flags
from kcore.api.errors import InputError
from kcore.apiserver.release import reported
from kcore.flags import Flag, Settings, texts

SERVING: Final = (
    Flag("bind-address", "text", "0.0.0.0", "Address to listen on."),
    Flag("secure-port", "port", 6443, "Port to listen on with TLS."),
    Flag("advertise-address", "address", "", "Address that others reach this server by; the machine's own if not given."),
    Flag("external-hostname", "text", "", "Name that clients outside reach this server by."),
    Flag("cert-dir", "text", "/var/run/kubernetes", "Where certificates are that are made on first start."),
    Flag("tls-cert-file", "text", "", "Certificate shown to clients; made in --cert-dir if not given."),
    Flag("tls-private-key-file", "text", "", "Its key."),
    Flag("tls-cipher-suites", "texts", (), "Of TLS 1.2, by their Go names."),
    Flag("tls-min-version", "text", "VersionTLS12", "VersionTLS12 or VersionTLS13."),
    Flag("max-requests-inflight", "count", 400, "Reads that are answered at once, at most; 0: no limit."),
    Flag("max-mutating-requests-inflight", "count", 200, "Writes that are answered at once, at most; 0: no limit."),
    Flag("request-timeout", "duration", 60.0, "How long a request may take that is not a watch or the like."),
    Flag("min-request-timeout", "count", 1800, "Seconds that a watch which names no end lasts at least; 0: it has none."),
    Flag("shutdown-delay-duration", "duration", 0.0, "How long /readyz fails before connections are refused."),
    Flag("permit-port-sharing", "bool", False, "Listen with SO_REUSEPORT."),
)  # fmt: skip

STORE: Final = (
    Flag("etcd-servers", "texts", (), "URLs of an etcd cluster; without it a store is kept here, in --data-dir."),
    Flag("etcd-cafile", "text", "", "Authority of etcd's certificates."),
    Flag("etcd-certfile", "text", "", "Certificate shown to etcd."),
    Flag("etcd-keyfile", "text", "", "Its key."),
    Flag("etcd-prefix", "text", "/registry", "What all keys begin with."),
    Flag("etcd-compaction-interval", "duration", 300.0, "Time between compactions; 0: never."),
    Flag("event-ttl", "duration", 3600.0, "How long events are kept."),
    Flag("data-dir", "text", "", "Where the store keeps its data (kcore's own flag); in memory if not given."),
)  # fmt: skip

ACCESS: Final = (
    Flag("client-ca-file", "text", "", "Whose certificates name users; made in --cert-dir if not given."),
    Flag("token-auth-file", "text", "", "Static tokens: token,user,uid,\"groups\"."),
    Flag("anonymous-auth", "bool", True, "Requests that say nothing of who asks are system:anonymous'; off with AlwaysAllow."),
    Flag("authorization-mode", "texts", ("RBAC",), "AlwaysAllow, AlwaysDeny, RBAC."),
    Flag("service-account-issuer", "texts", ("https://kubernetes.default.svc.cluster.local",), "Who signs tokens."),
    Flag("service-account-key-file", "texts", (), "Keys that tokens of service accounts are verified with."),
    Flag("service-account-signing-key-file", "text", "", "Key that tokens are signed with; made in --cert-dir if not given."),
    Flag("service-account-lookup", "bool", True, "Tokens of accounts that are gone do not hold."),
    Flag("service-account-max-token-expiration", "duration", 0.0, "How long a token holds at most; 0: no limit."),
    Flag("api-audiences", "texts", (), "Audiences of tokens that this server takes; its issuers if not given."),
    Flag("requestheader-client-ca-file", "text", "", "Whose certificates front proxies show."),
    Flag("requestheader-allowed-names", "texts", (), "Common names of front proxies; all if not given."),
    Flag("requestheader-username-headers", "texts", ("X-Remote-User",), "Where a front proxy says who asks."),
    Flag("requestheader-uid-headers", "texts", (), "Where it says the uid."),
    Flag("requestheader-group-headers", "texts", ("X-Remote-Group",), "Where it says the groups."),
    Flag("requestheader-extra-headers-prefix", "texts", ("X-Remote-Extra-",), "How headers with more of it begin."),
    Flag("enable-admission-plugins", "texts", (), "Plugins beside the default ones."),
    Flag("disable-admission-plugins", "texts", (), "Default plugins that are off."),
)  # fmt: skip

CLUSTER: Final = (
    Flag("service-cluster-ip-range", "ranges", ("10.0.0.0/24",), "Where services' addresses come from, one or two ranges."),
    Flag("service-node-port-range", "text", "30000-32767", "Where node ports come from."),
    Flag("runtime-config", "switches", {}, "API versions and resources that are off: batch/v1=false,apps/v1/deployments=false."),
    Flag("feature-gates", "switches", {}, "Read and checked for their form; what kcore does, it does always."),
    Flag("version", "version", "", "Says the version and ends; =vX.Y.Z-MINE: what the server says that it is."),
    Flag("v", "count", 0, "How much is logged; 4 and more: everything."),
)  # fmt: skip

# Known, so that a manifest written for kube-apiserver starts kcore; what they tune is not there or tunes itself.
WITHOUT_EFFECT: Final = tuple(
    Flag(name, "any", "", "Accepted, without effect.")
    for name in (
        "admission-control-config-file", "aggregator-reject-forwarding-redirect", "allow-metric-labels",
        "allow-metric-labels-manifest", "allow-privileged", "apiserver-count", "audit-log-batch-buffer-size",
        "audit-log-compress", "audit-log-format", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize",
        "audit-log-mode", "audit-log-path", "audit-policy-file", "audit-webhook-config-file",
        "authentication-config", "authentication-token-webhook-cache-ttl", "authentication-token-webhook-config-file",
        "authorization-config", "authorization-policy-file", "authorization-webhook-config-file", "cloud-config",
        "cloud-provider", "contention-profiling", "coordinated-leadership-lease-duration", "cors-allowed-origins",
        "debug-socket-path", "default-not-ready-toleration-seconds", "default-unreachable-toleration-seconds",
        "default-watch-cache-size", "delete-collection-workers", "disable-http2-serving", "disabled-metrics",
        "egress-selector-config-file", "emulated-version", "enable-aggregator-routing",
        "enable-bootstrap-token-auth", "enable-garbage-collector", "enable-logs-handler",
        "enable-priority-and-fairness", "encryption-provider-config", "encryption-provider-config-automatic-reload",
        "endpoint-reconciler-type", "etcd-count-metric-poll-period", "etcd-db-metric-poll-interval",
        "etcd-healthcheck-timeout", "etcd-readycheck-timeout", "etcd-servers-overrides",
        "goaway-chance", "http2-max-streams-per-connection", "identity-lease-duration-seconds",
        "identity-lease-renew-interval-seconds", "kubelet-certificate-authority", "kubelet-client-certificate",
        "kubelet-client-key", "kubelet-port", "kubelet-preferred-address-types", "kubelet-timeout",
        "kubernetes-service-node-port", "lease-reuse-duration-seconds", "livez-grace-period", "log-json-info-buffer-size",
        "log-json-split-stream", "logging-format", "log-flush-frequency", "master-service-namespace",
        "max-connection-bytes-per-sec", "oidc-ca-file", "oidc-client-id", "oidc-groups-claim", "oidc-groups-prefix",
        "oidc-issuer-url", "oidc-required-claim", "oidc-signing-algs", "oidc-username-claim", "oidc-username-prefix",
        "peer-advertise-ip", "peer-advertise-port", "peer-ca-file", "permit-address-sharing", "profiling",
        "proxy-client-cert-file", "proxy-client-key-file", "service-account-extend-token-expiration",
        "service-account-jwks-uri", "show-hidden-metrics-for-version", "shutdown-send-retry-after",
        "shutdown-watch-termination-grace-period", "storage-backend", "storage-initialization-timeout",
        "storage-media-type", "strict-transport-security-directives", "tls-sni-cert-key", "tracing-config-file",
        "unidentified-listeners", "vmodule", "watch-cache", "watch-cache-sizes",
    )
)  # fmt: skip

FLAGS: Final = (*SERVING, *STORE, *ACCESS, *CLUSTER, *WITHOUT_EFFECT)
BY_NAME: Final = {flag.name: flag for flag in FLAGS}
RANGE_ADDRESSES_MIN: Final = 8  # of a service range, as upstream
IPV6_PREFIX_MIN: Final = 64  # of an IPv6 range: more is not walked


def ranges(text: str) -> tuple[str, ...]:
    """One service range, or one of each IP family; each with room for the kubernetes service."""
    found = texts(text)
    expected = "one range of addresses, or one of each IP family: 10.0.0.0/24,fd00:10::/112"
    try:
        networks = [ipaddress.ip_network(each, strict=False) for each in found]
    except ValueError:
        raise ValueError(expected) from None
    if not 0 < len({each.version for each in networks}) == len(networks):
        raise ValueError(expected)
    if any(each.num_addresses < RANGE_ADDRESSES_MIN for each in networks):
        raise ValueError(f"a range of {RANGE_ADDRESSES_MIN} addresses or more")
    if any(each.version == 6 and each.prefixlen < IPV6_PREFIX_MIN for each in networks):
        raise ValueError(f"an IPv6 range of /{IPV6_PREFIX_MIN} or less")
    return found


READERS: Final = {**flags.READERS, "version": reported, "ranges": ranges}


def gather(given: Mapping[str, str]) -> Settings:
    """All settings by flag name; ``given`` are the texts of the command line. InputError for what cannot be."""
    settings = flags.read(BY_NAME, given, READERS)
    if bool(settings["tls-cert-file"]) != bool(settings["tls-private-key-file"]):
        raise InputError(
            "--tls-cert-file and --tls-private-key-file go together",
            field="--tls-cert-file",
            expected="two files",
        )
    if not settings["service-account-issuer"]:
        raise InputError("is empty", field="--service-account-issuer", expected="who signs tokens: a URL")
    if settings["tls-min-version"] not in ("", "VersionTLS12", "VersionTLS13"):
        raise InputError(
            f"cannot be {settings['tls-min-version']!r}", field="--tls-min-version",
            expected="VersionTLS12 or VersionTLS13",
        )  # fmt: skip
    return settings
