# cython: language_level=3
"""What a majority, or both majorities of a joint configuration, have agreed on: a log index or a vote.

Source: etcd-io/raft, quorum/; Raft dissertation, sections 3.6 and 4.3. An empty configuration agrees to everything,
which makes a configuration that is not joint the joint one with an empty other half.
"""

from libc.stdlib cimport free, malloc

INDEX_MAX = 0xFFFFFFFFFFFFFFFF  # the index that an empty configuration has committed

cdef enum:
    VOTERS_ON_STACK = 16


cdef uint64_t majority_index(uint64_t *acked, Py_ssize_t count) noexcept nogil:
    # the largest index that more than half of the acknowledged indices reach; sorts them
    cdef Py_ssize_t i, j
    cdef uint64_t index
    if count == 0:
        return <uint64_t>-1
    for i in range(1, count):  # by insertion: voters are few
        index = acked[i]
        j = i
        while j > 0 and acked[j - 1] > index:
            acked[j] = acked[j - 1]
            j -= 1
        acked[j] = index
    return acked[count - (count // 2 + 1)]


cdef int majority_vote(Py_ssize_t count, Py_ssize_t granted, Py_ssize_t missing) noexcept nogil:
    # the outcome where so many of count voters said yes and so many nothing yet
    cdef Py_ssize_t needed = count // 2 + 1
    if count == 0 or granted >= needed:
        return VOTE_WON
    if granted + missing >= needed:
        return VOTE_PENDING
    return VOTE_LOST


cdef int joint_vote(int incoming, int outgoing) noexcept nogil:
    if incoming == outgoing:
        return incoming
    if incoming == VOTE_LOST or outgoing == VOTE_LOST:
        return VOTE_LOST
    return VOTE_PENDING


def committed_index(voters, acked) -> int:
    """The largest index that a majority of the voters have; ``acked`` maps node ids to what each has, absent is 0."""
    cdef set ids = set(voters)
    cdef uint64_t[VOTERS_ON_STACK] stack
    cdef uint64_t *indices = &stack[0]
    cdef Py_ssize_t i = 0
    cdef uint64_t node_id
    if len(ids) > VOTERS_ON_STACK:
        indices = <uint64_t *>malloc(len(ids) * sizeof(uint64_t))
        if indices == NULL:
            raise MemoryError
    try:
        for node_id in ids:
            indices[i] = acked.get(node_id, 0)
            i += 1
        return majority_index(indices, i)
    finally:
        if indices != &stack[0]:
            free(indices)


def joint_committed_index(incoming, outgoing, acked) -> int:
    """The largest index that a majority of both halves have."""
    return min(committed_index(incoming, acked), committed_index(outgoing, acked))


def vote_result(voters, votes) -> int:
    """VOTE_WON, VOTE_LOST or VOTE_PENDING; ``votes`` maps node ids to True (yes) or False (no)."""
    cdef Py_ssize_t granted = 0, missing = 0
    cdef set ids = set(voters)
    for node_id in ids:
        vote = votes.get(node_id)
        if vote is None:
            missing += 1
        elif vote:
            granted += 1
    return majority_vote(len(ids), granted, missing)


def joint_vote_result(incoming, outgoing, votes) -> int:
    """The outcome of a vote that both halves must win."""
    return joint_vote(vote_result(incoming, votes), vote_result(outgoing, votes))
