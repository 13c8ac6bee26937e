"""Resource claims made from templates, reserved, released and deleted."""

import asyncio
from typing import Any

from kcore.controllers.resource_claim import ResourceClaim, generated_name
from tests.controllers.living import living

Object = dict[str, Any]
REQUEST = {"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}
ALLOCATION = {
    "devices": {"results": [{"request": "gpu", "driver": "gpu.example.com", "pool": "p", "device": "d"}]}
}


def test_long_names_are_cut_in_proportion() -> None:
    assert generated_name("web", "gpu") == "web-gpu-"
    cut = generated_name("p" * 60, "c" * 20)
    assert cut == "p" * (60 * 57 // 82) + "-" + "c" * (20 * 57 // 82)


def test_a_pod_has_its_claims_and_they_go_with_it() -> None:
    async def run() -> None:
        async with living(ResourceClaim()) as it:
            pod = {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
                "spec": {
                    "nodeName": "still",
                    "containers": [{"name": "main", "image": "a:1", "resources": {"claims": [{"name": "gpu"}]}}],
                    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}],
                },
            }  # fmt: skip
            await it.client.create(pod)
            text = 'PodResourceClaim gpu: resource claim template "one": resourceclaimtemplate.resource.k8s.io "one" not found'
            await it.until(lambda: text in it.told.said("Pod"))
            template = {
                "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
                "metadata": {"name": "one", "namespace": "default"},
                "spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {"requests": [REQUEST]}}},
            }  # fmt: skip
            await it.client.create(template)
            found = await it.until_there(
                "pods", "web", lambda pod: pod["status"].get("resourceClaimStatuses")
            )
            (status,) = found["status"]["resourceClaimStatuses"]
            name = status["resourceClaimName"]
            claim = await it.client.get("resourceclaims", name, "default")
            assert name.startswith("web-gpu-") and claim["metadata"]["labels"] == {"a": "b"}
            assert claim["metadata"]["annotations"] == {"resource.kubernetes.io/pod-claim-name": "gpu"}

            # somebody allocates; the pod is on a node already and is reserved for
            claim["metadata"]["finalizers"] = ["resource.kubernetes.io/delete-protection"]
            claim = await it.client.update(claim)
            claim["status"] = {"allocation": ALLOCATION}
            await it.client.update(claim, subresource="status")
            consumer = {"resource": "pods", "name": "web", "uid": found["metadata"]["uid"]}
            await it.until_there(
                "resourceclaims", name, lambda claim: claim["status"].get("reservedFor") == [consumer]
            )
            # the pod is done: the claim is released, and as it was made for the pod it goes
            done = {"status": {"phase": "Succeeded"}}
            await it.client.patch("pods", "web", done, "default", subresource="status")
            claims = it.informers.informer("resourceclaims.resource.k8s.io")
            await it.until(lambda: not claims.list())

    asyncio.run(run())
