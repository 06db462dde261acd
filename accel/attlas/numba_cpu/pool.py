"""A small pool of plain threads.

A kernel releases the GIL, so plain Python threads run it in parallel. Numba's own threads are not used: its workqueue
layer ends a process that two Python threads enter at once, its OpenMP layer ends a forked child.

The thread that calls takes part in the work and waits only for helpers that have begun; a pool that is busy with other
callers' work delays nobody. After a fork the child starts with a fresh pool. Which thread computes a task never
changes its result: a task is computed by one thread, and tasks are cut by the shapes of the call alone.

Signals, Ctrl-C among them, reach the main thread alone, and only while it is not inside of a kernel. So of a long call
a stand-in computes the main thread's share, and the main thread waits. When it is interrupted, nobody begins another
chunk and nobody is waited for: what has begun runs to its end in the background, with all arrays kept alive.
"""

import os
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from queue import SimpleQueue

Work = Callable[[int, int], None]
"""Computes the tasks from the first number up to, not including, the second."""

LONG = 2**27
"""Multiply-adds, some milliseconds, from which a call can be interrupted; a stand-in costs some 50 microseconds."""


class _Job:
    """One call's tasks: whoever joins takes the next chunk until none is left.

    There is no lock in which an interrupt could leave it: the counters are single steps to the interpreter.
    """

    def __init__(self, tasks: int, chunk: int, worker: Callable[[], Work], context: Context) -> None:
        self.tasks = tasks
        self.chunk = chunk
        self.chunks = -(-tasks // chunk)
        self.worker = worker
        self.context = context
        self.taken, self.finished = count(), count()
        self.error: BaseException | None = None
        self.unfinished = threading.Lock()
        self.unfinished.acquire()

    def join(self) -> None:
        """Take part until no chunk is left; after an error the rest is only counted."""
        work: Work | None = None
        while (number := next(self.taken)) < self.chunks:
            try:
                if self.error is None:
                    work = work or self.worker()
                    first = number * self.chunk
                    work(first, min(first + self.chunk, self.tasks))
            except BaseException as error:
                self.error = error
            finally:
                if next(self.finished) == self.chunks - 1:
                    self.unfinished.release()

    def join_in_context(self) -> None:
        """The same on a thread that is not the caller's: what NumPy warns of is a matter of the context."""
        self.context.copy().run(self.join)

    def wait(self) -> None:
        """Wait for the chunks that others have begun."""
        while not self.unfinished.acquire(timeout=0.05):  # a signal just before the wait would be seen only after it
            pass


def _start(target: Callable[..., None], *args: object) -> bool:
    """Start a thread, unless the interpreter is going down or the system has no more of them."""
    try:
        threading.Thread(target=target, args=args, name="attlas", daemon=True).start()
    except RuntimeError:
        return False
    return True


class _Helpers:
    """The threads; started when first needed, up to the number that a call asks for."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.started = 0
        self.lock = threading.Lock()

    def offer(self, job: _Job, helpers: int) -> None:
        """Let up to so many threads join a job."""
        with self.lock:
            while self.started < helpers and _start(self._serve, self.jobs):
                self.started += 1
        for _ in range(min(helpers, self.started)):
            self.jobs.put(job)

    @staticmethod
    def _serve(jobs: "SimpleQueue[_Job]") -> None:
        while True:
            job = jobs.get()
            job.join_in_context()
            del job  # its arrays are not kept alive while waiting for the next


_helpers = _Helpers()


def _start_afresh() -> None:
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def run(tasks: int, worker: Callable[[], Work], threads: int, multiply_adds: int = 0) -> None:
    """Compute all tasks on up to so many threads, the calling one included.

    Parameters
    ----------
    tasks : int
        How many there are, numbered from 0.
    worker : callable
        Called once by every thread that takes part; returns the function that computes a range of tasks. So each
        thread has scratch memory of its own.
    threads : int
        At least 1.
    multiply_adds : int, default 0
        About how many all tasks are together: many can be interrupted.

    Raises
    ------
    BaseException
        The first error of any task; tasks that nobody has begun are then left out.
    """
    if tasks <= 0:
        return
    threads = min(threads, tasks)
    interruptible = multiply_adds >= LONG and threading.current_thread() is threading.main_thread()
    if threads == 1 and not interruptible:
        worker()(0, tasks)
        return
    # A few chunks per thread even out their speeds; more would only cost hand-overs.
    chunk = tasks // (threads * 8)
    if interruptible:
        chunk = min(chunk, tasks * LONG // multiply_adds)
    job = _Job(tasks, max(1, chunk), worker, copy_context())
    try:
        _helpers.offer(job, threads - 1)
        if not (interruptible and _start(job.join_in_context)):
            job.join()
        job.wait()
    except BaseException as error:
        # Kernels know arrays by their addresses; with the error its frames are kept, which own all of them.
        job.error = error
        raise
    if job.error is not None:
        raise job.error
