"""Who the members are: their ids, how a change of the membership travels in the log, and which changes are refused.

Pure. Ids are etcd's (``server/etcdserver/api/membership``): a member's is the SHA-1 of its peer URLs, the cluster's
token and, where it was added to a running cluster, the time; the cluster's is the SHA-1 of the first members' ids.
A change is one Raft configuration change whose context says the rest, so that every member records the same.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.face import MemberInfo
from kcore_native.raft import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    CONF_CHANGE_UPDATE_NODE,
    ENTRY_CONF_CHANGE,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    Entry,
    HardState,
)

LEARNERS_MAX: Final = 1  # learners at once, etcd's --max-learners
READY_PERCENT: Final = 90  # of the leader's log that a learner must hold to be promoted

ADD: Final = "add"
ADD_LEARNER: Final = "add_learner"
PROMOTE: Final = "promote"
REMOVE: Final = "remove"
UPDATE: Final = "update"

_NODE_CHANGES: Final = {
    ADD: CONF_CHANGE_ADD_NODE,
    ADD_LEARNER: CONF_CHANGE_ADD_LEARNER_NODE,
    PROMOTE: CONF_CHANGE_ADD_NODE,
    REMOVE: CONF_CHANGE_REMOVE_NODE,
    UPDATE: CONF_CHANGE_UPDATE_NODE,
}


class Change(msgspec.Struct, array_like=True, frozen=True):
    """One step of a change of the membership; name and URLs where it adds or updates."""

    kind: str
    id: int
    peer_urls: tuple[str, ...] = ()
    name: str = ""
    client_urls: tuple[str, ...] = ()


class ChangeContext(msgspec.Struct, array_like=True, frozen=True):
    """What travels in the configuration change's context: who waits for it, and the steps."""

    request_id: int
    changes: tuple[Change, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ChangeContext)


def conf_change(request_id: int, changes: Sequence[Change]) -> ConfChange | ConfChangeV2:
    """The configuration change for Raft: a plain one for one step, joint consensus for several."""
    context = _encoder.encode(ChangeContext(request_id, tuple(changes)))
    if len(changes) == 1:
        return ConfChange(_NODE_CHANGES[changes[0].kind], changes[0].id, context)
    return ConfChangeV2(0, [ConfChangeSingle(_NODE_CHANGES[c.kind], c.id) for c in changes], context)


def read_context(context: bytes) -> ChangeContext:
    """The context's content; nothing for an empty one (leaving a joint configuration); ValueError for garbage."""
    if not context:
        return ChangeContext(0, ())
    try:
        return _decoder.decode(context)
    except msgspec.DecodeError as error:
        raise ValueError(f"context of a configuration change: {error}") from None


def apply_changes(
    members: Mapping[int, MemberInfo], removed: Iterable[int], changes: Sequence[Change]
) -> tuple[dict[int, MemberInfo], set[int]] | StoreError:
    """The members and the ids removed for good afterwards, or why the whole change is refused."""
    after, gone = dict(members), set(removed)
    for change in changes:
        if (error := refusal(after, gone, change)) is not None:
            return error
        if change.kind in (ADD, ADD_LEARNER):
            after[change.id] = MemberInfo(
                change.id, change.name, change.peer_urls, change.client_urls, change.kind == ADD_LEARNER
            )
        elif change.kind == PROMOTE:
            after[change.id] = after[change.id]._replace(is_learner=False)
        elif change.kind == UPDATE:
            after[change.id] = after[change.id]._replace(peer_urls=change.peer_urls)
        else:
            del after[change.id]
            gone.add(change.id)
    if _has_voter(members) and not _has_voter(after):
        return errors.of(
            "MemberNotEnoughStarted"
        )  # Raft cannot do it; two removals may have been asked for at once
    return after, gone


def _has_voter(members: Mapping[int, MemberInfo]) -> bool:
    return any(not info.is_learner for info in members.values())


