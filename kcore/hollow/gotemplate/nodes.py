"""What a compiled template is made of: closures for fields, calls, branches and loops. Source: text/template exec.go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.values import kind_name, shown, truth

BREAK: Final = 1
CONTINUE: Final = 2
CALLS_MAX: Final = (
    1000  # templates inside each other; as upstream's maxExecDepth, smaller as Python's stack is
)
FAULTS: Final = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, ArithmeticError)


class Run:
    """One rendering: what was written, the variables' places, the functions that it brings."""

    __slots__ = ("depth", "functions", "out", "places")

    def __init__(self, places: int, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.out: list[str] = []
        self.places: list[Any] = [None] * places
        self.functions = functions
        self.depth = 0


Expression = Callable[[Run, Any], Any]
Node = Callable[[Run, Any], int | None]


def sequence(nodes: Sequence[Node]) -> Node:
    """One after the other, until one says break or continue."""
    if len(nodes) == 1:
        return nodes[0]
    fixed = tuple(nodes)

    def each(run: Run, dot: Any) -> int | None:
        for node in fixed:
            signal = node(run, dot)
            if signal:
                return signal
        return None

    return each


def printed(expression: Expression) -> Node:
    """The value is written."""

    def write(run: Run, dot: Any) -> None:
        run.out.append(shown(expression(run, dot)))

    return write


def stored(expression: Expression) -> Node:
    """The value is not written: it went into a variable."""

    def keep(run: Run, dot: Any) -> None:
        expression(run, dot)

    return keep


def fields(base: Expression | None, names: tuple[str, ...], line: int) -> Expression:
    """The value below those keys; nothing below what is not there, TemplateError below what has no keys."""

    def found(run: Run, dot: Any) -> Any:
        value = dot if base is None else base(run, dot)
        for name in names:
            if type(value) is dict:
                value = value.get(name)
            elif value is None:
                return None
            else:
                raise TemplateError(f"can't evaluate field {name} in type {kind_name(value)}", line)
        return value

    return found


def call(
    name: str, function: Callable[..., Any] | None, arguments: Sequence[Expression], line: int
) -> Expression:
    """The function's value; TemplateError where it refuses its arguments."""
    fixed = tuple(arguments)

    def value(run: Run, dot: Any) -> Any:
        called = function or run.functions[name]
        given = [argument(run, dot) for argument in fixed]
        try:
            return called(*given)
        except TemplateError as error:
            raise TemplateError(f"error calling {name}: {error.problem}", line) from None
        except FAULTS as error:
            raise TemplateError(f"error calling {name}: {error}", line) from None

    return value


def short_circuit(stops_at: bool, arguments: Sequence[Expression]) -> Expression:
    """``or`` (stops at what is true) and ``and``: the argument that decides."""
    fixed = tuple(arguments)

    def value(run: Run, dot: Any) -> Any:
        found: Any = None
        for argument in fixed:
            found = argument(run, dot)
            if truth(found) == stops_at:
                return found
        return found

    return value


def branch(condition: Expression, body: Node, other: Node | None, moves: bool) -> Node:
    """``if``, and ``with``, which moves the dot."""

    def choose(run: Run, dot: Any) -> int | None:
        value = condition(run, dot)
        if truth(value):
            return body(run, value if moves else dot)
        return other(run, dot) if other is not None else None

    return choose


def loop(found: Expression, places: Sequence[int], body: Node, other: Node | None, line: int) -> Node:
    """``range`` over a list, a map in the order of its keys, or a number."""

    def each(run: Run, dot: Any) -> int | None:
        value = found(run, dot)
        pairs = _pairs(value, line)
        empty = True
        for index, element in pairs:
            empty = False
            if places:
                run.places[places[-1]] = element
                if len(places) > 1:
                    run.places[places[0]] = index
            if body(run, element) == BREAK:
                break
        if empty and other is not None:
            return other(run, dot)
        return None

    return each


def _pairs(value: Any, line: int) -> Iterable[tuple[Any, Any]]:
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return ((each, each) for each in range(value))
    raise TemplateError(f"range can't iterate over {shown(value)}", line)


def invoke(defined: Mapping[str, Node], name: str, argument: Expression | None, line: int) -> Node:
    """``template``: the named one with its own variables."""

    def run_it(run: Run, dot: Any) -> None:
        node = defined.get(name)
        if node is None:
            raise TemplateError(f'template "{name}" not defined', line)
        run.depth += 1
        if run.depth > CALLS_MAX:
            raise TemplateError(f"exceeded maximum template depth ({CALLS_MAX})", line)
        value = argument(run, dot) if argument is not None else None
        outer = run.places
        run.places = [value, *([None] * (len(outer) - 1))]
        node(run, value)
        run.places = outer
        run.depth -= 1

    return run_it
