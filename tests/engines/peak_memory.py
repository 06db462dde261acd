"""The memory of Python and NumPy that a call needs at its peak."""

import tracemalloc
from collections.abc import Callable
from typing import Any


def peak_of(call: Callable[[], Any]) -> int:
    """The bytes at the peak of a second call: the first imports and compiles what it needs."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
