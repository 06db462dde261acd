"""How the recursions of time warping run on the CPU: strips of rows, and in each the antidiagonals one after the other.

An entry depends on those above, to the left and between, so the entries of an antidiagonal are computed side by side,
in vectors: lane l of step t is row l of the strip, column t - l. A strip has few rows, so that what its lanes read, a
line each, stays in the nearest memory. From strip to strip a row of totals is handed on.
"""

from functools import cache
from typing import Any

from ..compile import part
from ..real import Real

ROWS = 128
"""Of a strip."""


def steps_of_strips(rows: int, columns: int) -> int:
    """How many lanes all steps of all strips have together, those that stand idle included."""
    full, rest = divmod(rows, ROWS)
    return full * ROWS * (ROWS + columns - 1) + (rest * (rest + columns - 1) if rest else 0)


def _lanes(t, height, columns):
    """The first lane of step t whose column exists, and the one behind the last."""
    return max(0, t - columns + 1), min(height, t + 1)


lanes: Any = part(_lanes, inline=True)


@cache
def diagonal_of(real: Real) -> Any:
    """Make gather(diagonal, cost, at, first, stop): the costs of a step's lanes; lane 0 of it stands at `at`."""

    def gather(diagonal, cost, at, first, stop):
        turn = cost.row - cost.column
        for lane in range(first, stop):
            diagonal[lane] = cost.memory[at + lane * turn]

    return part(gather, of=str(real.dtype))
