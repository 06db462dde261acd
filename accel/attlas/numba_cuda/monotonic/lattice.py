"""What the lattices of two sequences share on Numba-CUDA: who computes one, sums of paths, the reading of a target."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..probabilistic.sums import build_log
from ..probabilistic.teams import CROWD, WARP, Team
from ..rules import Real
from ..target import device
from ..views import as_cell, as_row

LOG_PROBS, TARGET, HEARD, SAID = range(4)
"""The rows of the table of operands."""

FEW = 128
"""Up to so many entries a step of a lattice is a warp's."""


def team_of(entries: int) -> Team:
    """Return who computes a lattice with so many entries to a step; that depends on the shapes of the call alone."""
    return WARP if entries <= FEW else CROWD


class Reading:
    """One call of connectionist temporal classification, laid out."""

    def __init__(self, log_probs: Any, target: Any, input_lengths: Any, target_lengths: Any) -> None:
        self.t, self.v = shape_of(log_probs)[-2:]
        self.s = shape_of(target)[-1]
        self.states = 2 * self.s + 1
        self.dtype = dtype_of(log_probs)
        self.real: Any = self.dtype.type
        self.team = team_of(self.states)
        lengths = [
            np.array([[whole]], dtype=np.int64) if given is None else as_cell(given)
            for given, whole in ((input_lengths, self.t), (target_lengths, self.s))
        ]
        operands = [log_probs, as_row(target), *lengths]
        self.batch: tuple[int, ...] = np.broadcast_shapes(*(shape_of(operand)[:-2] for operand in operands))
        self.members = math.prod(self.batch)
        memories, layout = lay_out(operands, self.batch)
        self.operands = (*memories, layout)
        """log_probs, target, heard, said and their layout, as kernels take them."""


@device
def symbol_of(target, layout, batch, s, blank):
    """The symbol of state s: a label, or the blank between labels."""
    if s % 2 == 0:
        return blank
    return int(target[layout[TARGET, FIRST_MEMBER + batch] + s // 2 * layout[TARGET, COLUMN_STEP]])


@device
def skips_to(target, layout, batch, s):
    """Whether state s may be entered from two states before."""
    if s % 2 == 0 or s < 3:
        return False
    label = layout[TARGET, FIRST_MEMBER + batch] + s // 2 * layout[TARGET, COLUMN_STEP]
    return target[label] != target[label - layout[TARGET, COLUMN_STEP]]


@device
def said_of(log_probs, layout, batch, t, symbol):
    """What frame t says of a symbol."""
    frame = layout[LOG_PROBS, FIRST_MEMBER + batch] + t * layout[LOG_PROBS, ROW_STEP]
    return log_probs[frame + symbol * layout[LOG_PROBS, COLUMN_STEP]]


@functools.cache
def build_continued(real: Real) -> Callable[..., Any]:
    """Build the sum of both, where what is impossible stays so: -inf plus NaN is -inf."""
    lowest = real(-math.inf)

    @device
    def continued(logs, more):
        return logs if logs == lowest else logs + more

    return continued


@functools.cache
def build_arrived(real: Real) -> Callable[..., Any]:
    """Build the logarithm of the sum of three exponentials; infinities stay what they are, and so does NaN."""
    log_of, zero, infinity = build_log(real), real(0), real(math.inf)

    @device
    def arrived(first, second, third):
        top = larger(larger(first, second), third)
        shift = zero if abs(top) == infinity else top
        mass = real(math.exp(first - shift)) + real(math.exp(second - shift)) + real(math.exp(third - shift))
        return log_of(mass) + shift

    return arrived


@functools.cache
def build_finite(real: Real) -> Callable[..., Any]:
    """Build finite(x): x, or -inf in place of what is not finite."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def finite(x):
        return x if x - x == zero else lowest

    return finite
