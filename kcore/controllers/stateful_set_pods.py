"""A stateful set's pods: their names, ordinals, volumes and revisions.

Source: pkg/controller/statefulset/stateful_set_utils.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Final

from kcore.controllers import pods as podlib
from kcore.controllers.contract import Object
from kcore.controllers.controller_revisions import HASH_LABEL
from kcore.controllers.owners import controller_reference

RESOURCE: Final = "statefulsets.apps"
NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"
INT32_MAX: Final = 2**31 - 1
_match_name = re.compile("(.*)-([0-9]+)").fullmatch


def parent_and_ordinal(pod: Object) -> tuple[str, int]:
    """The set's name and the ordinal in the pod's; -1 where there is none."""
    found = _match_name(pod["metadata"]["name"])
    if found is None:
        return "", -1
    value = int(found[2])
    return found[1], value if value <= INT32_MAX else -1


def ordinal(pod: Object) -> int:
    """See ``parent_and_ordinal``."""
    return parent_and_ordinal(pod)[1]


def start(stateful_set: Object) -> int:
    """The first ordinal."""
    found: int = (stateful_set["spec"].get("ordinals") or {}).get("start", 0)
    return found


def replicas(stateful_set: Object) -> int:
    """How many pods it asks for."""
    found: int = stateful_set["spec"].get("replicas", 1)
    return found


def is_in_range(pod: Object, stateful_set: Object) -> bool:
    """The set asks for a pod of that ordinal."""
    first = start(stateful_set)
    return first <= ordinal(pod) < first + replicas(stateful_set)


def revision(pod: Object) -> str:
    """The name of the revision that it was made by."""
    found: str = (pod["metadata"].get("labels") or {}).get(HASH_LABEL, "")
    return found


def phase(pod: Object) -> str:
    """Empty where it has not been created."""
    found: str = (pod.get("status") or {}).get("phase", "")
    return found


def is_going(pod: Object) -> bool:
    """It is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_running_and_ready(pod: Object) -> bool:
    """Both."""
    return phase(pod) == "Running" and podlib.is_ready(pod)


def is_available(pod: Object, stateful_set: Object, now_ms: int) -> bool:
    """Ready for as long as the set asks."""
    return podlib.available_in_ms(pod, stateful_set["spec"].get("minReadySeconds", 0), now_ms) == 0


def is_unavailable(pod: Object, stateful_set: Object, now_ms: int) -> bool:
    """Not available, or going."""
    return is_going(pod) or not is_available(pod, stateful_set, now_ms)


def claim_name(stateful_set: Object, template: Object, number: int) -> str:
    """The name of the claim of that template for the pod of that ordinal."""
    return f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-{number}"


def claim_templates(stateful_set: Object) -> list[Object]:
    """The set's."""
    return stateful_set["spec"].get("volumeClaimTemplates") or []


def identity_matches(stateful_set: Object, pod: Object) -> bool:
    """Its name and label are those of its ordinal."""
    parent, number = parent_and_ordinal(pod)
    name = pod["metadata"]["name"]
    labels = pod["metadata"].get("labels") or {}
    return (
        number >= 0
        and parent == stateful_set["metadata"]["name"]
        and name == f"{parent}-{number}"
        and labels.get(NAME_LABEL) == name
    )


def storage_matches(stateful_set: Object, pod: Object) -> bool:
    """It mounts the set's claims for its ordinal."""
    number = ordinal(pod)
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    return number >= 0 and all(
        (volumes.get(template["metadata"]["name"], {}).get("persistentVolumeClaim") or {}).get("claimName")
        == claim_name(stateful_set, template, number)
        for template in claim_templates(stateful_set)
    )


def with_identity(stateful_set: Object, pod: Object) -> Object:
    """The pod with the labels of its ordinal."""
    metadata, number = pod["metadata"], ordinal(pod)
    name = f"{stateful_set['metadata']['name']}-{number}"
    labels = {**(metadata.get("labels") or {}), NAME_LABEL: name, INDEX_LABEL: str(number)}
    return {**pod, "metadata": {**metadata, "name": name, "labels": labels}}


def with_storage(stateful_set: Object, pod: Object) -> Object:
    """The pod with the set's claims as volumes."""
    number = ordinal(pod)
    volumes: list[Object] = [
        {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, template, number)},
        }
        for template in claim_templates(stateful_set)
    ]
    named = {volume["name"] for volume in volumes}
    volumes += [volume for volume in pod["spec"].get("volumes") or () if volume["name"] not in named]
    spec = {name: value for name, value in pod["spec"].items() if name != "volumes"}
    return {**pod, "spec": {**spec, "volumes": volumes} if volumes else spec}


def made(stateful_set: Object, template: Object, revision_name: str, number: int) -> Object:
    """The pod of that ordinal, by that revision's template; it has no status: it is not created yet."""
    reference = controller_reference("apps/v1", "StatefulSet", stateful_set)
    pod = podlib.from_template(template, stateful_set, reference)
    name = f"{stateful_set['metadata']['name']}-{number}"
    pod = with_identity(stateful_set, {**pod, "metadata": {**pod["metadata"], "name": name}})
    pod["metadata"]["labels"][HASH_LABEL] = revision_name
    spec = {**pod["spec"], "hostname": name}
    if stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = stateful_set["spec"]["serviceName"]
    else:
        spec.pop("subdomain", None)
    return with_storage(stateful_set, {**pod, "spec": spec})
