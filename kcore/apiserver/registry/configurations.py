"""The body of a server-side apply: YAML of one object.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/patch.go (applyPatcher), sigs.k8s.io/yaml.
"""

from __future__ import annotations

from kcore.api.schema.document import settled
from kcore.api.schema.yaml_text import YamlDuplicates, read_yaml
from kcore.api.status import bad_request
from kcore.apiserver.operation import IGNORE, STRICT, Object


def configuration(body: bytes, validation: str) -> tuple[Object, list[str]]:
    """The object applied, and what is to be warned of; 400 where the body cannot be read."""
    try:
        applied, duplicates = read_yaml(body)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    if applied is None:
        applied = {}
    if not isinstance(applied, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(applied), "number")
        problem = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {problem}")
    applied = settled(applied)
    if not duplicates or validation == IGNORE:
        return applied, []
    text = YamlDuplicates.text(duplicates)
    if validation == STRICT:
        raise bad_request(f"error strict decoding YAML: error converting YAML to JSON: {text}")
    return applied, YamlDuplicates.lines(text)
