"""The users' table: etcd's errors case by case, and random histories against the slow twin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.store import auth_requests as requests
from kcore.store.auth import Auth, Coverage, is_valid_range
from kcore.store.auth_requests import (
    Authenticate,
    Disable,
    Enable,
    Permission,
    PermissionType,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
    encode_request,
)
from kcore.store.errors import TABLE, StoreError
from kcore.store.kv import Compare, DeleteOp, PutOp, RangeOp, Relation, Target, TxnOp
from tests.naive.auth import KEYS, NaiveAuth, outcome

pytestmark = pytest.mark.differential

READ, WRITE, BOTH = PermissionType.READ, PermissionType.WRITE, PermissionType.READWRITE


def done(table: Auth, *wanted: Any, username: str | None = None, index: int = 0) -> Any:
    """The answer to the last of the requests."""
    answer = None
    for request in wanted:
        answer = table.apply(*encode_request(request), username, table.revision, index)
    return answer


def refusal(call: Any) -> str:
    """The name in etcd's table of what the call raises."""
    with pytest.raises(StoreError) as caught:
        call()
    return next(name for name, (code, text) in TABLE.items() if (code, text) == (caught.value.code, caught.value.text))  # fmt: skip


def table(enabled: bool = True) -> Auth:
    """Users root, ann (reads and writes [a, c), reads d), and guest without a role."""
    made = Auth()
    done(
        made,
        UserAdd("root", b"hash"), UserGrantRole("root", "root"), UserAdd("ann", b"hash"), UserAdd("guest", b"hash"),
        RoleAdd("letters"), RoleGrantPermission("letters", Permission(BOTH, b"a", b"c")),
        RoleGrantPermission("letters", Permission(READ, b"d")), UserGrantRole("ann", "letters"),
    )  # fmt: skip
    if enabled:
        done(made, Enable())
    return made


# Each row: whether the checks are on, the request that must be refused, etcd's name of the refusal.
REFUSED: tuple[tuple[bool, Any, str], ...] = (
    (False, UserAdd(""), "UserEmpty"),
    (False, UserAdd("ann"), "UserAlreadyExist"),
    (False, UserDelete("bob"), "UserNotFound"),
    (True, UserDelete("root"), "InvalidAuthMgmt"),
    (False, UserChangePassword("bob", b"x"), "UserNotFound"),
    (False, UserGrantRole("bob", "letters"), "UserNotFound"),
    (False, UserGrantRole("ann", "digits"), "RoleNotFound"),
    (False, UserRevokeRole("bob", "letters"), "UserNotFound"),
    (False, UserRevokeRole("ann", "digits"), "RoleNotGranted"),
    (True, UserRevokeRole("root", "root"), "InvalidAuthMgmt"),
    (False, RoleAdd(""), "RoleEmpty"),
    (False, RoleAdd("letters"), "RoleAlreadyExist"),
    (False, RoleDelete("digits"), "RoleNotFound"),
    (True, RoleDelete("root"), "InvalidAuthMgmt"),
    (False, RoleGrantPermission("letters"), "PermissionNotGiven"),
    (False, RoleGrantPermission("digits", Permission(READ, b"a")), "RoleNotFound"),
    (False, RoleGrantPermission("letters", Permission(READ, b"")), "InvalidAuthMgmt"),
    (False, RoleGrantPermission("letters", Permission(READ, b"", b"\0")), "InvalidAuthMgmt"),
    (False, RoleGrantPermission("letters", Permission(READ, b"b", b"a")), "InvalidAuthMgmt"),
    (False, RoleGrantPermission("letters", Permission(READ, b"b", b"b")), "InvalidAuthMgmt"),
    (False, RoleRevokePermission("digits", b"a"), "RoleNotFound"),
    (False, RoleRevokePermission("letters", b"a"), "PermissionNotGranted"),
    (False, Authenticate("ann", "secret"), "AuthNotEnabled"),
    (True, Authenticate("bob", "secret"), "AuthFailed"),
)


@pytest.mark.parametrize(("enabled", "request_", "name"), REFUSED)
def test_what_etcd_refuses_is_refused_and_changes_nothing(enabled: bool, request_: Any, name: str) -> None:
    made = table(enabled)
    before = made.encode()
    assert refusal(lambda: done(made, request_)) == name
    assert made.encode() == before


