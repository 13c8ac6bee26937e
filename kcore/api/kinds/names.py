"""What a name may look like, in Kubernetes' words: each check gives its complaints, none for a good value.

The results are cached, since the same names, keys and label values come again and again. Lengths are in bytes of
UTF-8, as Go counts them. Sources, Kubernetes 1.36: apimachinery pkg/util/validation, pkg/api/validate/content,
pkg/api/validation/generic.go and path/name.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from kcore.api.field import FieldError, invalid, quoted, required
from kcore.api.field import too_long as bytes_too_long

Complaints = tuple[str, ...]
NameRule = Callable[[str, bool], Complaints]  # name, whether it is a prefix of a name to be generated
NONE: Final[Complaints] = ()

CACHED_COUNT_MAX: Final = 4096  # answers kept for each rule; the least recently used are forgotten
LABEL_BYTES_MAX: Final = 63
SUBDOMAIN_BYTES_MAX: Final = 253
PORT_NAME_BYTES_MAX: Final = 15
SIGNER_BYTES_MAX: Final = 2 * SUBDOMAIN_BYTES_MAX + LABEL_BYTES_MAX + 2
ID_MAX: Final = (1 << 31) - 1  # of users and groups

DNS1123_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS1123_LABEL_MESSAGE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character"
)
DNS1123_SUBDOMAIN: Final = rf"{DNS1123_LABEL}(\.{DNS1123_LABEL})*"
DNS1123_SUBDOMAIN_MESSAGE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_UNDERSCORED_LABEL: Final = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORED_SUBDOMAIN: Final = rf"{_UNDERSCORED_LABEL}(\.{_UNDERSCORED_LABEL})*"
_UNDERSCORED_MESSAGE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
    "start and end with an alphanumeric character"
)
_CASELESS_MESSAGE: Final = (
    "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character"
)
DNS1035_LABEL: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_DNS1035_MESSAGE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_WILDCARD: Final = rf"\*\.{DNS1123_SUBDOMAIN}"
_WILDCARD_MESSAGE: Final = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_KEY: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY_MESSAGE: Final = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_VALUE: Final = f"({_KEY})?"
_VALUE_MESSAGE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character"
)
_IDENTIFIER: Final = "[A-Za-z_][A-Za-z0-9_]*"
_IDENTIFIER_MESSAGE: Final = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_'"
)
_PERCENT: Final = "[0-9]+%"
_HEADER: Final = "[-A-Za-z0-9]+"
_ENVIRONMENT: Final = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_ENVIRONMENT_MESSAGE: Final = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not "
    "start with a digit"
)
_RELAXED_ENVIRONMENT_MESSAGE: Final = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_CONFIG_KEY: Final = "[-._a-zA-Z0-9]+"
_CONFIG_KEY_MESSAGE: Final = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
_PATH: Final = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_match_label = re.compile(DNS1123_LABEL).fullmatch
_match_subdomain = re.compile(DNS1123_SUBDOMAIN).fullmatch
_match_caseless = re.compile(DNS1123_SUBDOMAIN, re.IGNORECASE).fullmatch
_match_underscored = re.compile(_UNDERSCORED_SUBDOMAIN).fullmatch
_match_1035 = re.compile(DNS1035_LABEL).fullmatch
_match_wildcard = re.compile(_WILDCARD).fullmatch
_match_key = re.compile(_KEY).fullmatch
_match_value = re.compile(_VALUE).fullmatch
_match_identifier = re.compile(_IDENTIFIER).fullmatch
_match_percent = re.compile(_PERCENT).fullmatch
_match_header = re.compile(_HEADER).fullmatch
_match_environment = re.compile(_ENVIRONMENT).fullmatch
_match_relaxed_environment = re.compile(r"[ -<>-~]*").fullmatch
_match_config_key = re.compile(_CONFIG_KEY).fullmatch
_match_port = re.compile("[-a-z0-9]+").fullmatch
_match_path = re.compile(_PATH).fullmatch
_search_letter = re.compile("[a-z]").search

cached = lru_cache(maxsize=CACHED_COUNT_MAX)


def byte_count(text: str) -> int:
    """The length as Go's ``len`` has it."""
    return len(text) if text.isascii() else len(text.encode())


