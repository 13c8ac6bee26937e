"""Stage files become stages; what is wrong is an InputError with file, document and field.

Source of the format: kwok.x-k8s.io/v1alpha1 Stage, with ``next`` read as the ``steps`` that Kwok makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.hollow.expressions import Condition, compile_cel, compile_query, requirement
from kcore.hollow.functions import FUNCTION_NAMES
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.template import Template, compile_template
from kcore.hollow.shape import Shape
from kcore.hollow.stage import (
    APPLY,
    JSON,
    MERGE,
    STRATEGIC,
    Amount,
    Apply,
    Delete,
    Event,
    Finalizers,
    Patch,
    ResourceRef,
    Stage,
    Step,
    Value,
)

API_VERSION: Final = "kwok.x-k8s.io/v1alpha1"
STEPS_MAX: Final = 100  # of one stage


def read_stage(document: Any) -> Stage:
    """The stage of that document; InputError with the field."""
    top = Shape(document, "")
    top.raw("apiVersion"), top.raw("kind"), top.raw("status")
    metadata = Shape(top.raw("metadata") or {}, "metadata")
    name = metadata.needed("name")
    spec = top.shape("spec")
    if spec is None:
        raise top.wrong("spec", "is missing", "an object")
    reference = spec.shape("resourceRef")
    if reference is None:
        raise spec.wrong("resourceRef", "is missing", "an object with kind")
    resource = ResourceRef(reference.text("apiGroup") or "v1", reference.needed("kind"))
    reference.end()
    delay = spec.shape("delay")
    stage = Stage(
        name, resource,
        conditions=_selector(spec.shape("selector")),
        weight=Amount(spec.number("weight") or 0, _value_from(spec.shape("weightFrom"))),
        delay_ms=_amount(delay, "durationMilliseconds", "durationFrom", 0),
        jitter_ms=_amount(delay, "jitterDurationMilliseconds", "jitterDurationFrom", None),
        steps=_steps(spec),
        immediate=spec.flag("immediateNextStage"),
    )  # fmt: skip
    if delay is not None:
        delay.end()
    spec.end()
    top.end()
    return stage


def _selector(shape: Shape | None) -> tuple[Condition, ...] | None:
    if shape is None:
        return None
    found = [
        _pairs(each, pairs)
        for each in ("labels", "annotations")
        if (pairs := shape.pairs(f"match{each.title()}"))
    ]
    for each in shape.shapes("matchExpressions"):
        cel, jq = each.shape("cel"), each.shape("jq")
        if cel is not None:
            found.append(_cel_condition(cel))
        else:
            asked = each if jq is None else jq
            try:
                found.append(
                    requirement(asked.needed("key"), asked.needed("operator"), asked.texts("values"))
                )
            except InputError as error:
                raise (
                    error
                    if error.field and error.field.startswith("spec")
                    else error.at(field=asked.place("")[:-1])
                ) from None
            if jq is not None:
                jq.end()
        each.end()
    shape.end()
    return tuple(found)


def _pairs(which: str, pairs: Mapping[str, str]) -> Condition:
    wanted = tuple(pairs.items())

    def holds(obj: Any) -> bool:
        has = (obj.get("metadata") or {}).get(which) or {}
        return all(has.get(key) == value for key, value in wanted)

    return holds


def _cel_condition(shape: Shape) -> Condition:
    program = _cel(shape)
    return lambda obj: program(obj) is True


def _cel(shape: Shape) -> Value:
    text = shape.needed("expression")
    shape.end()
    try:
        return compile_cel(text)
    except InputError as error:
        raise error.at(field=shape.place("expression")) from None


def _amount(shape: Shape | None, name: str, source: str, default: int | None) -> Amount | None:
    if shape is None:
        return None
    number, found = shape.number(name), _value_from(shape.shape(source))
    if number is None and found is None and default is None:
        return None
    return Amount(default if number is None else number, found)


def _value_from(shape: Shape | None) -> Value | None:
    """The first value that the expression yields, None where it yields none."""
    if shape is None:
        return None
    cel, jq = shape.shape("cel"), shape.shape("jq")
    if cel is not None:
        found = _cel(cel)
    else:
        asked, name = (shape, "expressionFrom") if jq is None else (jq, "expression")
        text = asked.needed(name)
        try:
            query = compile_query(text)
        except InputError as error:
            raise error.at(field=asked.place(name)) from None
        found = lambda obj: next(iter(query(obj)), None)  # noqa: E731 - one of two
        if jq is not None:
            jq.end()
    shape.end()
    return found


def _steps(spec: Shape) -> tuple[Step, ...]:
    following = spec.shape("next")
    steps: list[Step] = []
    for each in spec.shapes("steps"):
        _event(each.shape("event"), steps)
        _finalizers(each.shape("finalizers"), steps)
        if each.flag("delete"):
            steps.append(Delete())
        _patch(each.shape("patch"), steps)
        _apply(each.shape("apply"), steps)
        each.end()
    if following is not None:
        begun = _next(following)
        steps = steps or begun  # as Kwok: steps, where there are any
    if len(steps) > STEPS_MAX:
        raise spec.wrong("steps", f"has {len(steps)} steps", f"at most {STEPS_MAX}")
    gone = next((index for index, step in enumerate(steps) if isinstance(step, Delete)), len(steps))
    return tuple(s for index, s in enumerate(steps) if index <= gone or isinstance(s, Event))


def _next(shape: Shape) -> list[Step]:
    steps: list[Step] = []
    _event(shape.shape("event"), steps)
    _finalizers(shape.shape("finalizers"), steps)
    patches: list[Step] = []
    for each in shape.shapes("patches"):
        _patch(each, patches)
    text, subresource = shape.text("statusTemplate"), shape.text("statusSubresource", "status")
    user = _user(shape, "statusPatchAs")
    if text and not patches:
        template = _template(shape, "statusTemplate", text)
        patches.append(Patch(template, "status", subresource, "", user))
    if shape.flag("delete"):
        patches.append(Delete())
    shape.end()
    return steps + patches


def _event(shape: Shape | None, steps: list[Step]) -> None:
    if shape is not None:
        steps.append(
            Event(
                shape.one_of("type", ("Normal", "Warning"), "Normal"),
                shape.text("reason"),
                shape.text("message"),
            )
        )
        shape.end()


def _finalizers(shape: Shape | None, steps: list[Step]) -> None:
    if shape is None:
        return

    def values(name: str) -> tuple[str, ...]:
        found = []
        for each in shape.shapes(name):
            found.append(each.needed("value"))
            each.end()
        return tuple(found)

    steps.append(Finalizers(values("add"), values("remove"), shape.flag("empty")))
    shape.end()


def _patch(shape: Shape | None, steps: list[Step]) -> None:
    if shape is None:
        return
    text = shape.needed("template")
    kind = shape.one_of("type", (JSON, MERGE, STRATEGIC))
    template, user = _template(shape, "template", text), _user(shape, "impersonation")
    steps.append(Patch(template, shape.text("root"), shape.text("subresource"), kind, user))
    shape.end()


def _apply(shape: Shape | None, steps: list[Step]) -> None:
    if shape is None:
        return
    text = shape.needed("template")
    kind = shape.one_of("type", (APPLY, MERGE, STRATEGIC), APPLY)
    template, user = _template(shape, "template", text), _user(shape, "impersonation")
    steps.append(Apply(template, shape.text("subresource"), kind, user))
    shape.end()


def _user(shape: Shape, name: str) -> str:
    inner = shape.shape(name)
    if inner is None:
        return ""
    user = inner.needed("username")
    inner.end()
    return user


def _template(shape: Shape, name: str, text: str) -> Template:
    try:
        return compile_template(text.strip(), FUNCTION_NAMES)
    except TemplateError as error:
        raise shape.wrong(name, str(error), "Go's text/template") from None
