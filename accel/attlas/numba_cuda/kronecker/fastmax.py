"""Fastmax on Numba-CUDA: factorized, or the tile of tuples with single keys and a series in place of the exponential.

A call takes the form that costs less (`polynomials`). Powers of single channels overflow where no score does, and where
infinities or NaN take part a product is not what a sum over pairs would be: members that are not finite everywhere are
computed again from pairs.

The normalizations are kernels of their own, a block per batch member, bound by the bytes of the tokens, which are read
three times.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, AttentionVJP

from ... import polynomials
from ..blocks import Block, default_block
from ..operands import dtype_of, lay_out, shape_of
from ..pieces import larger
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_column, as_row
from .chunks import all_finite, chunk_of, mended
from .factorized import SERIES, Factorized
from .tuples import Rows, TupleProblem

__all__ = ["fastmax_attention", "fastmax_attention_vjp"]

GAIN = 0.8
"""Which share of the multiply-adds the factorized form may have; both forms are bound by operations."""
TOGETHER = 64
"""Tokens that are added up before their sum is added to the others': shorter sums round less."""


def fastmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
    normalize: str | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.fastmax_attention`."""
    if normalize is not None:
        query, key = _normalized(query, normalize, None), _normalized(key, normalize, key_mask)
    options: dict[str, Any] = {"order": order, "scale": scale, "causal": causal, "key_mask": key_mask}
    found = None
    if not return_weights and factorized_pays(query, key, value, order, causal):
        found = Factorized(query, key, value, **options).output()
        if all_finite([found]):
            return found
    problem = TupleProblem(
        query, (Rows(key),), (Rows(value),), mask=None if key_mask is None else as_row(key_mask),
        causal=causal, windows=None, scale=scale, form=SERIES, order=order,
    )  # fmt: skip
    output = problem.output()
    if found is not None:
        return mended(found, output)
    return AttentionResult(output, problem.weights()) if return_weights else output


def fastmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
) -> AttentionVJP:
    """Compute `attlas_ref.fastmax_attention_vjp`."""
    options: dict[str, Any] = {"order": order, "scale": scale, "causal": causal, "key_mask": key_mask}
    found = None
    if factorized_pays(query, key, value, order, causal, more=order * shape_of(query)[-1] // 3):
        found = Factorized(query, key, value, backwards=True, **options).gradients(grad_output)
        if all_finite(found):
            return found
    problem = TupleProblem(
        query, (Rows(key),), (Rows(value),), grad_output, mask=None if key_mask is None else as_row(key_mask),
        causal=causal, windows=None, scale=scale, form=SERIES, order=order,
    )  # fmt: skip
    grad_query, grad_keys, grad_values = problem.gradients()
    again = AttentionVJP(grad_query, *grad_keys, *grad_values)
    return again if found is None else AttentionVJP(*map(mended, found, again))


def factorized_pays(query: Any, key: Any, value: Any, order: int, causal: bool, more: int = 0) -> bool:
    """Whether the factorized form is the faster one."""
    (m, d), (n, e) = shape_of(query)[-2:], shape_of(value)[-2:]
    chunk = chunk_of(d, order) if causal else None
    return polynomials.factorized_pays(m, n, d, e, order, gain=GAIN, chunk=chunk, more=more)


@functools.cache
def build_center(block: Block, real: Real) -> Any:
    """Build the kernel that takes a mean off all tokens of a member and divides them by the largest norm of one."""
    threads, zero, one = block.across * block.down, real(0), real(1)
    across = block.across

    def center(first, block_count, n, d, over_tokens, source, mask, layout, output):
        largest = cuda.shared.array(threads, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        start = layout[0, 2 + batch]
        row_step = layout[0, 0]
        column_step = layout[0, 1]
        use = layout[1, 2 + batch]
        use_step = layout[1, 0]
        if over_tokens:
            for c in range(t, d, threads):
                total = zero
                count = 0
                for j0 in range(0, n, TOGETHER):
                    fresh = zero
                    for j in range(j0, min(n, j0 + TOGETHER)):
                        if mask[use + j * use_step]:
                            fresh += source[start + j * row_step + c * column_step]
                            count += 1
                    total += fresh
                mean = total / real(max(1, count))
                for j in range(n):
                    output[(batch * n + j) * d + c] = source[start + j * row_step + c * column_step] - mean
        else:
            for j in range(t, n, threads):
                total = zero
                for c in range(d):
                    total += source[start + j * row_step + c * column_step]
                for c in range(d):
                    number = source[start + j * row_step + c * column_step]
                    output[(batch * n + j) * d + c] = number - total / real(d)
        cuda.syncthreads()  # until all tokens are centered
        best = zero
        for j in range(t, n, threads):
            if mask[use + j * use_step]:
                square = zero
                for c in range(d):
                    square += output[(batch * n + j) * d + c] * output[(batch * n + j) * d + c]
                best = larger(best, real(math.sqrt(square)))
        largest[t] = best
        cuda.syncthreads()  # until every thread has said its largest norm
        for k in range(threads):
            best = larger(best, largest[k])
        if best == zero:
            best = one
        for j in range(t, n, threads):
            for c in range(d):
                output[(batch * n + j) * d + c] /= best

    return kernel(center)


def _normalized(tokens: Any, how: str, allowed: Any) -> Any:
    dtype, (n, d) = dtype_of(tokens), shape_of(tokens)[-2:]
    block = default_block(dtype)
    real: Any = dtype.type
    use = np.ones((1, 1), bool) if allowed is None else as_column(allowed)
    batch = np.broadcast_shapes(shape_of(tokens)[:-2], shape_of(use)[:-2])
    memories, layout = lay_out([tokens, use], batch)
    output = allocate((*batch, n, d), dtype)
    over_tokens = int(how == "token_mean_max_norm")
    launch(build_center(block, real), math.prod(batch), block.threads, n, d, over_tokens, *memories, layout, output)
    return shaped(output, (*batch, n, d))
