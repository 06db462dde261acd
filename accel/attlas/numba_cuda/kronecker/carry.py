"""Kernels between the passes of a factorized polynomial: states carried over chunks, quotients, what pulls back.

Bound by bytes: each reads its operands once. Neighboring threads have neighboring entries, but in `turn_back`, where a
thread has a row. A state is summed in the order of its chunks: nothing is atomic, the same call gives the same bits.

Results differ from the reference by rounding only.
"""

import functools
import math
from typing import Any

from ..pieces import entry
from ..rules import Real
from ..target import cuda, kernel

STEPS, INITIAL = range(2)
"""The operands of `carry`."""
TOLD, OWN, OWN_TOTAL, OWN_MAXIMUM, COUNT = range(5)
"""The operands of `join`."""
OUTPUT, GRAD = range(2)
"""The operands of `turn_back`."""
FLAGS = 256
"""Blocks that look for what is not finite."""


@functools.cache
def build_carry(real: Real) -> Any:
    """Build the kernel of running sums: what there is before each step (members, chunks, size), and after all.

    The steps are rows, from the first one on or backwards.
    """

    def carry(first, block_count, chunks, size, backwards, source, carried, layout, output, states):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (size + threads - 1) // threads
        place = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        batch = index // parts
        if place >= size:
            return
        running = entry(carried, layout, INITIAL, batch, 0, place)
        for k in range(chunks):
            t = chunks - 1 - k if backwards else k
            output[(batch * chunks + t) * size + place] = running
            running += entry(source, layout, STEPS, batch, t, place)
        states[batch * size + place] = running

    return kernel(carry)


@functools.cache
def build_join(real: Real) -> Any:
    """Build the kernel that adds what a query is told and the sums of its own chunk, and divides; with row statistics.

    A query has seen something if the count of the keys before it or the maximum of its chunk says so.
    """
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def join(
        first, block_count, m, e, has_own, reads, accumulator, state_total, state_maximum, source, layout,
        output, maximum, total,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (m * (e + 1) + threads - 1) // threads
        place = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= m * (e + 1):
            return
        batch = index // parts
        i = place // (e + 1)
        c = place % (e + 1)
        divisor = entry(reads, layout, TOLD, batch, i, e)
        seen = entry(source, layout, COUNT, batch, 0, 0) > zero
        if has_own and entry(state_maximum, layout, OWN_MAXIMUM, batch, i, 0) != lowest:
            seen = True
            divisor += entry(state_total, layout, OWN_TOTAL, batch, i, 0)
        if not seen:
            divisor = one
        if c == e:
            total[batch * m + i] = divisor
            maximum[batch * m + i] = zero if seen else lowest
            return
        number = zero
        if seen:
            number = entry(reads, layout, TOLD, batch, i, c)
            if has_own:
                number += entry(accumulator, layout, OWN, batch, i, c)
            number /= divisor
        output[(batch * m + i) * e + c] = number

    return kernel(join)


@functools.cache
def build_turn_back(real: Real) -> Any:
    """Build the kernel of the gradient by numerators and denominators, (m, e + 1), and of the mean of <g, v>."""
    zero, lowest = real(0), real(-math.inf)

    def turn_back(first, block_count, m, e, source, grad, layout, maximum, total, slopes, mean):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (m + threads - 1) // threads
        i = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if i >= m:
            return
        batch = index // parts
        row = batch * m + i
        seen = maximum[row] != lowest
        inner = zero
        for c in range(e):
            slope = zero
            if seen:
                number = entry(grad, layout, GRAD, batch, i, c)
                inner += number * entry(source, layout, OUTPUT, batch, i, c)
                slope = number / total[row]
            slopes[row * (e + 1) + c] = slope
        slopes[row * (e + 1) + e] = -inner / total[row]
        mean[row] = inner

    return kernel(turn_back)


@functools.cache
def build_fold(real: Real) -> Any:
    """Build the kernel that sums the batch members that share a result, (groups, size) with so many columns."""
    zero = real(0)

    def fold(first, block_count, columns, size, share, members, source, layout, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (size + threads - 1) // threads
        place = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        group = index // parts
        if place >= size:
            return
        total = zero
        for k in range(share):
            total += entry(source, layout, OUTPUT, members[group * share + k], place // columns, place % columns)
        output[group * size + place] = total

    return kernel(fold)


@functools.cache
def build_strange(real: Real) -> Any:
    """Build the kernel in which each block says, from a place on, whether one of its entries is not finite."""

    def strange(first, block_count, size, source, begin, counts):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        found = 0
        for place in range(index * threads + thread, size, block_count * threads):
            if not math.isfinite(source[place]):
                found = 1
        found = cuda.syncthreads_or(found)
        if thread == 0:
            counts[begin + index] = found

    return kernel(strange)


@functools.cache
def build_mend(real: Real) -> Any:
    """Build the kernel in which a block copies a member of a source, or of what is carried if it is finite everywhere.

    No other member's overflow changes its bits.
    """

    def mend(first, block_count, size, source, carried, output):
        member = first + cuda.blockIdx.x
        if member >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        found = 0
        for place in range(member * size + thread, (member + 1) * size, threads):
            if not math.isfinite(carried[place]):
                found = 1
        strange = cuda.syncthreads_or(found)
        for place in range(member * size + thread, (member + 1) * size, threads):
            output[place] = source[place] if strange else carried[place]

    return kernel(mend)
