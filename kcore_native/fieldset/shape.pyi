from collections.abc import Mapping
from typing import Any, Final

SHAPES_MAX: Final[int]
FIELD_KEYS_MAX: Final[int]
KEY_DEFAULTS: Final[dict[str, dict[str, Any]]]
RAW_EXTENSION: Final[str]

class ShapeError(ValueError): ...

class Field:
    key: str
    shape: Shape

class Shape:
    scalar: bool
    is_map: bool
    is_list: bool
    map_atomic: bool
    list_atomic: bool
    deduced: bool
    scalar_type: str
    fields: dict[str, Field]
    element: Shape | None
    item: Shape | None
    keys: tuple[str, ...]
    key_defaults: dict[str, Any]
    zero: dict[str, Any]
    def declares(self, name: str) -> bool: ...

def deduced() -> Shape: ...
def shape_of(node: Any) -> Shape: ...
def element_of_field(name: str) -> str: ...
def element_of_item(shape: Shape, child: Any) -> str: ...
def element_of_key(fields: Mapping[str, Any]) -> str: ...
def element_of_value(value: Any) -> str: ...
