"""What a reader copies from the README and docs/ works: every block runs, every command, every output shown is real.

The word after the language of a fence says what a block is: ``file=NAME`` a file of the page's folder, ``output`` the
output of the command before it, ``tail`` the end of that output. Python and ``kcore`` lines without one are run.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml

from kcore.cli.app import app, main
from kcore.scheduler.config import load_configuration
from kcore.scheduler.config_schema import KIND
from kcore.scheduler.plugins import contract

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))]

FENCE = re.compile(r"^```(\w*) *([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:[^#]*\| *)?(kcore .*)$")
TIMES = re.compile(r"^scheduling time  .*$", re.MULTILINE)
SIZES = re.compile(r"\b(nodes|pods)=\d+")

PARSED_ONLY = ("--from-kubeconfig", "-f -", "reproduce")  # need a live cluster, standard input, a trace


class Block(NamedTuple):
    """A fenced block: its language, the word after it, its text and where it begins."""

    language: str
    role: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(match[1], match[2].strip(), match[3], text.count("\n", 0, match.start()) + 2)
        for match in FENCE.finditer(text)
    ]


def is_run(block: Block) -> bool:
    """Tell whether something of the block is executed here."""
    return bool(block.role) or block.language in ("python", "sh", "console")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder that Python imports from, and no users' plugins registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(contract, "_registered", {})
    contract._load_entry_points.cache_clear()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]
    contract._load_entry_points.cache_clear()
    importlib.invalidate_caches()


def write_example(folder: Path) -> None:
    """Write the files that the README's commands name."""
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{index}"},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
        }
        for index in range(2)
    ]
    requests = {"cpu": "500m", "memory": "1Gi"}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"web-{index}"},
            "spec": {"containers": [{"name": "main", "image": "web", "resources": {"requests": requests}}]},
        }
        for index in range(2)
    ]
    cluster = json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes})
    (folder / "cluster.json").write_text(cluster)
    (folder / "cluster.yaml").write_text(cluster)
    (folder / "pods.yaml").write_text("\n---\n".join(map(json.dumps, pods)))
    (folder / "nodes.yaml").write_text(cluster)
    (folder / "trace.csv").write_text(
        "name,submit,duration,cpu_milli,memory_bytes\n"
        + "".join(f"job-{index},{5 * index},60,1500,1073741824\n" for index in range(12))
    )
    (folder / "study.yaml").write_text(
        "name: two\nmode: schedule\ncluster: nodes.yaml\nworkloads: [{name: web, file: pods.yaml}]\n"
        "policies: [default, best_fit]\n"
    )
    (folder / "scheduler.yaml").write_text(
        json.dumps({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": KIND})
    )


def write_file(folder: Path, name: str, text: str) -> None:
    """Write a page's file; a project that declares plugins is installed, as far as metadata go."""
    (folder / name).write_text(text, encoding="utf-8")
    if name != "pyproject.toml":
        return
    project = tomllib.loads(text)["project"]
    installed = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entries = project["entry-points"]["kcore.plugins"]
    lines = [f"{entry} = {module}" for entry, module in entries.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[kcore.plugins]", *lines, ""]))
    importlib.invalidate_caches()
    # from here on the page's commands find the plugins by their entry points, as a new process would
    contract._registered.clear()
    contract._load_entry_points.cache_clear()
    for module in entries.values():
        sys.modules.pop(module, None)


def run_line(line: str, capsys: pytest.CaptureFixture[str]) -> str | None:
    """Run one ``kcore`` line, generated clusters made small, and return its output; None where it is only parsed."""
    words = shlex.split(SIZES.sub(lambda size: f"{size[1]}=8", line), comments=True)[1:]
    if any(f" {flag} " in f" {' '.join(words)} " for flag in PARSED_ONLY):
        command: Any = typer.main.get_command(app)
        command.commands[words[0]].make_context(words[0], words[1:])
        return None
    capsys.readouterr()
    code = main(words)
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, ""), line
    return captured.out


def check_output(block: Block, output: str) -> None:
    """Compare what the page shows with what the command printed, times aside."""
    if block.language == "json":
        assert [json.loads(line) for line in output.splitlines()] == [
            json.loads(line) for line in block.text.splitlines()
        ]
        return
    shown, printed = (
        [line.rstrip() for line in TIMES.sub("scheduling time", text).strip().splitlines()]
        for text in (block.text, output)
    )
    assert (printed[-len(shown) :] if block.role == "tail" else printed) == shown


def run_tests(folder: Path, name: str) -> None:
    """Run a page's test file with pytest, as its reader would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def run_block(
    block: Block, folder: Path, namespace: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> str | None:
    """Execute a block and return the output of its last command."""
    if block.language == "yaml":
        for document in yaml.safe_load_all(block.text):
            if isinstance(document, dict) and document.get("kind") == KIND:
                points = {name: frozenset(found) for name, found in contract.registered().items()}
                points |= contract.OUR_POINTS
                load_configuration(document, third_party=points)
    elif block.language == "python" and not block.role:
        exec(compile(block.text, f"line {block.line}", "exec"), namespace)
    elif block.language == "sh":
        lines = filter(None, map(COMMAND.match, block.text.splitlines()))
        outputs = [run_line(line[1], capsys) for line in lines]
        return outputs[-1] if outputs else None
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run, blocks(page)))])
def test_every_block_runs(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if page == "README.md":
        write_example(folder)
    namespace: dict[str, Any] = {"__name__": "page"}
    output: str | None = None
    for block in blocks(page):
        if block.role.startswith("file="):
            name = block.role.removeprefix("file=")
            write_file(folder, name, block.text)
            importlib.invalidate_caches()
            if name.startswith("test_"):
                run_tests(folder, name)
            elif name.endswith(".py"):
                importlib.import_module(name.removesuffix(".py"))
        elif block.role:
            assert block.role in ("output", "tail"), f"{page}:{block.line}: what is {block.role!r}?"
            assert output is not None, f"{page}:{block.line}: the output of what?"
            check_output(block, output)
            continue
        output = run_block(block, folder, namespace, capsys)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for target in LINK.findall(text):
        file, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        path = (ROOT / page).parent / file if file else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
