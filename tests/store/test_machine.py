"""The replicated state machine: entries, alarms, users, members, snapshots."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kcore.store import auth_requests, membership
from kcore.store.auth import Auth
from kcore.store.errors import StoreError
from kcore.store.face import Alarm, AlarmAction, AlarmType, MemberInfo
from kcore.store.kv import Compare, DeleteOp, DeleteResult, LeaseResult, PutOp, PutResult, RangeOp, TxnOp
from kcore.store.machine import (
    AUTH_FIRST,
    CLUSTER_VERSION,
    DOWNGRADE,
    MEMBER_ATTRIBUTES,
    Machine,
    put_cost,
    txn_cost,
)
from kcore.store.membership import Change
from kcore_native.mvcc import command


class Log:
    """Entries for one or several machines, all of which must answer alike."""

    def __init__(self, *machines: Machine) -> None:
        self.machines = machines or (Machine(Auth()),)
        self.index = max(machine.applied_index for machine in self.machines)

    def add(self, *payloads: bytes) -> list[Any]:
        self.index += 1
        answers = [
            [
                str(result) if isinstance(result, StoreError) else result
                for _, result in machine.apply(self.index, 1, b"".join(payloads))
            ]
            for machine in self.machines
        ]
        assert all(answer == answers[0] for answer in answers)
        return answers[0]

    def change(self, *changes: Change) -> Any:
        self.index += 1
        context = membership.conf_change(7, changes).context
        outcomes = [m.apply_conf_change(self.index, 1, context) for m in self.machines]
        return outcomes[0].result


def raise_alarm(kind: AlarmType, action: AlarmAction = AlarmAction.ACTIVATE) -> bytes:
    return command.alarm(1, action, 5, kind)


def other(kind: int, body: object) -> bytes:
    return command.other(1, kind, msgspec.msgpack.encode(body))


def auth_change(request: Any, **identity: Any) -> bytes:
    return command.other(1, *auth_requests.encode_request(request), **identity)


NO_SPACE = "etcdserver: mvcc: database space exceeded"
CORRUPT = "etcdserver: corrupt cluster"
PERMISSION = "etcdserver: permission denied"


def test_an_entry_answers_each_request_in_order() -> None:
    log = Log()
    assert log.add(
        command.put(1, b"k", b"v"),
        command.put(2, b"k", b"v", 9),
        command.lease_grant(3, 9, 1),
        command.put(4, b"k", b"w", 9, True),
        command.delete_range(5, b"none"),
        command.txn(6, [Compare(0, 0, b"k", 2)], [RangeOp(b"k", count_only=True)], []),
        command.compact(7, 2),
        command.compact(8, 99),
        command.lease_checkpoint(9, [(9, 1)]),
        command.lease_revoke(10, 9),
        command.put(11, b"new", b"", 0, False, True),
    )[:5] == [
        PutResult(2),
        "etcdserver: requested lease not found",
        LeaseResult(2, 9, 2, 2),
        PutResult(3, log.machines[0].range(b"k", revision=2).kvs[0]),
        DeleteResult(3, 0, []),
    ]
    machine = log.machines[0]
    assert (machine.applied_index, machine.applied_term, machine.revision) == (1, 1, 4)
    assert (machine.compact_revision, machine.key_count, len(machine.leases)) == (2, 0, 0)


def test_an_entry_is_applied_once_and_its_answers_may_be_left_out() -> None:
    machine = Machine()
    payload = command.put(1, b"k", b"v")
    assert machine.apply(1, 1, payload, results=False) == []
    assert machine.apply(1, 1, payload) == [] and machine.revision == 2
    assert machine.apply(2, 3, b"") == []
    assert (machine.applied_index, machine.applied_term) == (2, 3)
    with pytest.raises(ValueError, match="log entry"):
        machine.apply(3, 3, payload + b"\1")
    assert (machine.applied_index, machine.revision) == (2, 2)


def test_without_space_only_what_takes_none_is_done() -> None:
    log = Log()
    log.add(command.put(1, b"k", b"v"), command.lease_grant(2, 1, 10))
    assert log.add(raise_alarm(AlarmType.NOSPACE)) == [[Alarm(5, AlarmType.NOSPACE)]]
    assert log.machines[0].no_space
    assert (
        log.add(
            command.put(1, b"k", b"v"),
            command.txn(2, (), [TxnOp((), [PutOp(b"k", b"")], ())], ()),
            command.txn(3, [Compare(0, 0, b"k", 9)], [PutOp(b"k", b"")], [DeleteOp(b"k")]),
            command.lease_grant(4, 2, 10),
        )
        == [NO_SPACE] * 4
    )
    assert log.add(
        command.txn(3, (), [RangeOp(b"k", count_only=True), DeleteOp(b"k")], ()),
        command.delete_range(4, b"k"),
        command.lease_revoke(5, 1),
        command.compact(6, 2),
    )[1:] == [DeleteResult(3, 0, []), 3, 3]
    assert log.add(raise_alarm(AlarmType.NOSPACE, AlarmAction.GET)) == [[Alarm(5, AlarmType.NOSPACE)]]
    assert log.add(raise_alarm(AlarmType.CORRUPT, AlarmAction.GET)) == [[]]
    assert log.add(raise_alarm(AlarmType.NOSPACE, AlarmAction.DEACTIVATE)) == [[Alarm(5, 1)]]
    assert log.add(raise_alarm(AlarmType.NOSPACE, AlarmAction.DEACTIVATE)) == [[]]
    assert log.add(command.put(1, b"k", b"v")) == [PutResult(4)]


def test_a_corrupt_cluster_does_nothing_more() -> None:
    log = Log()
    log.add(command.lease_grant(2, 1, 10), raise_alarm(AlarmType.CORRUPT), raise_alarm(AlarmType.NOSPACE))
    assert (
        log.add(
            command.put(1, b"k", b"v"),
            command.delete_range(2, b"k"),
            command.txn(3),
            command.compact(4, 1),
            command.lease_grant(5, 2, 2),
            command.lease_revoke(6, 1),
        )
        == [CORRUPT] * 6
    )
    assert log.machines[0].corrupt
    assert log.machines[0].alarms == [Alarm(5, AlarmType.NOSPACE), Alarm(5, AlarmType.CORRUPT)]


def test_the_quota_is_counted_as_etcd_does() -> None:
    machine = Machine()
    assert not machine.over_quota
    machine.quota_bytes = 1000
    machine.apply(1, 1, command.put(1, b"k", b"x" * 1000))
    assert machine.over_quota
    machine.quota_bytes = -1
    assert not machine.over_quota
    put = PutOp(b"key", b"value")
    assert put_cost(b"key", b"value") == 264
    assert txn_cost(TxnOp((), [put], [put, TxnOp((), [put], ()), DeleteOp(b"k")])) == 528
    assert txn_cost(TxnOp((), [RangeOp(b"k")], ())) == 0


def users(log: Log) -> None:
    """Root, and bob, who may write a to c and read b."""
    permission = auth_requests.Permission
    log.add(
        auth_change(auth_requests.UserAdd("root", b"hash")),
        auth_change(auth_requests.UserAdd("bob", b"hash")),
        auth_change(auth_requests.RoleAdd("some")),
        auth_change(auth_requests.RoleGrantPermission("some", permission(auth_requests.PermissionType.WRITE, b"a", b"c"))),
        auth_change(auth_requests.RoleGrantPermission("some", permission(auth_requests.PermissionType.READ, b"b"))),
        auth_change(auth_requests.UserGrantRole("bob", "some")),
        auth_change(auth_requests.UserGrantRole("root", "root")),
        auth_change(auth_requests.Enable()),
    )  # fmt: skip
    assert log.machines[0].auth.enabled


def test_users_do_what_they_may() -> None:
    log = Log()
    users(log)
    bob = {"username": "bob", "auth_revision": log.machines[0].auth.revision}
    root = {**bob, "username": "root"}
    log.add(command.put(1, b"x", b"", **root), command.lease_grant(2, 1, 10), command.lease_grant(2, 2, 10))
    log.add(command.put(1, b"x", b"", 1, **root))
    answers = log.add(
        command.put(1, b"a", b"", **bob),
        command.put(2, b"c", b"", **bob),
        command.put(3, b"a", b"", 0, True, **bob),
        command.put(4, b"b", b"", 0, True, **bob),
        command.put(5, b"a", b"", 1, **bob),
        command.put(6, b"a", b"", 2, **bob),
        command.delete_range(7, b"a", b"c", **bob),
        command.delete_range(8, b"a", b"d", **bob),
        command.txn(9, [Compare(0, 0, b"b", 1)], [PutOp(b"b", b"")], [TxnOp((), [DeleteOp(b"a")], ())], **bob),
        command.txn(10, (), (), [PutOp(b"x", b"")], **bob),
        command.txn(11, [Compare(0, 0, b"a", 1)], (), (), **bob),
        command.lease_revoke(12, 1, **bob),
        command.lease_revoke(13, 2, **bob),
        command.put(14, b"a", b"", username="bob", auth_revision=bob["auth_revision"] - 1),
        command.put(15, b"a", b"", username="", auth_revision=0),
        command.put(16, b"x", b""),
    )  # fmt: skip
    refused = [isinstance(answer, str) for answer in answers]
    assert refused == [False, True, True, False, True, False, False, True, False, True, True, True, False, True, True, False]  # fmt: skip
    assert answers[1] == answers[11] == PERMISSION
    assert answers[13] == "etcdserver: revision of auth store is old"
    assert answers[14] == "etcdserver: user name is empty"
    log.add(auth_change(auth_requests.Disable(), **root))
    assert log.add(command.put(1, b"x", b"", **bob))[0].revision == log.machines[0].revision


def test_members_come_and_go_by_the_log() -> None:
    log = Log()
    add = Change(membership.ADD, 1, ("http://a:1",))
    assert log.change(add) == [MemberInfo(1, "", ("http://a:1",), ())]
    assert str(log.change(add)) == "etcdserver: member ID already exist"
    log.change(Change(membership.ADD_LEARNER, 2, ("http://b:1",)))
    log.add(other(MEMBER_ATTRIBUTES, [1, "one", ["http://a:2"]]), other(MEMBER_ATTRIBUTES, [9, "none", []]))
    assert log.machines[0].members == {
        1: MemberInfo(1, "one", ("http://a:1",), ("http://a:2",)),
        2: MemberInfo(2, "", ("http://b:1",), (), True),
    }
    log.change(Change(membership.PROMOTE, 2))
    log.change(Change(membership.REMOVE, 1))
    assert [*log.machines[0].members] == [2] and log.machines[0].removed == {1}
    assert log.machines[0].applied_index == 6


def test_rare_requests_with_a_wrong_body_are_refused() -> None:
    log = Log()
    assert log.add(other(CLUSTER_VERSION, "3.6.0"), other(DOWNGRADE, "3.5.0")) == [None, None]
    assert (log.machines[0].cluster_version, log.machines[0].downgrade) == ("3.6.0", "3.5.0")
    answers = log.add(
        other(CLUSTER_VERSION, 5),
        command.other(1, MEMBER_ATTRIBUTES, b"\xc1"),
        other(77, 1),
        command.other(1, AUTH_FIRST + 10_000, b""),
        command.other(1, AUTH_FIRST, b"\xc1"),
    )
    assert all(isinstance(answer, str) and answer.startswith("etcdserver: ") for answer in answers)


def test_a_machine_from_a_snapshot_is_the_first_in_everything() -> None:
    log = Log()
    log.change(Change(membership.ADD, 3, ("http://a:1",)))
    log.change(Change(membership.ADD, 4, ("http://b:1",)))
    log.change(Change(membership.REMOVE, 3))
    users(log)
    root = {"username": "root", "auth_revision": log.machines[0].auth.revision}
    log.add(
        command.lease_grant(1, 7, 100, **root),
        command.lease_checkpoint(1, [(7, 50)]),
        command.put(1, b"k", b"v", 7, **root),
        raise_alarm(AlarmType.NOSPACE),
        other(CLUSTER_VERSION, "3.6.0"),
    )
    first = log.machines[0]
    data = b"".join(first.snapshot())
    second = Machine(Auth())
    second.restore([data])
    assert b"".join(second.snapshot()) == data
    assert second.hash_kv() == first.hash_kv()
    assert (second.applied_index, second.applied_term) == (first.applied_index, first.applied_term)
    assert (second.members, second.removed, second.alarms) == (first.members, first.removed, first.alarms)
    assert second.leases.rows() == [(7, 100, 50)] and second.leases.keys(7) == [b"k"]
    both = Log(first, second)
    assert both.add(command.put(1, b"k", b"", **root), command.delete_range(2, b"k", username="bob")) == [
        NO_SPACE,
        "etcdserver: user name is empty",
    ]
    with pytest.raises(ValueError, match="snapshot"):
        second.restore([data[:-1]])
    with pytest.raises(ValueError, match="snapshot"):
        second.restore(first.store.snapshot(b"no head"))
    assert b"".join(second.snapshot()) == b"".join(first.snapshot())


def test_a_transaction_that_only_reads_needs_no_entry() -> None:
    machine = Machine()
    machine.apply(1, 1, command.put(1, b"k", b"v"))
    result = machine.txn_read([Compare(0, 0, b"k", 1)], [RangeOp(b"k")], [])
    assert result.succeeded and result.revision == 2 and result.results[0].kvs == [machine.get(b"k")]
