"""Bodies are refused, warned of and accepted in upstream's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kcore.api import schema
from kcore.api.rows import GroupVersionKind
from kcore.api.schema.decoding import decode_json, decode_yaml
from kcore.api.schema.document import read_json
from kcore.api.schema.syntax import syntax_error
from kcore.api.status import ApiError

POD = schema.load().node("io.k8s.api.core.v1.Pod")
NOT_HANDLED = 'Pod in version "v1" cannot be handled as a Pod: '
UNRECOGNIZED = "the object provided is unrecognized (must be of type Pod): "
PARSE = UNRECOGNIZED + "couldn't get version/kind; json parse error: "


def refused(body: bytes, validation: str = "Strict", decode: Any = decode_json) -> str:
    with pytest.raises(ApiError) as caught:
        decode(body, POD, validation)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


STRICT = b'{"spec":{"foo":1,"foo":2,"containers":[{"name":"a","name":"b","bar":null}]},"x.y":1}'
STRICT_FOUND = [
    'unknown field "spec.foo"', 'duplicate field "spec.containers[0].name"', 'unknown field "spec.containers[0].bar"',
    'unknown field "x.y"',
]  # fmt: skip


def test_field_validation_refuses_warns_or_is_silent() -> None:
    assert refused(STRICT) == NOT_HANDLED + "strict decoding error: " + ", ".join(STRICT_FOUND)
    obj, warnings = decode_json(STRICT, POD, "Warn")
    assert warnings == STRICT_FOUND
    assert obj["spec"] == {"containers": [{"name": "b", "resources": {}}]}
    assert decode_json(STRICT, POD, "Ignore") == (obj, [])


def test_a_body_without_kind_is_of_the_routes() -> None:
    obj, warnings = decode_json(b'{"metadata":{"name":"a"}}', POD)
    assert (obj["apiVersion"], obj["kind"], warnings) == ("v1", "Pod", [])
    assert decode_json(b"null", POD)[0]["kind"] == "Pod"


@pytest.mark.parametrize(("body", "message"), [
    (b'{"kind":"Foo"}', ('Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" '
                        'in scheme "pkg/api/legacyscheme/scheme.go:30"')),
    (b'{"kind":"Deployment","apiVersion":"apps/v1"}',
     'Deployment in version "v1" cannot be handled as a Pod: converting (v1.Deployment) to (core.Pod): unknown conversion'),
    (b'{"apiVersion":"a/b/c"}', UNRECOGNIZED + 'unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})'),
    (b"", PARSE + "unexpected end of JSON input (<empty>)"),
    (b'{"kind":1}', PARSE + 'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":1})'),
    (b'{"spec":{"priority":1.50}}',
     NOT_HANDLED + "json: cannot unmarshal number 1.50 into Go struct field PodSpec.spec.priority of type int32"),
    (b'{"spec":{"priority":1e999}}',
     NOT_HANDLED + "json: cannot unmarshal number 1e999 into Go struct field PodSpec.spec.priority of type int32"),
    (b'{"metadata":{"labels":{"a":1}}}',
     NOT_HANDLED + "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
    (b"[1]" + b" " * 40, PARSE + 'json: cannot unmarshal array into Go value of type struct { APIVersion string '
     '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (' + (b"[1]" + b" " * 27).hex() + " ...)"),
])  # fmt: skip
def test_what_is_refused_is_told_in_upstreams_words(body: bytes, message: str) -> None:
    assert refused(body, "Ignore") == message


def test_another_version_of_the_kind_does_not_match_the_route() -> None:
    definition = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler"
    with pytest.raises(ApiError) as caught:
        decode_json(
            b'{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler"}',
            schema.load().node(definition),
            "Warn",
            GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler"),
        )
    assert caught.value.message == (
        "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)"
    )


@pytest.mark.parametrize(("text", "message"), [
    ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
    ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    ('{"a" 1}', "invalid character '1' after object key"),
    ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
    ("[1 2]", "invalid character '2' after array element"),
    ("{} x", "invalid character 'x' after top-level value"),
    ("[tru]", "invalid character ']' in literal true (expecting 'e')"),
    ("[fbl]", "invalid character 'b' in literal false (expecting 'a')"),
    ("nul", "unexpected end of JSON input"),
    ('["a\nb"]', "invalid character '\\n' in string literal"),
    ('["\\x"]', "invalid character 'x' in string escape code"),
    ('["\\u00g0"]', "invalid character 'g' in \\u hexadecimal character escape"),
    ("[-x]", "invalid character 'x' in numeric literal"),
    ("[1.x]", "invalid character 'x' after decimal point in numeric literal"),
    ("[1ex]", "invalid character 'x' in exponent of numeric literal"),
    ("[01]", "invalid character '1' after array element"),
    ("\u00e9", "invalid character '\u00c3' looking for beginning of value"),
    ("[" * 10_001, "invalid character '[' exceeded max depth"),
    ("  ", "unexpected end of JSON input"),
    ('{"a":[1,{"b":"c"}],"d":-0.5e+3}', None),
    (" [ ] ", None),
])  # fmt: skip
def test_go_names_the_byte_that_is_not_json(text: str, message: str | None) -> None:
    assert syntax_error(text.encode()) == message


def test_what_is_no_text_is_replaced_as_go_does() -> None:
    assert read_json(b'{"a":"\xff","b":"\\ud800x","c":"\\ud83d\\ude00"}') == {
        "a": "\ufffd",
        "b": "\ufffdx",
        "c": "\U0001f600",
    }


def test_deep_documents_are_refused_and_not_recursed_into() -> None:
    assert "exceeded max depth" in refused(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
    assert refused(b'{"a":1,"a":' + b'{"b":' * 900 + b"1" + b"}" * 901).endswith('unknown field "a"')


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    body = (
        b"kind: Pod\nmetadata: {name: a, labels: {on: x, 1: z}}\nspec:\n  hostNetwork: yes\n  priority: 010\n"
    )
    obj, warnings = decode_yaml(body, POD)
    assert warnings == []
    assert obj["metadata"] == {"labels": {"1": "z", "true": "x"}, "name": "a"}
    assert (obj["spec"]["hostNetwork"], obj["spec"]["priority"]) == (True, 8)
    merged = decode_yaml(b"x: &x {name: a}\nmetadata: {<<: *x, namespace: b}\n", POD, "Ignore")[0]
    assert merged["metadata"] == {"name": "a", "namespace": "b"}


def test_yaml_tells_doubles_by_line() -> None:
    body = b"spec:\n  b: 1\n  nodeName: x\n  nodeName: z\n"
    assert refused(body, "Strict", decode_yaml) == NOT_HANDLED + (
        'strict decoding error: yaml: unmarshal errors:\n  line 4: key "nodeName" already set in map, unknown field "spec.b"'
    )
    obj, warnings = decode_yaml(body, POD, "Warn")
    assert warnings == ['line 4: key "nodeName" already set in map', 'unknown field "spec.b"']
    assert obj["spec"]["nodeName"] == "z"


@pytest.mark.parametrize(("body", "problem"), [
    (b"a: [", "yaml: line 1: did not find expected node content"),
    (b"a: b: c", "yaml: mapping values are not allowed in this context"),
    (b"x: *a", "yaml: unknown anchor 'a' referenced"),
    (b"? [a]\n: b", "yaml: invalid map key: []interface {}"),
    (b"a: &a [x]\nb: &b [" + b"*a," * 99 + b"]\nc: &c [" + b"*b," * 99 + b"]\nd: [" + b"*c," * 99 + b"]",
     "yaml: document contains excessive aliasing"),
    (b"[" * 300 + b"]" * 300, "yaml: exceeded max depth of 200"),
])  # fmt: skip
def test_yaml_that_is_none(body: bytes, problem: str) -> None:
    assert refused(body, "Warn", decode_yaml).startswith(UNRECOGNIZED + problem)


def test_a_quantity_that_is_a_number_is_its_text() -> None:
    node = schema.load().node("io.k8s.api.core.v1.ResourceQuota")
    body = b'{"spec":{"hard":{"a":1.500,"b":1e3,"c":2,"d":100000000000000000000,"e":0.5,"f":0.25E1}}}'
    hard = {"a": "1.500", "b": "1e3", "c": "2", "d": "100E", "e": "500m", "f": "2500e-3"}
    obj, _ = decode_json(body, node)
    assert obj["spec"]["hard"] == hard
    crd = schema.load().node(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    )
    made, _ = decode_yaml(
        b"spec: {versions: [{schema: {openAPIV3Schema: {maximum: 1.5, default: 2.5}}}]}", crd
    )
    assert b'"maximum":1.5' in orjson.dumps(made)
