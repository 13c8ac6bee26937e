"""YAML text becomes documents of plain values, typed as kubectl types them.

kubectl reads YAML by go-yaml 2: the core types of YAML 1.1 (``yes``, ``on`` and ``y`` are true, ``010`` is eight)
without timestamps and sexagesimals. libyaml's events, through PyYAML, are built into values here, on a stack of our
own: PyYAML's composer recurses in C without a bound, and its constructors and resolvers cost twice the parse.
docs/design/0003-yaml-parser.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kcore.api.errors import InputError
from kcore.api.yaml_scalars import KEYWORDS, NULL, typed
from kcore.sources.limits import ALIAS_NODES_MAX, NESTING_MAX, YAML_BYTES_MAX, shown, size

if TYPE_CHECKING:
    import yaml

STANDARD_TAG = "tag:yaml.org,2002:"
PLAIN_CACHED_MAX = 50_000  # distinct plain scalars whose type is remembered

_UNSET = object()


class Document(NamedTuple):
    """One document: its value, and the line, from 1, where it begins."""

    value: Any
    line: int


def documents(data: bytes | bytearray, file: str) -> Iterator[Document]:
    """Each document of the text that is not empty; InputError with the line where the YAML is wrong."""
    import yaml

    if len(data) > YAML_BYTES_MAX:
        raise InputError(
            f"holds more than {size(YAML_BYTES_MAX)} of YAML", file=file, expected="JSON, or a table"
        )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("the text is not UTF-8", file=file)
    parser = yaml.cyaml.CParser(bytes(data))
    builder = _Builder(parser, file)
    try:
        while True:
            document = builder.next_document()
            if document is None:
                return
            if document.value is not None:
                yield document
    except yaml.YAMLError as error:
        raise _malformed(error, bytes(data), file) from None
    finally:
        parser.dispose()


class _Builder:
    """Values built from a parser's events; containers under construction are on a stack."""

    def __init__(self, parser: Any, file: str) -> None:
        import yaml

        self.events = yaml.events
        self.next_event = parser.get_event
        self.file = file
        self.plain: dict[str, Any] = dict(KEYWORDS)

    def next_document(self) -> Document | None:
        """The next document, or None at the end of the stream."""
        events = self.events
        while True:
            event = self.next_event()
            if type(event) is events.StreamEndEvent or event is None:
                return None
            if type(event) is events.DocumentStartEvent:
                break
        first = self.next_event()
        return Document(self._value(first), first.start_mark.line + 1)

    def _value(self, event: yaml.events.Event) -> Any:
        """The value that the event begins, with all that it contains; ends at the matching end event."""
        events = self.events
        scalar, mapping_start, sequence_start, alias = (
            events.ScalarEvent,
            events.MappingStartEvent,
            events.SequenceStartEvent,
            events.AliasEvent,
        )
        next_event, plain = self.next_event, self.plain
        anchors: dict[str, tuple[Any, int]] = {}
        count = 0  # values so far, those behind aliases included
        borrowed = 0  # of these, behind aliases
        stack: list[
            tuple[Any, Any, str | None, int]
        ] = []  # container, its pending key, its anchor, count before it
        container: Any = None
        key: Any = _UNSET
        anchor: str | None = None
        before = 0
        while True:
            kind = type(event)
            count += 1
            if kind is scalar:
                text = event.value
                if (event.implicit[0] and event.tag is None) or event.tag == "":
                    value = plain.get(text, _UNSET)
                    if value is _UNSET:
                        value = self._remember(text)
                elif event.tag is None or event.tag == "!":
                    value = text
                else:
                    value = self._tagged(event)
                if event.anchor:
                    anchors[event.anchor] = (value, 1)
            elif kind is mapping_start or kind is sequence_start:
                if len(stack) >= NESTING_MAX:
                    raise self._error(f"nested deeper than {NESTING_MAX} levels", event)
                if container is not None and type(container) is dict and key is _UNSET:
                    raise self._error("a mapping or list is used as a key", event, "a text")
                stack.append((container, key, anchor, before))
                container = {} if kind is mapping_start else []
                key, anchor, before = _UNSET, event.anchor, count
                event = next_event()
                continue
            elif kind is alias:
                if event.anchor not in anchors:
                    raise self._error(f"unknown anchor {shown(event.anchor)}", event)
                value, weight = anchors[event.anchor]
                count += weight
                borrowed += weight
                if borrowed > ALIAS_NODES_MAX:
                    raise self._error(f"aliases stand for more than {ALIAS_NODES_MAX} values", event)
            else:  # the container ends
                if type(container) is dict and "<<" in container:
                    container = self._merged(container, event)
                value = container
                if anchor:
                    anchors[anchor] = (value, count - before + 1)
                container, key, anchor, before = stack.pop()
            if container is None:
                return value
            if type(container) is list:
                container.append(value)
            elif key is _UNSET:
                key = value if type(value) is str else self._key(value, event)
                if key in container:
                    raise self._error(f"the key {shown(key)} stands here twice", event, "each key once")
            else:
                container[key] = value
                key = _UNSET
            event = next_event()

    def _remember(self, text: str) -> Any:
        value = typed(text)
        if len(self.plain) < PLAIN_CACHED_MAX:
            self.plain[text] = value
        return value

    def _key(self, value: Any, event: Any) -> str:
        """The text of a key that is no text, as the conversion to JSON writes it."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        raise self._error("null, a mapping or a list is used as a key", event, "a text")

    def _tagged(self, event: Any) -> Any:
        tag = event.tag.removeprefix(STANDARD_TAG)
        if tag == "str":
            return event.value
        if tag in ("int", "float", "bool", "null"):
            value = typed(event.value)
            kinds: dict[str, tuple[type, ...]] = {
                "int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),),
            }  # fmt: skip
            if type(value) in kinds[tag]:
                return value
        raise self._error(f"the tag {shown(event.tag)} does not fit", event, "a plain value")

    def _merged(self, container: dict[str, Any], event: Any) -> dict[str, Any]:
        """The mapping with what its ``<<`` key brings in beneath its own keys."""
        sources = container.pop("<<")
        sources = sources if isinstance(sources, list) else [sources]
        result: dict[str, Any] = {}
        for source in reversed(sources):
            if not isinstance(source, dict):
                raise self._error(
                    "the merge key << brings in something else", event, "a mapping or a list of them"
                )
            result.update(source)
        result.update(container)
        return result

    def _error(self, problem: str, event: Any, expected: str | None = None) -> InputError:
        line = event.start_mark.line + 1
        return InputError(
            f"the YAML is wrong: {problem}", file=self.file, document=f"line {line}", expected=expected
        )


def line_of(data: bytes | bytearray, index: int, path: Sequence[str | int]) -> int | None:
    """The line, from 1, of the value at a path inside the index-th document; None where it cannot be told.

    Parses the text again: for error messages only.
    """
    import yaml

    node: Any = None
    try:
        for position, root in enumerate(_nodes(bytes(data))):
            if position == index:
                node = root
                break
    except yaml.YAMLError:
        return None
    line = None if node is None else node.start_mark.line + 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _nodes(data: bytes) -> Iterator[Any]:
    """The root nodes of the documents that are not empty, numbered as ``documents`` numbers them."""
    import yaml

    for node in yaml.compose_all(data, Loader=yaml.CSafeLoader):
        if not (isinstance(node, yaml.ScalarNode) and node.value in NULL and not node.style):
            yield node


def _malformed(error: yaml.YAMLError, data: bytes, file: str) -> InputError:
    """libyaml's complaint with the line it is about."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        if "nesting depth" in str(error):
            # libyaml reads ahead and has a limit of its own, far beyond ours
            problem = f"the YAML is wrong: nested deeper than {NESTING_MAX} levels"
            return InputError(problem, file=file, document=f"line {mark.line + 1}")
        problem = getattr(error, "problem", None) or getattr(error, "context", None) or "not YAML"
        return InputError(f"the YAML is malformed: {problem}", file=file, document=f"line {mark.line + 1}")
    position = getattr(error, "position", None)
    line = data.count(b"\n", 0, position) + 1 if isinstance(position, int) else None
    reason = str(getattr(error, "reason", error))
    problem = "the text is not UTF-8" if "UTF-8" in reason else f"the YAML is malformed: {reason}"
    return InputError(problem, file=file, document=f"line {line}" if line else None)
