"""Operations that both ways into the server are asked, in order; each is what a client would call."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import quote

Object = dict[str, Any]
SPACE: Final = "same"


class Step(NamedTuple):
    """One request. ``path`` is of HTTP; ``call`` and ``arguments`` are the in-process client's."""

    call: str
    arguments: tuple[Any, ...]
    options: Object
    method: str
    path: str
    body: Any = None
    content: str = "application/json"


def manifest(kind: str, name: str, api_version: str = "v1", namespaced: bool = True, **more: Any) -> Object:
    metadata: Object = {"name": name} if name else {}
    metadata |= {"namespace": SPACE} if namespaced else {}
    metadata |= more.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _path(plural: str, name: str = "", group: str = "api/v1", namespaced: bool = True) -> str:
    place = f"/namespaces/{SPACE}" if namespaced else ""
    return f"/{group}{place}/{plural}" + (f"/{name}" if name else "")


def _query(path: str, **query: Any) -> str:
    text = "&".join(f"{key}={value}" for key, value in query.items() if value not in ("", None))
    return f"{path}?{text}" if text else path


def create(obj: Object, plural: str, group: str = "api/v1", namespaced: bool = True, **options: Any) -> Step:
    path = _query(
        _path(plural, "", group, namespaced), fieldManager="kcore",
        dryRun="All" if options.get("dry_run") else "", fieldValidation=options.get("field_validation", ""),
    )  # fmt: skip
    return Step("create", (obj,), options, "POST", path, obj)


def sub(obj: Object, plural: str, name: str, subresource: str) -> Step:
    options = {"resource": plural, "name": name, "subresource": subresource}
    path = _query(_path(plural, f"{name}/{subresource}"), fieldManager="kcore")
    return Step("create", (obj, SPACE), options, "POST", path, obj)


def update(obj: Object, plural: str, group: str = "api/v1", **options: Any) -> Step:
    name = obj["metadata"]["name"]
    if options.get("subresource"):
        name += f"/{options['subresource']}"
    path = _query(
        _path(plural, name, group), fieldManager="kcore", dryRun="All" if options.get("dry_run") else ""
    )
    return Step("update", (obj,), options, "PUT", path, obj)


def patch(
    plural: str,
    name: str,
    body: Any,
    kind: str = "merge",
    group: str = "api/v1",
    namespaced: bool = True,
    **options: Any,
) -> Step:
    types = {
        "json": "application/json-patch+json", "merge": "application/merge-patch+json",
        "strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml",
    }  # fmt: skip
    path = _path(plural, name, group, namespaced)
    if options.get("subresource"):
        path += f"/{options['subresource']}"
    path = _query(
        path, fieldManager=options.get("field_manager", "kcore"), force="true" if options.get("force") else "",
        fieldValidation=options.get("field_validation", ""), dryRun="All" if options.get("dry_run") else "",
    )  # fmt: skip
    return Step(
        "patch", (plural, name, body, SPACE), {"type": kind, **options}, "PATCH", path, body, types[kind]
    )


def get(plural: str, name: str, group: str = "api/v1", namespaced: bool = True, **options: Any) -> Step:
    path = _path(plural, name, group, namespaced)
    if options.get("subresource"):
        path += f"/{options['subresource']}"
    path = _query(path, resourceVersion=options.get("resource_version", ""))
    return Step("get", (plural, name, SPACE), options, "GET", path)


def listed(plural: str, group: str = "api/v1", namespaced: bool = True, **options: Any) -> Step:
    query = {
        "labelSelector": quote(options.get("label_selector", "")),
        "fieldSelector": options.get("field_selector", ""), "limit": options.get("limit", ""),
        "continue": options.get("continue_token", ""), "resourceVersion": options.get("resource_version", ""),
    }  # fmt: skip
    path = _query(_path(plural, "", group, namespaced), **query)
    return Step("list", (plural, SPACE), options, "GET", path)


def delete(plural: str, name: str, group: str = "api/v1", namespaced: bool = True, **options: Any) -> Step:
    body = {
        "gracePeriodSeconds": options.get("grace_period_seconds"),
        "propagationPolicy": options.get("propagation_policy"), "preconditions": options.get("preconditions"),
        "dryRun": ["All"] if options.get("dry_run") else None,
    }  # fmt: skip
    given = {key: value for key, value in body.items() if value is not None}
    return Step(
        "delete",
        (plural, name, SPACE),
        options,
        "DELETE",
        _path(plural, name, group, namespaced),
        given or None,
    )