def test_the_root_user_must_be_there_with_its_role() -> None:
    made = Auth()
    assert refusal(lambda: done(made, Enable())) == "RootUserNotExist"
    done(made, UserAdd("root"))
    assert refusal(lambda: done(made, Enable())) == "RootRoleNotExist"
    done(made, UserGrantRole("root", "root"), Enable())
    assert made.enabled


def test_the_revision_counts_changes_but_not_what_changes_nothing() -> None:
    made = Auth()
    assert made.revision == 1
    done(made, UserAdd("root"), UserGrantRole("root", "root"))
    assert made.revision == 3
    done(made, UserGrantRole("root", "root"), Disable(), Enable(), Enable())
    assert made.revision == 3
    done(made, Disable())
    assert made.revision == 4


@pytest.mark.parametrize("kind", [request for request in requests.KINDS if request is not Authenticate])
def test_only_root_changes_the_table(kind: type) -> None:
    made = table()
    fields = [b"" if name in ("key", "hashed_password") else "x" for name in kind.__struct_fields__][:2]  # type: ignore[attr-defined]
    request = kind(*fields) if kind is not RoleGrantPermission else RoleGrantPermission("x")
    for username, name in (("", "UserEmpty"), ("bob", "UserNotFound"), ("ann", "PermissionDenied")):
        assert refusal(lambda u=username: done(made, request, username=u)) == name


def test_a_token_names_the_entry_that_made_it_and_goes_to_the_sink() -> None:
    heard: list[tuple[str, ...]] = []

    class Sink:
        def enable(self) -> None:
            heard.append(("enable",))

        def disable(self) -> None:
            heard.append(("disable",))

        def assign(self, username: str, token: str) -> None:
            heard.append((username, token))

        def invalidate(self, username: str) -> None:
            heard.append(("invalidate", username))

    made = table(enabled=False)
    made.tokens = Sink()
    done(made, Enable())
    assert done(made, Authenticate("ann", "secret"), index=77) == "secret.77"
    done(made, UserChangePassword("ann", b"new"), UserDelete("ann"), Disable())
    assert heard == [
        ("enable",), ("ann", "secret.77"), ("invalidate", "ann"), ("invalidate", "ann"), ("disable",),
    ]  # fmt: skip


def test_a_user_without_password_cannot_authenticate() -> None:
    made = table()
    done(made, UserAdd("cert", b"ignored", True))
    assert refusal(lambda: done(made, Authenticate("cert", "x"))) == "AuthFailed"
    with pytest.raises(StoreError, match="password was given for no password user"):
        made.password_hash("cert")
    assert refusal(lambda: made.password_hash("bob")) == "AuthFailed"
    assert made.password_hash("ann") == (b"hash", made.revision)


# Each row: (key, end), may ann read it, may she write it.
ASKED: tuple[tuple[bytes, bytes | None, bool, bool], ...] = (
    (b"a", None, True, True),
    (b"b", b"", True, True),
    (b"c", None, False, False),
    (b"d", None, True, False),
    (b"a", b"c", True, True),
    (b"a", b"b", True, True),
    (b"a", b"c\0", False, False),
    (b"a", b"\0", False, False),
    (b"d", b"d\0", True, False),
    (b"d", b"e", False, False),
    (b"\0", b"\0", False, False),
    (b"A", b"b", False, False),
)


@pytest.mark.parametrize(("key", "end", "read", "write"), ASKED)
def test_a_role_allows_its_ranges_and_no_more(key: bytes, end: bytes | None, read: bool, write: bool) -> None:
    made = table()
    for wanted, check in ((read, made.check_range), (write, made.check_delete)):
        if wanted:
            check("ann", made.revision, key, end)
        else:
            assert refusal(lambda c=check: c("ann", made.revision, key, end)) == "PermissionDenied"
        check("root", made.revision, key, end)
        check(None, 0, key, end)
        assert refusal(lambda c=check: c("", 0, key, end)) == "UserEmpty"
        assert refusal(lambda c=check: c("ann", made.revision - 1, key, end)) == "AuthOldRevision"
        assert refusal(lambda c=check: c("bob", made.revision, key, end)) == "PermissionDenied"


