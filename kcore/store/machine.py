"""The replicated state machine: what a committed entry does to keys, leases, users, alarms and members.

Deterministic: equal entries make equal machines on every member; it has no clock, chance or I/O. ``apply`` answers each
request of an entry with a result of ``kcore.store.kv`` or the ``StoreError`` that refuses it. The snapshot is the whole
state: this module's head (msgpack), then the keys as ``kcore_native.mvcc.store`` writes them.
"""

from typing import Any, Final, NamedTuple

# Kinds of ``command.other``; bodies are msgpack.
MEMBER_ATTRIBUTES: Final = 1  # [member id, name, [client URLs]]
CLUSTER_VERSION: Final = 2  # "3.6.0"
DOWNGRADE: Final = 3  # the target version, "" for none
AUTH_FIRST: Final = 100  # this kind and all above go to ``auth.apply`` as they are


class Outcome(NamedTuple):
    """What became of one request: a result of its kind, or the ``StoreError`` that refused it."""

    request_id: int
    result: Any


class Machine:
    """Everything that is replicated. ``min_lease_ttl`` (seconds) must be the same on all members."""

    def __init__(self, auth: Any = None, *, min_lease_ttl: int = 2) -> None: ...

    def apply(self, index: int, term: int, payload: bytes, *, results: bool = True) -> list[Outcome]:
        """The outcomes of an entry's requests in order; none where ``results`` is false (nobody here waits).

        An entry already applied changes nothing. Raises ValueError, having changed nothing, where the payload is garbage.
        """
        return []

    def apply_conf_change(self, index: int, term: int, context: bytes) -> Outcome:
        """The members afterwards, by the context that ``membership.conf_change`` wrote, or why it was refused."""
        return Outcome(0, None)
