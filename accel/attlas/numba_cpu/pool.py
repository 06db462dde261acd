"""A small pool of plain threads.

A kernel releases the GIL, so plain Python threads run it in parallel. Numba's own threads are not used: its workqueue
layer ends a process that two Python threads enter at once, its OpenMP layer ends a forked child.

The thread that calls takes part in the work and waits only for helpers that have begun; a pool that is busy with other
callers' work delays nobody. After a fork the child starts with a fresh pool. Which thread computes a task never
changes its result: a task is computed by one thread, and tasks are cut by the shapes of the call alone.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[int, int], None]
"""Computes the tasks from the first number up to, not including, the second."""


class _Job:
    """One call's tasks: whoever joins takes the next chunk until none is left."""

    def __init__(self, tasks: int, chunk: int, worker: Callable[[], Work]) -> None:
        self.tasks = tasks
        self.chunk = chunk
        self.worker = worker
        self.next = 0
        self.active = 0
        self.closed = False
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def take(self) -> int | None:
        """The first task of the next chunk."""
        with self.changed:
            if self.closed or self.next >= self.tasks:
                return None
            first, self.next = self.next, self.next + self.chunk
            return first

    def join(self) -> None:
        """Take part until no chunk is left."""
        with self.changed:
            if self.closed:
                return
            self.active += 1
        try:
            work: Work | None = None
            while (first := self.take()) is not None:
                work = work or self.worker()
                work(first, min(first + self.chunk, self.tasks))
        except BaseException as error:
            with self.changed:
                self.closed = True
                self.error = self.error or error
        finally:
            with self.changed:
                self.active -= 1
                self.changed.notify_all()

    def finish(self) -> None:
        """Wait for the helpers that have begun; nobody joins any more."""
        with self.changed:
            self.closed = True
            while self.active:
                self.changed.wait()


class _Helpers:
    """The threads; started when first needed, up to the number that a call asks for."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.started = 0
        self.lock = threading.Lock()

    def offer(self, job: _Job, helpers: int) -> None:
        """Let up to so many threads join a job."""
        with self.lock:
            while self.started < helpers:
                thread = threading.Thread(target=self._serve, args=(self.jobs,), name="attlas", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is going down, or the system has no more threads
                    break
                self.started += 1
        for _ in range(min(helpers, self.started)):
            self.jobs.put(job)

    @staticmethod
    def _serve(jobs: "SimpleQueue[_Job]") -> None:
        while True:
            job = jobs.get()
            job.join()
            del job  # its arrays are not kept alive while waiting for the next


_helpers = _Helpers()


def _start_afresh() -> None:
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def run(tasks: int, worker: Callable[[], Work], threads: int) -> None:
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

    Raises
    ------
    BaseException
        The first error of any task; tasks that nobody has begun are then left out.
    """
    if tasks <= 0:
        return
    threads = min(threads, tasks)
    if threads == 1:
        worker()(0, tasks)
        return
    # A few chunks per thread even out their speeds; more would only cost hand-overs.
    job = _Job(tasks, max(1, tasks // (threads * 8)), worker)
    _helpers.offer(job, threads - 1)
    try:
        job.join()
    finally:
        job.finish()
    if job.error is not None:
        raise job.error