def test_a_put_is_checked_with_its_lease_and_what_it_answers() -> None:
    made = table()
    made.check_put("ann", made.revision, b"a", True, [b"b"])
    assert (
        refusal(lambda: made.check_put("ann", made.revision, b"a", False, [b"b", b"x"])) == "PermissionDenied"
    )
    done(made, RoleGrantPermission("letters", Permission(WRITE, b"w")))
    made.check_put("ann", made.revision, b"w")
    assert refusal(lambda: made.check_put("ann", made.revision, b"w", True)) == "PermissionDenied"
    made.check_delete("ann", made.revision, b"w")
    assert refusal(lambda: made.check_delete("ann", made.revision, b"w", None, True)) == "PermissionDenied"
    made.check_lease("ann", made.revision, [b"a"])
    made.check_lease("ann", made.revision, [b"d"], writing=False)
    assert refusal(lambda: made.check_lease("ann", made.revision, [b"d"])) == "PermissionDenied"
    made.check_lease("root", made.revision, [b"x"])


@pytest.mark.parametrize(
    "txn",
    [
        TxnOp([Compare(Target.VERSION, Relation.EQUAL, b"x", 0)]),
        TxnOp([], [RangeOp(b"x")]),
        TxnOp([], [], [PutOp(b"d", b"")]),
        TxnOp([], [PutOp(b"a", b"", lease=7)]),
        TxnOp([], [DeleteOp(b"a", b"e")]),
        TxnOp([], [], [TxnOp([], [TxnOp([], [], [DeleteOp(b"d")])])]),
    ],
)
def test_a_transaction_is_refused_for_any_part_of_either_branch(txn: TxnOp) -> None:
    made = table()
    held = {7: [b"x"]}
    allowed = TxnOp(
        [Compare(Target.MOD, Relation.LESS, b"a", 9, b"c")], [PutOp(b"a", b"", lease=8)], [RangeOp(b"d")]
    )
    made.check_txn("ann", made.revision, allowed, lambda lease: held.get(lease, ()))
    assert (
        refusal(lambda: made.check_txn("ann", made.revision, txn, lambda lease: held.get(lease, ())))
        == "PermissionDenied"
    )


def test_who_may_read_the_table() -> None:
    made = table()
    assert made.user_list("root") == ["ann", "guest", "root"]
    assert made.role_list() == ["letters"]
    assert made.user_get("ann", "ann") == ["letters"]
    assert made.role_get("letters", "ann") == [Permission(BOTH, b"a", b"c"), Permission(READ, b"d")]
    assert refusal(lambda: made.user_get("root", "ann")) == "PermissionDenied"
    assert refusal(lambda: made.role_get("letters", "guest")) == "PermissionDenied"
    assert refusal(lambda: made.user_list("ann")) == "PermissionDenied"
    assert refusal(lambda: made.role_list("")) == "UserEmpty"
    assert refusal(lambda: made.role_get("root")) == "RoleNotFound"
    done(made, RoleAdd("root"))
    assert made.role_get("root") == [Permission(BOTH, b"", b"\0")]


def test_a_deleted_role_leaves_its_users() -> None:
    made = table()
    done(made, RoleDelete("letters"))
    assert made.user_get("ann") == []
    assert refusal(lambda: made.check_range("ann", made.revision, b"a")) == "PermissionDenied"


def test_the_same_range_twice_from_one_key_is_one_right_but_two_rows_as_in_etcd() -> None:
    made = Auth()
    done(made, RoleAdd("r"))
    for end in (b"b", b"c", b"c"):
        done(made, RoleGrantPermission("r", Permission(READ, b"a", end)))
    assert [one.range_end for one in made.role_get("r")] == [b"b", b"c", b"c"]
    done(made, RoleRevokePermission("r", b"a", b"c"))
    assert [one.range_end for one in made.role_get("r")] == [b"b"]


def test_garbage_is_a_value_error_and_changes_nothing() -> None:
    made = table()
    before = made.encode()
    for kind in (0, 99, requests.KIND_OF[UserAdd], 10**6):
        with pytest.raises(ValueError, match="authentication request"):
            made.apply(kind, b"\xc1garbage")
    for data in (b"", b"\x00", before[:-1], before + b"x", b"\x95\x07" + before[2:]):
        with pytest.raises(ValueError, match="of a snapshot"):
            made.decode(data)
    assert made.encode() == before


