"""The repository tests its own shape: what ruff, mypy and import-linter cannot see.

Each exception is named in a table below with its reason; the tables are meant to stay nearly empty.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60  # without decorators and docstring

LONG_FILES: dict[str, str] = {}  # path -> why it may be longer than FILE_LINES_MAX
# "path::Class.function" -> why it may be longer than FUNCTION_LINES_MAX
LONG_FUNCTIONS: dict[str, str] = {
    "kcore/scheduler/cycle.py::run_filter": "the table from filter plugins to kernels, one branch a plugin",
    "kcore/scheduler/cycle.py::run_score": "the table from score plugins to kernels, one branch a plugin",
    "kcore/sources/yaml_text.py::_Builder._value": "the hottest loop of reading YAML, a call per event would double it",
}

CODE = ("kcore", "kcore_native", "datasets", "bench", "tests")
DECIDING = ("kcore/api/", "kcore/scheduler/")
TYPED = (*DECIDING, "kcore/traces/", "kcore/sources/")

# Words of module names that show a missing noun.
HOMELESS = {"common", "handler", "helper", "helpers", "manager", "misc", "processor", "util", "utils"}

UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|NotImplemented[E]rror)\b")
PACKAGE_HOST = re.compile(
    r"\b(?:(?:test\.)?pypi\.org|pythonhosted\.org|crates\.io|npmjs\.(?:org|com)|yarnpkg\.com|anaconda\.(?:org|com)"
    r"|proxy\.golang\.org|maven\.org|rubygems\.org|deb\.debian\.org|(?:archive|ports)\.ubuntu\.com)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.~:/-])/(?:root|work|home/\w+|Users/\w+|mnt/\w+)/")

# `kcore --help` must answer in 0.2 s, so none of these may be loaded before a subcommand asks for them.
HEAVY = (
    "numpy", "numba", "llvmlite", "pyarrow", "matplotlib", "yaml", "lightkube",
    "asyncio", "ssl", "cryptography", "grpc", "uvloop", "zttp",
)  # fmt: skip

ALLOCATING = {
    "append", "arange", "array", "asarray", "astype", "column_stack", "concatenate", "copy", "empty", "empty_like",
    "eye", "flatten", "fromiter", "full", "full_like", "hstack", "linspace", "ones", "ones_like", "repeat", "stack",
    "tile", "tolist", "unique", "vstack", "where", "zeros", "zeros_like",
}  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[str, ...]:
    """Paths of the files that git tracks or would add; without git, of all files outside hidden and built folders."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split(
            "\0"
        )
    else:
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        skipped = ("__pycache__", "build", "dist")
        listed = [
            path.as_posix()
            for path in paths
            if not any(part in skipped or part.endswith(".egg-info") for part in path.parts)
            and (path.parts[0] == ".ci" or not path.parts[0].startswith("."))
        ]
    return tuple(sorted(name for name in listed if name and (ROOT / name).is_file()))


@cache
def text_of(name: str) -> str:
    """The file's text; empty for a binary file."""
    raw = (ROOT / name).read_bytes()
    return "" if b"\0" in raw[:4096] else raw.decode(errors="replace")


@cache
def tree_of(name: str) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(text_of(name), filename=name)


def code(*suffixes: str) -> list[str]:
    """Our source files with one of the suffixes."""
    return [
        name for name in tracked() if name.endswith(suffixes) and name.split("/")[0] in (*CODE, "setup.py")
    ]


def functions(name: str) -> Iterator[tuple[str, Function]]:
    """Every function of the file with its dotted name inside the file."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield prefix + child.name, child
            inner = f"{prefix}{child.name}." if isinstance(child, Function | ast.ClassDef) else prefix
            yield from walk(child, inner)

    return walk(tree_of(name), "")


def is_kernel(function: Function) -> bool:
    """True for a function under ``@kernel`` or ``@inner_kernel``."""
    return any(
        ast.unparse(mark.func if isinstance(mark, ast.Call) else mark).split(".")[-1]
        in ("kernel", "inner_kernel")
        for mark in function.decorator_list
    )


def is_array_form(function: Function) -> bool:
    """True for what the interpreter takes for a kernel where there are many nodes; it has the kernel's parameters."""
    return any(
        isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".over_arrays")
        for mark in function.decorator_list
    )


