"""Records: checksum, frames, and the difference between a torn end and damage."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kcore_native.raft import Entry
from kcore_native.wal import (
    CLEAN,
    CORRUPT,
    DURABLE,
    ENTRY,
    KNOWN_SNAPSHOT,
    METADATA,
    RECORD_BYTES_MAX,
    SNAPSHOT,
    STATE,
    TORN,
    Encoder,
    Scan,
    crc32c,
    crc32c_by_table,
    scan,
)
from tests.naive import wal_record as naive

SALT = 0x5EED1234
WORDS = {CLEAN: "clean", TORN: "torn", CORRUPT: "corrupt"}


def segment(
    payloads: list[tuple[int, bytes]], *, marks: dict[int, int] | None = None
) -> tuple[bytes, list[int]]:
    """The frames of the payloads and where each begins; ``marks``: before which one a DURABLE record says what."""
    encoder = Encoder(SALT, 0, 7)
    starts = []
    for number, (kind, payload) in enumerate(payloads):
        if marks and number in marks:
            encoder.add_durable(marks[number])
        starts.append(encoder.offset)
        encoder.add(kind, payload)
    return encoder.take(), [*starts, encoder.offset]


def values(found: Scan) -> list[bytes]:
    """The payloads."""
    return [payload for _, _, payload in found.records]


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes without zeros."""
    draw = random.Random(seed)
    return bytes(draw.randint(1, 255) for _ in range(length))


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_of_the_standard(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc32c_by_table(data) == naive.crc32c(data) == crc


@pytest.mark.differential
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_checksum_by_instruction_by_table_and_by_bit(data: bytes, crc: int, cut: int) -> None:
    assert crc32c(data, crc) == crc32c_by_table(data, crc) == naive.crc32c(data, crc)
    assert crc32c(data[cut:], crc32c(data[:cut], crc)) == crc32c(data, crc)
    assert crc32c(memoryview(data), crc) == crc32c(data, crc)


@pytest.mark.differential
@given(
    st.lists(st.tuples(st.integers(1, 6), st.binary(max_size=60) | st.just(bytes(1500))), max_size=6),
    st.integers(0, 2**32 - 1),
    st.integers(0, 1 << 40).map(lambda number: number * 8),
    st.integers(0, 2**32 - 1),
)
def test_frames_are_the_slow_twins(
    records: list[tuple[int, bytes]], salt: int, offset: int, previous: int
) -> None:
    encoder = Encoder(salt, offset, previous)
    slow = b""
    for kind, payload in records:
        frame = naive.encode(kind, payload, salt, offset + len(slow), previous)
        previous = struct.unpack_from("<I", frame, 12)[0]
        slow += frame
        encoder.add(kind, payload)
    assert (encoder.offset, encoder.previous) == (offset + len(slow), previous)
    assert encoder.take() == slow
    assert encoder.take() == b""


def test_what_is_encoded_is_scanned() -> None:
    payloads = [
        (METADATA, b""),
        (STATE, b"\0" * 24),
        (SNAPSHOT, b"ab"),
        (KNOWN_SNAPSHOT, noise(5000)),
        (DURABLE, b"x"),
    ]
    data, starts = segment(payloads)
    for rest in (b"", bytes(8), bytes(4096 * 3 + 5)):
        found = scan(data + rest, SALT, previous=7)
        assert [(kind, payload) for kind, _, payload in found.records] == payloads
        assert [offset for _, offset, _ in found.records] == starts[:-1]
        assert (found.end, found.verdict, found.why, found.last) == (len(data), CLEAN, "", len(data))


def test_entries_are_made_by_the_given_function() -> None:
    entries = [Entry(3, 9, 1, b""), Entry(2**64 - 1, 2**64 - 1, 2, noise(700))]
    encoder = Encoder(SALT, 0, 0)
    encoder.add_entries(entries)
    data = encoder.take()
    assert [record[2] for record in scan(data, SALT, 0, 0, Entry).records] == entries
    assert scan(data, SALT).records[0] == (ENTRY, 0, struct.pack("<QQB", 3, 9, 1))


def test_scanning_goes_on_where_it_is_told_and_stops_after_so_many() -> None:
    data, starts = segment([(STATE, b"a"), (STATE, b"b"), (STATE, b"c")])
    first = scan(data, SALT, previous=7, records_max=1)
    assert (values(first), first.end, first.verdict) == ([b"a"], starts[1], CLEAN)
    assert values(scan(data, SALT, first.end, first.previous)) == [b"b", b"c"]
    assert scan(data, SALT, records_max=0).records == []
    assert scan(b"", SALT).verdict == CLEAN
    for offset in (4, len(data) + 8):
        with pytest.raises(ValueError, match="no record"):
            scan(data, SALT, offset)


def test_an_error_leaves_the_encoder_as_it_was() -> None:
    encoder = Encoder(SALT, 8, 1)
    encoder.add(STATE, b"kept")
    state = (encoder.offset, encoder.previous)
    with pytest.raises(ValueError, match="larger than"):
        encoder.add(STATE, bytes(RECORD_BYTES_MAX + 1))
    with pytest.raises(ValueError, match="no kind 7"):
        encoder.add(7, b"")
    with pytest.raises(AttributeError):
        encoder.add_entries([Entry(1, 1, 0, b"good"), object()])  # type: ignore[list-item]
    assert (encoder.offset, encoder.previous) == state
    with pytest.raises(ValueError, match="multiple of 8"):
        encoder.rewind(9, 0)
    with pytest.raises(ValueError, match="multiple of 8"):
        Encoder(0, 4, 0)
    encoder.rewind(8, 1)
    encoder.add(STATE, b"other")
    assert values(scan(bytes(8) + encoder.take(), SALT, 8, 1)) == [b"other"]


def test_the_largest_record_goes_through() -> None:
    encoder = Encoder(SALT, 0, 0)
    encoder.add(STATE, bytes(RECORD_BYTES_MAX))
    data = encoder.take()
    assert values(scan(data, SALT)) == [bytes(RECORD_BYTES_MAX)]
    assert scan(data[:-512], SALT).verdict == TORN


@pytest.mark.parametrize(
    "payload", [b"", b"x", noise(40), noise(1500), bytes(1500), noise(600) + bytes(1100)]
)
def test_a_write_cut_at_any_byte_is_torn(payload: bytes) -> None:
    # the file may end there, or the preallocated zeros go on
    data, starts = segment([(STATE, noise(30)), (STATE, payload)])
    for cut in range(starts[1], len(data)):
        for rest in (b"", bytes(len(data) - cut), bytes(4096)):
            found = scan(data[:cut] + rest, SALT, previous=7)
            assert values(found) == [noise(30)]
            assert found.end == starts[1]
            assert found.verdict == (TORN if any(data[starts[1] : cut]) else CLEAN), (cut, len(rest))


def test_any_sectors_of_the_last_write_may_be_missing() -> None:
    payloads = [
        (STATE, noise(900)),
        (STATE, bytes(1200) + b"x"),
        (STATE, noise(333)),
        (STATE, bytes(3000)),
        (STATE, b"end"),
    ]
    draw = random.Random(3)
    for shift in range(0, 520, 8):
        data, starts = segment([(STATE, noise(shift)), *payloads])
        for _ in range(20):
            torn = bytearray(data)
            first = len(data)
            for sector in range(starts[1] // 512, len(data) // 512 + 1):
                if draw.random() < 0.4:
                    low, high = max(starts[1], sector * 512), min(len(data), sector * 512 + 512)
                    if any(torn[low:high]):
                        first = min(first, low)
                    torn[low:high] = bytes(max(0, high - low))
            found = scan(bytes(torn), SALT, previous=7)
            whole = sum(1 for start in starts[1:] if start <= first)
            assert len(found.records) == max(1, min(whole, len(payloads) + 1))
            assert found.verdict == (TORN if any(torn[found.end :]) else CLEAN)


@pytest.mark.parametrize("payload", [b"", noise(40), noise(1500), bytes(1500)])
@pytest.mark.parametrize("last", [False, True])
def test_a_flipped_bit_is_corruption(payload: bytes, last: bool) -> None:
    # also where nothing follows the record, so that nothing says it was synced
    data, starts = segment([(STATE, b"a"), (STATE, payload), *([] if last else [(STATE, b"b")])])
    for bit in range(starts[1] * 8, starts[2] * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        found = scan(bytes(damaged) + bytes(512), SALT, previous=7)
        assert (found.verdict, found.end, values(found)) == (CORRUPT, starts[1], [b"a"]), bit


def test_what_looks_torn_is_corruption_where_a_later_record_says_it_was_synced() -> None:
    plain = [(STATE, noise(700, n)) for n in range(4)]
    _, starts = segment(plain)
    data, starts = segment(plain, marks={2: starts[2]})
    for zeroed in (slice(starts[0] + 512, starts[0] + 600), slice(starts[1], starts[1] + 40), slice(0, 64)):
        damaged = bytearray(data)
        damaged[zeroed] = bytes(zeroed.stop - zeroed.start)
        found = scan(bytes(damaged), SALT, previous=7)
        assert found.verdict == CORRUPT
        assert "durably" in found.why
    damaged = bytearray(data)
    damaged[starts[2] + 300 :] = bytes(len(data) - starts[2] - 300)
    assert scan(bytes(damaged), SALT, previous=7).verdict == TORN  # after the record that says so


def test_a_segment_that_is_not_the_last_has_no_torn_end() -> None:
    data, starts = segment([(STATE, b"a"), (STATE, b"b")])
    assert scan(data + bytes(100), SALT, previous=7, tail=False).verdict == CLEAN
    found = scan(data[:-1], SALT, previous=7, tail=False)
    assert (found.verdict, found.end) == (CORRUPT, starts[1])


def test_a_frame_counts_only_in_its_place_in_its_segment_after_its_predecessor() -> None:
    data, starts = segment([(STATE, b"a"), (STATE, b"b"), (STATE, b"c")])
    assert scan(data, SALT + 1).records == []
    assert scan(data, SALT, previous=8).records == []
    assert values(scan(data[: starts[1]] + data[starts[2] :], SALT)) == [b"a"]
    other = Encoder(SALT, starts[1], 0)
    other.add(STATE, b"b")
    assert values(scan(data[: starts[1]] + other.take() + data[starts[2] :], SALT)) == [b"a"]


def test_a_value_that_looks_like_a_record_is_none() -> None:
    # without the salt nobody can make one that says the torn record before it was synced
    forged = Encoder(0, 512, 0)
    forged.add_durable(512)
    data, _ = segment([(STATE, noise(40)), (STATE, noise(700)), (STATE, bytes(7) + forged.take() * 9)])
    torn = bytearray(data)
    torn[512:1024] = bytes(512)
    assert scan(bytes(torn), SALT, previous=7).verdict == TORN


PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 6), st.binary(max_size=40) | st.just(bytes(1100))),
        st.tuples(st.just("durable"), st.integers(0, 300), st.just(b"")),
        st.tuples(st.just("zeros"), st.integers(0, 200), st.just(b"")),
        st.tuples(st.just("bytes"), st.just(0), st.binary(max_size=40)),
    ),
    max_size=7,
)


