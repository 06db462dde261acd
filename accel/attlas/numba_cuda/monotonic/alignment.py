"""Where a pointer that only moves forward is expected to be, and the gradient of that, on Numba-CUDA.

A block of threads has a member. Row follows row; within a row the mass c that goes on from key to key is a chain of
affine maps, c -> (1 - p) (c + before), which the threads scan together (`scans`). What a thread reads of the row before
it has written itself, so that the only waiting is that of the scan. Nothing is divided, and both methods are computed
alike, but for the clamped products of public code.

Bound by the m rows of a member, each log2(threads) + 2 barriers and two walks of n / threads steps, until there are
several members for each multiprocessor; then by the bytes of p and of the result.
Results differ from the reference by rounding, about 2 log2(threads) units more per row.
"""

import functools
from typing import Any

from attlas_ref.contract import AlignmentVJP

from ..kronecker.chunks import folded
from ..operands import shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER
from ..rows import RowBlock, default_row_block
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_row
from .scans import CHANCE, OTHER, START, Pairs, build_arriving, build_shown, seen, stretch


@functools.cache
def build_alignment(block: RowBlock, real: Real) -> Any:
    """Build the kernel; `source` is p, `before` where the pointer is before the first row."""
    arriving, shown = build_arriving(block, real), build_shown(real)
    count, across, board_shape = block.count, block.across, (2, block.count)
    zero, one = real(0), real(1)

    def alignment(first, block_count, m, n, mask, source, before_sums, layout, output):
        factors = cuda.shared.array(board_shape, real)
        offsets = cuda.shared.array(board_shape, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        begin, end = stretch(n, count, t)
        start, step = layout[START, FIRST_MEMBER + batch], layout[START, COLUMN_STEP]
        for i in range(m):
            row = (batch * m + i) * n
            factor = one
            offset = zero
            for j in range(begin, end):
                keep = one - shown(source, mask, layout, CHANCE, batch, i, j, zero)
                before = before_sums[start + j * step] if i == 0 else output[row - n + j]
                offset = keep * (offset + before)
                factor *= keep
            carried = arriving(factors, offsets, factor, offset, t)
            for j in range(begin, end):
                chance = shown(source, mask, layout, CHANCE, batch, i, j, zero)
                before = before_sums[start + j * step] if i == 0 else output[row - n + j]
                here = carried + before
                output[row + j] = chance * here
                carried = (one - chance) * here

    return kernel(alignment)


@functools.cache
def build_clamped(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the closed form, with products of 1 - p not below `factor`."""
    arriving, shown = build_arriving(block, real), build_shown(real)
    count, across, board_shape = block.count, block.across, (2, block.count)
    zero, one = real(0), real(1)

    def clamped(first, block_count, m, n, mask, source, before_sums, layout, factor, output):
        factors = cuda.shared.array(board_shape, real)
        offsets = cuda.shared.array(board_shape, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        begin, end = stretch(n, count, t)
        start, step = layout[START, FIRST_MEMBER + batch], layout[START, COLUMN_STEP]
        for i in range(m):
            row = (batch * m + i) * n
            product = one
            for j in range(begin, end):
                product *= one - shown(source, mask, layout, CHANCE, batch, i, j, zero)
            # The first map makes its product of anything, the others multiply by theirs.
            passed = arriving(factors, offsets, product, product if t == 0 else zero, t)
            reached = one if t == 0 else passed
            passed = reached
            total = zero
            for j in range(begin, end):
                before = before_sums[start + j * step] if i == 0 else output[row - n + j]
                total += before / (factor if passed < factor else passed)
                passed *= one - shown(source, mask, layout, CHANCE, batch, i, j, zero)
            total = arriving(factors, offsets, one, total, t)
            passed = reached
            for j in range(begin, end):
                chance = shown(source, mask, layout, CHANCE, batch, i, j, zero)
                before = before_sums[start + j * step] if i == 0 else output[row - n + j]
                total += before / (factor if passed < factor else passed)
                output[row + j] = chance * (passed * total)
                passed *= one - chance

    return kernel(clamped)


@functools.cache
def build_alignment_vjp(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the gradients; `field` has a line for each member.

    Going down, the probabilities to arrive are left in `output`; going up, `target` holds what a pointer may expect.
    """
    arriving, shown = build_arriving(block, real), build_shown(real)
    count, across, board_shape = block.count, block.across, (2, block.count)
    zero, one = real(0), real(1)

    def gradients(first, block_count, m, n, mask, source, before_sums, grad, layout, field, output, target):
        factors = cuda.shared.array(board_shape, real)
        offsets = cuda.shared.array(board_shape, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        begin, end = stretch(n, count, t)
        line = batch * n
        for j in range(begin, end):
            field[line + j] = before_sums[layout[START, FIRST_MEMBER + batch] + j * layout[START, COLUMN_STEP]]
            target[line + j] = zero
        for i in range(m):
            row = (batch * m + i) * n
            factor = one
            offset = zero
            for j in range(begin, end):
                keep = one - shown(source, mask, layout, CHANCE, batch, i, j, zero)
                offset = keep * (offset + field[line + j])
                factor *= keep
            carried = arriving(factors, offsets, factor, offset, t)
            for j in range(begin, end):
                chance = shown(source, mask, layout, CHANCE, batch, i, j, zero)
                here = carried + field[line + j]
                output[row + j] = here
                field[line + j] = chance * here
                carried = (one - chance) * here
        for i in range(m - 1, -1, -1):
            row = (batch * m + i) * n
            factor = one
            offset = zero
            for j in range(end - 1, begin - 1, -1):
                chance = shown(source, mask, layout, CHANCE, batch, i, j, zero)
                gain = shown(grad, mask, layout, OTHER, batch, i, j, zero) + target[line + j]
                offset = chance * gain + (one - chance) * offset
                factor *= one - chance
            ahead = arriving(factors, offsets, factor, offset, count - 1 - t)
            for j in range(end - 1, begin - 1, -1):
                chance = shown(source, mask, layout, CHANCE, batch, i, j, zero)
                gain = shown(grad, mask, layout, OTHER, batch, i, j, zero) + target[line + j]
                slope = output[row + j] * (gain - ahead)
                output[row + j] = slope if seen(mask, layout, batch, i, j) else zero
                ahead = chance * gain + (one - chance) * ahead
                target[line + j] = ahead

    return kernel(gradients)


def monotonic_alignment(p_choose: Any, *, previous: Any, mask: Any, method: str, eps: float) -> Any:
    """Compute `attlas_ref.monotonic_alignment`."""
    pairs, block = Pairs(mask, p_choose, previous), default_row_block()
    output = allocate(pairs.shape, pairs.dtype)
    given = pairs.m, pairs.n, *pairs.memories, pairs.layout
    if method == "parallel" and eps > 0:
        launch(build_clamped(block, pairs.real), pairs.members, block.threads, *given, pairs.real(eps), output)
    else:
        launch(build_alignment(block, pairs.real), pairs.members, block.threads, *given, output)
    return shaped(output, pairs.shape)


def monotonic_alignment_vjp(p_choose: Any, grad_output: Any, *, previous: Any, mask: Any) -> AlignmentVJP:
    """Compute `attlas_ref.monotonic_alignment_vjp`."""
    pairs, block = Pairs(mask, p_choose, previous, grad_output), default_row_block()
    mask_memory, chances, first, grads = pairs.memories
    lines = (*pairs.batch, pairs.n)
    output, field, target = (allocate(shape, pairs.dtype) for shape in (pairs.shape, lines, lines))
    launch(
        build_alignment_vjp(block, pairs.real), pairs.members, block.threads,
        pairs.m, pairs.n, mask_memory, chances, first, grads, pairs.layout, field, output, target,
    )  # fmt: skip
    grad_p = folded(shaped(output, pairs.shape), shape_of(p_choose)[:-2])
    grad_start = shaped(target, lines)
    if previous is not None:
        grad_start = folded(as_row(grad_start), shape_of(previous)[:-1]).reshape(shape_of(previous))
    return AlignmentVJP(grad_p, grad_start)
