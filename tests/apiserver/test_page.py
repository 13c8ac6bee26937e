"""docs/apiserver.md says what the code says: flags, limits, groups, plugins, and commands that are accepted as they stand."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kcore.api.resources.catalog import builtin
from kcore.apiserver.admission.order import _MAKERS, DEFAULT_ON, FROM_ELSEWHERE, enabled_plugins
from kcore.apiserver.flags import BY_NAME, FLAGS, WITHOUT_EFFECT, gather
from kcore.cli.app import app
from kcore.cli.go_flags import shown
from kcore.flags import Flag

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "apiserver.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(kcore (?:up|apiserver)\b.*?)(?: &)?$", re.MULTILINE)
LIMIT = re.compile(r"^\| [^|]+ \| ([\d.,]+) ?(\w*) \| `([\w.]+)` \|", re.MULTILINE)
UNITS = {"": 1, "s": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def row(flag: Flag) -> str:
    default = shown(flag.default)
    return f"| `--{flag.name}` | {f'`{default}`' if default else ''} | {flag.help} |"


def section(heading: str) -> str:
    """The text below the heading."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_flag_stands_in_the_tables() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `--")]
    assert rows == [row(flag) for flag in FLAGS if flag not in WITHOUT_EFFECT]


def test_flags_without_effect_are_listed() -> None:
    listed = section("Flags").partition("and without effect:\n")[2].partition("\n\n")[0]
    assert re.findall(r"`--([\w-]+)`", listed) == [flag.name for flag in WITHOUT_EFFECT]


def test_limits_are_those_of_the_code() -> None:
    table = section("Limits")
    told = LIMIT.findall(table)
    assert len(told) == len(re.findall(r"^\| (?!limit|---)", table, re.MULTILINE)), "a row that was not read"
    for number, unit, name in told:
        module, _, constant = name.rpartition(".")
        home = module if module.startswith("kcore_native") else f"kcore.{module}"
        value = getattr(importlib.import_module(home), constant)
        assert value == float(number.replace(",", "")) * UNITS[unit], name


def test_every_group_stands_in_its_table() -> None:
    served: dict[str, list[str]] = {}
    for each in builtin().rows:
        served.setdefault(each.api_version, []).append(each.plural)
    told = dict(re.findall(r"^\| `([\w./]+)` \| (.+) \|$", section("What it serves"), re.MULTILINE))
    assert told == {version: ", ".join(plurals) for version, plurals in served.items()}


def test_plugins_are_those_of_the_code() -> None:
    listed = " ".join(section("Who may do what").split())
    on, _, asked = listed.partition("Admission, in upstream's order: ")[2].partition(". On request")
    assert on.split(", ") == [name for name in enabled_plugins() if name not in FROM_ELSEWHERE]
    assert asked.partition(": ")[2].rstrip(".").split(", ") == sorted(set(_MAKERS) - DEFAULT_ON)


def test_keys_are_those_of_the_rows() -> None:
    keys = re.findall(r"`/registry/([\w./-]+)`", section("In the store"))
    known = {(each.storage, each.namespaced) for each in builtin().rows if each.storage}
    told = [key for key in keys if not key.startswith("PLURAL/")]
    assert len(told) == 8
    for key in told:
        folder, _, _ = key.rpartition("/")
        above = folder.rpartition("/")[0]
        assert (folder, False) in known or (above, True) in known, key


@pytest.mark.parametrize("text", [found for block in FENCE.findall(PAGE) for found in COMMAND.findall(block)])
def test_commands_are_accepted(text: str) -> None:
    words = shlex.split(text)
    command: Any = typer.main.get_command(app)
    context = command.commands[words[1]].make_context(words[1], words[2:])
    if words[1] == "apiserver":
        given = {name.replace("_", "-"): value for name, value in context.params.items() if value is not None}
        assert set(given) <= set(BY_NAME)
        gather(given)
