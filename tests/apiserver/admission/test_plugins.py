"""Each plugin's effect and its texts, through the whole chain."""

from __future__ import annotations

import asyncio

import pytest

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.apiserver.admission.order import DEFAULT_ON, ORDER, enabled_plugins
from kcore.apiserver.admission.runtime_class import merged_tolerations
from tests.apiserver.admission.operations import admit, chain, operation, pod, ready_cluster
from tests.apiserver.view import Cluster, named


def refusal(call) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


def test_a_plain_pod_gets_all_that_upstream_gives_it() -> None:
    made = admit(chain(ready_cluster()), pod())
    assert made["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "volumeMounts": [
                    {
                        "name": "kube-api-access-abcde",
                        "readOnly": True,
                        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    }
                ],
            }
        ],
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "volumes": [
            {
                "name": "kube-api-access-abcde",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {
                            "configMap": {
                                "name": "kube-root-ca.crt",
                                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                            }
                        },
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                    }
                                ]
                            }
                        },
                    ],
                    "defaultMode": 420,
                },
            }
        ],
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for key in ("not-ready", "unreachable")
        ],
    }


def test_namespaces_must_be_there_and_some_stay() -> None:
    cluster = ready_cluster(named("v1", "Namespace", "going", status={"phase": "Terminating"}))
    made = chain(cluster)
    error = refusal(lambda: admit(made, pod(namespace="none")))
    assert (error.code, error.message) == (404, 'namespaces "none" not found')
    error = refusal(lambda: admit(made, named("v1", "ConfigMap", "c", "going")))
    assert error.message == (
        'configmaps "c" is forbidden: unable to create new content in namespace going because it is being terminated'
    )
    assert error.details is not None
    assert error.details["causes"] == [
        {
            "reason": "NamespaceTerminating", "message": "namespace going is being terminated",
            "field": "metadata.namespace",
        }
    ]  # fmt: skip
    for name in ("default", "kube-system", "kube-public"):
        error = refusal(lambda name=name: admit(made, None, named("v1", "Namespace", name)))
        assert error.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    admit(made, None, named("v1", "Namespace", "one"))
    # one that the cache does not show yet is found in the store
    cluster.hidden.add(("", "namespaces", "", "one"))
    admit(made, named("v1", "ConfigMap", "c", "one"))


def test_service_accounts() -> None:
    cluster = ready_cluster(
        named(
            "v1",
            "ServiceAccount",
            "bot",
            "one",
            automountServiceAccountToken=False,
            imagePullSecrets=[{"name": "s"}],
        )
    )
    made = chain(cluster)
    spec = admit(made, pod(serviceAccountName="bot"))["spec"]
    assert "volumes" not in spec
    assert spec["imagePullSecrets"] == [{"name": "s"}]
    assert "volumes" in admit(made, pod(serviceAccountName="bot", automountServiceAccountToken=True))["spec"]
    error = refusal(lambda: admit(made, pod(serviceAccountName="nobody")))
    assert error.message == (
        'pods "p" is forbidden: error looking up service account one/nobody: serviceaccount "nobody" not found'
    )
    mirror = pod(serviceAccountName="bot")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert refusal(lambda: admit(made, mirror)).message.endswith(
        "a mirror pod may not reference service accounts"
    )
    cluster.hidden.add(("", "serviceaccounts", "one", "default"))
    assert admit(made, pod())["spec"]["serviceAccountName"] == "default"


def test_accounts_that_limit_their_secrets() -> None:
    annotations = {"kubernetes.io/enforce-mountable-secrets": "true"}
    account = named(
        "v1", "ServiceAccount", "tight", "one", secrets=[{"name": "a"}], metadata={"annotations": annotations}
    )
    made = chain(ready_cluster(account))
    volumes = [{"name": "v", "secret": {"secretName": "b"}}]
    error = refusal(lambda: admit(made, pod(serviceAccountName="tight", volumes=volumes)))
    assert error.message.endswith(
        'volume with secret.secretName="b" is not allowed because service account tight does not reference that secret'
    )
    environment = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]
    containers = [{"name": "c", "env": environment}]
    error = refusal(lambda: admit(made, pod(serviceAccountName="tight", containers=containers)))
    assert error.message.endswith(
        'container c with envVar X referencing secret.secretName="b" is not allowed because service account tight does '
        "not reference that secret"
    )


