"""Services: endpoints, slices, mirrored slices, and ranges of cluster IPs."""

from __future__ import annotations

from typing import Any

from tests.session.user import User, all_run, workload

Object = dict[str, Any]


def addresses(slices: list[Object]) -> set[str]:
    return {text for each in slices for one in each.get("endpoints") or () for text in one["addresses"]}


def test_endpoints_follow_the_pods_of_a_service(user: User) -> None:
    user.space("served")
    user.apply(workload("Deployment", "web", replicas=2))
    user.run("expose deployment/web --port=80")
    pods = user.until("pods -l app=web", all_run(2))
    wanted = {pod["status"]["podIP"] for pod in pods}
    slices = user.until(
        "endpointslices -l kubernetes.io/service-name=web", lambda found: addresses(found) == wanted
    )
    assert [port["port"] for port in slices[0]["ports"]] == [80]
    (subset,) = user.get("endpoints web")["subsets"]
    assert {each["ip"] for each in subset["addresses"]} == wanted
    user.run("scale deployment/web --replicas=0")
    user.until("endpointslices -l kubernetes.io/service-name=web", lambda found: not addresses(found))


def test_endpoints_of_a_service_without_selector_are_mirrored(user: User) -> None:
    port = {"port": 5432, "protocol": "TCP"}
    user.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [port]}},
        {
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db"},
            "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [port]}],
        },
    )  # fmt: skip
    (mirrored,) = user.until("endpointslices -l kubernetes.io/service-name=db", len)
    assert addresses([mirrored]) == {"192.0.2.7"}
    assert (
        mirrored["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
        == "endpointslicemirroring-controller.k8s.io"
    )
    user.run("delete service db")
    user.wait(f"endpointslice/{mirrored['metadata']['name']}", "delete")


def test_a_range_of_cluster_ips_stays_while_it_is_used(user: User) -> None:
    user.apply(
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
            "spec": {"cidrs": ["10.9.0.0/24"]},
        }
    )  # fmt: skip
    user.wait("servicecidr/more", "condition=Ready")
    user.run("create service clusterip far --clusterip=10.9.0.7 --tcp=80")
    assert user.get("ipaddress 10.9.0.7")["spec"]["parentRef"]["name"] == "far"
    user.run("delete servicecidr more --wait=false")
    user.wait("servicecidr/more", "condition=Ready=false")
    assert (
        "networking.k8s.io/service-cidr-finalizer" in user.get("servicecidr more")["metadata"]["finalizers"]
    )
    user.run("delete service far")
