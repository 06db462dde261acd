"""The gradient of Hopfield retrieval on Numba-CUDA: the gradients of its attentions, last to first.

The states of all steps are kept, steps m d numbers. With the softmax each step back is the gradient of attention, whose
passes make the weights again tile by tile; with another alpha it goes band by band, see `band_gradients`. Bound as
these are, by operations: about three times the retrieval.

Results differ from the reference by rounding only.
"""

import functools
from collections.abc import Callable
from typing import Any

from attlas_ref.contract import AttentionVJP

from ..assemble import Assembly
from ..bands import Band, Banded
from ..dotproduct import softmax_attention_vjp
from ..operands import dtype_of, shape_of
from ..rows import RowBlock, RowRule, build_combine, default_row_block, plus
from ..rules import Real
from ..simplex import rule_of_alpha
from ..target import cuda, device, kernel, launch
from .band_gradients import band_gradients
from .hopfield import moved


def total(real: Real) -> Callable[..., Any]:
    """Make left plus right."""

    @device
    def entry(left, right):
        return left + right

    return entry


def _added(left: Any, right: Any) -> Any:
    """Return the sum of two gradients of one argument; None is no gradient yet."""
    if left is None:
        return right
    *batch, rows, columns = shape_of(left)
    return Assembly(tuple(batch), rows, columns, dtype_of(left)).put(total, left, right).matrix


@functools.cache
def build_slopes(block: RowBlock, real: Real, rule: RowRule) -> Any:
    """Build the kernel that turns the gradients of weights into scale u (g - Σ u g / Σ u); `band` has the weights."""
    assert rule.slope is not None, rule.name
    slope, combine = rule.slope(real), build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def slopes(
        first, block_count, n, diagonal, scale, first_number, second_number, third_number, first_query, query_count,
        band, matrix,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        start = index * n
        end = max(0, min(n, first_query + index % query_count + diagonal + 1))
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        total = zero
        mean = zero
        for j in range(t, end, threads):
            if band[start + j] != zero:  # a NaN belongs to the support
                u = slope(band[start + j], first_number, second_number, third_number)
                total += u
                mean += u * matrix[start + j]
        total, mean, _ = combine(board, total, mean, zero)
        if total != zero:
            mean /= total
        for j in range(t, end, threads):
            gradient = zero
            if band[start + j] != zero:
                u = slope(band[start + j], first_number, second_number, third_number)
                gradient = scale * (u * (matrix[start + j] - mean))
            matrix[start + j] = gradient

    return kernel(slopes)


def _entmax_attention_vjp(
    query: Any, key: Any, value: Any, grad: Any, *, alpha: float, scale: float | None, **options: Any
) -> tuple[Any, Any, Any]:
    rule, numbers = rule_of_alpha(alpha, shape_of(key)[-2], dtype_of(query))

    def differentiate(banded: Banded, band: Band, weights: Any, grads: Any) -> None:
        p, block = banded.problem, default_row_block()
        banded.normalize(rule, band, weights, *numbers)
        launch(
            build_slopes(block, p.real, rule), band.rows, block.threads,
            p.n, p.diagonal, p.real(banded.scale), *map(p.real, (*numbers, 0.0, 0.0, 0.0)[:3]),
            band.first_query, band.query_count, weights, grads,
        )  # fmt: skip

    return band_gradients(differentiate, query, key, value, grad, scale=scale, **options)


def hopfield_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    beta: float | None,
    steps: int,
    alpha: float,
    mask: Any,
    bias: Any,
    causal: bool,
) -> AttentionVJP:
    """Compute `attlas_ref.hopfield_attention_vjp`."""
    options: dict[str, Any] = {"scale": beta, "mask": mask, "bias": bias, "causal": causal}

    def back(state: Any, read: Any, grad: Any) -> tuple[Any, Any, Any]:
        if alpha != 1:
            return _entmax_attention_vjp(state, key, read, grad, alpha=alpha, **options)
        return softmax_attention_vjp(
            state, key, read, grad, temperature=1.0, key_chunk_size=None, return_grad_bias=False, **options
        )

    states = [query]
    for _ in range(1, steps):
        states.append(moved(states[-1], key, 1, {"alpha": alpha, **options}))
    grad, grad_key, grad_value = back(states.pop(), key if value is None else value, grad_output)
    if value is None:
        grad_key, grad_value = _added(grad_key, grad_value), None
    while states:
        grad, of_scores, of_read = back(states.pop(), key, grad)
        grad_key = _added(_added(grad_key, of_scores), of_read)
    return AttentionVJP(grad, grad_key, grad_value)