@pytest.mark.parametrize(
    ("key", "end", "valid"),
    [
        (b"a", b"", True), (b"a", b"b", True), (b"a", b"\0", True), (b"\0", b"\0", True), (b"a", b"a\0", True),
        (b"", b"", False), (b"", b"b", False), (b"a", b"a", False), (b"b", b"a", False),
    ],
)  # fmt: skip
def test_ranges_that_a_permission_may_have(key: bytes, end: bytes, valid: bool) -> None:
    assert is_valid_range(key, end) is valid


def test_touching_ranges_are_one() -> None:
    covered = Coverage([(b"c", b"d"), (b"a", b"b"), (b"b", b"c"), (b"x", None), (b"y", b"z")])
    assert covered.covers(b"a", b"d")
    assert not covered.covers(b"a", b"d\0")
    assert covered.covers(b"z", None)
    assert not covered.covers(b"a", None)
    assert not covered.covers(b"A", b"b")


NAMES = st.sampled_from(["root", "ann", "bob", ""])
ROLES = st.sampled_from(["root", "r1", "r2", ""])
ENDS = st.sampled_from([*KEYS, b"\0"])
PERMISSIONS = st.builds(Permission, st.sampled_from([0, 1, 2]), st.sampled_from(KEYS), ENDS)
REQUESTS = st.one_of(
    st.builds(Enable),
    st.builds(Disable),
    st.builds(UserAdd, NAMES, st.just(b"hash"), st.booleans()),
    st.builds(UserDelete, NAMES),
    st.builds(UserChangePassword, NAMES, st.just(b"other")),
    st.builds(UserGrantRole, NAMES, ROLES),
    st.builds(UserRevokeRole, NAMES, ROLES),
    st.builds(RoleAdd, ROLES),
    st.builds(RoleDelete, ROLES),
    st.builds(RoleGrantPermission, ROLES, st.one_of(st.none(), PERMISSIONS, PERMISSIONS, PERMISSIONS)),
    st.builds(RoleRevokePermission, ROLES, st.sampled_from(KEYS), ENDS),
    st.builds(Authenticate, NAMES, st.just("t")),
)
CALLERS = st.sampled_from([None, None, None, "root", "ann", "bob", ""])
QUESTIONS = st.tuples(CALLERS, st.integers(-1, 1), st.sampled_from(KEYS[1:]), st.one_of(st.none(), ENDS), st.booleans())  # fmt: skip
START = (
    UserAdd("root"), UserGrantRole("root", "root"), UserAdd("ann"), RoleAdd("r1"), RoleAdd("r2"),
    UserGrantRole("ann", "r1"), UserGrantRole("ann", "r2"),
)  # fmt: skip


@given(st.booleans(), st.lists(st.one_of(st.tuples(REQUESTS, CALLERS), QUESTIONS), max_size=25))
def test_random_histories_agree_with_the_twin(started: bool, history: list[Any]) -> None:
    fast, slow = Auth(), NaiveAuth()
    steps = [*((request, None) for request in (*START, Enable()) if started), *history]
    for index, step in enumerate(steps):
        if len(step) == 2:
            request, username = step
            ours = outcome(lambda r=request, u=username, i=index: done(fast, r, username=u, index=i))
            assert ours == outcome(lambda r=request, u=username, i=index: slow.do(r, u, i))
        else:
            username, drift, key, end, writing = step
            if end and end != b"\0" and end <= key:
                continue  # an empty range: nothing can be read by it
            revision = 0 if username == "" else fast.revision + drift
            check = fast.check_delete if writing else fast.check_range
            ours = outcome(lambda c=check, u=username, v=revision, k=key, e=end: c(u, v, k, e))
            theirs = outcome(
                lambda u=username, v=revision, k=key, e=end, w=writing: slow.check(u, v, k, e, w)
            )
            assert ours == theirs, (username, revision, key, end, writing)
        assert (fast.enabled, fast.revision) == (slow.enabled, slow.revision)
        assert fast.user_list() == sorted(slow.users)
        assert {name: fast.user_get(name) for name in slow.users} == {
            name: sorted(user["roles"]) for name, user in slow.users.items()
        }
    again = Auth()
    again.decode(fast.encode())
    assert again.encode() == fast.encode()
