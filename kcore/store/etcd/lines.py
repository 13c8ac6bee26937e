"""Log lines as etcd writes them: one JSON object a line, or tabs between; fields come by logging's ``extra``."""

import datetime as dt
import logging
import sys
from typing import Any, Final

import orjson

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
NAMES: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormat(logging.Formatter):
    """A record as one line."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        fields: dict[str, Any] = {key: value for key, value in vars(record).items() if key not in PLAIN}
        if record.exc_info:
            fields["stacktrace"] = self.formatException(record.exc_info)
        level = NAMES.get(record.levelno, "info")
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        caller = f"{record.module}.py:{record.lineno}"
        if self.form == "console":
            rest = f"\t{orjson.dumps(fields, default=str).decode()}" if fields else ""
            return f"{stamp}\t{level}\t{caller}\t{record.getMessage()}{rest}"
        line = {"level": level, "ts": stamp, "caller": caller, "msg": record.getMessage(), **fields}
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(level: str, form: str, outputs: tuple[str, ...]) -> None:
    """All of kcore's log goes to the outputs, from that level on."""
    root = logging.getLogger("kcore")
    root.setLevel(LEVELS[level])
    root.propagate = False
    for old in list(root.handlers):
        root.removeHandler(old)
    for output in outputs:
        writer: logging.Handler
        if output in ("default", "stderr"):
            writer = logging.StreamHandler(sys.stderr)
        elif output == "stdout":
            writer = logging.StreamHandler(sys.stdout)
        else:
            writer = logging.FileHandler(output)
        writer.setFormatter(LineFormat(form))
        root.addHandler(writer)
