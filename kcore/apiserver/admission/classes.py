"""Storage and ingress: default classes, protection from deletion in use, who may be resized.

Sources: plugin/pkg/admission/storage/* and plugin/pkg/admission/network/* of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kcore.api.quantity import parse_quantity
from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request, refused
from kcore.apiserver.view import Object, View

CLAIMS: Final = frozenset({("", "persistentvolumeclaims")})
CLAIM_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
DEFAULT_STORAGE_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
INGRESS_CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
DEFAULT_INGRESS_CLASS: Final = ("ingressclass.kubernetes.io/is-default-class",)
FINALIZERS: Final = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "volumeattributesclasses": "kubernetes.io/vac-protection",
}


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def newest_default(classes: Sequence[Object], marks: Sequence[str]) -> Object | None:
    """The default class: the newest of those that are marked so, the first by name among equals; None: none is."""
    marked = [each for each in classes if any(_annotations(each).get(mark) == "true" for mark in marks)]
    if not marked:
        return None
    newest = max(str(each["metadata"].get("creationTimestamp", "")) for each in marked)
    same = [each for each in marked if each["metadata"].get("creationTimestamp", "") == newest]
    return min(same, key=lambda each: str(each["metadata"]["name"]))


def default_storage_class(view: View) -> Plugin:
    """A claim that names no class gets the default one."""

    def mutate(request: Request) -> None:
        claim = request.obj
        assert claim is not None
        if CLAIM_CLASS_ANNOTATION in _annotations(claim):
            return
        spec = claim.setdefault("spec", {})
        if spec.get("storageClassName") is not None:
            return
        found = newest_default(view.list("storage.k8s.io", "storageclasses"), DEFAULT_STORAGE_CLASS)
        if found is not None:
            spec["storageClassName"] = found["metadata"]["name"]

    return Plugin("DefaultStorageClass", frozenset({CREATE}), CLAIMS, mutate=mutate, traceable=True)


def default_ingress_class(view: View) -> Plugin:
    """An ingress that names no class gets the default one."""

    def mutate(request: Request) -> None:
        ingress = request.obj
        assert ingress is not None
        spec = ingress.setdefault("spec", {})
        if spec.get("ingressClassName") is not None or INGRESS_CLASS_ANNOTATION in _annotations(ingress):
            return
        found = newest_default(view.list("networking.k8s.io", "ingressclasses"), DEFAULT_INGRESS_CLASS)
        if found is not None:
            spec["ingressClassName"] = found["metadata"]["name"]

    return Plugin(
        "DefaultIngressClass",
        frozenset({CREATE}),
        frozenset({("networking.k8s.io", "ingresses")}),
        mutate=mutate,
        traceable=True,
    )


def storage_object_in_use_protection() -> Plugin:
    """Volumes, claims and attribute classes stay until nobody uses them."""

    def mutate(request: Request) -> None:
        assert request.obj is not None
        metadata = request.obj["metadata"]
        finalizers = metadata.get("finalizers") or []
        wanted = FINALIZERS[request.op.row.plural]
        if wanted not in finalizers:
            metadata["finalizers"] = [*finalizers, wanted]

    return Plugin(
        "StorageObjectInUseProtection",
        frozenset({CREATE}),
        CLAIMS | {("", "persistentvolumes"), ("storage.k8s.io", "volumeattributesclasses")},
        mutate=mutate,
        traceable=True,
    )


def persistent_volume_claim_resize(view: View) -> Plugin:
    """Only bound claims of a class that allows it grow."""

    def validate(request: Request) -> None:
        new, old = request.obj, request.old
        if new is None or old is None or _size(new) <= _size(old):
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise refused(request, "Only bound persistent volume claims can be expanded")
        name, before = _class_of(new), _class_of(old)
        found = view.get("storage.k8s.io", "storageclasses", "", name) if name and name == before else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise refused(
                request,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize",
            )

    return Plugin(
        "PersistentVolumeClaimResize", frozenset({UPDATE}), CLAIMS, validate=validate, traceable=True
    )


def _size(claim: Object) -> int:
    requests = (claim.get("spec", {}).get("resources") or {}).get("requests") or {}
    return parse_quantity(requests.get("storage", 0))


def _class_of(claim: Object) -> str:
    annotation = _annotations(claim).get(CLAIM_CLASS_ANNOTATION)
    return annotation if annotation is not None else claim.get("spec", {}).get("storageClassName") or ""
