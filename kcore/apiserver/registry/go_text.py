"""Values as Go's ``%+v`` prints them, where upstream's messages quote a decoded document.

Source: Go's fmt package.
"""

from __future__ import annotations

from typing import Any


def go_value(value: Any) -> str:
    """``map[a:1 b:[x y]]``: maps by sorted keys, lists in brackets, null as ``<nil>``."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_value(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_value, value))}]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0").replace("e-0", "e-").replace("e+0", "e+")
    return str(value)