def test_priorities() -> None:
    version = "scheduling.k8s.io/v1"
    cluster = ready_cluster(
        named(version, "PriorityClass", "high", value=1000, preemptionPolicy="Never"),
        named(
            version,
            "PriorityClass",
            "usual",
            value=10,
            globalDefault=True,
            preemptionPolicy="PreemptLowerPriority",
        ),
    )
    made = chain(cluster)
    spec = admit(made, pod(priorityClassName="high"))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
    spec = admit(made, pod())["spec"]
    assert (spec["priority"], spec["priorityClassName"]) == (10, "usual")
    error = refusal(lambda: admit(made, pod(priorityClassName="none")))
    assert error.message == 'pods "p" is forbidden: no PriorityClass with name none was found'
    error = refusal(lambda: admit(made, pod(priority=5)))
    assert error.message.endswith(
        "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 10 "
        "from the given PriorityClass name"
    )
    another = named(version, "PriorityClass", "other", value=1, globalDefault=True)
    assert refusal(lambda: admit(made, another)).message.endswith(
        "PriorityClass usual is already marked as default. Only one default can exist"
    )
    old = admit(made, pod(priorityClassName="high"))
    assert admit(made, pod(priorityClassName="high"), old)["spec"]["priority"] == 1000


def limit_range(**limit: object) -> dict:
    return named("v1", "LimitRange", "l", "one", spec={"limits": [limit]})


def test_limit_ranges_give_defaults_and_refuse() -> None:
    made = chain(
        ready_cluster(
            limit_range(
                type="Container", default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "500m"}
            )
        )
    )
    containers = [{"name": "c", "resources": {"limits": {"memory": "2Gi"}}}, {"name": "d"}]
    new = admit(made, pod(containers=containers, initContainers=[{"name": "i"}]))
    assert new["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "2Gi", "cpu": "1"}, "requests": {"cpu": "500m"},
    }  # fmt: skip
    assert new["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c; cpu request for container d; "
        "cpu, memory limit for container d; cpu request for init container i; cpu, memory limit for init container i"
    )


