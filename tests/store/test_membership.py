"""Members' ids as etcd's, changes and why they are refused, the first log of a cluster."""

import pytest

from kcore.store import errors, membership
from kcore.store.errors import StoreError
from kcore.store.face import MemberInfo
from kcore.store.membership import ADD, ADD_LEARNER, PROMOTE, REMOVE, UPDATE, Change
from kcore_native.raft import ConfChange, ConfChangeV2


def info(id_: int, *, name: str = "m", learner: bool = False) -> MemberInfo:
    return MemberInfo(id_, name and f"{name}{id_}", (f"http://h{id_}:2380",), (), learner)


def test_ids_are_those_of_etcd() -> None:
    # what every etcd of one member with default flags says
    members = membership.first_members({"default": ("http://localhost:2380",)}, "etcd-cluster")
    assert [f"{m.id:x}" for m in members] == ["8e9e05c52164694d"]
    assert f"{membership.cluster_id([members[0].id]):x}" == "cdf818194e3a8c32"


def test_ids_do_not_depend_on_the_order_of_urls() -> None:
    urls = ["http://b:1", "http://a:1"]
    assert membership.member_id(urls, "t") == membership.member_id(reversed(urls), "t")
    assert membership.member_id(urls, "t") != membership.member_id(urls, "u")
    assert membership.member_id(urls, "t", 1) != membership.member_id(urls, "t", 2)


def test_the_first_log_names_every_member() -> None:
    hard_state, entries = membership.bootstrap([info(2), info(1)])
    assert (hard_state.term, hard_state.vote, hard_state.commit) == (1, 0, 2)
    changes = [ConfChange.decode(entry.data) for entry in entries]
    assert [change.node_id for change in changes] == [1, 2]
    members: dict[int, MemberInfo] = {}
    for change in changes:
        after = membership.apply_changes(members, (), membership.read_context(change.context).changes)
        assert not isinstance(after, StoreError)
        members = after[0]
    assert members == {1: info(1), 2: info(2)}


def test_one_step_is_a_plain_change_and_several_a_joint_one() -> None:
    assert isinstance(membership.conf_change(7, [Change(REMOVE, 1)]), ConfChange)
    joint = membership.conf_change(7, [Change(ADD, 3, ("http://x:1",)), Change(REMOVE, 1)])
    assert isinstance(joint, ConfChangeV2) and [c.node_id for c in joint.changes] == [3, 1]
    assert membership.read_context(joint.context).request_id == 7
    assert membership.read_context(b"").changes == ()
    with pytest.raises(ValueError, match="context of a configuration change"):
        membership.read_context(b"\xff garbage")


def test_changes_do_what_they_say() -> None:
    members = {1: info(1), 2: info(2, learner=True)}
    steps = [
        Change(PROMOTE, 2),
        Change(UPDATE, 1, ("http://new:1",)),
        Change(ADD_LEARNER, 3, ("http://h3:2380",)),
        Change(REMOVE, 1),
    ]
    after = membership.apply_changes(members, (), steps)
    assert not isinstance(after, StoreError)
    assert after == ({2: info(2), 3: info(3, name="", learner=True)}, {1})
    assert members[1] == info(1)  # nothing is changed in place


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (Change(ADD, 1, ("http://x:1",)), "MemberExist"),
        (Change(ADD, 9, ("http://h2:2380",)), "PeerURLExist"),
        (Change(ADD, 7, ("http://x:1",)), "MemberNotFound"),  # removed once, for good
        (Change(ADD_LEARNER, 9, ("http://x:1",)), "TooManyLearners"),
        (Change(PROMOTE, 1), "MemberNotLearner"),
        (Change(PROMOTE, 9), "MemberNotFound"),
        (Change(REMOVE, 9), "MemberNotFound"),
        (Change(UPDATE, 9, ("http://x:1",)), "MemberNotFound"),
        (Change(UPDATE, 1, ("http://h2:2380",)), "PeerURLExist"),
    ],
)
def test_refusals_are_those_of_etcd(change: Change, name: str) -> None:
    members = {1: info(1), 2: info(2), 3: info(3, learner=True)}
    refused = membership.apply_changes(members, {7}, [change])
    assert isinstance(refused, StoreError) and refused.text == errors.of(name).text


def test_too_few_started_members_forbid_a_change() -> None:
    three = {i: info(i) for i in (1, 2, 3)}
    half = {1: info(1), 2: info(2, name=""), 3: info(3, name="")}
    membership.check_started(three, Change(ADD, 4))
    membership.check_started({1: info(1)}, Change(ADD, 2))
    membership.check_started(half, Change(ADD_LEARNER, 4))
    for change in (Change(ADD, 4), Change(REMOVE, 1)):
        with pytest.raises(StoreError, match="not enough started members"):
            membership.check_started(half, change)


@pytest.mark.parametrize(
    "urls", [(), ("http://x",), ("unix://x:1",), ("http://x:1/path",), ("http://x:1", "http://x:1"), ("x:y",)]
)
def test_bad_urls_are_refused(urls: tuple[str, ...]) -> None:
    with pytest.raises(StoreError, match="member URLs are invalid"):
        membership.check_urls(urls)
