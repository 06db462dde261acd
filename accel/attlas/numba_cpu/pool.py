"""A small pool of plain threads.

A kernel releases the GIL, so plain Python threads run it in parallel. Numba's own threads are not used: its workqueue
layer ends a process that two Python threads enter at once, its OpenMP layer ends a forked child.

The thread that calls takes part in the work and waits only for helpers that have begun, at first awake, since to be
woken takes as long as they mostly still need; a pool that is busy with other callers' work delays nobody. After a fork
the child starts with a fresh pool. Which thread computes a task never changes its result: a task is computed by one
thread, and tasks are cut by the shapes of the call alone.

Signals, Ctrl-C among them, reach the main thread alone, and only while it is not inside of a kernel. So of a long call
a stand-in computes the main thread's share, and the main thread waits. When it is interrupted, nobody begins another
chunk and nobody is waited for: what has begun runs to its end in the background, with all arrays kept alive.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue

from numba import types

from .compile import entry, ready
from .turns import CHUNK, INSIDE, TAKEN, TASKS, Turns, look, pause, turns_of
from .turns import add as add_in_one_step

Work = Callable[[Turns], None]
"""Computes the tasks of the turns it can take: a kernel, or a loop over `taken`."""

LONG = 2**27
"""Multiply-adds, some milliseconds, from which a call can be interrupted; a stand-in costs some 50 microseconds."""

SPINS = 1000
"""How often one looks whether helpers have finished before one goes to sleep: some 50 microseconds."""


def _add(turns, index, number):
    return add_in_one_step(turns, index, number)


def _finished(turns, looks):
    """Whether all tasks are done; asked so many times, one at least."""
    if look(turns, TAKEN) * turns[CHUNK] < turns[TASKS]:
        return False
    while look(turns, INSIDE) > 0:
        looks -= 1
        if looks <= 0:
            return False
        pause()
    return True


_add, _finished = entry(_add, "turns-add"), entry(_finished, "turns-finished")
_ADD = types.int64(types.int64[::1], types.int64, types.int64)
_FINISHED = types.boolean(types.int64[::1], types.int64)


@contextmanager
def taken(turns: Turns) -> Iterator[Iterator[int]]:
    """Take turns from Python: the numbers of the tasks, one chunk after the other."""
    add = ready(_add, _ADD)

    def each() -> Iterator[int]:
        tasks, chunk = int(turns[TASKS]), int(turns[CHUNK])
        while (start := add(turns, TAKEN, 1) * chunk) < tasks:
            yield from range(start, min(start + chunk, tasks))

    add(turns, INSIDE, 1)
    try:
        yield each()
    finally:
        add(turns, INSIDE, -1)


class _Job:
    """One call's tasks: whoever joins takes turns until none is left."""

    def __init__(self, turns: Turns, worker: Callable[[], Work], context: Context) -> None:
        self.turns = turns
        self.worker = worker
        self.context = context
        self.error: BaseException | None = None
        self.left: SimpleQueue[None] = SimpleQueue()

    def join(self) -> None:
        """Take part until nothing is left."""
        try:
            if self.turns[TAKEN] * self.turns[CHUNK] < self.turns[TASKS]:
                self.worker()(self.turns)
        except BaseException as error:
            self.end(error)
        finally:
            self.left.put(None)

    def end(self, error: BaseException) -> None:
        """Let nobody begin another chunk."""
        # Kernels know arrays by their addresses; with the error its frames are kept, which own all of them.
        self.error = error
        self.turns[TAKEN] = self.turns[TASKS]

    def join_in_context(self) -> None:
        """The same on a thread that is not the caller's: what NumPy warns of is a matter of the context."""
        self.context.copy().run(self.join)

    def wait(self) -> None:
        """Wait for the chunks that others have begun."""
        finished = ready(_finished, _FINISHED)
        while not finished(self.turns, SPINS):
            with suppress(Empty):
                self.left.get(timeout=0.05)  # a signal just before it waits would be seen only afterwards


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
        worker()(turns_of(tasks, tasks))
        return
    # A few chunks per thread even out their speeds.
    chunk = tasks // (threads * 8)
    if interruptible:
        chunk = min(chunk, tasks * LONG // multiply_adds)
    job = _Job(turns_of(tasks, max(1, chunk)), worker, copy_context())
    try:
        _helpers.offer(job, threads - 1)
        if not (interruptible and _start(job.join_in_context)):
            job.join()
        job.wait()
    except BaseException as error:
        job.end(error)
        raise
    if job.error is not None:
        raise job.error