def too_long(count_max: int) -> str:
    """MaxLenError of apimachinery."""
    return f"must be no more than {count_max} characters"


def regex_message(message: str, pattern: str, *examples: str) -> str:
    """RegexError: the message with examples and the pattern."""
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def between(low: int, high: int) -> str:
    """InclusiveRangeError."""
    return f"must be between {low} and {high}, inclusive"


def faults(path: str, value: Any, complaints: Iterable[str]) -> list[FieldError]:
    """An invalid value for each complaint."""
    return [invalid(path, value, complaint) for complaint in complaints]


def in_range(value: int, low: int, high: int) -> Complaints:
    """IsInRange."""
    return NONE if low <= value <= high else (between(low, high),)


def port_number(value: int) -> Complaints:
    """IsValidPortNum."""
    return NONE if 1 <= value <= 65535 else (between(1, 65535),)


def user_or_group_id(value: int) -> Complaints:
    """IsValidUserID, IsValidGroupID."""
    return NONE if 0 <= value <= ID_MAX else (between(0, ID_MAX),)


@cached
def dns1123_label(value: str) -> Complaints:
    """IsDNS1123Label."""
    long = byte_count(value) > LABEL_BYTES_MAX
    if not long and _match_label(value):
        return NONE
    errors = [too_long(LABEL_BYTES_MAX)] if long else []
    if not _match_label(value):
        if _match_subdomain(value):
            errors.append("must not contain dots")
        else:
            errors.append(regex_message(DNS1123_LABEL_MESSAGE, DNS1123_LABEL, "my-name", "123-abc"))
    return tuple(errors)


@cached
def dns1123_subdomain(value: str) -> Complaints:
    """IsDNS1123Subdomain."""
    long = byte_count(value) > SUBDOMAIN_BYTES_MAX
    if not long and _match_subdomain(value):
        return NONE
    errors = [too_long(SUBDOMAIN_BYTES_MAX)] if long else []
    if not _match_subdomain(value):
        errors.append(regex_message(DNS1123_SUBDOMAIN_MESSAGE, DNS1123_SUBDOMAIN, "example.com"))
    return tuple(errors)


@cached
def dns1123_subdomain_caseless(value: str) -> Complaints:
    """IsDNS1123SubdomainCaseless (its lengths are in "bytes")."""
    errors = (
        [f"must be no more than {SUBDOMAIN_BYTES_MAX} bytes"]
        if byte_count(value) > SUBDOMAIN_BYTES_MAX
        else []
    )
    if not _match_caseless(value):
        errors.append(regex_message(_CASELESS_MESSAGE, DNS1123_SUBDOMAIN, "Example.com"))
    return tuple(errors)


@cached
def dns1123_subdomain_with_underscore(value: str) -> Complaints:
    """IsDNS1123SubdomainWithUnderscore."""
    errors = [too_long(SUBDOMAIN_BYTES_MAX)] if byte_count(value) > SUBDOMAIN_BYTES_MAX else []
    if not _match_underscored(value):
        errors.append(regex_message(_UNDERSCORED_MESSAGE, _UNDERSCORED_SUBDOMAIN, "example.com"))
    return tuple(errors)


@cached
def dns1035_label(value: str) -> Complaints:
    """IsDNS1035Label."""
    errors = [too_long(LABEL_BYTES_MAX)] if byte_count(value) > LABEL_BYTES_MAX else []
    if not _match_1035(value):
        errors.append(regex_message(_DNS1035_MESSAGE, DNS1035_LABEL, "my-name", "abc-123"))
    return tuple(errors)


@cached
def wildcard_dns1123_subdomain(value: str) -> Complaints:
    """IsWildcardDNS1123Subdomain."""
    errors = [too_long(SUBDOMAIN_BYTES_MAX)] if byte_count(value) > SUBDOMAIN_BYTES_MAX else []
    if not _match_wildcard(value):
        errors.append(regex_message(_WILDCARD_MESSAGE, _WILDCARD, "*.example.com"))
    return tuple(errors)


