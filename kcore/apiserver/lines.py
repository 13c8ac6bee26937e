"""Lines of the API server's log: when, how grave, who, what; behind it the fields that came by logging's ``extra``.

The fields are written as klog writes them: ``peer="127.0.0.1:40312" error="preface expected"``.
"""

from __future__ import annotations

import json
import logging
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormat(logging.Formatter):
    """A record as one line, and its traceback below it."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {key: value for key, value in vars(record).items() if key not in PLAIN}
        told = "".join(f" {key}={json.dumps(str(value))}" for key, value in fields.items())
        return super().formatMessage(record) + told


def configure(level: int) -> None:
    """All of kcore's log from that level on goes to stderr."""
    writer = logging.StreamHandler()
    writer.setFormatter(LineFormat())
    logging.basicConfig(handlers=[writer])
    logging.getLogger("kcore").setLevel(level)
