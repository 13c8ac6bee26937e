"""Messages survive their encoding, and nothing else is taken for one."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore_native.raft import (
    MSG_APP,
    MSG_FORGET_LEADER,
    MSG_STORAGE_APPEND,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    Entry,
    Message,
    Snapshot,
    SnapshotMetadata,
)

U64 = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
IDS = st.lists(U64, max_size=4)
ENTRIES = st.builds(Entry, U64, U64, st.integers(0, 2), st.binary(max_size=20))
STATES = st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans())
SNAPSHOTS = st.builds(Snapshot, st.binary(max_size=20), st.builds(SnapshotMetadata, STATES, U64, U64))


def messages(responses: st.SearchStrategy[list[Message]]) -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        type=st.integers(0, MSG_FORGET_LEADER),
        to=U64,
        from_=U64,
        term=U64,
        log_term=U64,
        index=U64,
        entries=st.lists(ENTRIES, max_size=4),
        commit=U64,
        vote=U64,
        snapshot=st.none() | SNAPSHOTS,
        reject=st.booleans(),
        reject_hint=U64,
        context=st.binary(max_size=20),
        responses=responses,
    )


RESPONSES = messages(st.just([]))
MESSAGES = messages(st.lists(RESPONSES, max_size=3))
CHANGES = st.builds(ConfChangeSingle, st.integers(0, 3), U64)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    data = message.encode()
    for form in (data, bytearray(data), memoryview(data)):
        assert Message.decode(form) == message
    assert Message.decode(data).encode() == data
    assert pickle.loads(pickle.dumps(message)) == message


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_or_lengthened_is_refused(message: Message, data: st.DataObject) -> None:
    text = message.encode()
    with pytest.raises(ValueError, match="cut short"):
        Message.decode(text[: data.draw(st.integers(0, len(text) - 1))])
    with pytest.raises(ValueError, match="left behind"):
        Message.decode(text + b"\0")


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_is_the_one_text_of_a_message(text: bytes) -> None:
    try:
        message = Message.decode(text)
    except ValueError:
        return
    assert message.encode() == text


@given(MESSAGES, st.data())
def test_a_flipped_bit_is_refused_or_makes_another_message(message: Message, data: st.DataObject) -> None:
    text = bytearray(message.encode())
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        other = Message.decode(text)
    except ValueError:
        return
    assert other != message
    assert other.encode() == text


def test_counts_beyond_the_text_cost_nothing() -> None:
    text = bytearray(Message(MSG_APP).encode())
    for at in (4, 8, 12):  # context, entries, responses
        huge = bytearray(text)
        huge[at : at + 4] = b"\xff\xff\xff\xff"
        with pytest.raises(ValueError, match="cut short"):
            Message.decode(huge)


def test_responses_do_not_nest() -> None:
    inner = Message(MSG_STORAGE_APPEND, responses=[Message(MSG_APP)])
    with pytest.raises(ValueError, match="a response has responses"):
        Message(MSG_STORAGE_APPEND, responses=[inner]).encode()


@given(st.builds(ConfChange, st.integers(0, 3), U64, st.binary(max_size=20)))
def test_a_change_comes_back_as_it_was(change: ConfChange) -> None:
    assert ConfChange.decode(change.encode()) == change
    assert change.as_v2().changes == (ConfChangeSingle(change.type, change.node_id),)


@given(st.builds(ConfChangeV2, st.integers(0, 2), st.lists(CHANGES, max_size=5), st.binary(max_size=20)))
def test_a_change_of_several_comes_back_as_it_was(change: ConfChangeV2) -> None:
    assert ConfChangeV2.decode(change.encode()) == change


@given(st.binary(max_size=60))
def test_garbage_is_no_change(text: bytes) -> None:
    for kind in (ConfChange, ConfChangeV2):
        try:
            change = kind.decode(text)
        except ValueError:
            continue
        assert kind.decode(change.encode()) == change


def test_values_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown type of message"):
        Message(99)
    with pytest.raises(ValueError, match="unknown type of entry"):
        Entry(type=3)
    with pytest.raises(TypeError):
        Message(MSG_APP, entries=[Message()])  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        Message(MSG_APP, term=-1)
    with pytest.raises(OverflowError):
        ConfState([2**64])
    with pytest.raises(ValueError, match="unknown type of configuration change"):
        ConfChange(4)
    with pytest.raises(ValueError, match="unknown transition"):
        ConfChangeV2(3)
