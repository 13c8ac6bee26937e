"""CEL selectors of devices: whether an expression over ``device`` is true, in the environment that Kubernetes gives it.

The language is cel-expr-python's; what Kubernetes adds stands in ``functions``. What evaluating may cost is bounded by
the language alone: there are no loops but those over the device's own maps. Source:
dynamic-resource-allocation/cel/compile.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kcore.scheduler.dynamic.domains import with_default_domains
from kcore.scheduler.dynamic.faults import CompileError, EvaluationError
from kcore.scheduler.dynamic.functions import DEVICE, Types, library
from kcore.scheduler.dynamic.objects import Device
from kcore.scheduler.dynamic.versions import parse_version

ANSWERS_MAX: Final = 1_000_000  # remembered; beyond it all are forgotten
PROGRAMS_MAX: Final = 1_000  # likewise
_NOT_INSTALLED: Final = (
    "a CEL expression needs the package cel-expr-python, which is not installed: pip install 'kcore[cel]'"
)
_WORDS: Final = (
    (re.compile(r'^Key not found in map : "(.*)"$', re.DOTALL), r"no such key: \1"),
    (re.compile(r"^Key not found in map : (.*)$", re.DOTALL), r"no such key: \1"),
    (re.compile(r"^No matching overloads found.*$", re.DOTALL), "no such overload"),
    (re.compile(r"^divide by zero$"), "division by zero"),
    (re.compile(r"^modulus by zero$"), "modulus by zero"),
    (re.compile(r"^invalid regular expression: (.*)$", re.DOTALL), r"error parsing regexp: \1"),
)
"""What the library says, and what cel-go says."""
_STATUS: Final = re.compile(r"^[A-Z_]+: ")
_CONVERSIONS: Final = {
    "int": "unsupported type conversion from 'int' to bool",
    "string": "unsupported native conversion from string to 'bool'",
    "double": "type conversion error from Double to 'bool'",
}


class Selectors:
    """Expressions that have been compiled, and what they said of devices: a device never changes."""

    def __init__(self) -> None:
        self._programs: dict[str, Any] = {}
        self._answers: dict[tuple[str, Device], bool] = {}
        self._inputs: dict[Device, Any] = {}
        self._types: Types | None = None
        self._cel: Any = None

    def matches(self, text: str, device: Device) -> bool:
        """Whether the expression is true of the device.

        Raises:
            CompileError: it is no expression, or its value is no truth.
            EvaluationError: it has no value for this device.
        """
        known = self._answers.get((text, device))
        if known is None:
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
                self._inputs.clear()
            known = self._answers[text, device] = self._evaluated(text, device)
        return known

    def _evaluated(self, text: str, device: Device) -> bool:
        program = self._program(text)
        given = self._inputs.get(device)
        if given is None:
            assert self._types is not None
            given = self._inputs[device] = self._run.Activation({"device": _input(device, self._types)})
        found = program.eval(given)
        kind = found.type().name()
        if kind == "ERROR":
            raise EvaluationError(_worded(str(found.value())))
        if kind != "BOOL":
            name = kind.partition("<")[0].lower()
            cause = _CONVERSIONS.get(name, f"unsupported type conversion from '{name}' to bool")
            raise EvaluationError(f"CEL result of type {name} could not be converted to bool: {cause}")
        return bool(found.value())

    def _program(self, text: str) -> Any:
        known = self._programs.get(text)
        if known is None:
            if len(self._programs) >= PROGRAMS_MAX:
                self._programs.clear()
            try:
                known = self._compiled(text)
            except CompileError as error:
                known = error
            self._programs[text] = known
        if isinstance(known, CompileError):
            raise known
        return known

    def _compiled(self, text: str) -> Any:
        self._load()
        try:
            checked = self._check.compile(text)
        except RuntimeError as error:
            said = _STATUS.sub("", str(error)).removesuffix(" [INVALID_ARGUMENT]")
            said = said.replace(f" not found in struct '{DEVICE}'", "")
            raise CompileError(f"compilation failed: {said}") from None
        kind = checked.return_type().name()
        if kind not in ("BOOL", "DYN"):
            name = {"NULL": "null_type"}.get(kind, kind.lower().replace("<", "(").replace(">", ")"))
            raise CompileError(f"must evaluate to bool or the unknown type, not {name}")
        try:
            return self._run.compile(with_default_domains(text))
        except RuntimeError as error:
            raise CompileError(f"compilation failed: {_STATUS.sub('', str(error))}") from None

    def _load(self) -> None:
        if self._cel is not None:
            return
        try:
            from cel_expr_python import cel
        except ImportError:
            raise CompileError(_NOT_INSTALLED) from None
        self._cel = cel
        self._types = Types()
        self._check = self._environment(cel.Type(DEVICE), to_run=False)
        self._run = self._environment(cel.Type.DYN, to_run=True)

    def _environment(self, device: Any, *, to_run: bool) -> Any:
        from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

        cel, types = self._cel, self._types
        assert types is not None
        functions = cel.CelExtension("kubernetes", library(cel, types, to_run=to_run))
        extensions = (ext_bindings.ExtBindings(), ext_optional.ExtOptional(), ext_strings.ExtStrings(2))
        return cel.NewEnv(
            descriptor_pool=types.pool, variables={"device": device}, extensions=[*extensions, functions]
        )


def _worded(said: str) -> str:
    said = _STATUS.sub("", said)
    for pattern, words in _WORDS:
        if pattern.match(said):
            return pattern.sub(words, said)
    return said


def _input(device: Device, types: Types) -> dict[str, Any]:
    """What ``device`` is in an expression; EvaluationError where an attribute has no value that CEL knows."""
    attributes: dict[str, dict[str, Any]] = {}
    for name, attribute in device.attributes.items():
        value = attribute.value
        if not attribute.kind:
            raise EvaluationError(f"attribute {name}: unsupported attribute value")
        if attribute.kind == "version":
            try:
                value = types.semver(parse_version(value))
            except ValueError as error:
                raise EvaluationError(f"attribute {name}: parse semantic version: {error}") from None
        _put(attributes, name, value, device.id.driver)
    capacity: dict[str, dict[str, Any]] = {}
    for name, one in device.capacity.items():
        _put(capacity, name, types.quantity(one.value.nanos), device.id.driver)
    return {
        "driver": device.id.driver,
        "allowMultipleAllocations": device.is_shared,
        "attributes": attributes,
        "capacity": capacity,
    }


def _put(found: dict[str, dict[str, Any]], name: str, value: Any, driver: str) -> None:
    domain, slash, identifier = name.partition("/")
    if not slash:
        domain, identifier = driver, name
    found.setdefault(domain, {})[identifier] = value
