# cython: language_level=3
"""A thread that only waits for the disk, and never for the interpreter's lock.

A Python thread that syncs must take the lock twice for each sync, and a busy loop gives it up every 5 ms: on one core
a put of a thousand waited longer for the lock than for the disk. The end of a sync is told by a byte in a pipe.
"""

import os

from libc.errno cimport errno
from libc.stdlib cimport calloc, free

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t *thread, const void *attributes, void *(*start)(void *) noexcept nogil, void *given)
    int pthread_join(pthread_t thread, void **result)
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_signal(pthread_cond_t *condition)

cdef extern from "<unistd.h>" nogil:
    int fdatasync(int descriptor)
    ssize_t write(int descriptor, const void *data, size_t length)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)


cdef struct Desk:
    # Invariant: ``descriptor`` is -1 but from ``ask`` until the thread has taken it.
    pthread_mutex_t mutex
    pthread_cond_t asked
    int descriptor
    int stop
    int tell  # the pipe's writing end
    int failure  # errno of the last sync, 0 for none
    double seconds  # it took


cdef double monotonic() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef void *serve(void *given) noexcept nogil:
    cdef Desk *desk = <Desk *> given
    cdef int descriptor
    cdef double began
    cdef char mark = 1
    while True:
        pthread_mutex_lock(&desk.mutex)
        while desk.descriptor < 0 and not desk.stop:
            pthread_cond_wait(&desk.asked, &desk.mutex)
        descriptor = desk.descriptor
        desk.descriptor = -1
        pthread_mutex_unlock(&desk.mutex)
        if descriptor < 0:
            return NULL
        began = monotonic()
        desk.failure = errno if fdatasync(descriptor) < 0 else 0
        desk.seconds = monotonic() - began
        write(desk.tell, &mark, 1)


cdef class Syncer:
    """One sync at a time: ``ask``, wait until ``fileno()`` is readable, ``take``."""

    cdef Desk *desk
    cdef pthread_t thread
    cdef bint running
    cdef bint busy
    cdef int told  # the pipe's reading end

    def __cinit__(self):
        self.desk = <Desk *> calloc(1, sizeof(Desk))
        if self.desk == NULL:
            raise MemoryError
        self.told, self.desk.tell = os.pipe()
        self.desk.descriptor = -1
        pthread_mutex_init(&self.desk.mutex, NULL)
        pthread_cond_init(&self.desk.asked, NULL)
        if pthread_create(&self.thread, NULL, serve, self.desk) != 0:
            raise OSError("no thread for the disk")
        self.running = True

    def __dealloc__(self):
        self.close()
        if self.desk != NULL:
            pthread_cond_destroy(&self.desk.asked)
            pthread_mutex_destroy(&self.desk.mutex)
            free(self.desk)

    def fileno(self):
        """The descriptor that becomes readable when a sync has ended."""
        return self.told

    def ask(self, int descriptor):
        """The file's data is being synced; it must stay open until ``take``."""
        if self.busy or not self.running or descriptor < 0:
            raise ValueError("a sync is under way, the syncer is closed, or this is no descriptor")
        self.busy = True
        pthread_mutex_lock(&self.desk.mutex)
        self.desk.descriptor = descriptor
        pthread_cond_signal(&self.desk.asked)
        pthread_mutex_unlock(&self.desk.mutex)

    def sync(self, int descriptor):
        """(seconds it took, errno or 0) of a sync by the caller's own thread; others may run Python meanwhile."""
        cdef double began = monotonic()
        cdef int failure = 0
        with nogil:
            if fdatasync(descriptor) < 0:
                failure = errno
        return monotonic() - began, failure

    def take(self):
        """(seconds it took, errno or 0) of the sync that has ended; waits where it has not."""
        if not self.busy:
            raise ValueError("no sync is under way")
        os.read(self.told, 1)
        self.busy = False
        return self.desk.seconds, self.desk.failure

    def close(self):
        """The thread has ended, after the sync that is under way."""
        cdef pthread_t thread = self.thread
        if not self.running:
            return
        self.running = False
        pthread_mutex_lock(&self.desk.mutex)
        self.desk.stop = 1
        pthread_cond_signal(&self.desk.asked)
        pthread_mutex_unlock(&self.desk.mutex)
        with nogil:
            pthread_join(thread, NULL)
        os.close(self.told)
        os.close(self.desk.tell)
