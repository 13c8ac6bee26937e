"""What Raft and its storage say when they cannot do what is asked.

Source of the texts: etcd-io/raft, raft.go, rawnode.go and storage.go.
"""


class RaftError(Exception):
    """Something that a caller of Raft has to expect."""

    text = "raft error"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.text)


class ProposalDropped(RaftError):
    """A proposal went nowhere: no leader, a leader in transfer, or too much uncommitted; propose it again later."""

    text = "raft proposal dropped"


class StepLocalMessage(RaftError):
    """A message that a node sends only to itself came from outside."""

    text = "raft: cannot step raft local message"


class StepPeerNotFound(RaftError):
    """A response came from a node that is not in the configuration."""

    text = "raft: cannot step as peer not found"


class Compacted(RaftError):
    """The index asked for is older than the log."""

    text = "requested index is unavailable due to compaction"


class SnapshotOutOfDate(RaftError):
    """The snapshot asked for is older than the one that there is."""

    text = "requested index is older than the existing snapshot"


class Unavailable(RaftError):
    """The index asked for is newer than the log."""

    text = "requested entry at index is unavailable"


class SnapshotTemporarilyUnavailable(RaftError):
    """There is no snapshot yet; Raft asks again."""

    text = "snapshot is temporarily unavailable"


class ConfChangeError(RaftError):
    """A change does not fit the configuration it was to be applied to."""


class InvariantViolated(AssertionError):
    """Raft's own state contradicts itself: a fault in this code, or a log that was damaged, truncated or lost.

    The member must not go on: what it would do next may lose data.
    """
