"""Quantities: the compiled parser says what an obvious twin on fractions says, and what Go's tests say."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kcore.api.errors import InputError
from kcore.api.quantity import INT64_MAX, INT64_MIN, milli_value, parse_quantity, unit_value

BINARY = {f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGTPE", start=1)}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
TEXT = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<places>[0-9]*))?"
    r"(?:(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)|[eE](?P<exponent>[+-]?[0-9]+))",
    re.ASCII,
)


def naive_quantity(text: str) -> int | None:
    """Nano-units by exact fractions; None where the text is no quantity."""
    match = TEXT.fullmatch(text)
    if match is None or not text:
        return None
    whole, places = match["whole"] or "", match["places"] or ""
    amount = Fraction(int(whole + places or "0"), 10 ** len(places))
    if match["exponent"] is not None:
        amount *= Fraction(10) ** int(match["exponent"])
    elif match["suffix"] in BINARY:
        amount *= BINARY[match["suffix"]]
    else:
        amount *= Fraction(10) ** DECIMAL[match["suffix"]]
    nanos = math.ceil(amount * 10**9)
    if match["suffix"] in BINARY:
        nanos = min(nanos, INT64_MAX * 10**9)
    return -nanos if match["sign"] == "-" else nanos


NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.text("0123456789", max_size=25),
    st.one_of(st.just(""), st.text("0123456789", max_size=25).map(".{}".format)),
    st.one_of(
        st.sampled_from([*BINARY, *DECIMAL]),
        st.integers(-40, 40).map("e{}".format),
        st.integers(0, 40).map("E+{}".format),
    ),
).filter(bool)


@given(NUMBERS)
def test_it_equals_the_fraction(text: str) -> None:
    assert parse_quantity(text) == naive_quantity(text)


@given(
    st.one_of(
        st.text("0123456789.+-eEinumkKMGTP ", max_size=12),
        st.text(max_size=12),
        st.text("019.kiE", max_size=6),
    )
)
@settings(max_examples=400)
def test_any_text_is_a_quantity_or_an_input_error(text: str) -> None:
    assume(not re.search(r"[eE][+-]?\d{4,}", text))  # beyond our own limit, which has a test of its own
    expected = naive_quantity(text)
    if expected is None:
        with pytest.raises(InputError, match="is not a quantity"):
            parse_quantity(text)
    else:
        assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("1", 10**9),
        ("500m", 5 * 10**8),
        ("1.5Gi", 3 * 2**29 * 10**9),
        ("0.1Ki", 102_400_000_000),
        ("0.9n", 1),
        ("-0.9n", -1),
        ("1e3", 10**12),
        ("1E", 10**27),
        ("1E3", 10**12),
        ("1e-12", 1),
        ("1e-999999999999999999999", 1),
        ("0e999999999999", 0),
        ("8Ei", INT64_MAX * 10**9),
        ("-9Ei", -INT64_MAX * 10**9),
        ("18446744073709551616", 2**64 * 10**9),
        ("123456789012345678901234567890n", 123456789012345678901234567890),
        ("1.G", 10**18),
        (".5", 5 * 10**8),
        (".", 0),
        ("+", 0),
        ("Mi", 0),
        (2, 2 * 10**9),
        (-3, -3 * 10**9),
        (0.1, 10**8),
        (1e22, 10**31),
        (2**80, 2**80 * 10**9),
    ],
)
def test_known_values(text: str | int | float, nanos: int) -> None:
    assert parse_quantity(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.1.M",
        "1+1.0M",
        "0.1mi",
        "0.1am",
        "aoeu",
        ".5i",
        "1i",
        "-3.01i",
        "-3.01e-",
        " 1",
        "1 ",
        "1e",
        "1K",
        "1ki",
    ]
    + [
        "--1",
        "1e1.5",
        "inf",
        "nan",
        "0x10",
        "1_000",
        "\u0661",
        "\ud800",
        "1\0",
        "1MiB",
        "1e1001",
        "9" * 1025,
    ],
)
def test_not_a_quantity(text: str) -> None:
    with pytest.raises(InputError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), True, None, [], b"1"])
def test_not_a_quantity_either(number: object) -> None:
    with pytest.raises((InputError, TypeError)):
        parse_quantity(number)


def test_a_huge_integer_is_refused() -> None:
    with pytest.raises(InputError, match="huge"):
        parse_quantity(1 << 100_000)


def test_equal_keys_of_different_types_are_told_apart() -> None:
    assert parse_quantity(1) == parse_quantity(1.0) == 10**9
    with pytest.raises(InputError):
        parse_quantity(True)


@given(st.one_of(st.integers(), st.integers(-(10**30), 10**30)))
def test_roundings_are_away_from_zero_and_saturate(nanos: int) -> None:
    for function, divisor in ((milli_value, 10**6), (unit_value, 10**9)):
        exact = Fraction(abs(nanos), divisor)
        value = math.ceil(exact) if nanos >= 0 else -math.ceil(exact)
        assert function(nanos) == max(INT64_MIN, min(INT64_MAX, value))


@pytest.mark.parametrize(
    ("text", "milli", "unit"),
    [
        ("1", 1000, 1),
        ("1500u", 2, 1),
        ("-1500u", -2, -1),
        ("1.1", 1100, 2),
        ("0", 0, 0),
        ("1e30", INT64_MAX, INT64_MAX),
    ],
)
def test_milli_and_unit(text: str, milli: int, unit: int) -> None:
    assert (milli_value(parse_quantity(text)), unit_value(parse_quantity(text))) == (milli, unit)
