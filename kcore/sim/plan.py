"""A study becomes its points: texts filled in, files hashed, every point with an id that its result depends on alone."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from kcore import __version__, sources, traces
from kcore.api.errors import InputError
from kcore.sim.options import check_parameters, run_options
from kcore.sim.points import Plugin, Point, Source, digest_of
from kcore.sim.study import PLACEHOLDER, Policy, Scalar, Study, Workload

POINTS_MAX = 10_000_000
FORMAT = 1  # raise it where equal ids would mean other results
PIECE_BYTES = 1 << 20


class Plan(Struct):
    """The points of a study in order, the inputs that they name, and the plugins that they need."""

    study: Study
    points: list[Point]
    sources: dict[str, Source]
    plugins: tuple[Plugin, ...]


def plan(study: Study) -> Plan:
    """All points of the study: workloads, in each policies, in each parameters, in each seeds, as the file has them.

    Raises:
        InputError: a parameter, file or configuration that is wrong.
    """
    try:
        check_parameters(study)
        return _Planner(study).plan()
    except InputError as error:
        raise error.at(file=study.file) from None


class _Planner:
    """Plans one study; files are read and hashed once, whatever the number of points."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.found: dict[str, Source] = {}
        self.digests: dict[str, str] = {}
        self.resolved: dict[tuple[Any, ...], str] = {}
        self.plugins = tuple(self._plugin(index, path) for index, path in enumerate(study.plugins))
        self.configs = [self._config(index, policy) for index, policy in enumerate(study.policies)]
        self.base = {
            "format": FORMAT,
            "version": __version__,
            "mode": study.mode,
            "tables": study.tables,
            "plugins": [plugin.source for plugin in self.plugins],
        }

    def plan(self) -> Plan:
        study = self.study
        grid = list(itertools.product(*study.parameters.values()))
        count = len(study.workloads) * len(study.policies) * len(grid) * len(study.seeds)
        if count > POINTS_MAX:
            raise InputError(f"the study has {count:,} points", expected=f"{POINTS_MAX:,} at most")
        points = list(self._points(grid))
        return Plan(study, points, self.found, self.plugins)

    def _points(self, grid: list[tuple[Scalar, ...]]) -> Iterator[Point]:
        study = self.study
        number = itertools.count()
        for at, workload in enumerate(study.workloads):
            for policy, config in zip(study.policies, self.configs, strict=True):
                for values in grid:
                    parameters = dict(zip(study.parameters, values, strict=True))
                    options = run_options(study, parameters)
                    for seed in study.seeds:
                        filled = {"seed": seed, **parameters}
                        parts: dict[str, Any] = {
                            "workload": workload.name,
                            "policy": policy.name,
                            "seed": seed,
                            "parameters": parameters,
                            "options": options,
                            "cluster_key": self._cluster(filled),
                            "workload_key": self._workload(at, workload, filled),
                            "score_policy": policy.policy,
                            "profile": policy.profile,
                            "config": config,
                        }
                        yield Point(
                            id=digest_of({**self.base, **parts}),
                            number=next(number),
                            mode=study.mode,
                            tables=tuple(study.tables),
                            **parts,
                        )

    # -- inputs

    def _cluster(self, filled: Mapping[str, Scalar]) -> str:
        if not self.study.cluster:
            return ""
        return self._objects(self.study.cluster, filled, "cluster")

    def _workload(self, index: int, workload: Workload, filled: Mapping[str, Scalar]) -> str:
        place = f"workloads[{index}]"
        parameters = {
            name: _fill(value, filled) if isinstance(value, str) else value
            for name, value in workload.parameters.items()
        }
        if workload.file:
            files = [workload.file] if isinstance(workload.file, str) else workload.file
            return self._objects(files, filled, f"{place}.file")
        if workload.spec:
            query = "&".join(f"{name}={_text(value)}" for name, value in parameters.items())
            joint = "" if not query else "&" if "?" in workload.spec else "?"
            return self._objects([workload.spec + joint + query], filled, f"{place}.spec")
        path = self.study.path(_fill(workload.trace or "", filled))
        seen = (path, workload.form, *parameters.items())
        if seen not in self.resolved:
            content = (
                [self._digest(path, f"{place}.trace"), workload.form, parameters],
                self._parameter_files(parameters),
            )
            key = digest_of(["trace", *content])
            self.found[key] = Source(
                key=key, paths=(path,), trace=True, form=workload.form, parameters=tuple(parameters.items())
            )
            self.resolved[seen] = key
        return self.resolved[seen]

    def _objects(self, texts: list[str], filled: Mapping[str, Scalar], place: str) -> str:
        paths = tuple(self.study.path(_fill(text, filled)) for text in texts)
        if paths not in self.resolved:
            key = digest_of(["objects", *(self._digest(path, place) for path in paths)])
            self.found[key] = Source(key=key, paths=paths)
            self.resolved[paths] = key
        return self.resolved[paths]

    def _digest(self, path: str, place: str) -> str:
        """What the text, or the files at the path, come to."""
        if path not in self.digests:
            if traces.is_spec(path):
                query = dict(parse_qsl(path.partition("?")[2]))
                self.digests[path] = digest_of([path, self._parameter_files(query)])
            else:
                if path == "-":
                    raise InputError("standard input cannot be read again", field=place, expected="a file")
                if not os.path.exists(path):
                    raise InputError(f"there is no {path}", field=place, expected="a file, or synthetic:NAME")
                self.digests[path] = _content_digest(path)
        return self.digests[path]

    def _parameter_files(self, parameters: Mapping[str, Any]) -> list[str]:
        """Digests of files and folders that parameters name: their content counts, too."""
        return [
            _content_digest(value)
            for value in parameters.values()
            if isinstance(value, str) and value and os.path.exists(value)
        ]

    # -- policies

    def _config(self, index: int, policy: Policy) -> dict[str, Any] | None:
        if policy.config is None:
            return None
        try:
            return sources.read_configuration(self.study.path(policy.config))
        except InputError as error:
            raise error.at(document=f"policies[{index}].config") from None

    def _plugin(self, index: int, path: str) -> Plugin:
        full = self.study.path(path)
        try:
            return Plugin(os.path.realpath(full), Path(full).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            raise InputError(
                f"{full}: {reason}", field=f"plugins[{index}]", expected="a Python file"
            ) from None


def _fill(text: str, filled: Mapping[str, Scalar]) -> str:
    return PLACEHOLDER.sub(lambda match: _text(filled[match[1]]), text)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _content_digest(path: str) -> str:
    """SHA-256 over the bytes of the file, or over names and bytes of all files of the folder that are not hidden."""
    digest = hashlib.sha256()
    if not os.path.isdir(path):
        _add_file(digest, path)
        return digest.hexdigest()
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = os.path.join(folder, name)
            if not name.startswith(".") and os.path.isfile(file):
                digest.update(f"\0{os.path.relpath(file, path)}\0{os.path.getsize(file)}\0".encode())
                _add_file(digest, file)
    return digest.hexdigest()


def _add_file(digest: Any, path: str) -> None:
    with open(path, "rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
