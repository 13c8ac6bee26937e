# cython: language_level=3
"""Read-index requests that wait for a quorum to confirm that their leader still leads.

Source: etcd-io/raft, read_only.go; Raft dissertation, section 6.4. Requests are numbered as they come. A heartbeat
carries the number of the last one; who answers it confirms all up to there.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from kcore_native.raft.entry cimport get_u64, put_u64

cdef enum:
    CONTEXT_BYTES = 8


@cython.final
cdef class ReadOnly:
    """The requests of one leader's term.

    Invariant: waiting[i] is (commit index at its arrival, request), number confirmed + 1 + i.
    """

    def __cinit__(self):
        self.acked = {}
        self.waiting = []
        self.confirmed = 0

    cdef int add(self, uint64_t index, Message request) except -1:
        self.waiting.append((index, request))
        return 0

    cdef int acknowledge(self, uint64_t node_id, bytes context) except -1:
        # the node has answered a heartbeat with this context; one of another form says nothing
        cdef uint64_t number
        if PyBytes_GET_SIZE(context) == CONTEXT_BYTES:
            number = get_u64(<const unsigned char *>PyBytes_AS_STRING(context))
            if number > <uint64_t>self.acked.get(node_id, 0):
                self.acked[node_id] = number
        return 0

    cdef list advance(self, Tracker tracker):
        # takes out the requests that a quorum has confirmed; never more than there are, whatever the peers said
        cdef uint64_t confirmed = min(
            tracker.reads_confirmed(self.acked), self.confirmed + <uint64_t>len(self.waiting)
        )
        cdef list done
        if confirmed <= self.confirmed:
            return []
        done = self.waiting[: <Py_ssize_t>(confirmed - self.confirmed)]
        del self.waiting[: <Py_ssize_t>(confirmed - self.confirmed)]
        self.confirmed = confirmed
        return done

    cdef bytes context(self):
        # what a heartbeat has to carry to confirm all that wait
        cdef unsigned char[CONTEXT_BYTES] text
        if not self.waiting:
            return b""
        put_u64(&text[0], self.confirmed + <uint64_t>len(self.waiting))
        return PyBytes_FromStringAndSize(<char *>text, CONTEXT_BYTES)
