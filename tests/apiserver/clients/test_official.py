"""The official client (``kubernetes``): typed and dynamic, patches, watches, leader election."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip(
    "kubernetes", reason="the official Python client is not installed: pip install kubernetes"
)

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import exceptions as dynamic_errors

from kcore import ControlPlane


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[client.ApiClient]:
    made = config.new_client_from_config(config_file=plane.kubeconfig)
    yield made
    made.close()


@pytest.fixture(scope="module")
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def pod(name: str) -> client.V1Pod:
    container = client.V1Container(
        name="main",
        image="nginx:1.27",
        ports=[client.V1ContainerPort(container_port=80)],
        resources=client.V1ResourceRequirements(requests={"cpu": "100m", "memory": "64Mi"}),
    )
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name), spec=client.V1PodSpec(containers=[container])
    )


def deployment(name: str) -> client.V1Deployment:
    labels = {"app": name}
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=pod(name).spec)
    spec = client.V1DeploymentSpec(
        replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


def refused(call: Any, *arguments: Any, **options: Any) -> tuple[int, str, str]:
    """Code, reason and message of the Status that the call ends with."""
    with pytest.raises(ApiException) as caught:
        call(*arguments, **options)
    said = json.loads(caught.value.body)
    assert (said["kind"], said["code"]) == ("Status", caught.value.status)
    return said["code"], said["reason"], said["message"]


def test_version_and_discovery(api: client.ApiClient) -> None:
    found = client.VersionApi(api).get_code()
    assert (found.major, found.minor) == ("1", "36")
    groups = {group.name for group in client.ApisApi(api).get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "resource.k8s.io"} <= groups
    assert client.CoreApi(api).get_api_versions().versions == ["v1"]
    names = {each.name for each in client.AppsV1Api(api).get_api_resources().resources}
    assert {"deployments", "deployments/scale", "deployments/status"} <= names
    components = client.CoreV1Api(api).list_component_status().items
    assert all(each.conditions for each in components)


def test_typed_objects_come_back_as_they_went(core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_pod(namespace, pod("web"))
    assert made.spec.containers[0].resources.requests == {"cpu": "100m", "memory": "64Mi"}
    assert made.spec.containers[0].ports[0].protocol == "TCP"
    assert made.status.phase == "Pending"
    assert made.status.qos_class == "Burstable"
    assert made.metadata.creation_timestamp.tzinfo is not None
    assert core.read_namespaced_pod("web", namespace).to_dict() == made.to_dict()
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"password": "x"})
    kept = core.create_namespaced_secret(namespace, secret)
    assert kept.data == {"password": base64.b64encode(b"x").decode()}
    assert kept.type == "Opaque"


def test_a_service_and_a_deployment(api: client.ApiClient, core: client.CoreV1Api, namespace: str) -> None:
    ports = [client.V1ServicePort(port=80, target_port="http")]
    spec = client.V1ServiceSpec(selector={"app": "web"}, ports=ports, type="NodePort")
    service = core.create_namespaced_service(
        namespace, client.V1Service(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    )
    assert service.spec.cluster_ip.startswith("10.0.0.")
    assert 30000 <= service.spec.ports[0].node_port <= 32767
    apps = client.AppsV1Api(api)
    made = apps.create_namespaced_deployment(namespace, deployment("web"))
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    assert made.metadata.generation == 1
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=web")
    scale.spec.replicas = 5
    assert apps.replace_namespaced_deployment_scale("web", namespace, scale).spec.replicas == 5
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
    read = apps.read_namespaced_deployment("web", namespace)
    assert (read.spec.replicas, read.metadata.generation) == (3, 3)
    read.status = client.V1DeploymentStatus(replicas=3, observed_generation=3)
    assert apps.replace_namespaced_deployment_status("web", namespace, read).status.replicas == 3
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    left = apps.read_namespaced_deployment("web", namespace)
    assert left.metadata.finalizers == ["foregroundDeletion"]
    assert left.metadata.deletion_timestamp is not None


PATCHES = [
    ("application/json-patch+json", [{"op": "replace", "path": "/data/a", "value": "2"}]),
    ("application/merge-patch+json", {"data": {"a": "2"}}),
    ("application/strategic-merge-patch+json", {"data": {"a": "2"}}),
]


@pytest.mark.parametrize(("kind", "body"), PATCHES)
def test_patches(core: client.CoreV1Api, namespace: str, kind: str, body: Any) -> None:
    core.create_namespaced_config_map(namespace, config_map("p", a="1", b="1"))
    patched = core.patch_namespaced_config_map("p", namespace, body, _content_type=kind)
    assert patched.data == {"a": "2", "b": "1"}


def test_server_side_apply(core: client.CoreV1Api, namespace: str) -> None:
    apply = "application/apply-patch+yaml"

    def applied(value: str, manager: str, **more: Any) -> client.V1ConfigMap:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"a": value}}
        return core.patch_namespaced_config_map(
            "owned", namespace, body, field_manager=manager, _content_type=apply, **more
        )

    made = applied("1", "one")
    entry = made.metadata.managed_fields[0]
    assert (entry.manager, entry.operation, entry.fields_v1) == ("one", "Apply", {"f:data": {"f:a": {}}})
    code, reason, message = refused(applied, "2", "two")
    assert (code, reason) == (409, "Conflict")
    assert message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert applied("2", "two", force=True).data == {"a": "2"}


def test_what_errors_say(api: client.ApiClient, core: client.CoreV1Api, namespace: str) -> None:
    assert refused(core.read_namespaced_pod, "no", namespace) == (404, "NotFound", 'pods "no" not found')
    made = core.create_namespaced_config_map(namespace, config_map("c", a="1"))
    assert refused(core.create_namespaced_config_map, namespace, config_map("c")) == (
        409, "AlreadyExists", 'configmaps "c" already exists',
    )  # fmt: skip
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "2"}})
    code, reason, message = refused(core.replace_namespaced_config_map, "c", namespace, made)
    assert (code, reason) == (409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    code, reason, message = refused(core.create_namespaced_config_map, namespace, config_map("No"))
    assert (code, reason) == (422, "Invalid")
    assert message.startswith(
        'ConfigMap "No" is invalid: metadata.name: Invalid value: "No": a lowercase RFC 1123 subdomain'
    )
    assert refused(core.create_namespaced_config_map, "nowhere", config_map("x"))[0] == 404
    odd = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "dato": {}}
    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    with pytest.raises(dynamic_errors.BadRequestError) as caught:
        maps.create(body=odd, namespace=namespace, query_params=[("fieldValidation", "Strict")])
    assert json.loads(caught.value.body)["message"].endswith('strict decoding error: unknown field "dato"')
    code, reason, message = refused(core.list_namespaced_pod, namespace, label_selector="a in")
    assert (code, reason) == (400, "BadRequest")
    assert message == "unable to parse requirement: found '' expected: '('"


def test_dry_run_changes_nothing(core: client.CoreV1Api, namespace: str) -> None:
    tried = core.create_namespaced_config_map(namespace, config_map("dry", a="1"), dry_run="All")
    assert tried.metadata.uid
    assert refused(core.read_namespaced_config_map, "dry", namespace)[0] == 404
    core.create_namespaced_config_map(namespace, config_map("dry", a="1"))
    core.patch_namespaced_config_map("dry", namespace, {"data": {"a": "2"}}, dry_run="All")
    core.delete_namespaced_config_map("dry", namespace, dry_run="All")
    assert core.read_namespaced_config_map("dry", namespace).data == {"a": "1"}


def test_lists_in_pieces(core: client.CoreV1Api, namespace: str) -> None:
    for number in range(7):
        core.create_namespaced_config_map(namespace, config_map(f"n-{number}", {"odd": str(number % 2)}))
    names: list[str] = []
    page = core.list_namespaced_config_map(namespace, limit=4)  # kube-root-ca.crt is the first
    page.items = page.items[1:]
    assert page.metadata.remaining_item_count == 4
    names += [item.metadata.name for item in page.items]
    core.create_namespaced_config_map(namespace, config_map("n-9"))  # is not in the list that was begun
    while page.metadata._continue:
        page = core.list_namespaced_config_map(namespace, limit=3, _continue=page.metadata._continue)
        names += [item.metadata.name for item in page.items]
    assert names == [f"n-{number}" for number in range(7)]
    odd = core.list_config_map_for_all_namespaces(
        label_selector="odd=1", field_selector=f"metadata.namespace={namespace},metadata.name!=n-1"
    )
    assert [item.metadata.name for item in odd.items] == ["n-3", "n-5"]
    core.delete_collection_namespaced_config_map(namespace, label_selector="odd")
    left = core.list_namespaced_config_map(namespace, field_selector="metadata.name!=kube-root-ca.crt").items
    assert [item.metadata.name for item in left] == ["n-9"]


def test_a_watch_resumes(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("a", {"w": "1"}))
    watching = watch.Watch()
    seen = []
    for event in watching.stream(
        core.list_namespaced_config_map, namespace, label_selector="w=1", timeout_seconds=20
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:
            core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"w": "2"}}})
        if len(seen) == 2:
            watching.stop()
    assert seen == [("ADDED", "a"), ("DELETED", "a")]
    version = watching.resource_version
    assert int(version) > 0
    core.create_namespaced_config_map(namespace, config_map("b", {"w": "1"}))
    later = watch.Watch()
    for event in later.stream(
        core.list_namespaced_config_map, namespace, label_selector="w=1", resource_version=version,
        timeout_seconds=20, allow_watch_bookmarks=True,
    ):  # fmt: skip
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "b")
        later.stop()


def test_a_watch_ends_in_time(core: client.CoreV1Api, namespace: str) -> None:
    watching = watch.Watch()
    events = list(watching.stream(core.list_namespaced_pod, namespace, timeout_seconds=1))
    assert events == []


def test_initial_events_end_with_a_bookmark(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("first", {"w": "1"}))
    watching = watch.Watch()
    seen = []
    for event in watching.stream(
        core.list_namespaced_config_map, namespace, label_selector="w", send_initial_events=True, allow_watch_bookmarks=True,
        resource_version_match="NotOlderThan", timeout_seconds=20,
    ):  # fmt: skip
        seen.append(event["type"])
        if event["type"] == "BOOKMARK":
            metadata = event["raw_object"]["metadata"]
            assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
            watching.stop()
    assert seen == ["ADDED", "BOOKMARK"]


def test_a_watch_from_a_version_that_is_gone(
    plane: ControlPlane, core: client.CoreV1Api, namespace: str
) -> None:
    with pytest.raises(ApiException) as caught:
        next(
            watch.Watch().stream(core.list_namespaced_pod, namespace, resource_version="1", timeout_seconds=5)
        )
    assert caught.value.status == 410
    assert caught.value.reason.startswith("Expired: too old resource version: 1 (")


def test_eviction_and_binding(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod("bound"))
    core.create_node(client.V1Node(metadata=client.V1ObjectMeta(name=f"{namespace}-node")))
    target = client.V1ObjectReference(kind="Node", name=f"{namespace}-node")
    binding = client.V1Binding(metadata=client.V1ObjectMeta(name="bound"), target=target)
    core.create_namespaced_pod_binding("bound", namespace, binding, _preload_content=False)
    found = core.list_namespaced_pod(namespace, field_selector=f"spec.nodeName={namespace}-node").items
    assert [each.metadata.name for each in found] == ["bound"]
    assert [(each.type, each.status) for each in found[0].status.conditions] == [("PodScheduled", "True")]
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="bound", namespace=namespace))
    core.create_namespaced_pod_eviction("bound", namespace, eviction)
    assert core.read_namespaced_pod("bound", namespace).metadata.deletion_timestamp is not None
    core.delete_node(f"{namespace}-node")


def test_a_service_account_has_a_token(
    plane: ControlPlane, api: client.ApiClient, core: client.CoreV1Api, namespace: str
) -> None:
    core.create_namespaced_service_account(
        namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="robot"))
    )
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)
    )
    token = core.create_namespaced_service_account_token("robot", namespace, request).status.token
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = plane.url, api.configuration.ssl_ca_cert
    settings.api_key = {"authorization": f"Bearer {token}"}
    with client.ApiClient(settings) as robot:
        who = client.AuthenticationV1Api(robot).create_self_subject_review(client.V1SelfSubjectReview())
        assert who.status.user_info.username == f"system:serviceaccount:{namespace}:robot"
        code, reason, message = refused(client.CoreV1Api(robot).list_namespaced_pod, namespace)
        assert (code, reason) == (403, "Forbidden")
        assert message == (
            f'pods is forbidden: User "system:serviceaccount:{namespace}:robot" cannot list resource "pods" '
            f'in API group "" in the namespace "{namespace}"'
        )
        rbac = client.RbacAuthorizationV1Api(api)
        binding = client.V1RoleBinding(
            metadata=client.V1ObjectMeta(name="view"),
            role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="view"),
            subjects=[client.RbacV1Subject(kind="ServiceAccount", name="robot", namespace=namespace)],
        )
        rbac.create_namespaced_role_binding(namespace, binding)
        assert client.CoreV1Api(robot).list_namespaced_pod(namespace).items == []
        attributes = client.V1ResourceAttributes(namespace=namespace, verb="delete", resource="pods")
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        )
        answer = client.AuthorizationV1Api(robot).create_self_subject_access_review(review)
        assert answer.status.allowed is False


def test_the_dynamic_client(api: client.ApiClient, namespace: str, tmp_path: Any) -> None:
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    assert (deployments.namespaced, deployments.subresources.keys() >= {"scale", "status"}) == (True, True)
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"a": "1"}}
    made = maps.create(body=body, namespace=namespace)
    assert made.data.a == "1"
    patched = maps.patch(
        body={"metadata": {"name": "d"}, "data": {"b": "2"}}, namespace=namespace,
        content_type="application/merge-patch+json",
    )  # fmt: skip
    assert patched.data.to_dict() == {"a": "1", "b": "2"}
    body["data"] = {"c": "3"}
    applied = maps.server_side_apply(body=body, namespace=namespace, field_manager="dynamic")
    assert applied.data.c == "3"
    with pytest.raises(dynamic_errors.ConflictError):
        maps.create(body=body, namespace=namespace)
    with pytest.raises(dynamic_errors.NotFoundError):
        maps.get(name="no", namespace=namespace)
    with pytest.raises(dynamic_errors.ResourceNotFoundError):
        found.resources.get(api_version="example.com/v1", kind="Thing")
    events = maps.watch(namespace=namespace, field_selector="metadata.name=d", timeout=1)
    assert [(each["type"], each["object"].metadata.name) for each in events] == [("ADDED", "d")]
    listed = maps.get(namespace=namespace, label_selector="none=1")
    assert (listed.kind, listed.items) == ("ConfigMapList", [])
    assert maps.delete(name="d", namespace=namespace).status == "Success"


def test_manifests_from_a_file(api: client.ApiClient, namespace: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}}
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    }  # fmt: skip
    made = utils.create_from_dict(
        api, {"apiVersion": "v1", "kind": "List", "items": [account, job]}, namespace=namespace
    )
    assert [each.metadata.name for each in made] == ["s", "j"]
    with pytest.raises(utils.FailToCreateError):
        utils.create_from_dict(api, account, namespace=namespace)


def test_custom_objects_api_reads_built_in_kinds(api: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(api)
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}}
    place = ("coordination.k8s.io", "v1", namespace, "leases")
    custom.create_namespaced_custom_object(*place, lease)
    patched = custom.patch_namespaced_custom_object(*place, "l", {"spec": {"holderIdentity": "me"}})
    assert patched["spec"]["holderIdentity"] == "me"
    assert len(custom.list_namespaced_custom_object(*place)["items"]) == 1


@pytest.mark.parametrize("kind", ["lease", "configmap"])
def test_leader_election(plane: ControlPlane, namespace: str, kind: str) -> None:
    from kubernetes.leaderelection.electionconfig import Config
    from kubernetes.leaderelection.leaderelection import LeaderElection
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    config.load_kube_config(config_file=plane.kubeconfig)
    lock = LeaseLock if kind == "lease" else ConfigMapLock
    ended = threading.Event()

    def candidate(name: str) -> LeaderElection:
        settings = Config(
            lock("lock", namespace, name), lease_duration=3, renew_deadline=2, retry_period=1,
            onstarted_leading=lambda: None, onstopped_leading=ended.set,
        )  # fmt: skip
        return LeaderElection(settings)

    one, two = candidate("one"), candidate("two")
    assert one.acquire() is True
    assert two.try_acquire_or_renew() is False
    assert one.try_acquire_or_renew() is True
    if kind == "configmap":
        return
    assert two.acquire() is True  # once the first has not renewed for as long as its lease lasts
    assert one.try_acquire_or_renew() is False
    lease = client.CoordinationV1Api().read_namespaced_lease("lock", namespace)
    assert lease.spec.holder_identity == "two"


def test_an_informer(core: client.CoreV1Api, namespace: str) -> None:
    from kubernetes.informer import SharedInformer

    core.create_namespaced_config_map(namespace, config_map("a", {"i": "1"}, x="1"))
    informer = SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector="i=1")
    happened: list[tuple[str, str]] = []
    changed = threading.Condition()

    def note(kind: str) -> Any:
        def take(obj: Any) -> None:
            with changed:
                happened.append((kind, obj.metadata.name))
                changed.notify()

        return take

    for kind in ("ADDED", "MODIFIED", "DELETED"):
        informer.add_event_handler(kind, note(kind))
    informer.start()
    try:
        with changed:
            assert changed.wait_for(lambda: ("ADDED", "a") in happened, 20)
        core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}})
        with changed:
            assert changed.wait_for(lambda: ("MODIFIED", "a") in happened, 20)
        assert informer.cache.get_by_key(f"{namespace}/a").data == {"x": "2"}
        core.delete_namespaced_config_map("a", namespace)
        with changed:
            assert changed.wait_for(lambda: ("DELETED", "a") in happened, 20)
    finally:
        informer.stop()


def test_the_asynchronous_client(plane: ControlPlane, namespace: str) -> None:
    from kubernetes import aio

    async def work() -> list[tuple[str, str]]:
        api = await aio.config.new_client_from_config(config_file=plane.kubeconfig)
        async with api:
            core = aio.client.CoreV1Api(api)
            body = {"metadata": {"name": "a", "labels": {"i": "1"}}, "data": {"x": "1"}}
            await core.create_namespaced_config_map(namespace, body)
            seen = []
            watching = aio.watch.Watch()
            async with watching.stream(
                core.list_namespaced_config_map, namespace, label_selector="i=1", timeout_seconds=20
            ) as events:
                async for event in events:
                    seen.append((event["type"], event["object"].metadata.name))
                    if len(seen) == 1:
                        await core.delete_namespaced_config_map("a", namespace)
                    else:
                        watching.stop()
            return seen

    assert asyncio.run(work()) == [("ADDED", "a"), ("DELETED", "a")]
