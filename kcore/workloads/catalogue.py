"""Which workloads there are: those that ship with kcore, by upstream's names, and those of a user's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import NamedTuple

from kcore.api.errors import InputError
from kcore.workloads.format import TestCase, Workload, one_document, read_cases

SHIPPED = ("affinity.yaml", "misc.yaml", "topology_spreading.yaml")


class Chosen(NamedTuple):
    """One workload of a test case, and the file that defines it."""

    path: str
    case: TestCase
    workload: Workload

    @property
    def name(self) -> str:
        """Test case and workload, as upstream's benchmark names them."""
        return f"{self.case.name}/{self.workload.name}"

    @property
    def labels(self) -> list[str]:
        """The labels of test case and workload."""
        return [*self.case.labels, *self.workload.labels]


def shipped(paths: Sequence[str] = ()) -> list[Chosen]:
    """Every workload of the given files, or of those that ship with kcore, in the order of the files."""
    folder = files("kcore_workloads")
    found = []
    for path in paths or [str(folder / name) for name in SHIPPED]:
        found += [Chosen(path, case, one) for case in read_cases(path) for one in case.workloads]
    return found


def unsupported() -> dict[str, str]:
    """Upstream's test cases that cannot be run, with the reason."""
    table = one_document(str(files("kcore_workloads") / "unsupported.yaml"), dict, "reasons with their tests")
    return {test: reason for reason, tests in table.items() for test in tests}


def choose(known: Sequence[Chosen], names: Iterable[str], labels: Sequence[str]) -> list[Chosen]:
    """The workloads that are meant by name (of a test case, of a workload, with ``*``) and carry all labels.

    Raises:
        InputError: a name that means none.
    """
    found: list[Chosen] = []
    for name in names:
        ours = [one for one in known if _means(name, one)]
        if not ours:
            reason = unsupported().get(name.split("/")[0])
            if reason is not None:
                raise InputError(f"{name} cannot be run: {reason}", field="WORKLOAD")
            raise InputError(
                f"no workload is named {name!r}", field="WORKLOAD", expected="a name from: kcore bench --list"
            )
        found += [one for one in ours if one not in found]
    return [one for one in found if set(labels) <= set(one.labels)]


def _means(name: str, one: Chosen) -> bool:
    return name in (one.name, one.case.name) or ("*" in name and fnmatchcase(one.name, name))
