"""The flags of ``kcore controller-manager``: kube-controller-manager's names, defaults and meanings.

Source: cmd/kube-controller-manager/app/options, controller-manager options/generic.go, component-base
config/options/leaderelectionconfig.go and apiserver pkg/server/options of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kcore import flags
from kcore.api.errors import InputError
from kcore.flags import Flag, Settings

GENERIC: Final = (
    Flag("kubeconfig", "text", "", "The cluster's kubeconfig [$KUBECONFIG, ~/.kube/config, or the pod's account]."),
    Flag("master", "text", "", "Address of the API server, instead of the kubeconfig's."),
    Flag("controllers", "texts", ("*",), "Which run: names, -name for one that does not, * for all that do by default."),
    Flag("use-service-account-credentials", "bool", False, "Each controller asks as its own service account."),
    Flag("kube-api-qps", "number", 0.0, "Requests a second to the API server; 0: no limit (kcore's default)."),
    Flag("kube-api-burst", "count", 30, "How many of them at once."),
    Flag("v", "count", 0, "How much is logged; 4 and more: everything."),
)  # fmt: skip

LEADING: Final = (
    Flag("leader-elect", "bool", True, "Wait to be the leader before anything is done."),
    Flag("leader-elect-lease-duration", "duration", 15.0, "How long others wait for a leader that says nothing."),
    Flag("leader-elect-renew-deadline", "duration", 10.0, "How long a leader tries to renew before it gives up."),
    Flag("leader-elect-retry-period", "duration", 2.0, "Time between tries."),
    Flag("leader-elect-resource-lock", "text", "leases", "What the lock is: leases."),
    Flag("leader-elect-resource-name", "text", "kube-controller-manager", "Name of the lease."),
    Flag("leader-elect-resource-namespace", "text", "kube-system", "Its namespace."),
)  # fmt: skip

SERVING: Final = (
    Flag("bind-address", "text", "0.0.0.0", "Address where /healthz and /metrics are answered."),
    Flag("secure-port", "port", 10257, "Port of it, with TLS; 0: nowhere."),
    Flag("tls-cert-file", "text", "", "Certificate shown there; one that signs itself if not given."),
    Flag("tls-private-key-file", "text", "", "Its key."),
    Flag("authorization-always-allow-paths", "texts", ("/healthz", "/readyz", "/livez"), "What may be asked by anybody."),
)  # fmt: skip

CERTIFICATES: Final = (
    Flag("root-ca-file", "text", "", "Authority that pods verify the API server by; the kubeconfig's if not given."),
    Flag("service-account-private-key-file", "text", "", "Key that tokens in secrets are signed with."),
    Flag("cluster-signing-cert-file", "text", "", "Authority that signs certificate requests."),
    Flag("cluster-signing-key-file", "text", "", "Its key."),
    Flag("cluster-signing-duration", "duration", 365 * 86400.0, "How long such certificates hold at most."),
)  # fmt: skip

NODES: Final = (
    Flag("node-monitor-period", "duration", 5.0, "Time between looks at what nodes say."),
    Flag("node-monitor-grace-period", "duration", 50.0, "How long a node may say nothing before it is unhealthy."),
    Flag("node-startup-grace-period", "duration", 60.0, "The same while it starts."),
    Flag("node-eviction-rate", "number", 0.1, "Nodes a second whose pods are evicted in a healthy zone."),
    Flag("secondary-node-eviction-rate", "number", 0.01, "The same in an unhealthy zone."),
    Flag("large-cluster-size-threshold", "count", 50, "From so many nodes on a cluster is large."),
    Flag("unhealthy-zone-threshold", "number", 0.55, "From such a part of nodes that are not ready on a zone is unhealthy."),
    Flag("allocate-node-cidrs", "bool", False, "Give nodes their ranges of addresses for pods."),
    Flag("cluster-cidr", "text", "", "Where these come from."),
    Flag("service-cluster-ip-range", "text", "", "Where services' addresses come from: no node gets any of these."),
    Flag("node-cidr-mask-size", "count", 0, "Mask of a node's range."),
    Flag("node-cidr-mask-size-ipv4", "count", 0, "The same for IPv4."),
    Flag("node-cidr-mask-size-ipv6", "count", 0, "The same for IPv6."),
    Flag("terminated-pod-gc-threshold", "count", 12500, "How many ended pods are kept."),
)  # fmt: skip

WORKLOADS: Final = (
    Flag("horizontal-pod-autoscaler-sync-period", "duration", 15.0, "Time between looks at the metrics."),
    Flag("horizontal-pod-autoscaler-downscale-stabilization", "duration", 300.0, "How far back the highest advice counts."),
    Flag("horizontal-pod-autoscaler-tolerance", "number", 0.1, "How far from 1 the ratio must be to scale."),
    Flag("horizontal-pod-autoscaler-cpu-initialization-period", "duration", 300.0, "How long a young pod's CPU may be left out."),
    Flag("horizontal-pod-autoscaler-initial-readiness-delay", "duration", 30.0, "How long readiness after the start counts as the first."),
    Flag("enable-garbage-collector", "bool", True, "Collect what no owner is left of."),
    Flag("max-endpoints-per-slice", "count", 100, "Endpoints of one EndpointSlice."),
    Flag("mirroring-max-endpoints-per-subset", "count", 1000, "Endpoints mirrored of one subset."),
    Flag("resource-quota-sync-period", "duration", 300.0, "Time between full counts of quotas."),
    Flag("pvclaimbinder-sync-period", "duration", 15.0, "Time between full looks at volumes and claims."),
    Flag("disable-force-detach-on-timeout", "bool", False, "Wait for nodes that are not ready to unmount, for ever."),
    Flag("legacy-service-account-token-clean-up-period", "duration", 365 * 86400.0, "How long tokens in secrets may be unused."),
)  # fmt: skip

# How many keys of a controller are worked on at once: the flag and the controller.
CONCURRENT: Final = {
    "concurrent-cron-job-syncs": "cronjob-controller",
    "concurrent-daemonset-syncs": "daemonset-controller",
    "concurrent-deployment-syncs": "deployment-controller",
    "concurrent-device-taint-eviction-syncs": "device-taint-eviction-controller",
    "concurrent-endpoint-syncs": "endpoints-controller",
    "concurrent-ephemeralvolume-syncs": "ephemeral-volume-controller",
    "concurrent-gc-syncs": "garbage-collector-controller",
    "concurrent-horizontal-pod-autoscaler-syncs": "horizontal-pod-autoscaler-controller",
    "concurrent-job-syncs": "job-controller",
    "concurrent-namespace-syncs": "namespace-controller",
    "concurrent_rc_syncs": "replicationcontroller-controller",
    "concurrent-replicaset-syncs": "replicaset-controller",
    "concurrent-resource-quota-syncs": "resourcequota-controller",
    "concurrent-resourceclaim-syncs": "resourceclaim-controller",
    "concurrent-service-endpoint-syncs": "endpointslice-controller",
    "concurrent-serviceaccount-token-syncs": "serviceaccount-token-controller",
    "concurrent-statefulset-syncs": "statefulset-controller",
    "concurrent-ttl-after-finished-syncs": "ttl-after-finished-controller",
    "mirroring-concurrent-service-endpoint-syncs": "endpointslice-mirroring-controller",
}
WORKERS: Final = tuple(
    Flag(name, "count", 0, f"Keys of the {controller} worked on at once; 0: kcore's own number.")
    for name, controller in CONCURRENT.items()
)

# Known, so that a manifest written for kube-controller-manager starts kcore; what they tune is not there or tunes itself.
WITHOUT_EFFECT: Final = tuple(
    Flag(name, "any", "", "Accepted, without effect.")
    for name in (
        "concurrent-service-syncs",
        "concurrent-validating-admission-policy-status-syncs", "allow-metric-labels", "allow-metric-labels-manifest",
        "allow-untagged-cloud", "attach-detach-reconcile-sync-period", "authentication-kubeconfig",
        "authentication-skip-lookup", "authentication-token-webhook-cache-ttl",
        "authentication-tolerate-lookup-failure", "authorization-kubeconfig",
        "authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl", "cert-dir",
        "cidr-allocator-type", "client-ca-file", "cloud-config", "cloud-provider", "cluster-name",
        "cluster-signing-kube-apiserver-client-cert-file", "cluster-signing-kube-apiserver-client-key-file",
        "cluster-signing-kubelet-client-cert-file", "cluster-signing-kubelet-client-key-file",
        "cluster-signing-kubelet-serving-cert-file", "cluster-signing-kubelet-serving-key-file",
        "cluster-signing-legacy-unknown-cert-file", "cluster-signing-legacy-unknown-key-file",
        "configure-cloud-routes", "contention-profiling", "controller-start-interval",
        "controller-shutdown-timeout", "disable-attach-detach-reconcile-sync",
        "disable-http2-serving", "disabled-metrics", "emulated-version", "enable-dynamic-provisioning", "enable-hostpath-provisioner",
        "enable-leader-migration", "endpoint-updates-batch-period", "endpointslice-updates-batch-period",
        "external-cloud-volume-plugin", "feature-gates", "flex-volume-plugin-dir",
        "http2-max-streams-per-connection", "kube-api-content-type", "leader-migration-config",
        "log-flush-frequency", "log-json-info-buffer-size", "log-json-split-stream", "log-text-info-buffer-size",
        "log-text-split-stream", "logging-format", "min-resync-period",
        "mirroring-endpointslice-updates-batch-period", "namespace-sync-period", "node-sync-period", "permit-address-sharing",
        "permit-port-sharing", "profiling", "pv-recycler-increment-timeout-nfs",
        "pv-recycler-minimum-timeout-hostpath", "pv-recycler-minimum-timeout-nfs",
        "pv-recycler-pod-template-filepath-hostpath", "pv-recycler-pod-template-filepath-nfs",
        "pv-recycler-timeout-increment-hostpath", "requestheader-allowed-names", "requestheader-client-ca-file",
        "requestheader-extra-headers-prefix", "requestheader-group-headers", "requestheader-uid-headers",
        "requestheader-username-headers", "route-reconciliation-period", "show-hidden-metrics-for-version",
        "tls-cipher-suites", "tls-curve-preferences", "tls-min-version", "tls-sni-cert-key",
        "vmodule",
    )
)  # fmt: skip

FLAGS: Final = (*GENERIC, *LEADING, *SERVING, *CERTIFICATES, *NODES, *WORKLOADS, *WORKERS, *WITHOUT_EFFECT)
BY_NAME: Final = {flag.name: flag for flag in FLAGS}
PAIRS: Final = (
    ("tls-cert-file", "tls-private-key-file"),
    ("cluster-signing-cert-file", "cluster-signing-key-file"),
)


def gather(given: Mapping[str, str]) -> Settings:
    """All settings by flag name; ``given`` are the texts of the command line. InputError for what cannot be."""
    from kcore.controllers import catalog  # every controller: --help needs none

    settings = flags.read(BY_NAME, given)
    settings["controllers"] = catalog.canonical(settings["controllers"])
    for one, other in PAIRS:
        if bool(settings[one]) != bool(settings[other]):
            raise InputError(f"--{one} and --{other} go together", field=f"--{one}", expected="two files")
    if settings["leader-elect-resource-lock"] != "leases":
        raise InputError(
            f"cannot be {settings['leader-elect-resource-lock']!r}", field="--leader-elect-resource-lock",
            expected="leases",
        )  # fmt: skip
    lease, deadline = settings["leader-elect-lease-duration"], settings["leader-elect-renew-deadline"]
    if lease <= deadline:
        raise InputError(
            "is not longer than --leader-elect-renew-deadline", field="--leader-elect-lease-duration",
            expected=f"more than {deadline:g}s",
        )  # fmt: skip
    retry = settings["leader-elect-retry-period"]
    if not 0 < retry * 1.2 < deadline:
        raise InputError(
            "is too long for --leader-elect-renew-deadline", field="--leader-elect-retry-period",
            expected=f"less than {deadline / 1.2:g}s",
        )  # fmt: skip
    return settings
