"""The body of a server-side apply: YAML of one object.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/patch.go (applyPatcher), sigs.k8s.io/yaml.
"""

from __future__ import annotations

from kcore.api.status import bad_request
from kcore.apiserver.operation import IGNORE, STRICT, Object


def configuration(body: bytes, validation: str) -> tuple[Object, list[str]]:
    """The object applied, and what is to be warned of; 400 where the body cannot be read."""
    from kcore.api.schema.decoding import load_yaml

    applied, faults = load_yaml(body)
    if faults and validation == STRICT:
        raise bad_request(f"error strict decoding YAML: {'; '.join(faults)}")
    return applied, [] if validation == IGNORE else faults
