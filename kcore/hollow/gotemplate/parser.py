"""A template's items become closures. Source: text/template/parse/parse.go and exec.go.

An expression is a function from (run, dot) to a value, a node one that writes to ``run.out`` and returns None or the
signal of ``break`` and ``continue``. Variables are places in ``run.places``, chosen here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.lexer import (
    CLOSE,
    CONSTANT,
    FIELD,
    MARK,
    NAME,
    OPEN,
    TEXT,
    VARIABLE,
    Item,
    items,
)
from kcore.hollow.gotemplate.nodes import (
    BREAK,
    CONTINUE,
    Expression,
    Node,
    Run,
    branch,
    call,
    fields,
    invoke,
    loop,
    printed,
    sequence,
    short_circuit,
    stored,
)

KEYWORDS: Final = frozenset({
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
})  # fmt: skip
NESTING_MAX: Final = 200  # actions and parentheses inside each other; more is refused
END: Final = Item("end of template", None, 0)
Function = Callable[..., Any]


class Parser:
    """One text, and the templates that it defines."""

    def __init__(self, text: str, functions: Mapping[str, Function], late: Collection[str]) -> None:
        self._items = list(items(text))
        self._at = 0
        self._functions = functions
        self._late = late  # functions that a rendering brings
        self._names: list[tuple[str, int]] = [("$", 0)]
        self.places = 1
        self._loops = 0
        self._depth = 0
        self.defined: dict[str, Node] = {}

    def parse(self) -> Node:
        """The whole text's node; TemplateError where it is no template."""
        node, stop = self._list(())
        assert not stop
        return node

    # -- items

    def _peek(self) -> Item:
        return self._items[self._at] if self._at < len(self._items) else END

    def _next(self) -> Item:
        item = self._peek()
        self._at += 1
        return item

    def _expect(self, kind: str, where: str) -> Item:
        item = self._next()
        if item.kind != kind:
            raise self._unexpected(item, where)
        return item

    def _unexpected(self, item: Item, where: str) -> TemplateError:
        line = item.line or (self._items[-1].line if self._items else 1)
        what = {CLOSE: '"}}"', OPEN: '"{{"'}.get(item.kind, repr(item.value))
        return TemplateError(f"unexpected {'EOF' if item is END else what} in {where}", line)

    def _deeper(self, line: int) -> None:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise TemplateError(f"nested deeper than {NESTING_MAX}", line)

    # -- nodes

    def _list(self, stops: Sequence[str]) -> tuple[Node, str]:
        """Nodes until one of the keywords, which is returned; '' at the end of the text."""
        nodes: list[Node] = []
        while (item := self._next()) is not END:
            if item.kind == TEXT:
                nodes.append(_literal(item.value))
                continue
            word = self._peek()
            if word.kind == NAME and word.value in ("end", "else"):
                if word.value not in stops:
                    raise TemplateError(f"unexpected {{{{{word.value}}}}}", word.line)
                self._next()
                return sequence(nodes), word.value
            node = self._action(word)
            if node is not None:
                nodes.append(node)
        if stops:
            raise TemplateError("unexpected EOF", self._items[-1].line if self._items else 1)
        return sequence(nodes), ""

    def _action(self, word: Item) -> Node | None:
        self._deeper(word.line)
        try:
            if word.kind == NAME and word.value in KEYWORDS and word.value != "nil":
                self._next()
                return _ACTIONS[word.value](self, word)
            expression, declared = self._pipeline("command", CLOSE)
            return stored(expression) if declared else printed(expression)
        finally:
            self._depth -= 1

    def _if(self, word: Item) -> Node:
        return self._conditional(word, "if", False)

    def _with(self, word: Item) -> Node:
        return self._conditional(word, "with", True)

    def _conditional(self, word: Item, name: str, moves: bool) -> Node:
        scope = len(self._names)
        condition, _ = self._pipeline(name, CLOSE)
        body, stop = self._list(("else", "end"))
        other: Node | None = None
        if stop == "else":
            following = self._peek()
            if following.kind == NAME and following.value == name:
                self._next()
                self._deeper(word.line)
                other = self._conditional(following, name, moves)
                self._depth -= 1
                del self._names[scope:]
                return branch(condition, body, other, moves)
            self._expect(CLOSE, "else")
            other, _ = self._list(("end",))
        self._expect(CLOSE, "end")
        del self._names[scope:]
        return branch(condition, body, other, moves)

    def _range(self, word: Item) -> Node:
        scope = len(self._names)
        places, declares = self._targets(2)
        if declares:
            places = [self._declared(name) for name in places]
        else:
            places = [self._place(name, word.line) for name in places]
        found, _ = self._pipeline("range", CLOSE, bare=True)
        self._loops += 1
        body, stop = self._list(("else", "end"))
        self._loops -= 1
        other: Node | None = None
        if stop == "else":
            self._expect(CLOSE, "else")
            other, _ = self._list(("end",))
        self._expect(CLOSE, "end")
        del self._names[scope:]
        return loop(found, places, body, other, word.line)

    def _jump(self, word: Item) -> Node:
        if not self._loops:
            raise TemplateError(f"{{{{{word.value}}}}} outside {{{{range}}}}", word.line)
        self._expect(CLOSE, word.value)
        signal = BREAK if word.value == "break" else CONTINUE
        return lambda run, dot: signal

    def _template(self, word: Item) -> Node:
        name = self._name_of("template")
        argument: Expression | None = None
        if self._peek().kind == CLOSE:
            self._next()
        else:
            argument, _ = self._pipeline("template", CLOSE)
        return invoke(self.defined, name, argument, word.line)

    def _define(self, word: Item) -> None:
        name = self._name_of("define")
        self._expect(CLOSE, "define")
        self._body_of(name)

    def _block(self, word: Item) -> Node:
        name = self._name_of("block")
        argument, _ = self._pipeline("block", CLOSE)
        self._body_of(name)
        return invoke(self.defined, name, argument, word.line)

    def _body_of(self, name: str) -> None:
        names, loops = self._names, self._loops
        self._names, self._loops = [("$", 0)], 0
        self.defined[name], _ = self._list(("end",))
        self._expect(CLOSE, "end")
        self._names, self._loops = names, loops

    def _name_of(self, what: str) -> str:
        item = self._expect(CONSTANT, f"{what} clause")
        if not isinstance(item.value, str):
            raise self._unexpected(item, f"{what} clause")
        return item.value

    def _stray(self, word: Item) -> Node:
        raise TemplateError(f"unexpected {{{{{word.value}}}}}", word.line)

    # -- expressions

    def _targets(self, most: int) -> tuple[list[Any], bool]:
        """Variables before := or =, and whether they are declared; none where a plain pipeline follows."""
        start, names = self._at, list[Any]()
        while len(names) < most and self._peek().kind == VARIABLE:
            names.append(self._next().value)
            mark = self._next()
            if mark.kind == MARK and mark.value in (":=", "="):
                return names, mark.value == ":="
            if mark.kind != MARK or mark.value != ",":
                break
        self._at = start
        return [], False

    def _declared(self, name: str) -> int:
        place = self.places
        self.places += 1
        self._names.append((name, place))
        return place

    def _place(self, name: str, line: int) -> int:
        for known, place in reversed(self._names):
            if known == name:
                return place
        raise TemplateError(f'undefined variable "{name}"', line)

    def _pipeline(self, where: str, close: str, bare: bool = False) -> tuple[Expression, bool]:
        """The expression up to its end, and whether it only sets a variable."""
        line = self._peek().line
        names, declares = ([], False) if bare else self._targets(1)
        expression = self._command(where, None)
        while True:
            item = self._next()
            if item.kind == close == CLOSE or (item.kind == MARK and item.value == ")" and close == ")"):
                break
            if item.kind == MARK and item.value == "|":
                expression = self._command(where, expression)
                continue
            raise self._unexpected(item, where)
        if not names:
            return expression, False
        place = self._declared(names[0]) if declares else self._place(names[0], line)

        def assign(run: Run, dot: Any) -> Any:
            value = run.places[place] = expression(run, dot)
            return value

        return assign, True

    def _command(self, where: str, final: Expression | None) -> Expression:
        """One command of a pipeline; ``final`` is what the command before it yields."""
        first = self._peek()
        if first.kind == NAME and first.value not in ("true", "false", "nil"):
            function = self._next()
            following = self._peek()
            if following.kind != FIELD or following.spaced:
                arguments = self._arguments(where)
                if final is not None:
                    arguments.append(final)
                return self._call(function, arguments)
            self._at -= 1
        value = self._operand(where)
        arguments = self._arguments(where)
        if arguments or final is not None:
            if first.kind in (FIELD, VARIABLE) or (first.kind == MARK and first.value in ".("):
                raise TemplateError(f"can't give argument to non-function {first.value}", first.line)
            raise TemplateError(f"non executable command in pipeline stage: {first.value!r}", first.line)
        return value

    def _arguments(self, where: str) -> list[Expression]:
        found: list[Expression] = []
        while True:
            item = self._peek()
            if item.kind in (CLOSE, TEXT) or item is END or (item.kind == MARK and item.value in "|)"):
                return found
            found.append(self._operand(where))

    def _operand(self, where: str) -> Expression:
        item = self._next()
        value = item.value
        if item.kind == CONSTANT:
            return lambda run, dot: value
        if item.kind == NAME:
            if value in ("true", "false"):
                known = value == "true"
                return lambda run, dot: known
            if value == "nil":
                return lambda run, dot: None
            base = self._call(item, [])
        elif item.kind == VARIABLE:
            place = self._place(value, item.line)
            base = _variable(place)
        elif item.kind == FIELD:
            self._at -= 1
            return fields(None, self._chain(True), item.line)
        elif item.kind == MARK and value == ".":
            base = _dot
        elif item.kind == MARK and value == "(":
            self._deeper(item.line)
            base, _ = self._pipeline("parenthesized pipeline", ")")
            self._depth -= 1
        else:
            raise self._unexpected(item, where)
        names = self._chain(False)
        return fields(base, names, item.line) if names else base

    def _chain(self, first: bool) -> tuple[str, ...]:
        names: list[str] = []
        while (item := self._peek()).kind == FIELD and (first or not item.spaced):
            names.append(self._next().value)
            first = False
        return tuple(names)

    def _call(self, word: Item, arguments: list[Expression]) -> Expression:
        name = word.value
        if name in ("and", "or"):
            if not arguments:
                raise TemplateError(f"wrong number of args for {name}: want at least 1 got 0", word.line)
            return short_circuit(name == "or", arguments)
        function = self._functions.get(name)
        if function is None and name not in self._late:
            raise TemplateError(f'function "{name}" not defined', word.line)
        return call(name, function, arguments, word.line)


def _literal(text: str) -> Node:
    def write(run: Run, dot: Any) -> None:
        run.out.append(text)

    return write


def _dot(run: Run, dot: Any) -> Any:
    return dot


def _variable(place: int) -> Expression:
    return lambda run, dot: run.places[place]


_ACTIONS: Final[dict[str, Callable[[Parser, Item], Node | None]]] = {
    "if": Parser._if, "with": Parser._with, "range": Parser._range, "break": Parser._jump,
    "continue": Parser._jump, "template": Parser._template, "define": Parser._define, "block": Parser._block,
    "else": Parser._stray, "end": Parser._stray,
}  # fmt: skip
