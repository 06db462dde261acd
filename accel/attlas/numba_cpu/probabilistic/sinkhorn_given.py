"""What the kernels of Sinkhorn's steps find in their tables, and what they call a member's state."""

from functools import cache
from typing import Any, NamedTuple

from ..compile import part
from ..launch import opener
from ..pointers import Matrix, bytes_at, places_at
from ..real import Real

SCALED, LOGS, AGAIN, DONE, NEW = 0, 1, 2, 3, 4
"""What a member's next sweep is: on the kernel; in logarithms; in logarithms because a sum left the range; none. And:
the first one on the kernel, which makes it."""


class Given(NamedTuple):
    """What a kernel finds in its tables."""

    cost: Any
    mask: Any
    plan: Any
    a: Any
    b: Any
    row_log: Any
    """F, (members, m)"""
    row_scale: Any
    """u"""
    column_log: Any
    """G, (members, wide), like all that is kept of columns"""
    column_scale: Any
    """v"""
    sums: Any
    """(members, blocks, wide): what each block adds to Σ_i K_ij u_i"""
    most: Any
    """(members, blocks, wide), with `total` the columns' sums in logarithms"""
    total: Any
    state: Any
    """(members,)"""
    spoiled: Any
    """(members,): whether an infinite score stands in a column"""
    bad: Any
    """(members, blocks): whether a row's sum has left the range"""
    shift: Any
    """(members,): the largest score, where the kernel can begin as exp(score - shift)"""
    course: Any
    """(members, COURSE)"""
    turn: Any
    """(members, 2): what is done with the blocks now, and which step that is"""
    m: Any
    n: Any
    wide: Any
    """n, up to a whole number of lines of the cache"""
    per_block: Any
    blocks: Any
    has_mask: Any
    stops: Any
    """Whether there is a tolerance"""
    steps: Any
    seats: Any
    """How many threads may work on a member"""
    patience: Any
    factor: Any
    """-1 / epsilon"""
    tolerance: Any


def reach_of(real: Real) -> float:
    """How far a scaling may be from 1, as a factor."""
    return float(2.0**30 if real.dtype.itemsize == 4 else 2.0**200)


@cache
def build_in_range(real: Real) -> Any:
    """Make in_range(x), once per precision."""
    reach = real.number(reach_of(real))
    floor = real.number(1) / reach

    def in_range(x):
        return (x >= floor) & (x <= reach)

    return part(in_range, str(real.dtype), inline=True)


@cache
def build_open_given(real: Real) -> Any:
    """Make open_given(operands, results): the tables as `Given`; once per precision."""
    reals, open_matrix = real.pointer, opener(real)

    def open_given(operands, results):
        numbers = reals(results[16])
        return Given(
            open_matrix(operands, 0),
            Matrix(bytes_at(operands[4]), places_at(operands[5]), operands[6], operands[7]),
            reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3]), reals(results[4]),
            reals(results[5]), reals(results[6]), reals(results[7]), reals(results[8]), reals(results[9]),
            places_at(results[10]), places_at(results[11]), places_at(results[12]), reals(results[13]),
            places_at(results[14]), places_at(results[15]),
            results[17], results[18], results[19], results[20], results[21], results[22], results[23], results[24],
            results[25], results[26], numbers[0], numbers[1],
        )  # fmt: skip

    return part(open_given, str(real.dtype))
