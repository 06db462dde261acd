"""How many threads the CPU engine uses, and what no interrupt, no fork and no other thread may cut in two."""

import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_chosen: int | None = None

_at_work = threading.RLock()
"""Held while modules are imported and kernels are made. A fork waits for it: the child must not inherit half of one."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_at_work.acquire, after_in_parent=_at_work.release, after_in_child=_at_work.release)


def get_num_threads() -> int:
    """Return how many threads a call on the CPU may use.

    What `set_num_threads` chose, else the environment variable ``ATTLAS_NUM_THREADS``, else one per processor that
    this process may run on. Results do not depend on it.

    Raises
    ------
    ValueError
        If ``ATTLAS_NUM_THREADS`` is not a whole number of at least 1.
    """
    if _chosen is not None:
        return _chosen
    wanted = os.environ.get("ATTLAS_NUM_THREADS")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"ATTLAS_NUM_THREADS is {wanted!r}; it needs a whole number of at least 1")
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(threads: int | None) -> None:
    """Choose how many threads a call on the CPU may use, from now on and in all threads.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to the default.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number of at least 1.
    """
    global _chosen
    from attlas_ref.contract import Integer

    _chosen = Integer(low=1, optional=True).check("set_num_threads", "threads", threads)


def undisturbed(function: Callable[..., T], *args: Any) -> T:
    """Call a function such that Ctrl-C interrupts the wait for it, and not what it does; one at a time.

    A module that is half imported, or a kernel that is half compiled, could not be used again in this process. So it
    runs in a thread of its own, which no signal reaches, and goes on there when the main thread is called away.
    Threads take turns: two that import packages of which one needs the other could wait for each other, which Python
    ends with an error.
    """
    if threading.current_thread() is not threading.main_thread():
        with _at_work:
            return function(*args)
    from concurrent.futures import Future

    outcome: Future[T] = Future()

    def call() -> None:
        try:
            with _at_work:
                outcome.set_result(function(*args))
        except BaseException as error:
            outcome.set_exception(error)

    # What NumPy warns of is a matter of the context.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(call,), name="attlas", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)  # a signal just before the wait would be seen only after it
    return outcome.result()
