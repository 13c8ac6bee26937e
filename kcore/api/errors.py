"""Errors that are the user's to mend; each is one line that says where, what was wrong, what would be right."""

from __future__ import annotations


class KcoreError(Exception):
    """Base of every error that kcore raises on purpose."""


class InputError(KcoreError):
    """The input is wrong. ``str(error)`` is one line: file, document, field, problem, remedy.

    Raise it where the problem is seen, with the field alone; callers that know more add the
    place with :meth:`at`. The command line prints it and exits with code 2.
    """

    def __init__(
        self,
        problem: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        document: str | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.field = field
        self.expected = expected
        self.document = document
        self.file = file

    def at(
        self, *, file: str | None = None, document: str | None = None, field: str | None = None
    ) -> InputError:
        """Fill in what is still unknown of the place (never overwrites); ``field`` is a prefix. Returns self."""
        self.file = self.file or file
        self.document = self.document or document
        if field:
            if self.field is None:
                self.field = field
            else:
                self.field = f"{field}{self.field}" if self.field.startswith("[") else f"{field}.{self.field}"
        return self

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.document, self.field) if part)
        text = f"{place}: {self.problem}" if place else self.problem
        if self.expected:
            text = f"{text} (expected {self.expected})"
        return " ".join(text.split())


class NotSupportedError(KcoreError):
    """The input is valid Kubernetes that kcore does not handle yet; says what and where."""
