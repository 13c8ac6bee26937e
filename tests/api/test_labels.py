"""Label selectors are read as upstream reads them, and refused in its words."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.api import labels
from kcore.api.selectors import EVERYTHING, Requirement
from kcore.api.status import ApiError
from tests.naive.watch_cache import Labels

NAME_FAULT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_FAULT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        ("  ", ()),
        ("x=a", (("x", "In", ("a",)),)),
        ("x==a,y!=b", (("x", "In", ("a",)), ("y", "NotIn", ("b",)))),
        ("x=", (("x", "In", ("",)),)),
        ("x= ,z= ", (("x", "In", ("",)), ("z", "In", ("",)))),
        ("x in (b,a,b)", (("x", "In", ("a", "b")),)),
        ("x in ()", (("x", "In", ("",)),)),
        ("x in (a,,c)", (("x", "In", ("", "a", "c")),)),
        ("x in (,)", (("x", "In", ("",)),)),
        ("x notin (in,notin)", (("x", "NotIn", ("in", "notin")),)),
        ("in", (("in", "Exists", ()),)),
        ("!x", (("x", "DoesNotExist", ()),)),
        ("y,!x", (("x", "DoesNotExist", ()), ("y", "Exists", ()))),
        ("a.com/b>1,a.com/b<3", (("a.com/b", "Gt", ("1",)), ("a.com/b", "Lt", ("3",)))),
    ],
)
def test_selectors_are_read(text: str, requirements: tuple[tuple[str, str, tuple[str, ...]], ...]) -> None:
    assert labels.parse(text).requirements == tuple(Requirement(*each) for each in requirements)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=a,", "found '', expected: identifier after ','"),
        (",x", "found ',', expected: !, identifier, or 'end of string'"),
        ("x a", "unable to parse requirement: found 'a', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("x=(", "unable to parse requirement: found '(', expected: identifier"),
        ("@=a", f'unable to parse requirement: <nil>: Invalid value: "@": {NAME_FAULT}'),
        ("x=-", f'unable to parse requirement: values[0][x]: Invalid value: "-": {VALUE_FAULT}'),
        (
            "x>a",
            (
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be "
                "an integer"
            ),
        ),
        (
            "x>_",
            (
                "unable to parse requirement: [values[0]: Invalid value: \"_\": for 'Gt', 'Lt' operators, the value must be "
                f'an integer, values[0][x]: Invalid value: "_": {VALUE_FAULT}]'
            ),
        ),
    ],
)
def test_what_is_no_selector_is_refused(text: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        labels.parse(text)
    assert (caught.value.code, caught.value.message) == (400, message)


WORDS = st.sampled_from(["a", "b", "1", "22", "in", "x.y/z"])
VALUES = st.sampled_from(["", "a", "1", "22", "x-y", "notin"])


@st.composite
def requirements(draw: st.DrawFn) -> Labels:
    operator = draw(st.sampled_from(["=", "==", "!=", "in", "notin", "exists", "!", ">", "<"]))
    if operator in ("exists", "!"):
        values: tuple[str, ...] = ()
    elif operator in (">", "<"):
        values = (draw(st.sampled_from(["0", "1", "21", "9223372036854775807"])),)
    else:
        values = tuple(draw(st.lists(VALUES, min_size=1, max_size=1 if "n" not in operator else 3)))
    return Labels(draw(WORDS), operator, values)


@pytest.mark.differential
@given(st.lists(requirements(), max_size=3), st.dictionaries(WORDS, VALUES, max_size=4))
def test_matches_as_its_twin(wanted: list[Labels], found: dict[str, str]) -> None:
    selector = labels.parse(",".join(each.text for each in wanted))
    assert selector.matches(found) == all(each.meets(found) for each in wanted)
    assert selector.empty == (selector == EVERYTHING) == (not wanted)


@given(st.text(alphabet="ab()=!<>, in\0\t@", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ApiError):
        assert labels.parse(text) == labels.parse(text)
