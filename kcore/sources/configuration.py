"""A file that holds one document, such as a KubeSchedulerConfiguration, becomes a mapping."""

from __future__ import annotations

from typing import Any

from kcore.api.errors import InputError
from kcore.sources import files, yaml_text


def read_configuration(path: str) -> dict[str, Any]:
    """The only document of a YAML or JSON file, as plain values.

    Raises:
        InputError: the file is not there, does not parse, or holds anything but one mapping.
    """
    content = files.read(path)
    documents = [document.value for document in yaml_text.documents(content.data, content.name)]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError(
            f"the file holds {len(documents)} documents"
            if len(documents) != 1
            else "the document is not a mapping",
            file=path,
            expected="one KubeSchedulerConfiguration",
        )
    found: dict[str, Any] = documents[0]
    return found
