"""The store of keys as a list of all versions; everything by looking at each of them.

Source: etcd server/storage/mvcc and server/etcdserver/txn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kcore.store.kv import (
    Compare,
    DeleteOp,
    DeleteResult,
    Event,
    KeyValue,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    SortOrder,
    SortTarget,
    Target,
    TxnOp,
    TxnResult,
)

LEASE_TTL_MAX = 9_000_000_000


class Refused(Exception):
    """The name of the error in etcd's table."""


class Version(NamedTuple):
    """A key as one change left it; version 0: deleted."""

    main: int
    sub: int
    key: bytes
    value: bytes
    create: int
    version: int
    lease: int

    def kv(self) -> KeyValue:
        return KeyValue(self.key, self.value, self.create, self.main, self.version, self.lease)


def inside(key: bytes, begin: bytes, end: bytes | None) -> bool:
    """True where the key is in [begin, end)."""
    if not end:
        return key == begin
    return key >= begin and (end == b"\0" or key < end)


class Store:
    """A store of keys and leases."""

    def __init__(self, min_lease_ttl: int = 2) -> None:
        self.versions: list[Version] = []
        self.revision = 1
        self.compact_revision = -1
        self.leases: dict[int, int] = {}
        self.min_lease_ttl = min_lease_ttl
        self.changes = 0

    # what is there

    def at(self, key: bytes, revision: int) -> Version | None:
        """The key as of the revision, None where it did not exist."""
        found = [v for v in self.versions if v.key == key and v.main <= revision]
        return found[-1] if found and found[-1].version else None

    def present(self, begin: bytes, end: bytes | None, revision: int) -> list[Version]:
        """All that exist in the range, in order."""
        keys = sorted({v.key for v in self.versions if inside(v.key, begin, end)})
        return [v for v in (self.at(key, revision) for key in keys) if v is not None]

    def now(self) -> int:
        return self.revision + (self.changes > 0)

    def commit(self) -> None:
        if self.changes:
            self.revision += 1
        self.changes = 0

    # requests

    def put(self, *op: Any) -> PutResult:
        request = PutOp(*op)
        self.check_put(request)
        result = self.do_put(request)
        self.commit()
        return result

    def check_put(self, op: PutOp) -> None:
        if op.lease and op.lease not in self.leases:
            raise Refused("LeaseNotFound")
        if (op.ignore_value or op.ignore_lease) and self.at(op.key, self.now()) is None:
            raise Refused("KeyNotFound")

    def do_put(self, op: PutOp) -> PutResult:
        before = self.at(op.key, self.now())
        value, lease = op.value, op.lease
        if op.ignore_value:
            value = before.value if before else b""
        if op.ignore_lease:
            lease = before.lease if before else 0
        main = self.revision + 1
        create, version = (before.create, before.version + 1) if before else (main, 1)
        self.versions.append(Version(main, self.changes, op.key, value, create, version, lease))
        self.changes += 1
        return PutResult(main, before.kv() if before and op.prev_kv else None)

    def delete_range(self, *op: Any) -> DeleteResult:
        result = self.do_delete(DeleteOp(*op))
        self.commit()
        return result

    def do_delete(self, op: DeleteOp) -> DeleteResult:
        gone = self.present(op.key, op.end, self.now())
        for v in gone:
            self.versions.append(Version(self.revision + 1, self.changes, v.key, b"", 0, 0, 0))
            self.changes += 1
        return DeleteResult(self.now(), len(gone), [v.kv() for v in gone] if op.prev_kv else [])

    def range(self, *op: Any) -> RangeResult:
        return self.do_range(RangeOp(*op))

    def do_range(self, op: RangeOp) -> RangeResult:
        if op.revision > self.now():
            raise Refused("FutureRev")
        revision = op.revision if op.revision > 0 else self.now()
        if revision < self.compact_revision:
            raise Refused("Compacted")
        found = self.present(op.key, op.end, revision)
        if op.count_only:
            return RangeResult(self.now(), [], len(found))
        kvs = [v.kv() for v in found]
        if op.max_mod_revision:
            kvs = [kv for kv in kvs if kv.mod_revision <= op.max_mod_revision]
        if op.min_mod_revision:
            kvs = [kv for kv in kvs if kv.mod_revision >= op.min_mod_revision]
        if op.max_create_revision:
            kvs = [kv for kv in kvs if kv.create_revision <= op.max_create_revision]
        if op.min_create_revision:
            kvs = [kv for kv in kvs if kv.create_revision >= op.min_create_revision]
        filtered = (op.max_mod_revision, op.min_mod_revision, op.max_create_revision, op.min_create_revision)
        if op.sort_order == SortOrder.NONE and not any(filtered) and op.limit > 0:
            kvs = kvs[: op.limit + 1]
        fields = {
            SortTarget.KEY: lambda kv: kv.key,
            SortTarget.VERSION: lambda kv: kv.version,
            SortTarget.CREATE: lambda kv: kv.create_revision,
            SortTarget.MOD: lambda kv: kv.mod_revision,
            SortTarget.VALUE: lambda kv: kv.value,
        }
        kvs = sorted(kvs, key=fields[SortTarget(op.sort_target)], reverse=op.sort_order == SortOrder.DESCEND)
        more = 0 < op.limit < len(kvs)
        if more:
            kvs = kvs[: op.limit]
        if op.keys_only:
            kvs = [
                KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in kvs
            ]
        return RangeResult(self.now(), kvs, len(found), more)

    def txn(self, compares: Sequence[Any], success: Sequence[Any], failure: Sequence[Any]) -> TxnResult:
        path = self.path(TxnOp(compares, success, failure))
        self.check_txn(path)
        result = self.run(path)
        answer = TxnResult(self.now(), result.succeeded, result.results)
        self.commit()
        return answer

    def path(self, op: TxnOp) -> tuple[bool, list[Any]]:
        """Which branch is taken, and its operations; the transactions in it likewise."""
        taken = all(self.holds(Compare(*compare)) for compare in op.compares)
        ops = op.success if taken else op.failure
        return taken, [self.path(one) if isinstance(one, TxnOp) else one for one in ops]

    def holds(self, compare: Compare) -> bool:
        found = self.present(compare.key, compare.end, self.now())
        if not found:
            if compare.target == Target.VALUE:
                return False
            return related(0, compare)
        for v in found:
            field = {
                Target.VERSION: v.version,
                Target.CREATE: v.create,
                Target.MOD: v.main,
                Target.LEASE: v.lease,
                Target.VALUE: v.value,
            }[Target(compare.target)]
            if not related(field, compare):
                return False
        return True

    def check_txn(self, path: tuple[bool, list[Any]]) -> None:
        for op in path[1]:
            if isinstance(op, RangeOp):
                if op.revision > self.revision:
                    raise Refused("FutureRev")
                if op.revision != 0 and op.revision < self.compact_revision:
                    raise Refused("Compacted")
            elif isinstance(op, PutOp):
                self.check_put(op)
            elif not isinstance(op, DeleteOp):
                self.check_txn(op)

    def run(self, path: tuple[bool, list[Any]]) -> TxnResult:
        results: list[Any] = []
        for op in path[1]:
            if isinstance(op, RangeOp):
                results.append(self.do_range(op))
            elif isinstance(op, PutOp):
                results.append(self.do_put(op))
            elif isinstance(op, DeleteOp):
                results.append(self.do_delete(op))
            else:
                results.append(self.run(op))
        return TxnResult(0, path[0], results)

    def compact(self, revision: int) -> int:
        if revision <= self.compact_revision:
            raise Refused("Compacted")
        if revision > self.revision:
            raise Refused("FutureRev")
        self.compact_revision = revision
        self.versions = [v for v in self.versions if self.kept(v)]
        return self.revision

    def kept(self, v: Version) -> bool:
        """True for what a compaction leaves: the newer, and what a key was then; tombstones only of that revision."""
        if v.main > self.compact_revision:
            return True
        later = [
            o
            for o in self.versions
            if o.key == v.key and (v.main, v.sub) < (o.main, o.sub) and o.main <= self.compact_revision
        ]
        return not later and (v.version > 0 or v.main == self.compact_revision)

    def lease_grant(self, lease: int, ttl: int) -> int:
        if lease == 0:
            raise Refused("LeaseNotFound")
        if ttl > LEASE_TTL_MAX:
            raise Refused("LeaseTTLTooLarge")
        if lease in self.leases:
            raise Refused("LeaseExist")
        self.leases[lease] = max(ttl, self.min_lease_ttl)
        return self.leases[lease]

    def lease_keys(self, lease: int) -> list[bytes]:
        return [v.key for v in self.present(b"", b"\0", self.revision) if v.lease == lease]

    def lease_revoke(self, lease: int) -> int:
        if lease not in self.leases:
            raise Refused("LeaseNotFound")
        for key in self.lease_keys(lease):
            self.do_delete(DeleteOp(key))
        del self.leases[lease]
        self.commit()
        return self.revision

    # watches and hashes

    def events(
        self,
        begin: bytes,
        end: bytes | None,
        first: int,
        last: int,
        *,
        prev_kv: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
    ) -> Iterator[Event]:
        """What happened in the range in revisions first to last."""
        for v in self.versions:
            if not first <= v.main <= last or not inside(v.key, begin, end):
                continue
            if (no_put and v.version) or (no_delete and not v.version):
                continue
            before = None
            if prev_kv and v.create != v.main and v.main - 1 >= self.compact_revision:
                before = self.at(v.key, v.main - 1)
            yield Event(0 if v.version else 1, v.kv(), before.kv() if before else None)

    def hash_kv(self, revision: int = 0) -> tuple[int, int, int]:
        if 0 < revision < self.compact_revision:
            raise Refused("Compacted")
        if revision > self.revision:
            raise Refused("FutureRev")
        revision = revision if revision > 0 else self.revision
        keep = {(v.main, v.sub) for v in self.present(b"", b"\0", revision)}
        rows = b"key"
        for v in self.versions:
            if v.main > revision:
                continue
            if v.main <= self.compact_revision and keep and (v.main, v.sub) not in keep:
                continue
            if v.main == self.compact_revision and not v.version:
                continue
            rows += row(v)
        return crc32c(rows), self.compact_revision, revision


def related(field: Any, compare: Compare) -> bool:
    operand: Any = compare.operand
    return [field == operand, field > operand, field < operand, field != operand][compare.relation]


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def row(v: Version) -> bytes:
    """A version as etcd's database has it: the revision, and the protobuf of the key and value."""
    name = v.main.to_bytes(8, "big") + b"_" + v.sub.to_bytes(8, "big") + (b"" if v.version else b"t")
    body = b"\x0a" + varint(len(v.key)) + v.key if v.key else b""
    if v.version:
        for field, number in ((0x10, v.create), (0x18, v.main), (0x20, v.version)):
            body += bytes([field]) + varint(number)
        body += b"\x2a" + varint(len(v.value)) + v.value if v.value else b""
        body += b"\x30" + varint(v.lease) if v.lease else b""
    return name + body


def crc32c(data: bytes) -> int:
    """RFC 3720 appendix B.4, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
