"""Records of the write-ahead log: framing, checksum, and the reading of what a crash left. Sans-IO."""

from kcore_native.wal.checksum import crc32c, crc32c_by_table
from kcore_native.wal.record import (
    CLEAN,
    CORRUPT,
    DURABLE,
    ENTRY,
    HEADER_BYTES,
    KNOWN_SNAPSHOT,
    METADATA,
    RECORD_BYTES_MAX,
    SECTOR_BYTES,
    SNAPSHOT,
    STATE,
    TORN,
    Encoder,
    Scan,
    scan,
)
from kcore_native.wal.syncer import Syncer

__all__ = [
    "CLEAN",
    "CORRUPT",
    "DURABLE",
    "ENTRY",
    "HEADER_BYTES",
    "KNOWN_SNAPSHOT",
    "METADATA",
    "RECORD_BYTES_MAX",
    "SECTOR_BYTES",
    "SNAPSHOT",
    "STATE",
    "TORN",
    "Encoder",
    "Scan",
    "Syncer",
    "crc32c",
    "crc32c_by_table",
    "scan",
]
