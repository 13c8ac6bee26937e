"""What a member's duties need of the member: told here, so that neither file imports the other."""

from collections.abc import Sequence
from typing import Any, Protocol

from kcore.store.calls import Packet
from kcore.store.contact import Contact
from kcore.store.machine import Machine
from kcore.store.membership import Change
from kcore.store.tickets import Waiting
from kcore.store.turn import MemberConfig
from kcore_native.raft import RawNode


class Principal(Protocol):
    """The member whose duties they are (``kcore.store.member.Member``)."""

    @property
    def config(self) -> MemberConfig: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def node(self) -> RawNode: ...
    @property
    def contact(self) -> Contact: ...

    now_ms: int
    leads_term: bool
    removed: bool

    def overslept(self, now_ms: int) -> bool: ...
    def request_id(self) -> int: ...
    def propose(
        self, request_id: int, frame: bytes, ticket: Waiting | None = None, *, own: bool = False
    ) -> Waiting: ...
    def propose_as_leader(self, request_id: int, frame: bytes, ticket: Waiting) -> bool: ...
    def propose_member_change(
        self, changes: Sequence[Change], ticket: Waiting | None = None, *, checked: bool = False
    ) -> Waiting: ...
    def read(self, ticket: Waiting | None = None) -> Waiting: ...
    def call(self, to: int, kind: str, args: list[Any], ticket: Waiting) -> None: ...
    def send(self, packet: Packet) -> None: ...
