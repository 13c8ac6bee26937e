"""How much input is read before it is refused: every limit by name, with its answer when it is reached.

Each one ends in an InputError that names the file and the limit, before memory runs out.
"""

from __future__ import annotations

FILE_BYTES_MAX = 4 << 30  # one file, after decompression
LINE_BYTES_MAX = 1 << 30  # one line of text; a line as long as this is refused
YAML_BYTES_MAX = 512 << 20  # one YAML file: parsed, it takes some thirty times its size
CHUNK_BYTES = 16 << 20  # read and decompressed at a time
FILES_MAX = 100_000  # files found under the given directories
NESTING_MAX = 200  # mappings and lists inside each other in one YAML document
ALIAS_NODES_MAX = 1_000_000  # values that the aliases of one YAML document stand for
WORKLOAD_PODS_MAX = 5_000_000  # pods that one workload expands to
SHOWN_CHARS_MAX = 60  # of a wrong value in an error message


def shown(value: object) -> str:
    """The value as an error message shows it: its text, cut short."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a huge integer"
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text


def size(byte_count: int) -> str:
    """A byte count in whole GiB or MiB."""
    return f"{byte_count >> 30} GiB" if byte_count >= 1 << 30 else f"{byte_count >> 20} MiB"