@pytest.mark.differential
@settings(max_examples=400)
@given(
    PIECES,
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3),
    st.booleans(),
    st.integers(0, 40),
)
@example([("record", 2, bytes(17))], [(12, 3)], True, 0)
@example([("zeros", 16, b"")], [(7, 1)], True, 0)
def test_the_scanner_is_its_slow_twin(
    pieces: list[tuple[str, int, bytes]], damage: list[tuple[int, int]], tail: bool, cut: int
) -> None:
    data = bytearray()
    previous = 7
    for what, number, payload in pieces:
        if what in ("record", "durable"):
            data.extend(bytes(-len(data) % 8))
            encoder = Encoder(SALT, len(data), previous)
            if what == "durable":
                encoder.add_durable(number * 8)
            else:
                encoder.add(number, payload)
            previous = encoder.previous
            data += encoder.take()
        else:
            data += bytes(number) if what == "zeros" else payload
    for at, value in damage:
        if data:
            data[at % len(data)] = value
    if cut:
        del data[-cut:]
    fast = scan(bytes(data), SALT, 0, 7, None, tail)
    slow = naive.scan(bytes(data), SALT, 0, 7, tail=tail)
    assert fast.records == slow.records
    assert (fast.end, WORDS[fast.verdict]) == (slow.end, slow.verdict)
    if fast.records:
        assert fast.previous == slow.previous
    assert (fast.why == "") == (fast.verdict == CLEAN)


@given(st.binary(max_size=400), st.integers(0, 3))
def test_garbage_is_never_a_record(data: bytes, salt: int) -> None:
    found = scan(data, salt)
    assert found.records == []
    assert found.verdict in (CLEAN, TORN, CORRUPT)
