"""The one CRUD path for every row: what may be stored, under which rules, and what is answered."""

from kcore.apiserver.registry.registry import Registry

__all__ = ["Registry"]