def body_lines(function: Function) -> int:
    """Lines from ``def`` to the end, less the docstring's."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def matches(pattern: re.Pattern[str]) -> list[str]:
    """``path:line: match`` for every match in a tracked text file."""
    found = []
    for name in tracked():
        if name == "LICENSE":
            continue
        for number, line in enumerate(text_of(name).splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    return found


def test_files_are_short() -> None:
    lengths = {name: text_of(name).count("\n") for name in code(".py", ".pyx", ".pxd")}
    assert [
        f"{name}: {n} lines" for name, n in lengths.items() if n > FILE_LINES_MAX and name not in LONG_FILES
    ] == []
    assert [name for name in LONG_FILES if lengths.get(name, 0) <= FILE_LINES_MAX] == [], "no longer needed"


def test_functions_are_short() -> None:
    lengths = {
        f"{name}::{dotted}": body_lines(function)
        for name in code(".py")
        for dotted, function in functions(name)
    }
    long = {name: n for name, n in lengths.items() if n > FUNCTION_LINES_MAX}
    assert [f"{name}: {n} lines" for name, n in long.items() if name not in LONG_FUNCTIONS] == []
    assert [name for name in LONG_FUNCTIONS if name not in long] == [], "no longer needed"


def test_exceptions_have_reasons() -> None:
    assert [name for name, why in {**LONG_FILES, **LONG_FUNCTIONS}.items() if len(why.split()) < 4] == []


def test_every_module_has_a_noun() -> None:
    stems = {name: Path(name).stem.strip("_") for name in code(".py", ".pyx", ".pxd")}
    folders = {Path(name).parent.name for name in stems}
    assert [name for name, stem in stems.items() if HOMELESS.intersection(stem.split("_"))] == []
    assert [folder for folder in folders if HOMELESS.intersection(folder.split("_"))] == []


def test_nothing_is_left_unfinished() -> None:
    assert matches(UNFINISHED) == []


def test_no_package_host_is_named() -> None:
    assert matches(PACKAGE_HOST) == []


def test_no_path_of_one_machine_is_named() -> None:
    assert matches(MACHINE_PATH) == []


def test_every_module_has_a_docstring() -> None:
    assert [name for name in code(".py") if not ast.get_docstring(tree_of(name))] == []
    assert [name for name in code(".pyx") if not re.match(r'(?:#.*\n|\s)*r?"""', text_of(name))] == []


def test_every_folder_of_code_is_a_package() -> None:
    folders = {Path(name).parent for name in code(".py", ".pyx")} - {Path()}
    assert sorted(str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()) == []


def test_docstrings_begin_with_a_sentence() -> None:
    wrong = []
    for name in code(".py"):
        for node in ast.walk(tree_of(name)):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                docstring = ast.get_docstring(node)
                if docstring and not docstring.splitlines()[0].rstrip(')`"').endswith("."):
                    wrong.append(f"{name}:{getattr(node, 'lineno', 1)}: {docstring.splitlines()[0]}")
    assert wrong == []


def test_kernels_allocate_nothing() -> None:
    displays = (
        ast.List,
        ast.Dict,
        ast.Set,
        ast.ListComp,
        ast.DictComp,
        ast.SetComp,
        ast.GeneratorExp,
        ast.JoinedStr,
    )
    wrong = []
    for name in code(".py"):
        for dotted, function in functions(name):
            if name.startswith("tests/") or not is_kernel(function):
                continue
            for node in (node for statement in function.body for node in ast.walk(statement)):
                called = (
                    node.func.attr
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                    else ""
                )
                if called in ALLOCATING or isinstance(node, displays):
                    wrong.append(f"{name}:{node.lineno}: {dotted}: {ast.unparse(node)}")
    assert wrong == []


