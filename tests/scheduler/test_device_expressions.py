"""Selectors of devices in CEL: what each of them says of one device, as Kubernetes' own evaluation does."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from kcore.scheduler.dynamic.domains import with_default_domains
from kcore.scheduler.dynamic.expressions import Selectors
from kcore.scheduler.dynamic.faults import CompileError, EvaluationError
from kcore.scheduler.dynamic.objects import read_slice
from kcore.scheduler.dynamic.versions import parse_tolerant, parse_version
from tests.scheduler.device_objects import SELECTORS, device, slice_of

pytest.importorskip("cel_expr_python", reason="selectors need the extra `cel`")

DEVICE: Final[dict[str, Any]] = device(
    "d0",
    {
        "model": "a100",
        "dra.x/n": 3,
        "ok": True,
        "v": {"version": "1.2.3-alpha.1+b"},
        "w": {"version": "2.0.0"},
    },
    memory="10Gi",
)
# An expression, and whether it selects the device, or the words of its fault. test_device_peer.py asks Kubernetes.
EXPRESSIONS: Final[dict[str, bool | str]] = {
    'device.driver == "driver.example.com"': True,
    'device.attributes["driver.example.com"].model == "a100"': True,
    'device.attributes["nope"].model == "a100"': "CEL runtime error: no such key: model",
    'has(device.attributes["nope"].model)': False,
    'device.attributes[ "driver.example.com" ].v.isGreaterThan(semver("1.2.2"))': True,
    'device.capacity["driver.example.com"].memory.compareTo(quantity("10Gi")) >= 0': True,
    'device.capacity[device.driver].memory == quantity("10240Mi")': True,
    'device.attributes["driver.example.com"].ok': True,
    'device.attributes["driver.example.com"].model': "CEL runtime error: CEL result of type string could not be converted to bool: unsupported native conversion from string to 'bool'",
    'device.attributes["dra.x"].n': "CEL runtime error: CEL result of type int could not be converted to bool: unsupported type conversion from 'int' to bool",
    '"nope" in device.attributes': False,
    '"dra.x" in device.attributes': True,
    'cel.bind(dra, device.attributes["driver.example.com"], dra.model == "a100" && dra.ok)': True,
    'device.attributes.exists(k, k == "dra.x")': True,
    'device.attributes["a"+"]"].x == 1 || true': True,
    'device.attributes["a"+"]"].x == 1 || false': "CEL runtime error: no such key: x",
    "has(device.attributes.foo)": True,
    "device.attributes.foo == {}": True,
    'device.attributes[?"x"].hasValue()': True,
    "device.allowMultipleAllocations": False,
    "1.5 > 1.2 && 1e3 == 1000.0 && 3u == 3u && !(2<=1) && 0x10 == 16": True,
    "sets.contains([1,2],[1])": True,
    "sets.equivalent([1,1],[1])": True,
    "sets.intersects([1],[2])": False,
    "[1,2].sum() == 3": True,
    '["a","b"].indexOf("b") == 1': True,
    '"abc".indexOf("b") == 1': True,
    'semver("v1.0", true).major() == 1': True,
    'quantity("x").isInteger()': "CEL runtime error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    "device.driver": "CEL compile error: must evaluate to bool or the unknown type, not string",
    "foo": "CEL compile error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^",
    "1 +": "CEL compile error: compilation failed: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^",
    'device.attributes["driver.example.com"].model.matches("a[0-9]+")': True,
    '"a-1".find("[0-9]")=="1"': True,
    'device.driver.lowerAscii() == "x" ? true : false': False,
    'device.attributes["driver.example.com"].?missing.orValue(1) == 1': True,
    "device.attributes['driver.example.com'].model.startsWith('a') // c": True,
    "device.foo": "CEL compile error: compilation failed: ERROR: <input>:1:7: undefined field 'foo'\n | device.foo\n | ......^",
    "1/0 == 1": "CEL runtime error: division by zero",
    "5 % 0 == 1": "CEL runtime error: modulus by zero",
    '"a" + 1 == "b"': "CEL compile error: compilation failed: ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'\n | \"a\" + 1 == \"b\"\n | ....^",
    'device.attributes["dra.x"].n > "a"': "CEL runtime error: no such overload",
    'device.attributes["driver.example.com"].v == semver("1.2.3-alpha.1")': True,
    'semver("1.2") == semver("1.2.0")': "CEL runtime error: No Major.Minor.Patch elements found",
    'semver("01.2.3").major() == 1': 'CEL runtime error: Major number must not contain leading zeroes "01"',
    'semver("1.2.3").compareTo(semver("1.2.3-rc.1")) == 1': True,
    'quantity("1").add(quantity("2")).sub(1) == quantity("2")': True,
    'quantity("1500m").asInteger() == 1': "CEL runtime error: cannot convert value to integer",
    'quantity("1.5").asApproximateFloat() == 1.5': True,
    'isQuantity("1Ki") && !isQuantity("x") && isSemver("1.2.3") && !isSemver("a")': True,
    'device.capacity["driver.example.com"].gone == quantity("1")': "CEL runtime error: no such key: gone",
    'device.attributes["driver.example.com"].size() == 4': True,
    "device.attributes.size() == 2": True,
    "device.attributes == {}": False,
    '["b","a"].isSorted()': False,
    "[3,1].min() == 1 && [3,1].max() == 3": True,
    '"a.b".split(".").size() == 2': True,
    '"x".replace("x","y") == "y"': True,
    '"abc".substring(1) == "bc"': True,
    '"a1b2".findAll("[0-9]") == ["1","2"]': True,
    "[1,2,3].exists_one(x, x == 2) && [1,2].all(x, x > 0) && [1,2].map(x, x*2) == [2,4] && [1,2].filter(x, x > 1) == [2]": True,
    'device.attributes["driver.example.com"].exists(k, k == "model")': True,
    "type(device.driver) == string": True,
    'device.attributes["driver.example.com"].ok == "x"': False,
    'int("3") == 3 && string(3) == "3" && double("1.5") == 1.5': True,
    "dyn(1) == 1.0": True,
    "optional.of(1).hasValue()": True,
    'device.attributes["dra.x"].n == 3u': True,
    'b"a" == b"a"': True,
    'duration("1h") > duration("1m")': True,
    "true": True,
    '"false"': "CEL compile error: must evaluate to bool or the unknown type, not string",
    "null": "CEL compile error: must evaluate to bool or the unknown type, not null_type",
    "[]": "CEL compile error: must evaluate to bool or the unknown type, not list(dyn)",
    "math.greatest(1,2) == 2": "CEL compile error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'math' (in container '')\n | math.greatest(1,2) == 2\n | ^\nERROR: <input>:1:14: undeclared reference to 'greatest' (in container '')\n | math.greatest(1,2) == 2\n | .............^",
    "[1,2].lastIndexOf(2) == 1": True,
    '["a","b"].join(",") == "a,b"': True,
    '"%d".format([1]) == "1"': True,
    '"a".charAt(0) == "a"': True,
    'strings.quote("a") == "x"': False,
    "[1,2,3].slice(0,1) == [1]": True,
    "[1,1].distinct() == [1]": True,
    "[2,1].sort() == [1,2]": True,
    "lists.range(2) == [0,1]": True,
    'timestamp("2020-01-01T00:00:00Z").getFullYear() == 2020': True,
    'device.attributes["driver.example.com"].model == device.attributes["driver.example.com"].model': True,
    'device.attributes["driver.example.com"]["model"] == "a100"': True,
    'device . attributes\n["driver.example.com"]\n.ok': True,
    'device["driver"] == "x"': "CEL compile error: compilation failed: ERROR: <input>:1:7: found no matching overload for '_[_]' applied to '(kubernetes.DRADevice, string)'\n | device[\"driver\"] == \"x\"\n | ......^",
    'device.attributes["driver.example.com"].ok && device.attributes["gone"].ok': "CEL runtime error: no such key: ok",
    'device.attributes["gone"].ok && false': False,
    '!device.attributes["driver.example.com"].ok': False,
    'device.driver.endsWith(".com") && device.driver.contains("example")': True,
    'device.attributes["driver.example.com"].model in ["a100", "h100"]': True,
    "1 in [1,2]": True,
    '"x" in {"x": 1}': True,
}


def said(expression: str, given: dict[str, Any] = DEVICE, selectors: Selectors = SELECTORS) -> bool | str:
    """What the expression says of the device."""
    try:
        return selectors.matches(expression, read_slice(slice_of(given)).devices[0])
    except CompileError as error:
        return f"CEL compile error: {error}"
    except EvaluationError as error:
        return f"CEL runtime error: {error}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(expression: str) -> None:
    """It selects the device or not, or has no answer."""
    assert said(expression) == EXPRESSIONS[expression]


def test_values_that_cel_does_not_know_are_a_fault_of_the_device() -> None:
    """Lists are behind a gate that is off; a version has to be one."""
    assert said("true", device("d", {"l": {"strings": ["a"]}})) == (
        "CEL runtime error: attribute l: unsupported attribute value"
    )
    assert said("true", device("d", {"v": {"version": "1"}})) == (
        "CEL runtime error: attribute v: parse semantic version: No Major.Minor.Patch elements found"
    )


def test_an_answer_is_remembered_for_as_long_as_the_device_is_the_same() -> None:
    """A slice that is published again has new devices."""
    selectors = Selectors()
    expression = 'device.attributes["driver.example.com"].n == 1'
    assert said(expression, device("d", {"n": 1}), selectors) is True
    assert said(expression, device("d", {"n": 2}), selectors) is False


def test_only_domains_are_rewritten() -> None:
    """Strings, members of other values and macros stay as they are."""
    for text in ("1.5 <= 2", "'device.attributes[0]'", "x.device.attributes[0]", "a ? b : c"):
        assert with_default_domains(text).replace(" ", "") == text.replace(" ", "")
    assert (
        with_default_domains('device.attributes["a"].b') == 'device.attributes [? "a" ].orValue(dyn({})) . b'
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Version string empty"),
        ("1.2", "No Major.Minor.Patch elements found"),
        ("01.2.3", 'Major number must not contain leading zeroes "01"'),
        ("1.x.3", 'Invalid character(s) found in minor number "x"'),
        ("1.2.3-", "Prerelease is empty"),
        ("1.2.3-01", 'Numeric PreRelease version must not contain leading zeroes "01"'),
        ("1.2.3-a_b", 'Invalid character(s) found in prerelease "a_b"'),
        ("1.2.3+", "Build meta data is empty"),
    ],
)
def test_what_is_no_version(text: str, fault: str) -> None:
    """In the words of the library that Kubernetes uses."""
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        parse_version(text)


def test_versions_are_ordered_as_semver_org_says() -> None:
    """What came before a release is less, numbers are less than names; builds do not count."""
    texts = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.10.0"
    versions = [parse_version(text) for text in texts.split()]
    assert versions == sorted(versions)
    assert parse_version("1.0.0+a") == parse_version("1.0.0+b")
    assert parse_tolerant("v1") == parse_tolerant("01.00") == parse_version("1.0.0")
