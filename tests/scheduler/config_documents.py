"""Builders of KubeSchedulerConfiguration documents, for the tests of kcore.scheduler.config and its siblings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.scheduler.config import load_configuration
from kcore.scheduler.profile import Profile

V1 = "kubescheduler.config.k8s.io/v1"


def document(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": V1, "kind": "KubeSchedulerConfiguration", **fields}


def with_profile(**fields: Any) -> dict[str, Any]:
    return document(profiles=[fields])


def with_plugins(**points: Any) -> dict[str, Any]:
    return with_profile(plugins=points)


def with_args(plugin: str, args: Any) -> dict[str, Any]:
    return with_profile(pluginConfig=[{"name": plugin, "args": args}])


def plugin_set(enabled: str = "", disabled: str = "") -> dict[str, Any]:
    """``plugin_set("A=2 B", "C")`` as a PluginSet of the file."""
    on: list[dict[str, Any]] = []
    for word in enabled.split():
        name, _, weight = word.partition("=")
        on.append({"name": name, "weight": int(weight)} if weight else {"name": name})
    return {"enabled": on, "disabled": [{"name": name} for name in disabled.split()]}


def load_one(fields: Mapping[str, Any], **keywords: Any) -> Profile:
    (profile,) = load_configuration(fields, **keywords).profiles
    return profile


def assert_refused(fields: Any, field: str | None, words: str) -> None:
    """Loading raises an InputError of one line that names the field and has the words."""
    with pytest.raises(InputError) as caught:
        load_configuration(fields)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
