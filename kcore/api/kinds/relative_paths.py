"""Paths within a volume: relative, and never upwards.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from kcore.api.field import FieldError, invalid


def validate_no_backsteps(path_given: str, path: str, errors: list[FieldError]) -> None:
    """validatePathNoBacksteps."""
    if ".." in path_given and ".." in path_given.split("/"):
        errors.append(invalid(path, path_given, "must not contain '..'"))


def validate_descending(path_given: str, path: str, errors: list[FieldError]) -> None:
    """validateLocalDescendingPath."""
    if path_given.startswith("/"):
        errors.append(invalid(path, path_given, "must be a relative path"))
    validate_no_backsteps(path_given, path, errors)


def validate_local_path(path_given: str, path: str, errors: list[FieldError]) -> None:
    """ValidateLocalNonReservedPath."""
    validate_descending(path_given, path, errors)
    if path_given.startswith("..") and not path_given.startswith("../"):
        errors.append(invalid(path, path_given, "must not start with '..'"))