def refusal(members: Mapping[int, MemberInfo], removed: Iterable[int], change: Change) -> StoreError | None:
    """Why that step cannot be done (etcd ``ValidateConfigurationChange``); None where it can."""
    known = members.get(change.id)
    if change.kind not in _NODE_CHANGES:
        return errors.of("MemberBadURLs")
    if change.id in removed:
        return errors.of("MemberNotFound")  # etcd: "ID removed", which its gRPC face tells as not found
    if change.kind in (ADD, ADD_LEARNER):
        if known is not None:
            return errors.of("MemberExist")
        if change.kind == ADD_LEARNER and sum(m.is_learner for m in members.values()) >= LEARNERS_MAX:
            return errors.of("TooManyLearners")
    elif known is None:
        return errors.of("MemberNotFound")
    elif change.kind == PROMOTE and not known.is_learner:
        return errors.of("MemberNotLearner")
    taken = {url for m in members.values() if m.id != change.id for url in m.peer_urls}
    if taken.intersection(change.peer_urls):
        return errors.of("PeerURLExist")
    return None


def check_started(members: Mapping[int, MemberInfo], change: Change) -> None:
    """Raises MemberNotEnoughStarted where too few members have started for the change to be safe (strict check)."""
    voters = [m for m in members.values() if not m.is_learner]
    started = sum(bool(m.name) for m in voters)
    count = len(voters)
    if change.kind == ADD:
        if started == 1 and count == 1:
            return  # a cluster of one grows, as when it was restored from a snapshot
        count += 1
    elif change.kind == PROMOTE:
        count += 1
        started += 1
    elif change.kind == REMOVE:
        left = [m for m in voters if m.id != change.id]
        if len(left) == len(voters):
            return  # a learner
        count, started = len(left), sum(bool(m.name) for m in left)
    else:
        return
    if started < count // 2 + 1:
        raise errors.of("MemberNotEnoughStarted")


def check_urls(urls: Sequence[str]) -> None:
    """Raises MemberBadURLs where one of the URLs is not http(s)://host:port."""
    for url in urls:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port is not None
            good = good and parts.path in ("", "/")
        except ValueError:
            good = False
        if not good:
            raise errors.of("MemberBadURLs")
    if not urls or len(set(urls)) != len(urls):
        raise errors.of("MemberBadURLs")


def member_id(peer_urls: Iterable[str], token: str, added_unix_s: int | None = None) -> int:
    """A member's id; ``added_unix_s`` where it joins a cluster that runs."""
    text = "".join(sorted(peer_urls)) + token + ("" if added_unix_s is None else str(added_unix_s))
    return int.from_bytes(hashlib.sha1(text.encode(), usedforsecurity=False).digest()[:8], "big")


def cluster_id(member_ids: Iterable[int]) -> int:
    """The cluster's id, from those of its first members."""
    raw = b"".join(id_.to_bytes(8, "big") for id_ in sorted(member_ids))
    return int.from_bytes(hashlib.sha1(raw, usedforsecurity=False).digest()[:8], "big")


def first_members(initial_cluster: Mapping[str, Sequence[str]], token: str) -> list[MemberInfo]:
    """The members of a new cluster by id, from name -> peer URLs: the same on every member."""
    infos = [
        MemberInfo(member_id(urls, token), name, tuple(sorted(urls)), ())
        for name, urls in initial_cluster.items()
    ]
    return sorted(infos, key=lambda info: info.id)


def bootstrap(members: Sequence[MemberInfo]) -> tuple[HardState, list[Entry]]:
    """The log that every member of a new cluster begins with: one committed entry for each member, of term 1.

    etcd-io/raft ``bootstrap.go``: the state machine learns of the first members as of any later one.
    """
    entries = []
    for index, info in enumerate(sorted(members, key=lambda m: m.id), start=1):
        kind = ADD_LEARNER if info.is_learner else ADD
        change = conf_change(0, [Change(kind, info.id, info.peer_urls, info.name, info.client_urls)])
        entries.append(Entry(1, index, ENTRY_CONF_CHANGE, change.encode()))
    return HardState(1, 0, len(entries)), entries
