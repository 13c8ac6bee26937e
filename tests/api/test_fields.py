"""Field selectors are read as upstream reads them, and refused in its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.api import fields
from kcore.api.fields import FieldSelector, Term
from kcore.api.rows import Row
from kcore.api.status import ApiError


def row(kind: str, group: str = "", selectable: tuple[str, ...] = (), *, namespaced: bool = True) -> Row:
    return Row(group, "v1", kind, "", "", namespaced, kind.lower(), "", fields=selectable)


POD = row("Pod", selectable=("spec.nodeName", "status.phase"))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("a=b", (Term("a", "b"),)),
        ("b!=c,a==b", (Term("a", "b"), Term("b", "c", False))),
        ("a=", (Term("a", ""),)),
        (r"a=x\,y\=z\\", (Term("a", r"x,y=z\ ".strip()),)),
        (",a=b,", (Term("a", "b"),)),
        ("=b", (Term("", "b"),)),
    ],
)
def test_selectors_are_read(text: str, terms: tuple[Term, ...]) -> None:
    assert fields.parse(text) == FieldSelector(terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("x=1,a", "invalid selector: 'x=1,a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_what_is_no_selector_is_refused(text: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        fields.parse(text)
    assert (caught.value.code, caught.value.message) == (400, message)


@given(st.text(max_size=8))
def test_a_value_is_written_and_read_back(value: str) -> None:
    term = Term("spec.nodeName", value)
    assert fields.parse(term.text).terms == (term,)


@pytest.mark.parametrize(
    ("of", "field", "message"),
    [
        (POD, "spec.x", "field label not supported: spec.x"),
        (
            row("ConfigMap"),
            "data",
            '"data" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        (row("Job", "batch", ("status.successful",)), "x", 'field label "x" not supported for Job'),
        (
            row("ResourceSlice", "resource.k8s.io", ("spec.driver",), namespaced=False),
            "x",
            "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x",
        ),
        (
            row("Node", selectable=("spec.unschedulable",), namespaced=False),
            "metadata.namespace",
            "field label not supported: metadata.namespace",
        ),
    ],
)
def test_a_field_that_cannot_be_selected_is_refused(of: Row, field: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        fields.of_row(of, fields.parse(f"{field}=x"))
    assert caught.value.message == message


def test_old_and_other_names_stand_for_the_stored_ones() -> None:
    assert fields.of_row(POD, fields.parse("spec.host=n")).terms == (Term("spec.nodeName", "n"),)
    event = row("Event", "events.k8s.io", ("regarding.name", "reportingController"))
    wanted = fields.parse("regarding.name=a,reportingController=b")
    assert fields.of_row(event, wanted).terms == (
        Term("involvedObject.name", "a"),
        Term("reportingComponent", "b"),
    )


def test_a_name_is_looked_for() -> None:
    selector = fields.parse("metadata.name=a,spec.nodeName!=b")
    assert selector.exact("metadata.name") == "a"
    assert selector.exact("spec.nodeName") is None
    assert selector.matches({"metadata.name": "a"})
    assert not selector.matches({"metadata.name": "a", "spec.nodeName": "b"})
