"""Files of stages and answers become one configuration; what is wrong names file, document and field.

A name of ``builtin_stages`` stands for that file. Kinds are Stage, Logs, Exec, Attach, PortForward, ResourceUsage and
their Cluster forms, of kwok.x-k8s.io/v1alpha1; ``List`` and ``StageList`` hold several.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from kcore.api.errors import InputError
from kcore.hollow import builtin_stages
from kcore.hollow.kubelet import answers, usage
from kcore.hollow.kubelet.answers import Answers
from kcore.hollow.kubelet.usage import Usages
from kcore.hollow.stage import POD, Stage
from kcore.hollow.stage_file import API_VERSION, read_stage
from kcore.sources.files import find, read
from kcore.sources.yaml_text import documents

STAGE: Final = "Stage"
KINDS: Final = (STAGE, *answers.KINDS, *usage.KINDS)


class Configuration(NamedTuple):
    """What simulated nodes do. ``are_pods_ours``: pods live by built-in stages alone."""

    stages: tuple[Stage, ...]
    answers: Answers
    usages: Usages
    are_pods_ours: bool = False


class _Document(NamedTuple):
    kind: str
    value: Any
    file: str
    place: str


def load(paths: Iterable[str]) -> Configuration:
    """What the files and built-in names say; InputError where one is wrong."""
    stages: list[Stage] = []
    names: dict[tuple[Any, str], _Document] = {}
    said: list[_Document] = []
    used: list[_Document] = []
    pods: list[bool] = []
    for each in (document for path in paths for document in _documents(path)):
        if each.kind == STAGE:
            try:
                stage = read_stage(each.value)
            except InputError as error:
                raise error.at(file=each.file, document=each.place) from None
            before = names.setdefault((stage.resource, stage.name), each)
            if before is not each:
                raise InputError(
                    f"there is a stage {stage.name!r} already, in {before.file}, {before.place}", file=each.file,
                    document=each.place, field="metadata.name", expected="another name",
                )  # fmt: skip
            stages.append(stage)
            if stage.resource == POD:
                pods.append(each.file in builtin_stages.NAMES)
        else:
            (used if each.kind in usage.KINDS else said).append(each)
    return Configuration(
        tuple(stages), _gathered(answers.gathered, said), _gathered(usage.gathered, used),
        are_pods_ours=bool(pods) and all(pods),
    )  # fmt: skip


def _gathered(gather: Any, found: list[_Document]) -> Any:
    for each in found:
        try:
            gather([(each.kind, each.value)])
        except InputError as error:
            raise error.at(file=each.file, document=each.place) from None
    return gather([(each.kind, each.value) for each in found])


def _documents(path: str) -> Iterator[_Document]:
    if path in builtin_stages.NAMES:
        yield from _each(documents(builtin_stages.builtin_text(path), path), path)
        return
    is_empty = True
    for file in find(path):
        content = read(file)
        if content.format not in ("yaml", "json"):
            raise InputError(f"is {content.format}", file=file, expected="YAML or JSON")
        for each in _each(documents(content.data, file), file):
            is_empty = False
            yield each
    if is_empty:
        raise InputError("holds no document", file=path, expected=f"one of kind {STAGE}")


def _each(found: Iterable[Any], file: str) -> Iterator[_Document]:
    for number, document in enumerate(found, 1):
        yield from _opened(document.value, file, f"document {number}")


def _opened(value: Any, file: str, place: str) -> Iterator[_Document]:
    if not isinstance(value, dict):
        raise InputError("is no object", file=file, document=place, expected=f"one of kind {STAGE}")
    kind = value.get("kind")
    if isinstance(kind, str) and kind.endswith("List"):
        items = value.get("items")
        if not isinstance(items, list):
            raise InputError(
                "is no list", file=file, document=place, field="items", expected="a list of objects"
            )
        for index, item in enumerate(items):
            yield from _opened(item, file, f"{place}, item {index}")
        return
    name = (value.get("metadata") or {}).get("name") if isinstance(value.get("metadata"), dict) else None
    if name:
        place = f"{place} ({name})"
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 1)
        raise InputError(
            f"{kind!r} is no kind of this file" if kind else "is missing", file=file, document=place, field="kind",
            expected=near[0] if near else f"one of {', '.join(KINDS)}",
        )  # fmt: skip
    if value.get("apiVersion") != API_VERSION:
        raise InputError(
            f"is {value.get('apiVersion')!r}",
            file=file,
            document=place,
            field="apiVersion",
            expected=API_VERSION,
        )
    yield _Document(kind, value, file, place)