def test_only_kernels_leave_out_types() -> None:
    # mypy cannot tell a kernel from a function that forgot its annotations; pyproject.toml therefore lets both pass
    wrong = []
    for name in code(".py"):
        for dotted, function in functions(name):
            if not name.startswith(TYPED) or is_kernel(function) or is_array_form(function):
                continue
            given = function.args
            named = [
                *given.posonlyargs,
                *given.args,
                *given.kwonlyargs,
                *filter(None, (given.vararg, given.kwarg)),
            ]
            bare = [arg.arg for arg in named if arg.annotation is None and arg.arg not in ("self", "cls")]
            if bare or function.returns is None:
                wrong.append(f"{name}:{function.lineno}: {dotted}({', '.join(bare)})")
    assert wrong == []


def test_deciding_code_reads_no_world() -> None:
    wrong = []
    for name in code(".py"):
        if not name.startswith(DECIDING):
            continue
        for node in ast.walk(tree_of(name)):
            if isinstance(node, ast.Attribute):
                reached = ast.unparse(node)
                chance = reached.startswith(("np.random.", "numpy.random.")) and not reached[-1:].isupper()
                chance = chance and reached.split(".")[2] not in ("Generator", "BitGenerator")
                if chance or reached.startswith(("os.environ", "os.getenv", "sys.argv", "sys.std")):
                    wrong.append(f"{name}:{node.lineno}: {reached}")
                if node.attr in ("now", "utcnow", "today") and "date" in reached:
                    wrong.append(f"{name}:{node.lineno}: {reached}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "input", "print"):
                wrong.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def test_comparisons_with_the_naive_twin_run_without_the_jit_too() -> None:
    # by the marker `differential`, which `make test` selects for its second pass
    tests = [
        name for name in code(".py") if name.startswith("tests/") and Path(name).name.startswith("test_")
    ]
    twins = [
        name
        for name in tests
        if re.search(r"^\s*(?:from|import) tests\.naive\b", text_of(name), re.MULTILINE)
    ]
    assert [name for name in twins if "pytest.mark.differential" not in text_of(name)] == []


@pytest.mark.parametrize("module", ["kcore", "kcore.__main__", "kcore.api.errors", "kcore.cli.app"])
def test_the_start_path_loads_nothing_heavy(module: str) -> None:
    program = f"import json, sys; before = set(sys.modules); import {module}; print(json.dumps([*set(sys.modules) - before]))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    loaded = json.loads(run.stdout)
    assert [name for name in loaded if name in HEAVY] == []


def test_every_public_name_can_be_had() -> None:
    import kcore

    assert sorted(kcore._HOMES) == sorted(set(kcore.__all__) - {"__version__"})
    assert set(kcore.__all__) <= set(dir(kcore))
    for name in kcore.__all__:
        assert getattr(kcore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kcore.nothing


def test_the_version_is_said_alike() -> None:
    import kcore

    assert tomllib.loads(text_of("pyproject.toml"))["project"]["version"] == kcore.__version__
    assert f"## {kcore.__version__}" in text_of("CHANGELOG.md")


def test_the_licence_is_there() -> None:
    licence = text_of("LICENSE")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted.extend(extra)
    reasons = dict(re.findall(r'^\s*"([^"]+)",\s*# (\S.*)$', text_of("pyproject.toml"), re.MULTILINE))
    assert [dependency for dependency in wanted if dependency not in reasons] == []


def test_each_data_file_has_its_source_and_licence() -> None:
    files = [
        name for name in tracked() if name.startswith("datasets/kcore_datasets/") and not name.endswith(".py")
    ]
    assert [name for name in files if f"`{Path(name).name}`" not in text_of("datasets/README.md")] == []
