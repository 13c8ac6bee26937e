"""What upstream says of objects of the cluster: one table a question, its rows named as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.kinds.cluster_samples import (
    Object,
    binding,
    claim,
    definition,
    ingress,
    level,
    policy,
    role,
    service,
    thing,
    volume,
    webhooks,
)
from tests.api.kinds.samples import faults_of, warnings_of

PORTS: Any = [{"port": 80}, {"port": 80}]
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)

CREATES: list[tuple[str, Object, list[str]]] = [
    (
        "a key of a ConfigMap is a file name",
        thing("v1", "ConfigMap", data={"a/b": ""}),
        [
            (
                "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or "
                "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            )
        ],
    ),
    (
        "a ConfigMap holds at most a mebibyte",
        thing("v1", "ConfigMap", data={"a": "x" * (1 << 20), "b": "y"}),
        [": Too long: may not be more than 1048576 bytes"],
    ),
    (
        "no key stands in both bags",
        thing("v1", "ConfigMap", data={"a": ""}, binaryData={"a": "YQ=="}),
        ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ),
    (
        "a TLS secret has both halves",
        thing("v1", "Secret", type="kubernetes.io/tls", data={"tls.crt": "YQ=="}),
        ["data[tls.key]: Required value"],
    ),
    (
        "a secret for Docker holds JSON",
        thing("v1", "Secret", type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": "a"}),
        [
            (
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character 'a' looking for "
                "beginning of value"
            )
        ],
    ),
    (
        "a token's secret names its account",
        thing("v1", "Secret", type="kubernetes.io/service-account-token"),
        ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    ),
    (
        "several ports are told apart by names, and by protocol and port",
        service(ports=PORTS),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            (
                'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
                '"NodePort":0}'
            ),
        ],
    ),
    ("a service has ports", service(ports=[]), ["spec.ports: Required value"]),
    (
        "a type of service is one of four",
        service(type="Cloud"),
        [
            (
                'spec.type: Unsupported value: "Cloud": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
                '"NodePort"'
            )
        ],
    ),
    (
        "an external name is a name",
        service(type="ExternalName", ports=[]),
        ["spec.externalName: Required value"],
    ),
    (
        "a node port needs its type",
        service(ports=[{"port": 80, "nodePort": 30000}]),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ),
    (
        "a headless service is no node port",
        service(type="NodePort", clusterIP="None", clusterIPs=["None"]),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    ),
    (
        "an affinity is known",
        service(sessionAffinity="Cookie"),
        ['spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"'],
    ),
    (
        "a port is a port",
        service(ports=[{"port": 70000, "targetPort": "A"}]),
        [
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
            (
                'spec.ports[0].targetPort: Invalid value: "A": must contain only alpha-numeric characters (a-z, 0-9), and '
                "hyphens (-)"
            ),
            'spec.ports[0].targetPort: Invalid value: "A": must contain at least one letter (a-z)',
        ],
    ),
    (
        "families are those of the addresses",
        service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], ipFamilies=["IPv6"]),
        [
            'spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`'
        ],
    ),
    (
        "no endpoint is on the loopback",
        thing("v1", "Endpoints", subsets=[{"addresses": [{"ip": "127.0.0.1"}]}]),
        [
            (
                'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, '
                "::1/128)"
            )
        ],
    ),
    (
        "a taint has a key, an effect, and stands once",
        thing(
            "v1",
            "Node",
            cluster=True,
            spec={"taints": [{"key": "a", "effect": "NoSchedule"}] * 2 + [{"key": "b", "effect": "No"}]},
        ),
        [
            (
                'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints '
                "must be unique by key and effect pair"
            ),
            (
                'metadata.taints[2].effect: Unsupported value: "No": supported values: "NoSchedule", "PreferNoSchedule", '
                '"NoExecute"'
            ),
        ],
    ),
    (
        "a volume is of one type",
        volume(nfs={"server": "a", "path": "/"}),
        ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
    ),
    (
        "a local volume is somewhere",
        volume(hostPath=None, local={"path": "/a"}),
        ["spec.nodeAffinity: Required value: Local volume requires node affinity"],
    ),
    (
        "a volume has a capacity",
        volume(capacity={}),
        [
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
        ],
    ),
    (
        "a claim asks for room",
        claim(resources={}, accessModes=[]),
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    ),
    (
        "a quota counts what can be counted",
        thing("v1", "ResourceQuota", spec={"hard": {"apples": "1", "pods": "1500m"}}),
        [
            'spec.hard[apples]: Invalid value: "apples": must be a standard resource type or fully qualified',
            'spec.hard[apples]: Invalid value: "apples": must be a standard resource for quota',
            'spec.hard[pods]: Invalid value: "1500m": must be an integer',
        ],
    ),
    (
        "scopes do not contradict each other",
        thing("v1", "ResourceQuota", spec={"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}),
        ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes'],
    ),
    (
        "a limit's bounds are in order",
        thing(
            "v1", "LimitRange", spec={"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}
        ),
        ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
    ),
    (
        "a role's rule has verbs and resources",
        role(rules=[{}]),
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ],
    ),
    (
        "a namespaced rule is not about URLs",
        role(rules=[{"verbs": ["get"], "nonResourceURLs": ["/a"]}]),
        [
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs'
        ],
    ),
    (
        "a service account has a namespace in a cluster's binding",
        binding("ClusterRoleBinding", subjects=[{"kind": "ServiceAccount", "name": "a"}]),
        ["subjects[0].namespace: Required value"],
    ),
    (
        "a class of priority is no system's and below a billion",
        thing("scheduling.k8s.io/v1", "PriorityClass", cluster=True, value=1_000_000_001),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        "a system's class is known",
        thing("scheduling.k8s.io/v1", "PriorityClass", cluster=True, name="system-a", value=1),
        [
            (
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
                "error: system-a is not a known system priority class"
            )
        ],
    ),
    (
        "an ingress leads somewhere",
        ingress(rules=[]),
        ["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        "a path has a type",
        ingress(rules=[{"http": {"paths": [{"path": "/", "backend": {}}]}}]),
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        "a path is absolute and its backend has a port",
        ingress(
            rules=[
                {
                    "host": "10.0.0.1",
                    "http": {
                        "paths": [{"path": "a", "pathType": "Exact", "backend": {"service": {"name": "a"}}}]
                    },
                }
            ]
        ),
        [
            'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
            "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
        ],
    ),
    (
        "what is excepted lies inside",
        policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]),
        [
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'
        ],
    ),
    (
        "a peer is something",
        policy(egress=[{"to": [{}]}]),
        ["spec.egress[0].to[0]: Required value: must specify a peer"],
    ),
    (
        "a lease lasts",
        thing("coordination.k8s.io/v1", "Lease", spec={"leaseDurationSeconds": 0}),
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    ),
    (
        "an endpoint's address is of the slice's type",
        thing(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            addressType="IPv6",
            endpoints=[{"addresses": ["10.0.0.1"]}],
        ),
        ['endpoints[0].addresses: Invalid value: "10.0.0.1": must be an IPv6 address'],
    ),
    (
        "a class of storage has a provisioner",
        thing("storage.k8s.io/v1", "StorageClass", cluster=True, reclaimPolicy="Recycle"),
        [
            "provisioner: Required value",
            'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        ],
    ),
    (
        "a webhook says what it does and where it is",
        webhooks(name="a", sideEffects=None, clientConfig={"url": "http://a.b"}),
        [
            'webhooks[0].name: Invalid value: "a": should be a domain with at least three segments separated by dots',
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            (
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired "
                "format: https://host[/path]"
            ),
        ],
    ),
    (
        "a definition is named after its plural and group, and has a schema",
        definition(names={"plural": "gadgets", "kind": "Gadget"}, versions=[{"name": "v1", "storage": True}]),
        [
            'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group',
            "spec.versions[0].schema.openAPIV3Schema: Required value",
        ],
    ),
    (
        "a schema is structural",
        definition(
            {
                "type": "object",
                "properties": {
                    "a": {},
                    "b": {"type": "array"},
                    "c": {"type": "string", "anyOf": [{"type": "string"}]},
                },
            }
        ),
        [
            (
                "spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object "
                "fields"
            ),
            "spec.validation.openAPIV3Schema.properties[b].items: Required value: must be specified",
            "spec.validation.openAPIV3Schema.properties[c].anyOf[0].type: Forbidden: must be empty to be structural",
        ],
    ),
    (
        "a protected group needs approval",
        definition(group="a.k8s.io") | {"metadata": {"name": "widgets.a.k8s.io"}},
        [
            (
                "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval "
                'annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
            )
        ],
    ),
    (
        "a hand of queues is no larger than the deck",
        level(limitResponse={"type": "Queue", "queuing": {"handSize": 3, "queues": 2}}),
        [
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater than queues (2)"
        ],
    ),
    (
        "a modern event is reported by somebody",
        thing("events.k8s.io/v1", "Event", eventTime="2026-01-01T00:00:00.000000Z", type="Normal"),
        [
            'involvedObject.namespace: Invalid value: "": does not match event.namespace',
            "reportingController: Required value",
            'reportingController: Invalid value: "": name part must be non-empty',
            f'reportingController: Invalid value: "": {QUALIFIED}',
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
        ],
    ),
    (
        "a request for devices is of one sort",
        thing(
            "resource.k8s.io/v1",
            "ResourceClaim",
            spec={
                "devices": {
                    "requests": [{"name": "A"}, {"name": "b", "exactly": {}}],
                    "constraints": [{"requests": ["c"], "matchAttribute": "a.b/c"}],
                }
            },
        ),
        [
            (
                'spec.devices.requests[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case '
                "alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
                "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ),
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[1].exactly.deviceClassName: Required value",
            (
                'spec.devices.constraints[0].requests[0]: Invalid value: "c": must be the name of a request in the claim or '
                "the name of a request and a subrequest separated by '/'"
            ),
        ],
    ),
    (
        "a request for a certificate is one",
        thing(
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            cluster=True,
            spec={"request": "YQ==", "signerName": "a", "usages": ["tea"], "expirationSeconds": 5},
        ),
        [
            'spec.request: Invalid value: "YQ==": PEM block type must be CERTIFICATE REQUEST',
            (
                'spec.usages[0]: Unsupported value: "tea": supported values: "any", "cert sign", "client auth", "code '
                'signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", '
                '"email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", '
                '"key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", '
                '"timestamping"'
            ),
            (
                'spec.signerName: Invalid value: "a": must be a fully qualified domain and path of the form '
                "'example.com/signer-name'"
            ),
            "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    ),
]


@pytest.mark.parametrize(("obj", "texts"), [each[1:] for each in CREATES], ids=[each[0] for each in CREATES])
def test_what_is_wrong_with_a_new_object(obj: Object, texts: list[str]) -> None:
    if obj["kind"] == "Event":
        obj["metadata"]["namespace"] = "web"
    assert faults_of(obj) == texts


WARNINGS: list[tuple[str, Object, list[str]]] = [
    (
        "external addresses are deprecated",
        service(externalIPs=["10.1.2.3"]),
        ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"],
    ),
    (
        "a TLS secret whose halves are no PEM",
        thing("v1", "Secret", type="kubernetes.io/tls", stringData={"tls.crt": "a", "tls.key": "b"}),
        ["tls: failed to find any PEM data in certificate input"],
    ),
    (
        "an ingress's class in an annotation",
        ingress() | {"metadata": {"name": "a", "annotations": {"kubernetes.io/ingress.class": "b"}}},
        [
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
        ],
    ),
    (
        "a format that means nothing",
        definition({"type": "object", "properties": {"a": {"type": "string", "format": "int64"}}}),
        ['unrecognized format "int64"'],
    ),
    (
        "reclaiming by recycling",
        volume(persistentVolumeReclaimPolicy="Recycle"),
        [
            (
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
                "approach is to use dynamic provisioning."
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("obj", "texts"), [each[1:] for each in WARNINGS], ids=[each[0] for each in WARNINGS]
)
def test_what_is_warned_of(obj: Object, texts: list[str]) -> None:
    assert warnings_of(obj) == texts
