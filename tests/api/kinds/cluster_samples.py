"""Good objects of the kinds that are no workloads."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def thing(api_version: str, kind: str, *, cluster: bool = False, name: str = "web", **fields: Any) -> Object:
    metadata = {"name": name} if cluster else {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def service(**spec: Any) -> Object:
    return thing("v1", "Service", spec={"ports": [{"port": 80}], "selector": {"app": "web"}, **spec})


def volume(**spec: Any) -> Object:
    made = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}}
    return thing("v1", "PersistentVolume", cluster=True, spec={**made, **spec})


def claim(**spec: Any) -> Object:
    made = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return thing("v1", "PersistentVolumeClaim", spec={**made, **spec})


def ingress(**spec: Any) -> Object:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    rules = [{"host": "example.com", "http": {"paths": [path]}}]
    return thing("networking.k8s.io/v1", "Ingress", spec={"rules": rules, **spec})


def policy(**spec: Any) -> Object:
    return thing("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, **spec})


def binding(kind: str = "RoleBinding", **fields: Any) -> Object:
    subjects = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    cluster = kind == "ClusterRoleBinding"
    made = thing("rbac.authorization.k8s.io/v1", kind, cluster=cluster)
    return {**made, "subjects": subjects, "roleRef": reference, **fields}


def role(kind: str = "Role", **fields: Any) -> Object:
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    return thing(
        "rbac.authorization.k8s.io/v1", kind, cluster=kind == "ClusterRole", **{"rules": rules, **fields}
    )


def webhooks(kind: str = "ValidatingWebhookConfiguration", **fields: Any) -> Object:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    hook = {
        "name": "a.example.com",
        "rules": [rule],
        "clientConfig": {"service": {"name": "web", "namespace": "default", "path": "/check"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **fields,
    }
    return thing("admissionregistration.k8s.io/v1", kind, cluster=True, webhooks=[hook])


def definition(schema: Any = None, **spec: Any) -> Object:
    given = {"type": "object", "properties": {"spec": {"type": "object"}}} if schema is None else schema
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": given}}]
    names = {"plural": "widgets", "kind": "Widget"}
    made = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    api_version, kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
    return thing(api_version, kind, cluster=True, name="widgets.example.com", spec={**made, **spec})


def level(**limited: Any) -> Object:
    spec = {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}, **limited}}
    return thing("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", cluster=True, spec=spec)


_RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
_ADMISSION = "admissionregistration.k8s.io/v1"
_FLOW = "flowcontrol.apiserver.k8s.io/v1"
_SLICE = {"addresses": ["10.1.2.3"], "hints": {"forZones": [{"name": "a"}]}, "nodeName": "n"}

_OPAQUE = {"driver": "a.b", "parameters": {"kind": "A"}}
DEVICES: Object = {
    "devices": {
        "requests": [
            {"name": "a", "exactly": {"deviceClassName": "c"}},
            {"name": "b", "firstAvailable": [{"name": "d", "deviceClassName": "c"}]},
        ],
        "constraints": [{"requests": ["a", "b/d"], "matchAttribute": "a.b/c"}],
        "config": [{"requests": ["a"], "opaque": _OPAQUE}],
    }
}

GOOD: list[Object] = [
    thing("v1", "ConfigMap", data={"a": "b"}, binaryData={"c": "ZA=="}),
    thing("v1", "Secret", data={"a": "Yg=="}, stringData={"c": "d"}),
    thing("v1", "ServiceAccount", secrets=[{"name": "a", "kind": "Secret"}]),
    thing("v1", "Namespace", cluster=True),
    thing(
        "v1",
        "Node",
        cluster=True,
        spec={"podCIDR": "10.0.0.0/24", "taints": [{"key": "a", "effect": "NoSchedule"}]},
        status={"capacity": {"cpu": "2"}, "addresses": [{"type": "Hostname", "address": "n"}]},
    ),
    service(),
    service(type="LoadBalancer", externalIPs=["10.1.2.3"], loadBalancerSourceRanges=["10.0.0.0/8"]),
    service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"),
    service(type="ExternalName", externalName="example.com", sessionAffinity="ClientIP"),
    thing("v1", "Endpoints", subsets=[{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]),
    volume(),
    volume(
        hostPath=None,
        csi={"driver": "a.b", "volumeHandle": "c", "nodePublishSecretRef": {"name": "a", "namespace": "b"}},
    ),
    claim(dataSource={"kind": "PersistentVolumeClaim", "name": "a"}),
    thing("v1", "ResourceQuota", spec={"hard": {"pods": "3", "cpu": "1"}, "scopes": ["NotTerminating"]}),
    thing(
        "v1",
        "LimitRange",
        spec={"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "100m"}}]},
    ),
    thing("v1", "Event", involvedObject={"namespace": "default", "name": "web", "kind": "Pod"}),
    thing("coordination.k8s.io/v1", "Lease", spec={"leaseDurationSeconds": 15, "holderIdentity": "a"}),
    thing("scheduling.k8s.io/v1", "PriorityClass", cluster=True, value=100),
    thing(
        "node.k8s.io/v1",
        "RuntimeClass",
        cluster=True,
        handler="runc",
        overhead={"podFixed": {"cpu": "100m"}},
        scheduling={
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
        },
    ),
    role(),
    role("ClusterRole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}),
    binding(),
    binding("ClusterRoleBinding"),
    ingress(tls=[{"hosts": ["example.com"], "secretName": "a"}], ingressClassName="a"),
    thing(
        "networking.k8s.io/v1",
        "IngressClass",
        cluster=True,
        spec={"controller": "example.com/a", "parameters": {"kind": "A", "name": "b", "apiGroup": "c.d"}},
    ),
    policy(
        ingress=[{"ports": [{"port": 80, "endPort": 90}], "from": [{"podSelector": {}}]}],
        egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}],
    ),
    thing(
        "networking.k8s.io/v1",
        "IPAddress",
        cluster=True,
        name="10.1.2.3",
        spec={"parentRef": {"resource": "services", "name": "web", "namespace": "default"}},
    ),
    thing("networking.k8s.io/v1", "ServiceCIDR", cluster=True, spec={"cidrs": ["10.0.0.0/16"]}),
    thing(
        "discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4", endpoints=[_SLICE], ports=[{"port": 80}]
    ),
    thing("storage.k8s.io/v1", "StorageClass", cluster=True, provisioner="a.b/c", parameters={"a": "b"}),
    thing(
        "storage.k8s.io/v1", "VolumeAttributesClass", cluster=True, driverName="a.b", parameters={"a": "b"}
    ),
    thing(
        "storage.k8s.io/v1",
        "VolumeAttachment",
        cluster=True,
        spec={"attacher": "a.b", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
    ),
    thing("storage.k8s.io/v1", "CSIDriver", cluster=True, spec={"tokenRequests": [{"audience": "a"}]}),
    thing(
        "storage.k8s.io/v1",
        "CSINode",
        cluster=True,
        spec={
            "drivers": [{"name": "a.b", "nodeID": "n", "topologyKeys": ["a"], "allocatable": {"count": 3}}]
        },
    ),
    thing("storage.k8s.io/v1", "CSIStorageCapacity", storageClassName="a", capacity="1Gi", nodeTopology={}),
    webhooks(),
    webhooks("MutatingWebhookConfiguration", matchConditions=[{"name": "a", "expression": "true"}]),
    thing(
        _ADMISSION,
        "ValidatingAdmissionPolicy",
        cluster=True,
        spec={
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [_RULE]},
            "variables": [{"name": "a", "expression": "1"}],
            "validations": [{"expression": "true", "message": "no"}],
            "auditAnnotations": [{"key": "a", "valueExpression": "'b'"}],
        },
    ),
    thing(
        _ADMISSION,
        "MutatingAdmissionPolicy",
        cluster=True,
        spec={
            "matchConstraints": {"resourceRules": [_RULE]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
            "reinvocationPolicy": "Never",
        },
    ),
    thing(
        _ADMISSION,
        "ValidatingAdmissionPolicyBinding",
        cluster=True,
        spec={
            "policyName": "a",
            "validationActions": ["Deny"],
            "paramRef": {"name": "a", "parameterNotFoundAction": "Deny"},
            "matchResources": {},
        },
    ),
    thing(_ADMISSION, "MutatingAdmissionPolicyBinding", cluster=True, spec={"policyName": "a"}),
    definition(),
    definition(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["a"],
                    "properties": {
                        "a": {"type": "string", "pattern": "^a"},
                        "l": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["k"],
                                "properties": {"k": {"type": "string"}},
                            },
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["k"],
                        },
                        "p": {
                            "x-kubernetes-int-or-string": True,
                            "anyOf": [{"type": "integer"}, {"type": "string"}],
                        },
                    },
                    "anyOf": [{"properties": {"a": {"minLength": 1}}}],
                }
            },
        }
    ),
    thing(
        "apiregistration.k8s.io/v1",
        "APIService",
        cluster=True,
        name="v1.example.com",
        spec={
            "group": "example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "service": {"name": "a", "namespace": "b"},
        },
    ),
    thing(
        _FLOW,
        "FlowSchema",
        cluster=True,
        spec={
            "priorityLevelConfiguration": {"name": "a"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "a"}}],
                    "resourceRules": [
                        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
                    ],
                    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}],
                }
            ],
        },
    ),
    level(),
    thing("resource.k8s.io/v1", "ResourceClaim", spec=DEVICES),
    thing("resource.k8s.io/v1", "ResourceClaimTemplate", spec={"spec": DEVICES}),
    thing(
        "resource.k8s.io/v1",
        "DeviceClass",
        cluster=True,
        spec={"selectors": [{"cel": {"expression": "true"}}], "config": [{"opaque": _OPAQUE}]},
    ),
    thing(
        "resource.k8s.io/v1",
        "ResourceSlice",
        cluster=True,
        spec={
            "driver": "a.b",
            "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        },
    ),
]