@pytest.mark.parametrize(
    ("limit", "resources", "text"),
    [
        ({"min": {"cpu": "500m"}}, {}, "minimum cpu usage per Container is 500m.  No request is specified"),
        (
            {"min": {"memory": "1Gi"}},
            {"requests": {"memory": "100Mi"}},
            "minimum memory usage per Container is 1Gi, but request is 100Mi",
        ),
        (
            {"max": {"cpu": 1}},
            {"limits": {"cpu": "2000m"}},
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        ({"max": {"cpu": "1"}}, {}, "maximum cpu usage per Container is 1.  No limit is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"max": {"cpu": "1", "memory": "1Gi"}},
            {"limits": {"cpu": "2", "memory": "2Gi"}},
            (
                "[maximum cpu usage per Container is 1, but limit is 2, "
                "maximum memory usage per Container is 1Gi, but limit is 2Gi]"
            ),
        ),
    ],
)
def test_limits_of_containers(limit: dict, resources: dict, text: str) -> None:
    made = chain(ready_cluster(limit_range(type="Container", **limit)))
    error = refusal(lambda: admit(made, pod(containers=[{"name": "c", "resources": resources}])))
    assert error.message == f'pods "p" is forbidden: {text}'


def test_limits_of_whole_pods_and_of_claims() -> None:
    made = chain(ready_cluster(limit_range(type="Pod", max={"memory": "1Gi"})))
    containers = [{"name": name, "resources": {"limits": {"memory": "600Mi"}}} for name in "ab"]
    error = refusal(lambda: admit(made, pod(containers=containers)))
    assert error.message.endswith("maximum memory usage per Pod is 1Gi, but limit is 1200Mi")
    made = chain(
        ready_cluster(
            limit_range(type="PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "2Gi"})
        )
    )
    for amount, text in (
        ("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"),
        ("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"),
    ):
        claim = named(
            "v1", "PersistentVolumeClaim", "c", "one", spec={"resources": {"requests": {"storage": amount}}}
        )
        assert refusal(lambda claim=claim: admit(made, claim)).message.endswith(text)


def test_runtime_classes() -> None:
    made = chain(
        ready_cluster(
            named(
                "node.k8s.io/v1", "RuntimeClass", "vm", handler="h", overhead={"podFixed": {"cpu": "250m"}},
                scheduling={"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]},
            )
        )
    )  # fmt: skip
    spec = admit(made, pod(runtimeClassName="vm"))["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"vm": "yes"})
    assert {"key": "vm", "operator": "Exists"} in spec["tolerations"]
    for changes, text in (
        ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
        ({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
        ({"overhead": {"cpu": "1"}}, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"),
        ({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}}, "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"),
    ):  # fmt: skip
        assert refusal(lambda changes=changes: admit(made, pod(**changes))).message.endswith(text)
    narrow = {"key": "a", "operator": "Exists", "effect": "NoSchedule"}
    assert merged_tolerations([narrow], [{"key": "a", "operator": "Exists"}]) == [
        {"key": "a", "operator": "Exists"}
    ]


def test_nodes_and_storage() -> None:
    storage = "storage.k8s.io/v1"
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    cluster = ready_cluster(
        named(storage, "StorageClass", "fast", metadata=default, allowVolumeExpansion=True),
        named("v1", "Node", "n", metadata={"labels": {"topology.kubernetes.io/zone": "z", "other": "o"}}),
    )
    made = chain(cluster)
    assert admit(made, named("v1", "Node", "m", spec={}))["spec"]["taints"] == [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    ]
    assert admit(made, pod(nodeName="n"))["metadata"]["labels"] == {"topology.kubernetes.io/zone": "z"}
    claim = admit(made, named("v1", "PersistentVolumeClaim", "c", "one", spec={}))
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]

    def sized(amount: str, phase: str = "Bound", name: str = "fast") -> dict:
        spec = {"storageClassName": name, "resources": {"requests": {"storage": amount}}}
        return named("v1", "PersistentVolumeClaim", "c", "one", spec=spec, status={"phase": phase})

    admit(made, sized("2Gi"), sized("1Gi"))
    error = refusal(lambda: admit(made, sized("2Gi"), sized("1Gi", "Pending")))
    assert error.message.endswith("Only bound persistent volume claims can be expanded")
    error = refusal(lambda: admit(made, sized("2Gi", name="slow"), sized("1Gi", name="slow")))
    assert error.message.endswith("the storageclass that provisions the pvc must support resize")


def test_which_plugins_are_on() -> None:
    assert enabled_plugins() == tuple(name for name in ORDER if name in DEFAULT_ON)
    assert "AlwaysPullImages" in enabled_plugins(["AlwaysPullImages"])
    assert "LimitRanger" not in enabled_plugins((), ["LimitRanger"])
    for enable, disable in ((["No"], []), ([], ["No"]), (["LimitRanger"], ["LimitRanger"])):
        with pytest.raises(InputError):
            enabled_plugins(enable, disable)
    with pytest.raises(InputError, match="not built in"):
        chain(ready_cluster(), enable=["ImagePolicyWebhook"])
    names = chain(ready_cluster(), enable=["AlwaysPullImages"]).names
    assert names.index("LimitRanger") < names.index("AlwaysPullImages") < names.index("ResourceQuota")
    assert names[-1] == "RoleEscalation"


def test_optional_plugins() -> None:
    made = chain(
        ready_cluster(), enable=["AlwaysPullImages", "DenyServiceExternalIPs", "ExtendedResourceToleration"]
    )
    containers = [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]
    spec = admit(made, pod(containers=containers))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in spec["tolerations"]
    service = named("v1", "Service", "s", "one", spec={"externalIPs": ["1.2.3.4"]})
    assert refusal(lambda: admit(made, service)).message.endswith(
        "Use of external IPs is denied by admission control"
    )
    denied = chain(ready_cluster(), enable=["AlwaysDeny"])
    assert refusal(lambda: admit(denied, pod())).message.endswith(
        "admission control is denying all modifications"
    )


def test_the_chain_waits_only_where_something_is_missing() -> None:
    cluster = ready_cluster()
    made = chain(cluster)
    coroutine = made.mutate(operation(pod()), pod(), None, now="")
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert isinstance(cluster, Cluster)
    asyncio.run(made.validate(operation(pod()), admit(made, pod()), None, now=""))
