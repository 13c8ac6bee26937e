# cython: language_level=3
"""Leases: the replicated book of what was granted, and the leader's clock over it.

``LeaseBook`` is part of the replicated state: ids, granted and checkpointed seconds, and which keys hang on each lease.
It has no clock. ``Lessor`` is the leader's alone (etcd ``server/lease/lessor.go``): ``promote`` starts the clocks of all
leases, ``renew`` restarts one, ``expired`` and ``due_checkpoints`` say what the leader should propose. Milliseconds
are of any monotonic clock.
"""

from collections import namedtuple
from heapq import heapify, heappop, heappush

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from kcore_native.mvcc.keyspace cimport KeyNode, key_bytes

LEASE_TTL_MAX = 9_000_000_000  # seconds; etcd's MaxLeaseTTL
CHECKPOINT_INTERVAL_MS = 300_000
CHECKPOINTS_MAX = 1000  # of one proposal
RETRY_MS = 3000  # an expired lease is told again after this, where its revocation has not come through
REVOKE_RATE_MAX = 1000  # a second; a new leader spreads leases that would all expire at once

LeaseRow = namedtuple("LeaseRow", "id ttl remaining")


cdef class Lease:
    """One lease and the set of keys on it: open addressing by the node's address."""

    def __dealloc__(self):
        PyMem_Free(self.slots)

    cdef int grow(self) except -1:
        cdef uint32_t size = 8 if self.slots == NULL else (self.mask + 1) * 2, old = 0, i, place
        cdef KeyNode **slots = <KeyNode **>PyMem_Malloc(<size_t>size * sizeof(void *))
        if slots == NULL:
            raise MemoryError
        memset(slots, 0, <size_t>size * sizeof(void *))
        if self.slots != NULL:
            old = self.mask + 1
        for i in range(old):
            if self.slots[i] != NULL:
                place = spot(self.slots[i], size - 1)
                while slots[place] != NULL:
                    place = (place + 1) & (size - 1)
                slots[place] = self.slots[i]
        PyMem_Free(self.slots)
        self.slots = slots
        self.mask = size - 1
        return 0

    cdef int add(self, KeyNode *node) except -1:
        cdef uint32_t place
        if self.slots == NULL or self.count * 4 >= self.mask * 3:
            self.grow()
        place = spot(node, self.mask)
        while self.slots[place] != NULL:
            if self.slots[place] == node:
                return 0
            place = (place + 1) & self.mask
        self.slots[place] = node
        self.count += 1
        return 0

    cdef void discard(self, KeyNode *node) noexcept:
        cdef uint32_t place, next
        if self.slots == NULL:
            return
        place = spot(node, self.mask)
        while self.slots[place] != node:
            if self.slots[place] == NULL:
                return
            place = (place + 1) & self.mask
        next = place
        while True:
            next = (next + 1) & self.mask
            if self.slots[next] == NULL:
                break
            if ((next - spot(self.slots[next], self.mask)) & self.mask) >= ((next - place) & self.mask):
                self.slots[place] = self.slots[next]
                place = next
        self.slots[place] = NULL
        self.count -= 1

    cdef list sorted_keys(self):
        cdef list keys = []
        cdef uint32_t i
        if self.slots != NULL:
            for i in range(self.mask + 1):
                if self.slots[i] != NULL:
                    keys.append(key_bytes(self.slots[i])[: self.slots[i].size])
        keys.sort()
        return keys


cdef inline uint32_t spot(KeyNode *node, uint32_t mask) noexcept nogil:
    return <uint32_t>((<uint64_t><uintptr_t>node * <uint64_t>0x9E3779B97F4A7C15) >> 32) & mask


