"""The API server's log: one line a record, its fields behind it."""

from __future__ import annotations

import logging

from kcore.apiserver.lines import LineFormat


def line(message: str, *words: object, **fields: object) -> str:
    record = logging.LogRecord("kcore.apiserver", logging.WARNING, __file__, 1, message, words, None)
    vars(record).update(fields)
    return LineFormat().format(record).partition(" WARNING ")[2]


def test_fields_are_told_behind_the_message() -> None:
    assert line("started on %s", "a") == "kcore.apiserver: started on a"
    assert (
        line("closed a connection that broke its protocol", peer="127.0.0.1:9", error='not "HTTP"\n')
        == 'kcore.apiserver: closed a connection that broke its protocol peer="127.0.0.1:9" error="not \\"HTTP\\"\\n"'
    )
