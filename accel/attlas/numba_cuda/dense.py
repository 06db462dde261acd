"""The host's side of the tile: choose the kernel for a rule, launch it, shape what comes back."""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from .operands import leading_axes, members_by_group, problem, shape_of
from .pairs import SCORE_GRADIENTS, WEIGHTS, build_gradient, build_pairs
from .pieces import GRAD, KEY, QUERY
from .rules import RuleFactory
from .target import allocate, launch, shaped, upload
from .tile import build_forward, build_statistics


class Attention:
    """One rule on one problem, pass by pass; what a pass finds stays on the device for the next."""

    def __init__(
        self, rule: RuleFactory, query: Any, key: Any, value: Any = None, grad: Any = None, *,
        mask: Any, bias: Any, scale: float | None, diagonal: int | None = None, causal: bool = False,
        first: float = 1.0, second: float = 1.0, extra: Any = None,
    ) -> None:  # fmt: skip
        m, n = shape_of(query)[-2], shape_of(key)[-2]
        if causal:
            diagonal = n - m  # the last query sees the last key
        self.scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        self.rule = rule
        self.problem = problem(query, key, value, grad, mask=mask, bias=bias, diagonal=diagonal, extra=extra)
        self.numbers = tuple(self.problem.real(number) for number in (self.scale, first, second))
        self.rows = (*self.problem.batch, m)
        self.maximum = allocate(self.rows, self.problem.dtype)
        self.total = allocate(self.rows, self.problem.dtype)
        self.mean = self.maximum  # until a pass finds it; only gradients read it
        self._score_batch = leading_axes(query, key, mask, bias, extra)
        self._without_value = functools.partial(
            Attention, rule, query, key,
            mask=mask, bias=bias, scale=scale, diagonal=diagonal, first=first, second=second, extra=extra,
        )  # fmt: skip

    def of_scores(self) -> "Attention":
        """Return what knows the row statistics over the leading axes of the scores, which may be fewer."""
        if self._score_batch == self.problem.batch:
            return self
        scores = self._without_value()
        scores.output(normalized=False)
        return scores

    def output(self, normalized: bool = True) -> Any:
        """Return the output (..., m, e), divided by the sum of the weights or not, and keep the row statistics."""
        p = self.problem
        shape = (*self.rows, p.e)
        result = allocate(shape, p.dtype)
        # A result without channels still has row statistics.
        blocks = p.members * _ceil(p.m, p.block.own) * max(1, _ceil(p.e, p.block.width))
        query, key, value, _, mask, bias = p.memories
        launch(
            build_forward(p.block, p.real, self.rule), blocks, p.block.threads,
            *p.sizes(), query, key, value, mask, bias, p.extra, p.extra_width, p.layout,
            *self.numbers, int(normalized), result, self.maximum, self.total,
        )  # fmt: skip
        return shaped(result, shape)

    def statistics(self, as_energy: bool = False) -> None:
        """Compute the row statistics of a softmax without its output; as energy, or with the mean of <grad, value>."""
        p = self.problem
        self.mean = allocate(self.rows, p.dtype)
        launch(
            build_statistics(p.block, p.real, self.rule), p.members * _ceil(p.m, p.block.own), p.block.threads,
            *p.sizes(), *p.memories, p.layout, *self.numbers[:2], int(as_energy), self.maximum, self.total, self.mean,
        )  # fmt: skip

    def weights(self, normalized: bool = True) -> Any:
        """Return the weights (..., m, n); the row statistics must be there."""
        p = self.problem
        return self._matrix(WEIGHTS, (*p.batch, p.m, p.n), p.sizes(e=0), normalized)

    def grad_bias(self, shape: tuple[int, ...] | None) -> Any:
        """Return the gradient of the scores, summed to the shape of the bias; (..., m, n) if there is none."""
        p = self.problem
        return self._matrix(SCORE_GRADIENTS, (*p.batch, p.m, p.n) if shape is None else shape, p.sizes())

    def _matrix(self, kind: int, shape: tuple[int, ...], sizes: tuple[int, ...], normalized: bool = True) -> Any:
        p = self.problem
        *leading, rows, columns = (1,) * (2 - len(shape)) + shape
        members, share = members_by_group(leading, p.batch)
        result = allocate(shape, p.dtype)
        launch(
            build_pairs(p.block, p.real, self.rule, kind),
            math.prod(leading) * _ceil(rows, p.block.own) * _ceil(columns, p.block.other), p.block.threads,
            *sizes, *p.memories, p.extra, p.extra_width, p.layout,
            *self.numbers, int(normalized), self.maximum, self.total, self.mean,
            _uploaded(members), share, rows, columns, result,
        )  # fmt: skip
        return shaped(result, shape)

    def grad_query(self, query: Any) -> Any:
        """Return the gradient of the queries, in their shape."""
        return self._gradient(query, SCORE_GRADIENTS, True, KEY, self.problem.d, self.scale)

    def grad_key(self, key: Any) -> Any:
        """Return the gradient of the keys, in their shape."""
        return self._gradient(key, SCORE_GRADIENTS, False, QUERY, self.problem.d, self.scale)

    def grad_value(self, value: Any) -> Any:
        """Return the gradient of the values, in their shape."""
        return self._gradient(value, WEIGHTS, False, GRAD, self.problem.e, 1.0)

    def _gradient(self, argument: Any, kind: int, by_query: bool, carried: int, width: int, factor: float) -> Any:
        p = self.problem
        shape = shape_of(argument)
        members, share = members_by_group(shape[:-2], p.batch)
        result = allocate(shape, p.dtype)
        launch(
            build_gradient(p.block, p.real, self.rule, kind, by_query),
            math.prod(shape[:-2]) * _ceil(shape[-2], p.block.own) * _ceil(width, p.block.width), p.block.threads,
            *p.sizes(), *p.memories, p.layout, *self.numbers, 1, self.maximum, self.total, self.mean,
            _uploaded(members), share, p.memories[carried], carried, width, p.real(factor), result,
        )  # fmt: skip
        return shaped(result, shape)


def attend(attention: Attention, return_weights: bool, normalized: bool = True) -> Any:
    """Return the output, with the weights if wanted; `normalized` divides by the sum of the weights."""
    output = attention.output(normalized)
    return AttentionResult(output, attention.of_scores().weights(normalized)) if return_weights else output


def _uploaded(members: Any) -> Any:
    return upload(members if members.size else np.zeros(1, np.int64))


def _ceil(size: int, part: int) -> int:
    return -(-size // part)
