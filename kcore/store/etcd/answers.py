"""What a page of the client port answers with."""

from typing import Final

from kcore.http.message import Response

TEXT: Final = b"text/plain; charset=utf-8"
JSON: Final = b"application/json"


def page_answer(status: int, kind: bytes, body: bytes) -> Response:
    """A page as a response."""
    return Response(status, [(b"content-type", kind), (b"x-content-type-options", b"nosniff")], body)
