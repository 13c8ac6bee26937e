"""What is wrong with a template, or went wrong in it."""

from __future__ import annotations

from kcore.api.errors import KcoreError


class TemplateError(KcoreError):
    """The text is no template, or a function in it refused its arguments; the line is counted from 1."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(f"template line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line
