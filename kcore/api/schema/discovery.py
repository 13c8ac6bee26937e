"""What a server has, told to clients: discovery in its aggregated and its legacy form, from a catalog's rows.

Every function is pure and gives a new document; who serves them keeps the bytes until the catalog changes.

Sources: apiserver pkg/endpoints/discovery (aggregated, group.go, legacy.go, storageversionhash.go), api/apidiscovery/v2.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from kcore.api.rows import GroupVersionKind, Row, Subresource

Document = dict[str, Any]

AGGREGATED: Final = ("v2", "v2beta1")  # versions of apidiscovery.k8s.io


def storage_version_hash(row: Row) -> str:
    """Changes where the stored kind does; empty for what is not stored."""
    if not row.storage:
        return ""
    group = row.group if row.storage_group is None else row.storage_group
    digest = hashlib.sha256(f"{group}/{row.storage_version}/{row.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def groups(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Rows by group and version, in the rows' order."""
    made: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        made.setdefault(row.group, {}).setdefault(row.version, []).append(row)
    return made


def _by_name(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.plural)


def aggregated(
    rows: Iterable[Row], *, core: bool, version: str = "v2", stale: Iterable[tuple[str, str]] = ()
) -> Document:
    """The APIGroupDiscoveryList of /api (``core``) or of /apis. ``stale``: (group, version) whose server is not there."""
    old = set(stale)
    items = []
    for group, versions in groups(rows).items():
        if (group == "") != core:
            continue
        made = [
            {
                "version": name,
                "resources": [_aggregated_resource(row) for row in _by_name(members)],
                "freshness": "Stale" if (group, name) in old else "Current",
            }
            for name, members in versions.items()
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": made})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _kind(found: GroupVersionKind | None, row: Row) -> Document:
    """The kind of an answer; its group and version only where they are not the route's."""
    if found is None or found[:2] == (row.group, row.version):
        return {"group": "", "version": "", "kind": row.kind if found is None else found.kind}
    return {"group": found.group, "version": found.version, "kind": found.kind}


def _aggregated_resource(row: Row) -> Document:
    made: Document = {
        "resource": row.plural,
        "responseKind": _kind(None, row),
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        made["shortNames"] = list(row.short_names)
    if row.categories:
        made["categories"] = list(row.categories)
    subresources = [_aggregated_subresource(row, each) for each in _subresources(row)]
    if subresources:
        made["subresources"] = subresources
    return made


def _subresources(row: Row) -> Sequence[Subresource]:
    return sorted(row.subresources, key=lambda each: each.name)


def _aggregated_subresource(row: Row, subresource: Subresource) -> Document:
    made: Document = {"subresource": subresource.name, "responseKind": _kind(subresource.kind, row)}
    made["verbs"] = list(subresource.verbs)
    return made


def api_versions(server_address: str) -> Document:
    """/api for clients that do not ask for the aggregated form. ``server_address``: host and port."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def _group(name: str, versions: Iterable[str]) -> Document:
    made = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": made, "preferredVersion": made[0]}


def api_group_list(rows: Iterable[Row]) -> Document:
    """/apis for clients that do not ask for the aggregated form."""
    made = [_group(name, versions) for name, versions in groups(rows).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": made}


def api_group(rows: Iterable[Row], group: str) -> Document | None:
    """/apis/GROUP; None where nothing of the group is served."""
    versions = groups(rows).get(group)
    if versions is None or not group:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def api_resource_list(rows: Iterable[Row], group: str, version: str) -> Document | None:
    """/api/v1 or /apis/GROUP/VERSION; None where nothing of it is served."""
    members = groups(rows).get(group, {}).get(version)
    if members is None:
        return None
    resources = []
    for row in _by_name(members):
        resources.append(_resource(row))
        resources += [_subresource(row, each) for each in _subresources(row)]
    made: Document = {
        "kind": "APIResourceList",
        "groupVersion": members[0].api_version,
        "resources": resources,
    }
    if group:
        made = {"kind": "APIResourceList", "apiVersion": "v1", **made}
    return made


def _resource(row: Row) -> Document:
    made: Document = {
        "name": row.plural, "singularName": row.singular, "namespaced": row.namespaced, "kind": row.kind,
        "verbs": list(row.verbs),
    }  # fmt: skip
    if row.short_names:
        made["shortNames"] = list(row.short_names)
    if row.categories:
        made["categories"] = list(row.categories)
    if marked := storage_version_hash(row):
        made["storageVersionHash"] = marked
    return made


def _subresource(row: Row, subresource: Subresource) -> Document:
    made: Document = {
        "name": f"{row.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": row.namespaced,
    }
    kind = _kind(subresource.kind, row)
    if kind["version"]:
        made |= (
            {"group": kind["group"], "version": kind["version"]}
            if kind["group"]
            else {"version": kind["version"]}
        )
    return made | {"kind": kind["kind"], "verbs": list(subresource.verbs)}


def etag(document: Document) -> str:
    """Of an aggregated document as upstream makes it: SHA-512 of its JSON, in quotes."""
    digest = hashlib.sha512(orjson.dumps(document) + b"\n").hexdigest().upper()
    return f'"{digest}"'
