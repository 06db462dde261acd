"""From arrays to kernels that are no attention over pairs: the tables, and the driver of the tasks.

Such a kernel gets the table of its matrices, the table of its scratch, and one of results and sizes.
"""

from functools import cache
from typing import Any

import numpy as np

from ..threads import get_num_threads
from . import pool
from .compile import part, ready
from .operands import WORTH_A_THREAD, Array, Laid, Pieces
from .pointers import Matrix, places_at
from .real import Real
from .turns import Turns

FIELDS = len(Matrix._fields)


@cache
def opener(real: Real) -> Any:
    """Make open_matrix(table, index): the matrix of that number in a table of operands."""
    reals = real.pointer

    def open_matrix(table, index):
        at = FIELDS * index
        return Matrix(reals(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3])

    return part(open_matrix, of=str(real.dtype))


def launch(
    kernel: Any,
    tasks: int,
    operands: list[Laid],
    results: tuple[Array | int, ...],
    scratch: tuple[int, ...],
    dtype: np.dtype[Any],
    multiply_adds: int,
) -> None:
    """Run a kernel over so many tasks.

    Parameters
    ----------
    kernel : kernel
        What computes a range of tasks.
    tasks : int
        How many there are.
    operands : list of Laid
        What it reads.
    results : arrays and whole numbers
        The contiguous arrays that it writes, and sizes.
    scratch : tuple of int
        How many numbers each piece of a thread's own memory holds.
    dtype : dtype
        Of the arithmetic.
    multiply_adds : int
        About how many there are: few are not worth another thread.
    """
    table = np.array([number for laid in operands for number in laid.entries], dtype=np.int64)
    numbers = [x if isinstance(x, int) else x.__array_interface__["data"][0] for x in results]
    outcome = np.array(numbers, dtype=np.int64)
    ready(kernel)

    def worker() -> pool.Work:
        pieces = Pieces(scratch, dtype)

        def work(turns: Turns) -> None:
            kernel(turns, table, pieces.table, outcome)

        return work

    pool.run(tasks, worker, get_num_threads() if multiply_adds >= WORTH_A_THREAD else 1, multiply_adds)
