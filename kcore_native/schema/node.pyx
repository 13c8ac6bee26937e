# cython: language_level=3
"""The schema of a value, and of all values inside it."""


cdef class Node:
    """Made once by ``kcore.api.schema``; ``fields`` and ``items`` may be set later, since schemas refer to themselves."""

    cdef readonly str kind
    cdef readonly dict fields
    cdef readonly Node items
    cdef readonly tuple required
    cdef readonly str list_type
    cdef readonly tuple list_keys
    cdef readonly str map_type
    cdef readonly str patch_merge_key
    cdef readonly tuple patch_strategies
    cdef readonly str type_name
    cdef readonly frozenset omitempty
    cdef readonly str definition

    def __init__(
        self, str kind, str type_name="", str definition="", tuple required=(), str list_type="atomic",
        tuple list_keys=(), str map_type="granular", str patch_merge_key="", tuple patch_strategies=(),
    ):
        self.kind = kind
        self.fields = {}
        self.items = None
        self.required = required
        self.list_type = list_type
        self.list_keys = list_keys
        self.map_type = map_type
        self.patch_merge_key = patch_merge_key
        self.patch_strategies = patch_strategies
        self.type_name = type_name
        self.omitempty = frozenset()
        self.definition = definition

    def complete(self, dict fields, Node items, frozenset omitempty):
        """Fields and items are set, once."""
        self.fields = fields
        self.items = items
        self.omitempty = omitempty

    def __repr__(self):
        return f"Node({self.kind!r}, {self.type_name!r})"
