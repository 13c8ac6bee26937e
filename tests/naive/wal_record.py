"""Frames of the write-ahead log, byte by byte. Source: the head of kcore_native/wal/record.pyx."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

END = 0x5A
SECTOR = 512
DURABLE = 6


def crc32c(data: bytes, crc: int = 0) -> int:
    """A bit at a time (RFC 3720)."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def size_of(length: int) -> int:
    """Header, payload and an end, a multiple of 8."""
    size = 16 + length + 1
    while size % 8:
        size += 1
    return size


def empty_sectors(frame: bytes, offset: int) -> int:
    """Sectors of the file that lie between header and end and are all zero."""
    count = 0
    for start in range(offset // SECTOR * SECTOR, offset + len(frame), SECTOR):
        if start >= offset + 16 and start + SECTOR <= offset + len(frame):
            count += frame[start - offset : start - offset + SECTOR] == bytes(SECTOR)
    return count


def check_of(frame: bytes, seed: int) -> int:
    """Sixteen bits over the first six bytes."""
    crc = crc32c(frame[:6], seed)
    return (crc ^ crc >> 16) & 0xFFFF


def encode(kind: int, payload: bytes, salt: int, offset: int, previous: int) -> bytes:
    """One frame at the offset."""
    seed = salt ^ (offset // 8 & 0xFFFFFFFF)
    body = payload + bytes(size_of(len(payload)) - 16 - len(payload) - 1) + bytes([END])
    frame = struct.pack("<I", kind << 28 | len(payload))
    frame += struct.pack("<H", empty_sectors(bytes(16) + body, offset))
    frame += struct.pack("<H", check_of(frame, seed))
    frame += struct.pack("<I", previous)
    return frame + struct.pack("<I", crc32c(frame + body, seed)) + body


class Frame(NamedTuple):
    """What is at an offset. ``state``: whole, no header, bad header, cut or bad payload."""

    state: str
    kind: int = 0
    payload: bytes = b""
    size: int = 0
    previous: int = 0
    crc: int = 0


def frame_at(data: bytes, offset: int, salt: int) -> Frame:
    """The frame at the offset, or why there is none."""
    if len(data) - offset < 16:
        return Frame("no header")
    seed = salt ^ (offset // 8 & 0xFFFFFFFF)
    first, _, check, previous, crc = struct.unpack_from("<IHHII", data, offset)
    kind, length = first >> 28, first & 0x0FFFFFFF
    if check != check_of(data[offset : offset + 6], seed) or not 1 <= kind <= 6 or length >= 32 * 1024 * 1024:
        return Frame("bad header")
    size = size_of(length)
    if offset + size > len(data):
        return Frame("cut", kind, b"", size)
    frame = data[offset : offset + size]
    if crc != crc32c(frame[:12] + frame[16:], seed):
        return Frame("bad payload", kind, frame[16 : 16 + length], size)
    return Frame("whole", kind, frame[16 : 16 + length], size, previous, crc)


class Verdict(NamedTuple):
    """As ``kcore_native.wal.Scan``."""

    records: list[tuple[int, int, Any]]
    end: int
    previous: int
    verdict: str


def vouched(data: bytes, offset: int, salt: int) -> int:
    """The furthest offset that a DURABLE record from the offset on says was synced."""
    furthest = 0
    for at in range(offset, len(data), 8):
        frame = frame_at(data, at, salt)
        if frame.state == "whole" and frame.kind == DURABLE and len(frame.payload) == 8:
            said = struct.unpack("<Q", frame.payload)[0]
            if said <= at:
                furthest = max(furthest, said)
    return furthest


def unwritten(data: bytes, offset: int, frame: Frame) -> bool:
    """True where the rest may be what a crash left of writes that were not synced."""
    if frame.state in ("no header", "cut", "whole"):
        return True
    raw = data[offset : offset + frame.size]
    if frame.state == "bad header":
        if data[offset : offset + 8] == bytes(8):
            return data[offset + 8 : offset + 16] == bytes(8) or (offset + 8) % SECTOR == 0
        # a write cut short inside the first eight bytes; had the eighth come, all had, and their check would be right
        return not any(data[offset + 7 :])
    if raw[-1] == 0:
        return True
    if (offset + 8) % SECTOR == 0 and not any(raw[8 : 8 + SECTOR]):
        return True
    return empty_sectors(raw, offset) > struct.unpack_from("<H", raw, 4)[0]


def scan(data: bytes, salt: int, offset: int, previous: int | None, *, tail: bool) -> Verdict:
    """Good frames from the offset on, and what to think of the rest."""
    records: list[tuple[int, int, Any]] = []
    frame = Frame("no header")
    while offset < len(data):
        frame = frame_at(data, offset, salt)
        if frame.state != "whole" or previous not in (None, frame.previous):
            break
        if frame.kind == 2 and len(frame.payload) < 17:
            frame = frame._replace(state="bad payload")
            break
        records.append((frame.kind, offset, frame.payload))
        previous = frame.crc
        offset += frame.size
    verdict = "clean"
    if any(data[offset:]):
        safe = tail and vouched(data, offset, salt) <= offset
        verdict = "torn" if safe and unwritten(data, offset, frame) else "corrupt"
    return Verdict(records, offset, previous or 0, verdict)
