"""In which form a client wants its answer, and in which it sends its body.

Source: apiserver pkg/endpoints/handlers/negotiation/negotiate.go and the goautoneg that it uses, Kubernetes 1.36.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from kcore.api import status
from kcore.api.rows import Row

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES: Final = (JSON, YAML, PROTOBUF)
STREAM_TYPES: Final = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
HUMANS: Final = ("curl", "Wget", "Mozilla/5.0")  # who reads what they get
META_VERSIONS: Final = frozenset({("meta.k8s.io", "v1"), ("meta.k8s.io", "v1beta1")})
TABLE: Final = "Table"
TABLELESS_STATUS: Final = ("APIService", "CustomResourceDefinition", "ResourceClaim")
PARTIAL: Final = "PartialObjectMetadata"
PARTIAL_LIST: Final = "PartialObjectMetadataList"


class Clause(NamedTuple):
    """One media range of an Accept header."""

    type: str
    params: tuple[tuple[str, str], ...]
    quality: float

    def param(self, name: str) -> str:
        """The parameter's value, empty where it has none."""
        return next((value for key, value in self.params if key == name), "")


class Accepted(NamedTuple):
    """The form chosen. ``kind`` is what the object is transformed into, empty where it stays what it is."""

    media_type: str = JSON
    kind: str = ""
    version: str = ""  # of meta.k8s.io
    pretty: bool = False


PLAIN: Final = Accepted()


@lru_cache(maxsize=256)
def clauses(header: str) -> tuple[Clause, ...]:
    """The ranges of an Accept header, best first."""
    found = []
    for part in header.split(","):
        kind, *rest = (each.strip() for each in part.split(";"))
        if not kind:
            continue
        params, quality = [], 1.0
        for each in rest:
            name, separator, value = each.partition("=")
            if name == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            elif separator:
                params.append((name.strip(), value.strip()))
        found.append(Clause("*/*" if kind == "*" else kind, tuple(params), quality))
    return tuple(sorted(found, key=lambda each: (-each.quality, each.type.count("*"))))


@lru_cache(maxsize=1024)
def accepted(
    header: str, *, transforms: bool = True, tables: bool = True, streams: bool = False, protobuf: bool = True
) -> Accepted:
    """The form that suits the client best; ApiError 406 where none does.

    ``tables``: a Table can be made; ``protobuf``: the object has a message.
    """
    if not header:
        return PLAIN
    for clause in clauses(header):
        for media_type in MEDIA_TYPES:
            if not _covers(clause.type, media_type) or (media_type == PROTOBUF and not protobuf):
                continue
            stream = clause.param("stream")
            if stream and (stream != "watch" or media_type == YAML):
                continue
            kind = clause.param("as")
            wanted = (clause.param("g"), clause.param("v"))
            if kind or wanted != ("", ""):
                if not transforms or not _transforms(kind, wanted, media_type, tables):
                    continue
            if streams and media_type == YAML:
                raise status.not_acceptable(STREAM_TYPES)
            return Accepted(media_type, kind, wanted[1], clause.param("pretty") == "1")
    known = STREAM_TYPES if streams else MEDIA_TYPES
    raise status.not_acceptable([each for each in known if protobuf or not each.startswith(PROTOBUF)])


def _covers(wanted: str, media_type: str) -> bool:
    return wanted in (media_type, "*/*", "application/*")


def _transforms(kind: str, version: tuple[str, str], media_type: str, tables: bool) -> bool:
    if version not in META_VERSIONS:
        return False
    if kind == TABLE:
        return tables and media_type in (JSON, YAML)
    return kind in (PARTIAL, PARTIAL_LIST)


def has_table(row: Row, subresource: str = "") -> bool:
    """False where upstream's storage has no ConvertToTable: what is only asked and answered, and most subresources."""
    if not subresource:
        return bool(row.storage) or "list" in row.verbs
    if subresource == "status":
        return row.kind not in TABLELESS_STATUS
    return subresource == "scale"


def has_protobuf(row: Row) -> bool:
    """False for kinds whose messages nobody wrote down: those of metrics.k8s.io, and custom ones."""
    from kcore.api.protobuf import can_encode

    return can_encode(row.api_version, row.kind)


def wants_pretty(parameter: list[str] | None, user_agent: str) -> bool:
    """Whether the answer is to be indented: by the query, else where a person reads it."""
    if parameter and parameter[0]:
        return parameter[0] in ("1", "t", "T", "TRUE", "true", "True")
    return user_agent.startswith(HUMANS)


def content_type(header: str | None, accepts: tuple[str, ...] = MEDIA_TYPES) -> str:
    """The media type of a request's body; ApiError 415 where it is none that is read."""
    if not header:
        return accepts[0]
    kind = header.partition(";")[0].strip().lower()
    if kind not in accepts:
        raise status.unsupported_media_type(accepts)
    return kind
