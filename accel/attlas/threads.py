"""How many threads the CPU engine uses."""

import os

_chosen: int | None = None


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