@cached
def qualified_name(value: str) -> Complaints:
    """IsQualifiedName: a label key, ``name`` or ``prefix/name``."""
    parts = value.split("/")
    errors: list[str] = []
    if len(parts) > 2:
        message = regex_message(_KEY_MESSAGE, _KEY, "MyName", "my.name", "123-abc")
        return (
            f"a valid label key {message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    name = parts[-1]
    if len(parts) == 2:
        prefix = parts[0]
        if not prefix:
            errors.append("prefix part must be non-empty")
        else:
            if byte_count(prefix) > SUBDOMAIN_BYTES_MAX:
                errors.append(f"prefix part must be no more than {SUBDOMAIN_BYTES_MAX} bytes")
            if not _match_subdomain(prefix):
                message = regex_message(DNS1123_SUBDOMAIN_MESSAGE, DNS1123_SUBDOMAIN, "example.com")
                errors.append(f"prefix part {message}")
    if not name:
        errors.append("name part must be non-empty")
    elif byte_count(name) > LABEL_BYTES_MAX:
        errors.append(f"name part must be no more than {LABEL_BYTES_MAX} bytes")
    if not _match_key(name):
        errors.append(f"name part {regex_message(_KEY_MESSAGE, _KEY, 'MyName', 'my.name', '123-abc')}")
    return tuple(errors)


@cached
def label_value(value: str) -> Complaints:
    """IsValidLabelValue."""
    long = byte_count(value) > LABEL_BYTES_MAX
    if not long and _match_value(value):
        return NONE
    errors = [f"must be no more than {LABEL_BYTES_MAX} bytes"] if long else []
    if not _match_value(value):
        errors.append(regex_message(_VALUE_MESSAGE, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(errors)


@cached
def c_identifier(value: str) -> Complaints:
    """IsCIdentifier."""
    if _match_identifier(value):
        return NONE
    return (regex_message(_IDENTIFIER_MESSAGE, _IDENTIFIER, "my_name", "MY_NAME", "MyName"),)


@cached
def port_name(value: str) -> Complaints:
    """IsValidPortName."""
    errors = [too_long(PORT_NAME_BYTES_MAX)] if byte_count(value) > PORT_NAME_BYTES_MAX else []
    if not _match_port(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _search_letter(value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        errors.append("must not begin or end with a hyphen")
    return tuple(errors)


def percent(value: str) -> Complaints:
    """IsValidPercent."""
    if _match_percent(value):
        return NONE
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return (regex_message(message, _PERCENT, "1%", "93%"),)


def http_header_name(value: str) -> Complaints:
    """IsHTTPHeaderName."""
    if _match_header(value):
        return NONE
    message = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return (regex_message(message, _HEADER, "X-Header-Name"),)


def _changes_directory(value: str) -> Complaints:
    if value in (".", ".."):
        return (f"must not be '{value}'",)
    if value.startswith(".."):
        return ("must not start with '..'",)
    return NONE


def environment_name(value: str) -> Complaints:
    """IsEnvVarName."""
    if _match_environment(value):
        return _changes_directory(value)
    message = regex_message(_ENVIRONMENT_MESSAGE, _ENVIRONMENT, "my.env-name", "MY_ENV.NAME", "MyEnvName1")
    return (message, *_changes_directory(value))


def relaxed_environment_name(value: str) -> Complaints:
    """IsRelaxedEnvVarName: what containers' variables must be since RelaxedEnvironmentVariableValidation."""
    if not value:
        return ("environment variable name must be non-empty",)
    return NONE if _match_relaxed_environment(value) else (_RELAXED_ENVIRONMENT_MESSAGE,)


@cached
def config_key(value: str) -> Complaints:
    """IsConfigMapKey."""
    errors = [too_long(SUBDOMAIN_BYTES_MAX)] if byte_count(value) > SUBDOMAIN_BYTES_MAX else []
    if not _match_config_key(value):
        errors.append(regex_message(_CONFIG_KEY_MESSAGE, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return (*errors, *_changes_directory(value))


def fully_qualified_name(path: str, name: str) -> list[FieldError]:
    """IsFullyQualifiedName: at least three segments."""
    if not name:
        return [required(path)]
    if complaints := dns1123_subdomain(name):
        return [invalid(path, name, ",".join(complaints))]
    if name.count(".") < 2:
        return [invalid(path, name, "should be a domain with at least three segments separated by dots")]
    return []


def fully_qualified_domain_name(path: str, name: str) -> list[FieldError]:
    """IsFullyQualifiedDomainName: at least two segments, perhaps a dot at the end."""
    if not name:
        return [required(path)]
    name = name.removesuffix(".")
    if complaints := dns1123_subdomain(name):
        return [invalid(path, name, ",".join(complaints))]
    labels = name.split(".")
    if len(labels) < 2:
        return [invalid(path, name, "should be a domain with at least two segments separated by dots")]
    for label in labels:
        if complaints := dns1123_label(label):
            return [invalid(path, label, ",".join(complaints))]
    return []


def domain_prefixed_path(path: str, value: str) -> list[FieldError]:
    """IsDomainPrefixedPath: ``acme.io/foo``."""
    if not value:
        return [required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    errors = faults(path, host, dns1123_subdomain(host))
    if not _match_path(rest):
        errors.append(invalid(path, rest, regex_message("Invalid path", _PATH)))
    return errors


def domain_prefixed_key(path: str, key: str) -> list[FieldError]:
    """IsDomainPrefixedKey: a qualified name with its prefix."""
    if not key:
        return [required(path)]
    errors = faults(path, key, qualified_name(key))
    if not errors and "/" not in key:
        errors.append(invalid(path, key, 'must be a domain-prefixed key (such as "acme.io/foo")'))
    return errors


def signer_name(path: str, name: str) -> list[FieldError]:
    """ValidateSignerName: ``domain/path`` (pkg/apis/core/validation/names.go)."""
    if not name:
        return [required(path)]
    segments = name.split("/")
    if len(segments) != 2:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid(path, name, detail)]
    domain, rest = segments
    errors = [bytes_too_long(path, SUBDOMAIN_BYTES_MAX)] if byte_count(domain) > SUBDOMAIN_BYTES_MAX else []
    errors += _label_faults(path, domain, dns1123_label)
    if "." not in domain:
        errors.append(
            invalid(path, domain, "should be a domain with at least two segments separated by dots")
        )
    errors += _label_faults(path, rest, dns1123_subdomain)
    if byte_count(name) > SIGNER_BYTES_MAX:
        errors.append(bytes_too_long(path, SIGNER_BYTES_MAX))
    return errors


def _label_faults(path: str, segment: str, rule: Callable[[str], Complaints]) -> list[FieldError]:
    """The faults of the first wrong label between dots."""
    for label in segment.split("."):
        if complaints := rule(label):
            shown = quoted(label)
            return [invalid(path, segment, f"validating label {shown}: {each}") for each in complaints]
    return []


def decimal_integer(value: str) -> Complaints:
    """IsDecimalInteger: in canonical form."""
    if not value:
        return ("must be non-empty",)
    if re.fullmatch("0|-?[1-9][0-9]*", value):
        return NONE
    return ("must be a valid decimal integer in canonical form",)


# Names of objects


def _masked(name: str) -> str:
    """A prefix as a name that it might become: its last dash, with the character before it, is a letter."""
    return name[:-2] + "a" if len(name) > 1 and name.endswith("-") else name


def name_is_subdomain(name: str, prefix: bool = False) -> Complaints:
    """NameIsDNSSubdomain: the rule of most kinds."""
    return dns1123_subdomain(_masked(name) if prefix else name)


def name_is_label(name: str, prefix: bool = False) -> Complaints:
    """NameIsDNSLabel: the rule of namespaces."""
    return dns1123_label(_masked(name) if prefix else name)


def name_is_dns1035_label(name: str, prefix: bool = False) -> Complaints:
    """NameIsDNS1035Label: the rule of services of old."""
    return dns1035_label(_masked(name) if prefix else name)


def path_segment(name: str, prefix: bool = False) -> Complaints:
    """ValidatePathSegmentName: what every object's name must be, whatever its kind asks for."""
    if not prefix and name in (".", ".."):
        return (f"may not be '{name}'",)
    if "/" in name or "%" in name:
        return tuple(f"may not contain '{char}'" for char in "/%" if char in name)
    return NONE


def character(char: str) -> str:
    """The character as Go's ``%#U`` prints it."""
    shown = f" {quoted(char)[1:-1]!r}" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