cdef class LeaseBook:
    """The leases that are granted; only ``Store`` grants, revokes and hangs keys on them."""

    def __cinit__(self):
        self.leases = {}
        self.fresh = None

    def __len__(self):
        return len(self.leases)

    def __contains__(self, id):
        return id in self.leases

    def ids(self):
        """All ids in ascending order."""
        return sorted(self.leases)

    def ttl(self, int64_t id):
        """The seconds granted; KeyError where there is no such lease."""
        return (<Lease>self.leases[id]).ttl

    def remaining(self, int64_t id):
        """The seconds that were left at the last checkpoint, 0 where there was none since the last renewal."""
        return (<Lease>self.leases[id]).remaining

    def keys(self, int64_t id):
        """The keys on the lease in order."""
        return (<Lease>self.leases[id]).sorted_keys()

    def checkpoint(self, int64_t id, int64_t remaining):
        """The lease has that many seconds left from now on, should the leader change; an unknown one is ignored."""
        cdef Lease lease = self.leases.get(id)
        if lease is not None:
            lease.remaining = remaining

    def rows(self):
        """Every lease in order of ids."""
        return [LeaseRow(id, (<Lease>lease).ttl, (<Lease>lease).remaining) for id, lease in sorted(self.leases.items())]

    def record_grants(self, bint wanted):
        """From now on the ids granted are kept for ``take_grants``, or no longer."""
        self.fresh = [] if wanted else None

    def take_grants(self):
        """The ids granted since the last call."""
        taken = self.fresh
        if not taken:
            return ()
        self.fresh = []
        return taken

    cdef Lease find(self, int64_t id):
        return self.leases.get(id)

    cdef Lease grant(self, int64_t id, int64_t ttl, int64_t remaining):
        cdef Lease lease = Lease.__new__(Lease)
        lease.id = id
        lease.ttl = ttl
        lease.remaining = remaining
        self.leases[id] = lease
        if self.fresh is not None:
            self.fresh.append(id)
        return lease

    cdef void drop(self, int64_t id):
        del self.leases[id]

    cdef void clear(self):
        self.leases.clear()


