"""The store's errors: etcd's codes and texts (etcd ``api/v3rpc/rpctypes/error.go``), so that clients recognise them.

gRPC sends both as status; in one process the same object is raised. ``StoreError`` is what callers catch.
"""

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """gRPC status codes that etcd uses (grpc ``codes/codes.go``)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StoreError(Exception):
    """A request was refused; nothing of it was done unless ``code`` is UNAVAILABLE or DEADLINE_EXCEEDED (then unknown)."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code: Final = code
        self.text: Final = text

    def __reduce__(self) -> tuple[type["StoreError"], tuple[Code, str]]:
        return StoreError, (self.code, self.text)


# Each row: name -> (code, text). ``errors.of("EmptyKey")`` makes the exception.
TABLE: Final[dict[str, tuple[Code, str]]] = {
    "EmptyKey": (Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    "KeyNotFound": (Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    "ValueProvided": (Code.INVALID_ARGUMENT, "etcdserver: value is provided"),
    "LeaseProvided": (Code.INVALID_ARGUMENT, "etcdserver: lease is provided"),
    "TooManyOps": (Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request"),
    "DuplicateKey": (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"),
    "InvalidClientAPIVersion": (Code.INVALID_ARGUMENT, "etcdserver: invalid client api version"),
    "InvalidSortOption": (Code.INVALID_ARGUMENT, "etcdserver: invalid sort option"),
    "Compacted": (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    "FutureRev": (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"),
    "NoSpace": (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    "LeaseNotFound": (Code.NOT_FOUND, "etcdserver: requested lease not found"),
    "LeaseExist": (Code.FAILED_PRECONDITION, "etcdserver: lease already exists"),
    "LeaseTTLTooLarge": (Code.OUT_OF_RANGE, "etcdserver: too large lease TTL"),
    "WatchCanceled": (Code.CANCELLED, "etcdserver: watch canceled"),
    "MemberExist": (Code.FAILED_PRECONDITION, "etcdserver: member ID already exist"),
    "PeerURLExist": (Code.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"),
    "MemberNotEnoughStarted": (
        Code.FAILED_PRECONDITION,
        "etcdserver: re-configuration failed due to not enough started members",
    ),
    "MemberBadURLs": (Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid"),
    "MemberNotFound": (Code.NOT_FOUND, "etcdserver: member not found"),
    "MemberNotLearner": (Code.FAILED_PRECONDITION, "etcdserver: can only promote a learner member"),
    "LearnerNotReady": (
        Code.FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    "TooManyLearners": (Code.FAILED_PRECONDITION, "etcdserver: too many learner members in cluster"),
    "ClusterIdMismatch": (Code.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch"),
    "RequestTooLarge": (Code.INVALID_ARGUMENT, "etcdserver: request is too large"),
    "RequestTooManyRequests": (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
    "RootUserNotExist": (Code.FAILED_PRECONDITION, "etcdserver: root user does not exist"),
    "RootRoleNotExist": (Code.FAILED_PRECONDITION, "etcdserver: root user does not have root role"),
    "UserAlreadyExist": (Code.FAILED_PRECONDITION, "etcdserver: user name already exists"),
    "UserEmpty": (Code.INVALID_ARGUMENT, "etcdserver: user name is empty"),
    "UserNotFound": (Code.FAILED_PRECONDITION, "etcdserver: user name not found"),
    "RoleAlreadyExist": (Code.FAILED_PRECONDITION, "etcdserver: role name already exists"),
    "RoleNotFound": (Code.FAILED_PRECONDITION, "etcdserver: role name not found"),
    "RoleEmpty": (Code.INVALID_ARGUMENT, "etcdserver: role name is empty"),
    "AuthFailed": (Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"),
    "PermissionNotGiven": (Code.INVALID_ARGUMENT, "etcdserver: permission not given"),
    "PermissionDenied": (Code.PERMISSION_DENIED, "etcdserver: permission denied"),
    "RoleNotGranted": (Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user"),
    "PermissionNotGranted": (Code.FAILED_PRECONDITION, "etcdserver: permission is not granted to the role"),
    "AuthNotEnabled": (Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled"),
    "InvalidAuthToken": (Code.UNAUTHENTICATED, "etcdserver: invalid auth token"),
    "InvalidAuthMgmt": (Code.INVALID_ARGUMENT, "etcdserver: invalid auth management"),
    "AuthOldRevision": (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old"),
    "NoLeader": (Code.UNAVAILABLE, "etcdserver: no leader"),
    "NotLeader": (Code.FAILED_PRECONDITION, "etcdserver: not leader"),
    "LeaderChanged": (Code.UNAVAILABLE, "etcdserver: leader changed"),
    "NotCapable": (Code.FAILED_PRECONDITION, "etcdserver: not capable"),
    "Stopped": (Code.UNAVAILABLE, "etcdserver: server stopped"),
    "Timeout": (Code.UNAVAILABLE, "etcdserver: request timed out"),
    "TimeoutDueToLeaderFail": (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    "TimeoutDueToConnectionLost": (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to connection lost",
    ),
    "Unhealthy": (Code.UNAVAILABLE, "etcdserver: unhealthy cluster"),
    "Corrupt": (Code.DATA_LOSS, "etcdserver: corrupt cluster"),
    "NotSupportedForLearner": (Code.FAILED_PRECONDITION, "etcdserver: rpc not supported for learner"),
    "BadLeaderTransferee": (Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee"),
    "TimeoutWaitAppliedIndex": (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, waiting for the applied index took too long",
    ),
    "WrongDowngradeVersionFormat": (
        Code.INVALID_ARGUMENT,
        "etcdserver: wrong downgrade target version format",
    ),
    "InvalidDowngradeTargetVersion": (
        Code.INVALID_ARGUMENT,
        "etcdserver: invalid downgrade target version",
    ),
    "DowngradeInProcess": (
        Code.FAILED_PRECONDITION,
        "etcdserver: cluster has a downgrade job in progress",
    ),
    "NoInflightDowngrade": (Code.FAILED_PRECONDITION, "etcdserver: no inflight downgrade job"),
    "Canceled": (Code.CANCELLED, "etcdserver: request canceled"),
    "DeadlineExceeded": (Code.DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded"),
}


def of(name: str) -> StoreError:
    """The error of that name in etcd's table, ready to raise."""
    code, text = TABLE[name]
    return StoreError(code, text)
