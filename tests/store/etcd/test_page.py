"""docs/etcd.md says what the code says: every flag with its default, and commands that are accepted as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kcore.cli.app import app
from kcore.cli.etcd import shown
from kcore.flags import Flag
from kcore.store.etcd.flags import BY_NAME, FLAGS, RENAMED, WITHOUT_EFFECT, gather

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "etcd.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^| )(kcore (?:etcd|snapshot)\b.*?)(?: 2> \S+)?(?: &)?$", re.MULTILINE)


def row(flag: Flag) -> str:
    default = shown(flag.default)
    return f"| `--{flag.name}` | {f'`{default}`' if default else ''} | {flag.help} |"


def commands() -> list[list[str]]:
    """The kcore commands of the page as words, the shell's own variables made numbers."""
    text = "".join(FENCE.findall(PAGE)).replace("\\\n", " ")
    text = re.sub(r"\$\{m[^}]*\}", "2", text)
    return [shlex.split(found) for found in COMMAND.findall(text)]


def test_every_flag_stands_in_the_tables() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `--")]
    assert rows == [row(flag) for flag in FLAGS if flag not in WITHOUT_EFFECT]


def test_flags_without_effect_and_older_names_are_listed() -> None:
    _, _, rest = PAGE.partition("and without effect:\n")
    listed, _, older = rest.partition("\n\n")
    assert re.findall(r"`--([\w-]+)`", listed) == [flag.name for flag in WITHOUT_EFFECT]
    assert re.findall(r"`--([\w-]+)`", older.partition(". ")[0]) == list(RENAMED)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_accepted(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = None
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", ()):
        command = command.commands[rest[0]]
        context = command.make_context(rest[0], rest[1:], parent=context)
        rest = rest[1:]
    assert context is not None
    if words[1] == "etcd":
        given = {name.replace("_", "-"): text for name, text in context.params.items() if text is not None}
        assert set(given) <= set(BY_NAME)
        gather(given, {}, None)
