"""A body in YAML becomes the value that sigs.k8s.io/yaml makes of it, with what it would say of doubled keys.

libyaml's events through PyYAML, built on a stack of our own. Keys are sorted, since upstream goes by way of JSON.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.schema.document import Literal
from kcore.api.yaml_scalars import typed

NESTING_MAX: Final = 200  # mappings and lists inside each other; more is refused
ALIAS_NODES_MAX: Final = 100_000  # values that the aliases of one document stand for; more is refused
_UNLIKE: Final = re.compile(
    rb'[\[:,]-?[0-9]+(?:[.eE]|(?<=[0-9]{16}))|"[^"]{1000}'
)  # fractions, long integers, long keys
_ESCAPED: Final = re.compile(rb'\\["\\n]')  # escapes that both have
STANDARD_TAG: Final = "tag:yaml.org,2002:"

_UNSET: Final = object()


class YamlDuplicate(NamedTuple):
    """A key that its mapping has already."""

    line: int
    key: str


class YamlDuplicates:
    """Upstream's words for them."""

    PREFIX: Final = "yaml: unmarshal errors:\n"

    @classmethod
    def text(cls, duplicates: list[YamlDuplicate]) -> str:
        """One message for all."""
        return cls.PREFIX + "\n".join(
            f'  line {each.line}: key "{each.key}" already set in map' for each in duplicates
        )

    @classmethod
    def lines(cls, message: str) -> list[str]:
        """One text for each; any other message as it is."""
        if not message.startswith(cls.PREFIX):
            return [message]
        return [line.strip() for line in message.removeprefix(cls.PREFIX).split("\n")]


def read_yaml(body: bytes) -> tuple[Any, list[YamlDuplicate]]:
    """The first document's value, None where there is none; ValueError in upstream's words where it is no YAML."""
    plain = _plain_json(body)
    if plain is not None:
        return plain, []
    return _read_events(body)


def _plain_json(body: bytes) -> Any:
    """The value of a body that is compact JSON, as Go's clients write it, and says the same as YAML; None for any other.

    What comes back byte by byte has no key twice and no number in another form; what the two read differently is
    left to the other reader.
    """
    body = body.strip()
    if (
        body[:1] != b"{"
        or _ESCAPED.sub(b"", body).count(b"\\")
        or b"\x7f" in body
        or not body.isascii()
        or _UNLIKE.search(body)
    ):
        return None
    if body.count(b"{") + body.count(b"[") > NESTING_MAX:  # it might be too deep
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if orjson.dumps(value) != body:
        return None
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def _read_events(body: bytes) -> tuple[Any, list[YamlDuplicate]]:
    import yaml

    parser = yaml.cyaml.CParser(body)
    try:
        builder = _Builder(parser, yaml.events)
        return builder.document(), builder.duplicates
    except yaml.YAMLError as error:
        raise ValueError(_refusal(error, isinstance(error, yaml.scanner.ScannerError))) from None
    finally:
        parser.dispose()


def _refusal(error: Any, in_scanner: bool) -> str:
    """The message as go-yaml words it: lines are counted from zero where the parser, not the scanner, complains."""
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line = 0
    if mark is not None and mark.line:
        line = mark.line + in_scanner
    elif context is not None:
        line = context.line
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    return f"yaml: {f'line {line}: ' if line else ''}{problem or 'unknown problem parsing YAML content'}"


class _Builder:
    """Values from events; ``duplicates`` are found on the way."""

    def __init__(self, parser: Any, events: Any) -> None:
        self.next_event = parser.get_event
        self.events = events
        self.duplicates: list[YamlDuplicate] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.borrowed = 0

    def document(self) -> Any:
        """The first document."""
        events = self.events
        while True:
            event = self.next_event()
            if event is None or type(event) is events.StreamEndEvent:
                return None
            if type(event) is events.DocumentStartEvent:
                return self.value(self.next_event(), 0)

    def value(self, event: Any, depth: int) -> Any:
        """The value that the event begins."""
        events = self.events
        self.count += 1
        if type(event) is events.AliasEvent:
            if event.anchor not in self.anchors:
                raise ValueError(f"yaml: unknown anchor '{event.anchor}' referenced")
            value, weight = self.anchors[event.anchor]
            self.borrowed += weight
            self.count += weight
            if self.borrowed > ALIAS_NODES_MAX:
                raise ValueError("yaml: document contains excessive aliasing")
            return value
        if depth > NESTING_MAX:
            raise ValueError(f"yaml: exceeded max depth of {NESTING_MAX}")
        before = self.count
        if type(event) is events.ScalarEvent:
            value = self.scalar(event)
        elif type(event) is events.SequenceStartEvent:
            value = []
            while type(item := self.next_event()) is not events.SequenceEndEvent:
                value.append(self.value(item, depth + 1))
        else:
            value = self.mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.count - before + 1)
        return value

    def mapping(self, depth: int) -> dict[str, Any]:
        """The mapping whose start was read, keys sorted, with what ``<<`` brings in beneath its own."""
        made: dict[str, Any] = {}
        merged: list[Any] = []
        while type(event := self.next_event()) is not self.events.MappingEndEvent:
            merges = type(event) is self.events.ScalarEvent and event.value == "<<" and event.implicit[0]
            key = None if merges else self.key(self.value(event, depth + 1))
            start = self.next_event()
            value = self.value(start, depth + 1)
            if key is None:
                merged += value if isinstance(value, list) else [value]
                continue
            if key in made:
                self.duplicates.append(YamlDuplicate(start.start_mark.line + 1, key))
            made[key] = value
        for source in merged:
            if not isinstance(source, dict):
                raise ValueError("yaml: map merge requires map or sequence of maps as the value")
            made = source | made
        return dict(sorted(made.items()))

    def key(self, value: Any) -> str:
        """The text of a key, as the conversion to JSON writes it."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return f"{value:g}" if isinstance(value, float) else str(value)
        name = {type(None): "<nil>", dict: "map[interface {}]interface {}"}.get(type(value), "[]interface {}")
        raise ValueError(f"yaml: invalid map key: {name}")

    def scalar(self, event: Any) -> Any:
        """The value of a scalar."""
        text = event.value
        if (event.implicit[0] and event.tag is None) or event.tag == "":
            value = typed(text)
            return (
                Literal(text)
                if type(value) is float and value == value and abs(value) != float("inf")
                else value
            )
        if event.tag is None or event.tag == "!":
            return text
        tag = event.tag.removeprefix(STANDARD_TAG)
        if tag in ("int", "float", "bool", "null"):
            value = typed(text)
            kinds: dict[str, tuple[type, ...]] = {
                "int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),),
            }  # fmt: skip
            if type(value) not in kinds[tag]:
                raise ValueError(f"yaml: cannot decode !!str `{text}` as a !!{tag}")
            return value
        return text