def delete_all(plural: str, **options: Any) -> Step:
    path = _query(_path(plural), labelSelector=options.get("label_selector", ""))
    return Step("delete_collection", (plural, SPACE), options, "DELETE", path)


CONTAINER: Final = {"name": "c", "image": "i"}
APPS: Final = "apis/apps/v1"
TEMPLATE: Final = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}
DEPLOYMENT: Final = manifest(
    "Deployment", "web", "apps/v1", spec={"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
)
APPLIED: Final = manifest("ConfigMap", "owned", data={"a": "1"})
HPA: Final = "apis/autoscaling/v1"

STEPS: Final = (
    create(manifest("Namespace", SPACE, namespaced=False), "namespaces", namespaced=False),
    create(manifest("ConfigMap", "a", data={"x": "1"}, metadata={"labels": {"l": "1"}}), "configmaps"),
    create(manifest("ConfigMap", "a"), "configmaps"),
    create(manifest("ConfigMap", "No_Name"), "configmaps"),
    create(manifest("ConfigMap", ""), "configmaps"),
    create(manifest("ConfigMap", "b", dato={"x": "1"}, metadata={"colour": "red"}), "configmaps"),
    create(manifest("ConfigMap", "c", dato={}), "configmaps", field_validation="Strict"),
    create(manifest("ConfigMap", "c", dato={}), "configmaps", field_validation="Ignore"),
    create(manifest("ConfigMap", "d"), "configmaps", field_validation="Sometimes"),
    create(manifest("ConfigMap", "d", data={"x": 1}), "configmaps"),
    create(manifest("ConfigMap", "d", data=["x"]), "configmaps"),
    create(manifest("ConfigMap", "d", data={"k" * 300: ""}), "configmaps"),
    create(manifest("ConfigMap", "d", data={"x": "y" * (2 << 20)}), "configmaps"),
    create(manifest("ConfigMap", "d", data={"x": "y" * (4 << 20)}), "configmaps"),
    create(manifest("ConfigMap", "dry"), "configmaps", dry_run=True),
    create(manifest("Pod", "p", spec={"containers": [CONTAINER]}), "pods"),
    create(manifest("Pod", "q", spec={}), "pods"),
    create(manifest("Pod", "q", spec={"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "x"}}}]}), "pods"),
    create(manifest("Pod", "q", spec={"containers": [{"name": "c", "ports": [{"containerPort": 0}]}]}), "pods"),
    create(manifest("Service", "s", spec={"ports": [{"port": 80}], "clusterIP": "None"}), "services"),
    create(DEPLOYMENT, "deployments", APPS),
    create(manifest("HorizontalPodAutoscaler", "h", "autoscaling/v1", spec={
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}),
        "horizontalpodautoscalers", HPA),
    listed("horizontalpodautoscalers", HPA, api_version="autoscaling/v1"),
    get("horizontalpodautoscalers", "h", HPA, api_version="autoscaling/v1"),
    create(manifest("Node", "same-node", namespaced=False), "nodes", namespaced=False),
    get("nodes", "same-node", namespaced=False),
    get("configmaps", "a"),
    get("configmaps", "none"),
    get("configmaps", "a", resource_version="x"),
    get("configmaps", "a", subresource="scale"),
    get("deployments", "web", APPS, subresource="scale"),
    listed("configmaps"),
    listed("configmaps", label_selector="l=1"),
    listed("configmaps", label_selector="l in"),
    listed("configmaps", label_selector="l=!!"),
    listed("configmaps", field_selector="metadata.name=a"),
    listed("configmaps", field_selector="data.x=1"),
    listed("configmaps", limit=1),
    listed("configmaps", limit=-1),
    listed("configmaps", continue_token="nonsense"),
    listed("configmaps", resource_version="x"),
    listed("pods", field_selector="spec.nodeName="),
    update(manifest("ConfigMap", "a", data={"x": "2"}), "configmaps"),
    update(manifest("ConfigMap", "a", data={"x": "3"}, metadata={"resourceVersion": "1"}), "configmaps"),
    update(manifest("ConfigMap", "a", data={"x": "3"}, metadata={"uid": "other"}), "configmaps"),
    update(manifest("ConfigMap", "none", data={"x": "3"}, metadata={"resourceVersion": "1"}), "configmaps"),
    update(manifest("ConfigMap", "made", data={"x": "3"}), "configmaps"),
    update(manifest("Pod", "p", spec={"containers": [{"name": "d", "image": "i"}]}), "pods"),
    update(manifest("ConfigMap", "a", data={"x": "9"}), "configmaps", dry_run=True),
    update(manifest("Scale", "web", "autoscaling/v1", spec={"replicas": 2}), "deployments", APPS,
           subresource="scale", resource="deployments"),
    update(manifest("Scale", "web", "autoscaling/v1", spec={"replicas": -2}), "deployments", APPS,
           subresource="scale", resource="deployments"),
    patch("configmaps", "a", {"data": {"y": "1", "x": None}}),
    patch("configmaps", "a", {"datum": {}}),
    patch("configmaps", "a", {"datum": {}}, field_validation="Strict"),
    patch("configmaps", "a", {"metadata": {"name": "z"}}),
    patch("configmaps", "none", {"data": {}}),
    patch("configmaps", "a", [1]),
    patch("configmaps", "a", {"data": {"y": "1"}}, force=True),
    patch("configmaps", "a", [{"op": "test", "path": "/data/y", "value": "0"}], "json"),
    patch("configmaps", "a", [{"op": "remove", "path": "/data/none"}], "json"),
    patch("configmaps", "a", {"op": "remove"}, "json"),
    patch("pods", "p", {"spec": {"containers": [{"name": "c", "image": "j"}]}}, "strategic"),
    patch("pods", "p", {"spec": {"containers": 1}}, "strategic"),
    patch("pods", "p", {"status": {"phase": "Running"}}, "merge", subresource="status"),
    patch("configmaps", "owned", APPLIED, "apply", field_manager="one"),
    patch("configmaps", "owned", APPLIED | {"data": {"a": "2"}}, "apply", field_manager="two"),
    patch("configmaps", "owned", APPLIED | {"data": {"a": "2"}}, "apply", field_manager="two", force=True),
    patch("configmaps", "owned", APPLIED | {"datum": {}}, "apply", field_manager="two"),
    patch("configmaps", "other", APPLIED, "apply", field_manager="two"),
    patch("deployments", "web", {"spec": {"selector": {"matchLabels": {"app": "other"}}}}, "merge", APPS),
    sub(manifest("Binding", "p", target={"kind": "Node", "name": "same-node"}), "pods", "p", "binding"),
    sub(manifest("Binding", "p", target={"kind": "Node", "name": "same-node"}), "pods", "p", "binding"),
    sub(manifest("Binding", "p", target={"kind": "Secret", "name": "x"}), "pods", "p", "binding"),
    sub(manifest("Pod", "p"), "pods", "p", "binding"),
    sub(manifest("Pod", "p"), "pods", "p", "nothing"),
    sub(manifest("Eviction", "p", "policy/v1"), "pods", "p", "eviction"),
    sub(manifest("Eviction", "none", "policy/v1"), "pods", "none", "eviction"),
    delete("configmaps", "none"),
    delete("configmaps", "a", preconditions={"uid": "other"}),
    delete("configmaps", "a", propagation_policy="Sideways"),
    delete("configmaps", "a", grace_period_seconds=-5),
    delete("configmaps", "a", dry_run=True),
    delete("configmaps", "a"),
    delete("deployments", "web", APPS, propagation_policy="Foreground"),
    delete("pods", "p", grace_period_seconds=0),
    delete_all("configmaps", label_selector="l=1"),
    delete_all("configmaps"),
    listed("configmaps"),
    delete("nodes", "same-node", namespaced=False),
    create(manifest("Lease", "l", "coordination.k8s.io/v1", spec={"leaseDurationSeconds": -1}), "leases",
           "apis/coordination.k8s.io/v1"),
    delete("namespaces", SPACE, namespaced=False),
    create(manifest("ConfigMap", "late"), "configmaps"),
)  # fmt: skip
