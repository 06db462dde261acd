"""What the lattices of two sequences share on the CPU: sums of two or three paths, levels, the layout of a target.

A target with blanks around its labels has 2 S + 1 states. Blanks and labels are kept apart, S + 1 and S of them, so
that a step from one frame to the next is a loop over each without a branch, in vectors: a blank is entered from itself
and from the label before, a label from itself, the blank before and perhaps the label before.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..operands import Array, Laid, address_of, lay, lean
from ..power import powers_of
from ..real import Real

TWO_PATHS = 64
"""What the sum of two or three paths costs, in multiply-adds: exponentials and a logarithm."""


class Paths(NamedTuple):
    """Small parts of kernels, of numbers that are known by their logarithms; `array` is a pointer."""

    either: Any
    """either(a, b): the logarithm of a sum of two."""
    any_of: Any
    """any_of(a, b, c): of three."""
    continued: Any
    """continued(logs, more): the sum of both, where what is impossible stays so: -inf plus NaN is -inf."""
    level: Any
    """level(array, spare, count): the largest finite number, or 0; `spare` has room for half as many."""
    lower: Any
    """lower(array, count, by): subtract a number."""


@cache
def paths_of(real: Real) -> Paths:
    """Make the parts of one precision."""
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    log, of = powers_of(real).log, str(real.dtype)

    def below(low, high):
        return zero if low == high else low - high  # equal infinities are level, too

    below = part(below, of, inline=True)

    def either(a, b):
        high, low = (a, b) if a > b else (b, a)
        return high + log(one + exp(below(low, high)))

    def any_of(a, b, c):
        first, low = (a, b) if a > b else (b, a)
        high, middle = (first, c) if first > c else (c, first)
        return high + log((one + exp(below(middle, high))) + exp(below(low, high)))

    def continued(logs, more):
        return logs if logs == -infinity else logs + more

    def higher(a, b):
        """The larger of those of two numbers that are finite, or -inf."""
        a = a if a - a == zero else -infinity
        b = b if b - b == zero else -infinity
        return a if a > b else b

    higher = part(higher, of, inline=True)

    def fold(array, spare, count):
        half = (count + 1) // 2
        for i in range(count - half):
            spare[i] = higher(array[i], array[i + half])
        if count > 0 and count % 2 == 1:
            spare[half - 1] = higher(array[half - 1], -infinity)
        return half

    fold = part(fold, of)

    def level(array, spare, count):
        count = fold(array, spare, count)
        while count > 1:
            count = fold(spare, spare, count)
        return zero if count == 0 or spare[0] == -infinity else spare[0]

    def lower(array, count, by):
        for i in range(count):
            array[i] -= by

    return Paths(
        part(either, of, inline=True),
        part(any_of, of, inline=True),
        part(continued, of, inline=True),
        part(level, of),
        part(lower, of),
    )


@cache
def labels_of(real: Real) -> Any:
    """Make read_labels(symbols, over, target, at, said): the labels of a target, and where a blank may be passed over.

    `over` has an entry more than there are labels, which is 0.
    """
    zero, one = real.number(0), real.number(1)

    def read_labels(symbols, over, target, at, said):
        for i in range(said):
            symbols[i] = int(target.memory[at + i * target.column])
        over[0] = zero
        for i in range(1, said):
            over[i] = zero if symbols[i] == symbols[i - 1] else one
        over[said] = zero

    return part(read_labels, of=str(real.dtype))


@cache
def emissions_of(real: Real) -> Any:
    """Make emit(emission, symbols, log_probs, at, said): what a frame says of each label."""

    def emit(emission, symbols, log_probs, at, said):
        for i in range(said):
            emission[i] = log_probs.memory[at + symbols[i] * log_probs.column]

    return part(emit, of=str(real.dtype))


class Reading(NamedTuple):
    """One call, laid out; nothing is copied but lengths."""

    batch: tuple[int, ...]
    t: int
    v: int
    s: int
    log_probs: Laid
    target: Laid
    heard: Array
    """(members,) whole numbers: how many frames count."""
    said: Array
    """(members,) whole numbers: how many labels count."""

    @property
    def members(self) -> int:
        """How many lattices there are."""
        return self.heard.size

    @property
    def numbers(self) -> tuple[int, ...]:
        """What every kernel needs to know: the addresses of the lengths, T, V and S."""
        return address_of(self.heard), address_of(self.said), self.t, self.v, self.s


def lay_reading(log_probs: Array, target: Array, input_lengths: Array | None, target_lengths: Array | None) -> Reading:
    """Lay a call out."""
    (t, v), s = log_probs.shape[-2:], target.shape[-1]
    given = [lengths for lengths in (input_lengths, target_lengths) if lengths is not None]
    batch = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1], *map(np.shape, given))
    heard, said = lengths_over(input_lengths, batch, t), lengths_over(target_lengths, batch, s)
    symbols = lean(target[..., None, :]).astype(log_probs.dtype, copy=False)  # a kernel has one dtype
    return Reading(batch, t, v, s, lay(log_probs, batch), lay(symbols, batch), heard, said)


def lengths_over(lengths: Array | None, batch: tuple[int, ...], whole: int) -> Array:
    """The length of each batch member, (members,)."""
    if lengths is None:
        return np.full(math.prod(batch), whole, dtype=np.int64)
    return np.ascontiguousarray(np.broadcast_to(lengths, batch), dtype=np.int64).reshape(-1)
