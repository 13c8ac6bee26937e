from collections.abc import Sequence

LABEL_BYTES_MAX: int
SUBDOMAIN_BYTES_MAX: int
TEXT_BYTES_MAX: int
PLACES_MAX: int
LABEL: int
SUBDOMAIN: int
TEXT: int
TIME: int
MICRO_TIME: int

class Places:
    paths: tuple[str, ...]
    def __init__(self, places: Sequence[tuple[str, int]]) -> None: ...
    def cut(self, body: bytes) -> tuple[bytes, list[bytes]] | None: ...

def without_name_protobuf(body: bytes) -> tuple[bytes, list[bytes]] | None: ...
