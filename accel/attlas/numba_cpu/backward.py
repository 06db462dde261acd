"""The host side of gradients: the two passes of `gradient`, and sums over broadcast axes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionVJP, AttentionVJPWithBias

from .gradient import GradientKernels
from .operands import Array, Problem, lay_out, over_queries
from .tile import QUERIES_PER_BLOCK

SLAB = 4 * QUERIES_PER_BLOCK
"""Queries whose (m, n) gradient stands in memory at once while that of a broadcast bias is summed."""


@dataclass(frozen=True)
class Backward:
    """One call: its arrays, and the parameters of the score."""

    query: Array
    key: Array
    value: Array
    grad_output: Array
    mask: Array | None
    bias: Array | None
    diagonal: int | None
    keys_per_block: int | None
    parameters: tuple[float, ...]

    def by_queries(self, queries_per_block: int | None = None) -> Problem:
        """Laid out for the pass over queries."""
        return lay_out(
            self.query,
            self.key,
            self.value,
            mask=self.mask,
            bias=self.bias,
            diagonal=self.diagonal,
            gradient=self.grad_output,
            parameters=self.parameters,
            queries_per_block=queries_per_block,
            keys_per_block=self.keys_per_block,
        )

    def by_keys(self) -> Problem:
        """The mirror image: keys take the place of queries, grad_output that of values."""
        return lay_out(
            self.key,
            self.query,
            self.grad_output,
            mask=_transposed(self.mask),
            bias=_transposed(self.bias),
            diagonal=self.diagonal,
            gradient=self.value,
            order=-1,
            parameters=self.parameters,
            queries_per_block=self.keys_per_block,
        )

    def rows(self, rows: slice) -> "Backward":
        """The same for some of the queries."""
        return replace(
            self,
            query=self.query[..., rows, :],
            grad_output=self.grad_output[..., rows, :],
            mask=_rows(self.mask, rows),
            bias=_rows(self.bias, rows),
            diagonal=None if self.diagonal is None else self.diagonal + rows.start,
        )


def softmax_gradients(
    call: Backward, kernels: GradientKernels, *, slope: float, bias_slope: float, return_grad_bias: bool
) -> AttentionVJP | AttentionVJPWithBias:
    """Return the gradients of a softmax formulation.

    `slope` and `bias_slope` are the derivatives of a score by its dot product and by its bias.
    """
    problem = call.by_queries()
    size = problem.size
    statistics = tuple(problem.new(size.m) for _ in range(3))  # shift, inverse, mean
    grad_query = problem.new(size.m, size.d)
    grad_bias = None
    if return_grad_bias:
        grad_bias = _with_grad_bias(call, problem, kernels, statistics, grad_query)
    else:
        over_queries(problem, kernels.over_queries, *statistics, grad_query, None)
    grad_key, grad_value = problem.new(size.n, size.d), problem.new(size.n, size.e)
    over_queries(call.by_keys(), kernels.over_keys, *statistics, grad_key, grad_value)
    with np.errstate(all="ignore"):
        grads = (
            sum_to_shape(grad_query, call.query.shape) * problem.dtype.type(slope),
            sum_to_shape(grad_key, call.key.shape) * problem.dtype.type(slope),
            sum_to_shape(grad_value, call.value.shape),
        )
        if grad_bias is None:
            return AttentionVJP(*grads)
        return AttentionVJPWithBias(*grads, grad_bias * problem.dtype.type(bias_slope))


def _with_grad_bias(
    call: Backward, problem: Problem, kernels: GradientKernels, statistics: tuple[Array, ...], grad_query: Array
) -> Array:
    """Fill statistics and grad_query; return the gradient by the scores, summed to the shape of the bias.

    It has (..., m, n) entries only if the bias does; else a slab of queries stands in memory at a time.
    """
    size = problem.size
    full = (*problem.batch, size.m, size.n)
    if call.bias is None or call.bias.shape == full:
        grad_scores = np.zeros(full, dtype=problem.dtype)
        over_queries(problem, kernels.over_queries, *statistics, grad_query, grad_scores)
        return grad_scores
    shape = call.bias.shape
    grad_bias = np.zeros(shape, dtype=problem.dtype)
    stretched = len(shape) < 2 or shape[-2] == 1
    for start in range(0, size.m, SLAB):
        rows = slice(start, min(start + SLAB, size.m))
        part = call.rows(rows).by_queries()
        m = part.size.m
        own = part.new(m), part.new(m), part.new(m), part.new(m, size.d)
        grad_scores = np.zeros((*problem.batch, m, size.n), dtype=problem.dtype)
        over_queries(part, kernels.over_queries, *own, grad_scores)
        for whole, piece in zip(statistics, own, strict=False):
            whole[..., rows] = piece
        grad_query[..., rows, :] = own[-1]
        with np.errstate(all="ignore"):
            if stretched:
                grad_bias += sum_to_shape(grad_scores, shape)
            else:
                grad_bias[..., rows, :] = sum_to_shape(grad_scores, (*shape[:-2], m, shape[-1]))
    return grad_bias


def _transposed(array: Array | None) -> Array | None:
    return None if array is None else (array if array.ndim > 1 else np.atleast_2d(array)).mT


def _rows(array: Array | None, rows: slice) -> Array | None:
    return array if array is None or array.ndim < 2 or array.shape[-2] == 1 else array[..., rows, :]


def sum_to_shape(gradient: Any, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its argument was broadcast."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return np.asarray(gradient.sum(axis=stretched, keepdims=True))
