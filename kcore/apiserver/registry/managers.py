"""The name under which a request owns fields.

Source: apiserver pkg/endpoints/handlers/create.go (prefixFromUserAgent) of Kubernetes 1.36.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from kcore.apiserver.operation import Options

FIELD_MANAGER_BYTES_MAX: Final = 128
AGENTS_CACHED_MAX: Final = 1024


def manager_of(options: Options) -> str:
    """What the request names, else what its User-Agent begins with."""
    return options.field_manager or agent_prefix(options.user_agent)


@lru_cache(AGENTS_CACHED_MAX)
def agent_prefix(user_agent: str) -> str:
    """The printable characters before the first slash, as many as fit."""
    made = ""
    length = 0
    for character in user_agent.split("/", 1)[0]:
        if not character.isprintable():
            continue
        length += len(character.encode())
        if length > FIELD_MANAGER_BYTES_MAX:
            break
        made += character
    return made
