"""The tables of services and networks. Source: pkg/printers/internalversion/printers.go of Kubernetes 1.36."""

from __future__ import annotations

from typing import Any, Final

from kcore.api.tables.cells import NONE, Object, age, labels, name, part, selector, with_more

SHOWN_MAX: Final = 3  # of hosts, endpoints and ports


def _load_balancer(status: Object) -> str:
    """Addresses, else names, of a load balancer, sorted."""
    ingress = part(status, "loadBalancer").get("ingress") or ()
    return ",".join(sorted({found for each in ingress if (found := each.get("ip") or each.get("hostname"))}))


def _external_ip(spec: Object, status: Object) -> str:
    external = ",".join(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return external or NONE
        case "LoadBalancer":
            return ",".join(filter(None, (_load_balancer(status), external))) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def _port(port: Object) -> str:
    number, protocol = port.get("port", 0), port.get("protocol", "")
    if port.get("nodePort", 0) > 0:
        return f"{number}:{port['nodePort']}/{protocol}"
    return f"{number}/{protocol}"


def service(obj: Object, now: float) -> list[Any]:
    """The cells of a Service."""
    spec = part(obj, "spec")
    addresses = spec.get("clusterIPs") or (NONE,)
    return [
        name(obj),
        spec.get("type", ""),
        addresses[0],
        _external_ip(spec, part(obj, "status")),
        ",".join(map(_port, spec.get("ports") or ())) or NONE,
        age(obj, now),
        labels(spec.get("selector")),
    ]


def _hosts(rules: list[Object]) -> str:
    shown: list[str] = []
    more = False
    for rule in rules:
        if len(shown) == SHOWN_MAX:
            more = True
        if not more and rule.get("host"):
            shown.append(rule["host"])
    if not shown:
        return "*"
    return ",".join(shown) + (f" + {len(rules) - SHOWN_MAX} more..." if more else "")


def ingress(obj: Object, now: float) -> list[Any]:
    """The cells of an Ingress."""
    spec = part(obj, "spec")
    return [
        name(obj),
        spec.get("ingressClassName", NONE),
        _hosts(spec.get("rules") or []),
        _load_balancer(part(obj, "status")),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def ingress_class(obj: Object, now: float) -> list[Any]:
    """The cells of an IngressClass."""
    spec = part(obj, "spec")
    annotations = part(obj, "metadata", "annotations")
    default = " (default)" if annotations.get("ingressclass.kubernetes.io/is-default-class") == "true" else ""
    parameters = NONE
    if (given := spec.get("parameters")) is not None:
        kind = ".".join([given.get("kind", ""), *([given["apiGroup"]] if "apiGroup" in given else [])])
        parameters = f"{kind}/{given.get('name', '')}"
    return [name(obj) + default, spec.get("controller", ""), parameters, age(obj, now)]


def network_policy(obj: Object, now: float) -> list[Any]:
    """The cells of a NetworkPolicy."""
    return [name(obj), selector(part(obj, "spec").get("podSelector")), age(obj, now)]


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoints(subsets: list[Object]) -> str:
    if not subsets:
        return NONE
    shown: list[str] = []
    for subset in subsets:
        addresses = [each.get("ip", "") for each in subset.get("addresses") or ()]
        ports = subset.get("ports")
        if not ports:
            shown.extend(addresses)
            continue
        for port in ports:
            shown.extend(_host_port(address, port.get("port", 0)) for address in addresses)
    text = ",".join(shown[:SHOWN_MAX])
    return f"{text} + {len(shown) - SHOWN_MAX} more..." if len(shown) > SHOWN_MAX else text


def endpoints(obj: Object, now: float) -> list[Any]:
    """The cells of an Endpoints object."""
    return [name(obj), _endpoints(obj.get("subsets") or []), age(obj, now)]


def _slice_port(port: Object) -> str:
    if (number := port.get("port")) is not None:
        return str(number)
    return str(port.get("name", "*"))


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    """The cells of an EndpointSlice."""
    ports = [_slice_port(port) for port in obj.get("ports") or ()]
    addresses = [address for each in obj.get("endpoints") or () for address in each.get("addresses") or ()]
    return [
        name(obj),
        obj.get("addressType", ""),
        with_more(ports[:SHOWN_MAX], len(ports), SHOWN_MAX),
        with_more(addresses[:SHOWN_MAX], len(addresses), SHOWN_MAX),
        age(obj, now),
    ]


def service_cidr(obj: Object, now: float) -> list[Any]:
    """The cells of a ServiceCIDR."""
    return [name(obj), ",".join(part(obj, "spec").get("cidrs") or ()), age(obj, now)]


def ip_address(obj: Object, now: float) -> list[Any]:
    """The cells of an IPAddress: one more than it has columns, as upstream."""
    parent = part(obj, "spec").get("parentRef")
    text = NONE
    if parent is not None:
        group, resource = parent.get("group", ""), parent.get("resource", "")
        text = f"{resource}.{group}".lower() if group else resource.lower()
        if parent.get("namespace"):
            text += f"/{parent['namespace']}"
        text += f"/{parent.get('name', '')}"
    return [name(obj), text, age(obj, now)]
