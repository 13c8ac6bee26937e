"""managedFields of the scale subresource: ``spec.replicas`` of a Scale is a field of its parent.

Source: apimachinery pkg/util/managedfields/scalehandler.go of Kubernetes 1.36. ``replicas`` gives the dotted path of
the replica count in each version of the parent; None where that version has no scale subresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kcore.api.apply.entries import Entry, Managed, Owned, decode, encode
from kcore_native.fieldset import sets

SCALE_VERSION: Final = "autoscaling/v1"
REPLICAS_IN_SCALE: Final = ("f:spec", "f:replicas")

Replicas = Mapping[str, str | None]


def _path(dotted: str) -> tuple[str, ...]:
    return tuple(f"f:{name}" for name in dotted.strip(".").split("."))


def to_subresource(parent: list[Entry] | None, replicas: Replicas) -> list[Entry]:
    """The entries of a Scale: those owners of the parent that own its replica count. BadEntry for malformed ones."""
    managed = decode(parent)
    made = Managed(times=managed.times)
    for who, owned in managed.owned.items():
        dotted = replicas.get(owned.api_version)
        if dotted and sets.has(owned.fields, _path(dotted)):
            fields = sets.from_paths([REPLICAS_IN_SCALE])
            made.owned[who] = Owned(fields, SCALE_VERSION, owned.applied)
    return encode(made)


def to_parent(
    parent: list[Entry] | None, scale: list[Entry] | None, api_version: str, replicas: Replicas
) -> list[Entry]:
    """The parent's entries after a write of its Scale: who lost the replica count there, lost it here."""
    before = decode(parent)
    written = decode(scale)
    scale_owned = dict(written.owned)
    made = Managed()
    for who, owned in before.owned.items():
        if owned.api_version not in replicas:
            continue
        dotted = replicas[owned.api_version]
        if dotted and sets.has(owned.fields, _path(dotted)):
            if who not in scale_owned:
                fields = sets.difference(owned.fields, sets.from_paths([_path(dotted)]))
                if not fields:
                    continue
                owned = owned._replace(fields=fields)
            else:
                del scale_owned[who]
        made.owned[who] = owned
        made.times[who] = before.times.get(who)
    for who, owned in scale_owned.items():
        dotted = replicas.get(api_version)
        if dotted and sets.has(owned.fields, REPLICAS_IN_SCALE):
            made.owned[who] = Owned(sets.from_paths([_path(dotted)]), api_version, owned.applied)
            made.times[who] = before.times.get(who)  # upstream: an owner new here has no time
    return encode(made)
