"""A pointer that only moves forward, as it is used: the first good key, or the first whose coin says stop; on the CPU.

A task is a batch member. The pointer inspects keys one by one, m + n of them at most, and one entry of each row is
written into a result that the system hands out as zeros.

Bound by: the bytes of the result, which are touched only where a pointer stops.
Differs from the reference in nothing: it compares the same numbers.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import HardAlignment

from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array
from ..pointers import places_at
from ..real import Real
from .given import Given, lay_given, open_mask, start_of

__all__ = ["monotonic_hard_alignment", "sampled_monotonic_alignment"]


def build_hard(real: Real) -> Any:
    """Make the kernel that stops where p reaches a threshold: the one number in place of the draws."""
    return build_stops("hard", real, lambda chance, bound: chance >= bound)


def build_sampled(real: Real) -> Any:
    """Make the kernel that stops where a draw is below p."""
    return build_stops("sampled", real, lambda chance, bound: bound < chance)


def build_stops(name: str, real: Real, stops: Any) -> Any:
    """Make the kernel.

    Operands: mask, p, what it is compared with, start. Results: the alignment, zeros before; the stops; m, n, whether
    anything is hidden, whether a pointer that finds nothing stays on the last visible key.
    """
    zero, one, nan = real.number(0), real.number(1), real.number(np.nan)
    open_matrix, reals = opener(real), real.pointer
    of = f"{name}, {real.dtype}"
    stops = part(stops, of, inline=True)

    def start_at(first, member, n):
        """The key of the largest entry; n if there is none above 0."""
        best, most = n, zero
        for j in range(n):
            mass = first.memory[first.places[member] + j * first.column]
            if mass > most:
                best, most = j, mass
        return best

    start_at = part(start_at, of)

    def find(p, bound, mask, hides, member, i, at, n):
        """The first key from `at` on where the pointer stops, or n; and whether nobody knows if it does."""
        p_at, bound_at = p.places[member] + i * p.row, bound.places[member] + i * bound.row
        seen_at = mask.places[member] + i * mask.row
        for j in range(at, n):
            if not hides or mask.memory[seen_at + j * mask.column]:
                chance = p.memory[p_at + j * p.column]
                if chance != chance:
                    return j, True
                if stops(chance, bound.memory[bound_at + j * bound.column]):
                    return j, False
        return n, False

    find = part(find, of)

    def last_seen(mask, hides, member, i, n):
        """The last visible key, or n."""
        if not hides:
            return n - 1 if n > 0 else n
        at = mask.places[member] + i * mask.row
        for j in range(n - 1, -1, -1):
            if mask.memory[at + j * mask.column]:
                return j
        return n

    last_seen = part(last_seen, of)

    def walk(start, stop, operands, scratch, results):
        mask, p, bound = open_mask(operands), open_matrix(operands, 1), open_matrix(operands, 2)
        first = open_matrix(operands, 3)
        out, index, m, n = reals(results[0]), places_at(results[1]), results[2], results[3]
        hides, stays = results[4], results[5]
        for member in range(start, stop):
            at, lost = start_at(first, member, n), False
            for i in range(m):
                at, unknown = find(p, bound, mask, hides, member, i, at, n)
                lost = lost or unknown
                if stays and at == n:
                    at = last_seen(mask, hides, member, i, n)
                index[member * m + i] = at
                row = (member * m + i) * n
                if lost:
                    seen_at = mask.places[member] + i * mask.row
                    for j in range(n):
                        out[row + j] = nan if not hides or mask.memory[seen_at + j * mask.column] else zero
                elif at < n:
                    out[row + at] = one

    return kernel(walk, f"monotonic-{name}-{real.dtype}")


def monotonic_hard_alignment(
    p_choose: Array,
    *,
    threshold: float,
    previous: Array | None,
    mask: Array | None,
    stay_on_last: bool,
    return_index: bool,
) -> Any:
    """See `attlas_ref.monotonic.monotonic_hard_alignment`."""
    bound = np.full((1, 1), threshold, dtype=p_choose.dtype)
    given = lay_given(mask, p_choose, bound, rows=(start_of(previous, p_choose.shape[-1], p_choose.dtype),))
    return _stopped(build_hard, given, p_choose.dtype, stay_on_last, return_index)


def sampled_monotonic_alignment(
    p_choose: Array,
    *,
    uniform: Array,
    previous: Array | None,
    mask: Array | None,
    stay_on_last: bool,
    return_index: bool,
) -> Any:
    """See `attlas_ref.monotonic.sampled_monotonic_alignment`."""
    given = lay_given(mask, p_choose, uniform, rows=(start_of(previous, p_choose.shape[-1], p_choose.dtype),))
    return _stopped(build_sampled, given, p_choose.dtype, stay_on_last, return_index)


def _stopped(build: Any, given: Given, dtype: np.dtype[Any], stays: bool, return_index: bool) -> Any:
    alignment = np.zeros((*given.batch, given.m, given.n), dtype=dtype)
    index = np.empty((*given.batch, given.m), dtype=np.int64)
    inspections = 4 * given.members * (given.m + given.n)
    results = alignment, index, *given.sizes, int(stays)
    launch(kernels_of(build, dtype), given.members, given.operands, results, (), dtype, inspections)
    return HardAlignment(alignment, index) if return_index else alignment
