"""The stages that come with kcore, by name: ``node``, ``node-chaos``, ``pod-fast``, ``pod-general``, ``pod-chaos``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from kcore.sources.yaml_text import documents

NAMES: Final = ("node", "node-chaos", "pod-fast", "pod-general", "pod-chaos")
DEFAULT: Final = ("node", "pod-fast")


@cache
def builtin_text(name: str) -> bytes:
    """The file of those stages."""
    return (files("kcore.hollow") / "stages" / f"{name}.yaml").read_bytes()


def builtin_documents(name: str) -> list[Any]:
    """Its documents."""
    return [each.value for each in documents(builtin_text(name), f"{name}.yaml")]