class Lessor:
    """The clock over a book's leases; only a leader's runs (``primary``)."""

    def __init__(
        self,
        book,
        checkpoint_interval_ms=CHECKPOINT_INTERVAL_MS,
        retry_ms=RETRY_MS,
        revoke_rate_max=REVOKE_RATE_MAX,
    ):
        self.book = book
        self.checkpoint_interval_ms = checkpoint_interval_ms
        self.retry_ms = retry_ms
        self.revoke_rate_max = revoke_rate_max
        self.primary = False
        self._expiry = {}  # id -> ms
        self._queue = []  # heap of (ms, id): when to look at the lease next
        self._queued = {}  # id -> ms of its valid row in the heap
        self._checkpoints = []  # heap of (ms, id)
        self._planned = set()  # ids in it
        self._resets = {}  # ids renewed since their last checkpoint, in order

    def promote(self, now_ms, extend_ms=0):
        """All leases run from now, for what is left of them and ``extend_ms`` more (an election's length)."""
        self.demote()
        self.primary = True
        self.book.record_grants(True)
        for id, ttl, remaining in self.book.rows():
            self._expiry[id] = now_ms + extend_ms + 1000 * (remaining or ttl)
            self._plan_checkpoint(id, ttl, now_ms)
        if len(self._expiry) >= self.revoke_rate_max:
            self._spread(now_ms, extend_ms)
        self._queued = dict(self._expiry)
        self._queue = [(ms, id) for id, ms in self._expiry.items()]
        heapify(self._queue)

    def demote(self):
        """No lease expires here any more."""
        self.primary = False
        self.book.record_grants(False)
        self._expiry.clear()
        self._queue.clear()
        self._queued.clear()
        self._checkpoints.clear()
        self._planned.clear()
        self._resets.clear()

    def renew(self, id, now_ms):
        """The seconds granted anew; -1 where the lease is gone or over, or this is not the leader's lessor."""
        if not self.primary or id not in self.book:
            return -1
        self._start_granted(now_ms)
        if self._expiry[id] <= now_ms:
            return -1  # its revocation is on the way
        ttl = self.book.ttl(id)
        self._expiry[id] = now_ms + 1000 * ttl
        if self.book.remaining(id):
            self._resets[id] = None
        return ttl

    def remaining_ms(self, id, now_ms):
        """What is left of the lease; -1 where it is gone or this is not the leader's lessor."""
        if not self.primary or id not in self.book:
            return -1
        self._start_granted(now_ms)
        return max(self._expiry[id] - now_ms, 0)

    def by_expiry(self, now_ms):
        """The ids of all leases, the next to expire first; in order of ids where this is not the leader's lessor."""
        if not self.primary:
            return self.book.ids()
        self._start_granted(now_ms)
        return sorted([id for id in self._expiry if id in self.book], key=self._expiry.__getitem__)

    def expired(self, now_ms, limit):
        """At most ``limit`` leases that are over and should be revoked; told again after ``retry_ms``."""
        if not self.primary:
            return []
        self._start_granted(now_ms)
        found = []
        queue, queued = self._queue, self._queued
        while queue and len(found) < limit and queue[0][0] <= now_ms:
            ms, id = heappop(queue)
            if queued.get(id) != ms:
                continue  # another row replaced this one
            if id not in self.book:
                del queued[id]
                self._expiry.pop(id, None)
                continue
            ms = self._expiry[id]
            if ms <= now_ms:
                found.append(id)
                ms = now_ms + self.retry_ms
            queued[id] = ms
            heappush(queue, (ms, id))
        return found

    def due_checkpoints(self, now_ms, limit=CHECKPOINTS_MAX):
        """[(id, remaining seconds)] to be recorded now, so that a new leader does not start long leases afresh."""
        if not self.primary:
            return []
        self._start_granted(now_ms)
        due = []
        while self._resets and len(due) < limit:
            id = next(iter(self._resets))
            del self._resets[id]
            if id in self.book:
                due.append((id, 0))
        while self._checkpoints and len(due) < limit and self._checkpoints[0][0] <= now_ms:
            _, id = heappop(self._checkpoints)
            self._planned.discard(id)
            if id not in self.book:
                continue
            left_ms, ttl = self._expiry[id] - now_ms, self.book.ttl(id)
            self._plan_checkpoint(id, ttl, now_ms)
            if 0 < left_ms and -(-left_ms // 1000) < ttl:
                due.append((id, -(-left_ms // 1000)))
        return due

    def _start_granted(self, now_ms):
        for id in self.book.take_grants():
            if id not in self.book:
                continue
            ttl = self.book.ttl(id)
            self._expiry[id] = ms = now_ms + 1000 * ttl
            if self._queued.get(id, ms + 1) > ms:
                self._queued[id] = ms
                heappush(self._queue, (ms, id))
            self._plan_checkpoint(id, ttl, now_ms)

    def _plan_checkpoint(self, id, ttl, now_ms):
        if 1000 * ttl > self.checkpoint_interval_ms and id not in self._planned:
            self._planned.add(id)
            heappush(self._checkpoints, (now_ms + self.checkpoint_interval_ms, id))

    def _spread(self, now_ms, extend_ms):
        """Leases of one second are at most three quarters of the rate at which they can be revoked."""
        target = 3 * self.revoke_rate_max // 4
        order = sorted((ms, id) for id, ms in self._expiry.items())
        base_ms = order[0][0] - now_ms
        next_ms = base_ms + 1000
        count = 0
        for ms, id in order:
            left_ms = ms - now_ms
            if left_ms > next_ms:
                base_ms, count = left_ms, 1
                next_ms = base_ms + 1000
                continue
            count += 1
            if count <= target:
                continue
            delay_ms = 1000 * count // target - (left_ms - base_ms)
            next_ms = base_ms + delay_ms
            self._expiry[id] = ms + max(delay_ms, 0)
