"""How ``kubectl get`` shows each kind: printer columns, cells, Tables, metadata alone.

``columns.txt`` holds the columns, a function per kind its cells, ``table`` puts them together.
"""

from kcore.api.tables.cells import human_duration, short_human_duration
from kcore.api.tables.columns import Column
from kcore.api.tables.custom import custom_table
from kcore.api.tables.table import (
    DEFAULT_TABLE,
    TABLES,
    Table,
    list_table_json,
    of_kind,
    partial_object_metadata,
    partial_object_metadata_list,
    table,
)

__all__ = [
    "DEFAULT_TABLE",
    "TABLES",
    "Column",
    "Table",
    "custom_table",
    "human_duration",
    "list_table_json",
    "of_kind",
    "partial_object_metadata",
    "partial_object_metadata_list",
    "short_human_duration",
    "table",
]
