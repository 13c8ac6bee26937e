"""What a server serves, asked of it: a row for every resource, custom ones and other servers' included.

Aggregated discovery (KEP-3352) is two requests; a server without it is asked group by group.

Source: client-go discovery/discovery_client.go, aggregated_discovery.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from kcore.api.rows import GroupVersionKind, Row, Subresource
from kcore.api.status import ApiError
from kcore.client.calls import Object

AGGREGATED: Final = "APIGroupDiscoveryList"
ACCEPT: Final = (
    f"application/json;g=apidiscovery.k8s.io;v=v2;as={AGGREGATED},"
    f"application/json;g=apidiscovery.k8s.io;v=v2beta1;as={AGGREGATED},application/json"
)

Get = Callable[[str], Awaitable[Object]]  # a path's JSON, asked with ACCEPT


async def rows(get: Get) -> tuple[Row, ...]:
    """Every resource in every version, a group's preferred version first; a group that does not answer is left out."""
    made: list[Row] = []
    for answer in await asyncio.gather(get("/api"), get("/apis")):
        if answer.get("kind") == AGGREGATED:
            for group in answer.get("items") or ():
                made += _aggregated(group)
        elif answer.get("kind") == "APIVersions":
            versions = answer.get("versions") or ()
            made += await _listed(get, "", [(version, f"/api/{version}") for version in versions])
        else:
            groups = answer.get("groups") or ()
            for found in await asyncio.gather(
                *(_listed(get, each["name"], _versions(each)) for each in groups)
            ):
                made += found
    return tuple(made)


def _aggregated(group: Mapping[str, Any]) -> list[Row]:
    """The rows of an APIGroupDiscovery."""
    name = group["metadata"].get("name", "")
    made: list[Row] = []
    preferred: dict[str, str] = {}
    for version in group.get("versions") or ():
        for resource in version.get("resources") or ():
            if not resource.get("responseKind"):
                continue  # the holder of a subresource that stands alone
            plural = resource["resource"]
            subresources = tuple(
                Subresource(
                    each["subresource"], tuple(each.get("verbs") or ()), _kind(each.get("responseKind"))
                )
                for each in resource.get("subresources") or ()
            )
            made.append(
                _row(
                    name, version["version"], resource["responseKind"]["kind"], plural,
                    resource.get("singularResource"), resource.get("scope") == "Namespaced", resource,
                    preferred.setdefault(plural, version["version"]), subresources,
                )
            )  # fmt: skip
    return made


def _versions(group: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A group's versions and their paths, the preferred one first."""
    found = [(each["version"], f"/apis/{each['groupVersion']}") for each in group.get("versions") or ()]
    preferred = (group.get("preferredVersion") or {}).get("version")
    return sorted(found, key=lambda each: each[0] != preferred)


async def _listed(get: Get, group: str, versions: Iterable[tuple[str, str]]) -> list[Row]:
    """The rows of a group by its versions' APIResourceLists."""
    made: list[Row] = []
    preferred: dict[str, str] = {}
    for version, path in versions:
        try:
            answer = await get(path)
        except ApiError:
            continue  # an aggregated server that is away
        resources: list[Mapping[str, Any]] = answer.get("resources") or []
        for resource in resources:
            plural: str = resource["name"]
            if "/" in plural:
                continue
            subresources = tuple(
                Subresource(each["name"].partition("/")[2], tuple(each.get("verbs") or ()), _kind(each))
                for each in resources
                if each["name"].startswith(f"{plural}/")
            )
            made.append(
                _row(
                    group, version, resource["kind"], plural, resource.get("singularName"),
                    bool(resource.get("namespaced")), resource, preferred.setdefault(plural, version), subresources,
                )
            )  # fmt: skip
    return made


def _kind(named: Mapping[str, Any] | None) -> GroupVersionKind | None:
    if not named or not named.get("version"):
        return None
    return GroupVersionKind(named.get("group", ""), named["version"], named["kind"])


def _row(
    group: str,
    version: str,
    kind: str,
    plural: str,
    singular: str | None,
    namespaced: bool,
    resource: Mapping[str, Any],
    preferred: str,
    subresources: tuple[Subresource, ...],
) -> Row:
    return Row(
        group, version, kind, plural, singular or kind.lower(), namespaced, storage="", schema="",
        verbs=tuple(resource.get("verbs") or ()), storage_version=preferred,
        short_names=tuple(resource.get("shortNames") or ()), categories=tuple(resource.get("categories") or ()),
        subresources=subresources,
    )  # fmt: skip
