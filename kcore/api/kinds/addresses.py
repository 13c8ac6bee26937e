"""IP addresses and CIDR blocks as Go reads and prints them, and what is wrong with one.

An address is an integer of 128 bits; IPv4 is its IPv4-mapped IPv6 address, as in Go's ``net.IP``. Sources, Kubernetes
1.36: apimachinery pkg/util/validation/ip.go; k8s.io/utils/internal/third_party/forked/golang/net (the sloppy parser,
which permits leading zeros); Go's net/netip (the strict one). Nodes and slices bring the same few addresses again and
again, so what is read and printed is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from kcore.api.field import FieldError, invalid, quoted
from kcore.api.kinds.names import cached

MAPPED: Final = 0xFFFF  # the 96 bits before an IPv4-mapped address
_NUMBER_LIMIT: Final = 0xFFFFFF  # where Go stops reading digits

_IPV4: Final = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)")
_GROUP: Final = re.compile("[0-9A-Fa-f]+")


class Network(NamedTuple):
    """A CIDR block: the address as written, the length of the prefix within ``bits`` (32 or 128)."""

    address: int
    prefix: int
    bits: int

    @property
    def base(self) -> int:
        """The first address."""
        free = self.bits - self.prefix
        return self.address >> free << free

    def __str__(self) -> str:
        short = self.bits == 128 and is_ipv4(self.base)
        return f"{ip_text(self.base)}/{self.prefix - 96 if short else self.prefix}"

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, int) or is_ipv4(address) != (self.bits == 32):
            return False
        free = self.bits - self.prefix
        return address >> free == self.address >> free


def is_ipv4(address: int) -> bool:
    """True for IPv4, and for IPv4-mapped IPv6, which Go does not tell apart."""
    return address >> 32 == MAPPED


def _ipv4(text: str) -> int | None:
    found = _IPV4.fullmatch(text)
    if found is None:
        return None
    address = MAPPED
    for group in found.groups():
        if (number := int(group.lstrip("0")[:4] or "0")) > 255:
            return None
        address = address << 8 | number
    return address


def _groups(text: str) -> list[int] | None:
    """The 16-bit groups of one side of an ellipsis."""
    groups: list[int] = []
    if not text:
        return groups
    parts = text.split(":")
    for index, part in enumerate(parts):
        if "." in part and index == len(parts) - 1:
            address = _ipv4(part)
            if address is None:
                return None
            groups += [address >> 16 & 0xFFFF, address & 0xFFFF]
        elif _GROUP.fullmatch(part) and len(significant := part.lstrip("0")) <= 4:
            groups.append(int(significant or "0", 16))
        else:
            return None
    return groups


def _ipv6(text: str) -> int | None:
    head, ellipsis, tail = text.partition("::")
    if ellipsis and ("." in head or "::" in tail or tail.startswith(":")):
        return None
    left, right = _groups(head), _groups(tail)
    if left is None or right is None:
        return None
    missing = 8 - len(left) - len(right)
    if missing < 1 if ellipsis else missing != 0:
        return None
    address = 0
    for group in (*left, *[0] * missing, *right):
        address = address << 16 | group
    return address


@cached
def parse_ip(text: str) -> int | None:
    """The address, leading zeros permitted (ParseIPSloppy); None where it is none."""
    for char in text:
        if char == ".":
            return _ipv4(text)
        if char == ":":
            return _ipv6(text)
    return None


@cached
def has_leading_zeros(text: str) -> bool:
    """True for an address that only the sloppy parser takes: ``010.1.2.3``, ``00001::``."""
    *groups, last = text.split(":")
    if "." not in last:
        groups.append(last)
    elif any(len(octet) > 1 and octet[0] == "0" for octet in last.split(".")):
        return True
    return any(len(group) > 4 for group in groups)


@cached
def parse_cidr(text: str) -> Network | None:
    """The block, leading zeros permitted (ParseCIDRSloppy); None where it is none."""
    written, slash, length = text.partition("/")
    if not slash or not re.fullmatch("[0-9]+", length) or len(length.lstrip("0")) > 3:
        return None
    address, bits = _ipv4(written), 32
    if address is None:
        address, bits = _ipv6(written), 128
    prefix = int(length)
    if address is None or prefix > bits:
        return None
    return Network(address, prefix, bits)


@cached
def ip_text(address: int) -> str:
    """The canonical form (RFC 5952; dotted for IPv4)."""
    if is_ipv4(address):
        return ".".join(str(address >> shift & 0xFF) for shift in (24, 16, 8, 0))
    groups = [address >> shift & 0xFFFF for shift in range(112, -1, -16)]
    start, length = 0, 1
    run = 0
    for index, group in enumerate(groups):
        run = run + 1 if group == 0 else 0
        if run > length:
            start, length = index - run + 1, run
    if length < 2:
        return ":".join(f"{group:x}" for group in groups)
    head = ":".join(f"{group:x}" for group in groups[:start])
    return f"{head}::{':'.join(f'{group:x}' for group in groups[start + length :])}"


def _is_mapped(text: str, address: int) -> bool:
    return ":" in text and is_ipv4(address)


def _parse(path: str, text: str, strict: bool) -> tuple[int, list[FieldError]]:
    address = parse_ip(text)
    if address is None:
        return 0, [invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    errors = []
    if strict:
        if has_leading_zeros(text):
            errors.append(invalid(path, text, "must not have leading 0s"))
        elif _is_mapped(text, address):
            errors.append(invalid(path, text, "must not be an IPv4-mapped IPv6 address"))
    return address, errors


def validate_ip(path: str, text: str) -> list[FieldError]:
    """IsValidIP: strict and in canonical form."""
    address, errors = _parse(path, text, True)
    if not errors and text != (canonical := ip_text(address)):
        errors.append(invalid(path, text, f"must be in canonical form ({quoted(canonical)})"))
    return errors


def validate_ip_of_legacy_field(
    path: str, text: str, strict: bool = True, old: Sequence[str] = ()
) -> list[FieldError]:
    """IsValidIPForLegacyField: ``strict`` is the gate StrictIPCIDRValidation, on in 1.36."""
    return [] if text in old else _parse(path, text, strict)[1]


def ip_warnings(path: str, text: str) -> list[str]:
    """GetWarningsForIP."""
    address = parse_ip(text)
    if address is None:
        return []
    canonical = ip_text(address)
    if has_leading_zeros(text) or _is_mapped(text, address):
        return [f"{path}: non-standard IP address {quoted(text)} is invalid: use {quoted(canonical)}"]
    if ":" in text and canonical != text:
        return [
            f"{path}: IPv6 address {quoted(text)} should be in RFC 5952 canonical format ({quoted(canonical)})"
        ]
    return []


def _parse_block(path: str, text: str, strict: bool) -> tuple[Network | None, list[FieldError]]:
    network = parse_cidr(text)
    if network is None:
        return None, [invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    if not strict:
        return network, []
    written, _, length = text.partition("/")
    if has_leading_zeros(written) or (len(length) > 1 and length[0] == "0"):
        return network, [invalid(path, text, "must not have leading 0s in IP or prefix length")]
    if _is_mapped(written, network.address):
        return network, [invalid(path, text, "must not have an IPv4-mapped IPv6 address")]
    if network.address != network.base:
        return network, [invalid(path, text, "must not have bits set beyond the prefix length")]
    return network, []


def validate_cidr(path: str, text: str) -> list[FieldError]:
    """IsValidCIDR: strict and in canonical form."""
    network, errors = _parse_block(path, text, True)
    if not errors and text != (canonical := str(network)):
        errors.append(invalid(path, text, f"must be in canonical form ({quoted(canonical)})"))
    return errors


def validate_cidr_of_legacy_field(
    path: str, text: str, strict: bool = True, old: Sequence[str] = ()
) -> list[FieldError]:
    """IsValidCIDRForLegacyField: ``strict`` is the gate StrictIPCIDRValidation, on in 1.36."""
    return [] if text in old else _parse_block(path, text, strict)[1]


def cidr_warnings(path: str, text: str) -> list[str]:
    """GetWarningsForCIDR."""
    network = parse_cidr(text)
    if network is None:
        return []
    shown = quoted(text)
    found = []
    if network.address != network.base:
        single = f"{ip_text(network.address)}/{network.bits}"
        found.append(
            f"{path}: CIDR value {shown} is ambiguous in this context (should be {quoted(str(network))} or {quoted(single)}?)"
        )
    written, _, length = text.partition("/")
    zeros = has_leading_zeros(written) or (len(length) > 1 and length[0] == "0")
    if zeros or _is_mapped(written, network.address):
        found.append(f"{path}: non-standard CIDR value {shown} is invalid: use {quoted(str(network))}")
    if not found and network.bits == 128:
        canonical = f"{ip_text(network.address)}/{network.prefix}"
        if canonical != text:
            found.append(
                f"{path}: IPv6 CIDR value {shown} should be in RFC 5952 canonical format ({quoted(canonical)})"
            )
    return found


def validate_interface_address(path: str, text: str) -> list[FieldError]:
    """IsValidInterfaceAddress: an address with the length of its network's prefix, in canonical form."""
    network = parse_cidr(text)
    if network is None:
        return [
            invalid(path, text, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)")
        ]
    prefix = network.prefix
    if is_ipv4(network.address) and prefix > 32:
        prefix -= 96
    canonical = f"{ip_text(network.address)}/{prefix}"
    if text != canonical:
        return [invalid(path, text, f"must be in canonical form ({quoted(canonical)})")]
    return []
