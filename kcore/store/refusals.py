"""Why a data directory is not opened: each refusal is one line that says which file, what is wrong and what to do.

A full or failing disk is none of these; that is an OSError.
"""

from typing import Final

from kcore.api.errors import KcoreError

ADVICE_DAMAGED: Final = (
    "nothing was changed; remove the member from the cluster, empty its data directory and add it again,"
    " or restore a snapshot"
)


class DataError(KcoreError):
    """The data directory cannot be used as it is; nothing in it was changed."""


class CorruptData(DataError):
    """What was once written durably is damaged or gone: ``file``, byte ``offset`` in it, ``why``, and ``advice``."""

    def __init__(self, file: str, offset: int, why: str, advice: str = ADVICE_DAMAGED) -> None:
        super().__init__(f"{file} is damaged at byte {offset}: {why} ({advice})")
        self.file: Final = file
        self.offset: Final = offset
        self.why: Final = why
        self.advice: Final = advice

    def __reduce__(self) -> tuple[type["CorruptData"], tuple[str, int, str, str]]:
        return CorruptData, (self.file, self.offset, self.why, self.advice)


class NewerData(DataError):
    """A newer version wrote it; this one would misread it."""

    def __init__(self, file: str, found: int, known: int) -> None:
        super().__init__(
            f"{file} has format {found}, newer than format {known} of this version: use the newer one"
        )


class ForeignData(DataError):
    """The directory belongs to another cluster or another member."""


class LockedData(DataError):
    """A living process uses the directory."""
