"""Names, addresses and metadata are judged in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.api.kinds import addresses, metadata, names
from kcore.api.kinds.options import validate_delete_options, validate_patch_options
from kcore.api.quantity import canonical, canonical_in_milli, parse_quantity

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)

CASES: list[tuple[str, Any, str, tuple[str, ...]]] = [
    ("a label of small letters is good", names.dns1123_label, "a-1", ()),
    ("a label with a dot is told so", names.dns1123_label, "a.b", ("must not contain dots",)),
    ("a label in capitals is shown the pattern", names.dns1123_label, "A", (LABEL,)),
    ("a newline at the end is no part of a label", names.dns1123_label, "a\n", (LABEL,)),
    ("a long label is told its limit", names.dns1123_label, "a" * 64, ("must be no more than 63 characters",)),
    ("bytes count, not characters", names.port_name, "\u00e9" * 8, (
        "must be no more than 15 characters", "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        "must contain at least one letter (a-z)",
    )),
    ("a key may have a prefix", names.qualified_name, "example.com/a", ()),
    ("a key has a name", names.qualified_name, "example.com/", ("name part must be non-empty", NAME_PART)),
    ("a key's prefix is not empty", names.qualified_name, "/a", ("prefix part must be non-empty",)),
    ("an empty label value is good", names.label_value, "", ()),
    ("a long label value is counted in bytes", names.label_value, "a" * 64, ("must be no more than 63 bytes",)),
    ("a variable may be named anything printable", names.relaxed_environment_name, "a b!", ()),
    ("but for the equals sign", names.relaxed_environment_name, "a=b", (
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
    )),
    ("a key of a ConfigMap is no path upwards", names.config_key, "..a", ("must not start with '..'",)),
    ("a percentage is digits and a sign", names.percent, "10%", ()),
    ("a name that ends in a dash may become one", lambda name: names.name_is_subdomain(name, True), "web-", ()),
    ("no object is named ..", names.path_segment, "..", ("may not be '..'",)),
    ("no name has a slash", names.path_segment, "a/b%", ("may not contain '/'", "may not contain '%'")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "value", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rule(rule: Any, value: str, expected: tuple[str, ...]) -> None:
    assert tuple(rule(value)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", []),
        ("010.0.0.1", ["must not have leading 0s"]),
        ("::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]),
        ("2001:DB8::1", ['must be in canonical form ("2001:db8::1")']),
        ("1.2.3", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        ("1::2::3", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ],
)
def test_addresses(text: str, expected: list[str]) -> None:
    assert [error.detail for error in addresses.validate_ip("p", text)] == expected


def test_blocks() -> None:
    assert [error.detail for error in addresses.validate_cidr("p", "10.0.0.1/8")] == [
        "must not have bits set beyond the prefix length"
    ]
    assert addresses.cidr_warnings("p", "10.0.0.1/8") == [
        'p: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)'
    ]


@given(st.integers(0, (1 << 128) - 1))
def test_an_address_is_read_as_it_is_printed(address: int) -> None:
    text = addresses.ip_text(address)
    assert addresses.parse_ip(text) == address
    assert addresses.validate_ip("p", text) == []


@given(st.text())
def test_any_text_is_an_address_or_not(text: str) -> None:
    assert bool(addresses.validate_ip("p", text)) == (
        addresses.parse_ip(text) is None or bool(addresses.validate_ip("p", text))
    )
    addresses.validate_cidr("p", text)


def texts(errors: list[Any]) -> list[str]:
    return [error.text for error in errors]


def test_metadata_of_a_new_object() -> None:
    given = {"generateName": "AB-", "namespace": "a.b", "finalizers": ["orphan", "foregroundDeletion"]}
    found = texts(metadata.validate_metadata(given, names.name_is_label))
    assert found[0].startswith('metadata.generateName: Invalid value: "AB-": ')
    assert found[1:] == [
        "metadata.name: Required value: name or generateName is required",
        'metadata.namespace: Invalid value: "a.b": must not contain dots',
        (
            'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
            "finalizer orphan and foregroundDeletion cannot be both set"
        ),
    ]


def test_metadata_of_an_update() -> None:
    old = {"name": "a", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}
    new = {"name": "b", "uid": "1", "finalizers": ["a/b", "c/d"]}
    assert texts(metadata.validate_metadata_update(new, old)) == [
        (
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
            'found new finalizers []string{"c/d"}'
        ),
        'metadata.resourceVersion: Invalid value: "": must be specified for an update',
        'metadata.name: Invalid value: "b": field is immutable',
        "metadata.deletionTimestamp: Invalid value: null: field is immutable",
    ]


def test_one_controller_among_the_owners() -> None:
    owner = {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "1", "controller": True}
    found = texts(metadata.validate_owner_references([owner, {**owner, "name": "b"}], "p"))
    assert len(found) == 1
    assert found[0].endswith(
        'Only one reference can have Controller set to true. Found "true" in references for A/a and A/b'
    )


def test_options_of_requests() -> None:
    assert texts(validate_patch_options({}, apply=True)) == [
        "fieldManager: Required value: is required for apply patch"
    ]
    assert texts(validate_delete_options({"propagationPolicy": "Later", "dryRun": ["Some"]})) == [
        'propagationPolicy: Unsupported value: "Later": supported values: "Foreground", "Background", "Orphan", "nil"',
        'dryRun: Unsupported value: ["Some"]: supported values: "All"',
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1000m", "1"), ("0.5", "500m"), ("1.5Gi", "1536Mi"), ("1024Mi", "1Gi"), ("1025Mi", "1025Mi"), ("1e3", "1e3"),
        ("10e2", "1e3"), ("1.500", "1.500"), ("0Gi", "0"), ("0.1Ki", "102400m"), (2, "2"), ("1000000", "1M"),
    ],
)  # fmt: skip
def test_a_quantity_is_printed_as_go_does(given: str | int, expected: str) -> None:
    assert canonical(given) == expected


@given(st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{0,3})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|e[0-9])?\Z"))
def test_printing_a_quantity_keeps_its_value(text: str) -> None:
    assert parse_quantity(canonical(text)) == parse_quantity(text)
    assert canonical(canonical(text)) == canonical(text)
    assert canonical_in_milli(canonical_in_milli(text)) == canonical_in_milli(text)
