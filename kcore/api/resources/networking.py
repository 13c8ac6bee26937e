"""Rows of networking.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "networking.k8s.io"
SCHEMA: Final = "io.k8s.api.networking."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "IngressClass",
        "ingressclasses",
        "ingressclass",
        False,
        "ingressclasses",
        SCHEMA + "v1.IngressClass",
    ),
    Row(
        GROUP,
        "v1",
        "Ingress",
        "ingresses",
        "ingress",
        True,
        "ingress",
        SCHEMA + "v1.Ingress",
        short_names=("ing",),
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "IPAddress",
        "ipaddresses",
        "ipaddress",
        False,
        "ipaddresses",
        SCHEMA + "v1.IPAddress",
        short_names=("ip",),
    ),
    Row(
        GROUP,
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "networkpolicy",
        True,
        "networkpolicies",
        SCHEMA + "v1.NetworkPolicy",
        short_names=("netpol",),
    ),
    Row(
        GROUP,
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        "servicecidr",
        False,
        "servicecidrs",
        SCHEMA + "v1.ServiceCIDR",
        subresources=(STATUS,),
    ),
)
