"""A compiled template: ``compile_template`` once, ``render`` as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from kcore.hollow.gotemplate.builtins import BUILTINS
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.nodes import Node, Run
from kcore.hollow.gotemplate.parser import Parser
from kcore.hollow.gotemplate.sprig import SPRIG

TEXT_BYTES_MAX: Final = 1 << 20
STATIC: Final[Mapping[str, Callable[..., Any]]] = {**SPRIG, **BUILTINS}


class Template:
    """What a text became."""

    __slots__ = ("_node", "_places", "text")

    def __init__(self, text: str, node: Node, places: int) -> None:
        self.text = text
        self._node = node
        self._places = places

    def render(self, value: Any, functions: Mapping[str, Callable[..., Any]] = {}) -> str:
        """The text for that value; TemplateError where it cannot be made."""
        run = Run(self._places, functions)
        run.places[0] = value
        try:
            self._node(run, value)
        except RecursionError:
            raise TemplateError("templates call each other too deeply") from None
        return "".join(run.out)


def compile_template(text: str, late: Collection[str] = ()) -> Template:
    """The template of that text; ``late`` names functions that each rendering brings. TemplateError where it is none."""
    if len(text) > TEXT_BYTES_MAX:
        raise TemplateError(f"a template may have {TEXT_BYTES_MAX} characters")
    parser = Parser(text, {name: made for name, made in STATIC.items() if name not in late}, late)
    node = parser.parse()
    return Template(text, node, parser.places)
