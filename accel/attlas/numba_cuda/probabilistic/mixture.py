"""Probabilistic attention on Numba-CUDA: responsibilities of a mixture, whose means may adapt first.

The log responsibilities are one product. With both squares multiplied out, and but for a constant of each query, the
score of a pair is the dot product of

    [q_i, -|q_i|²/2, v⁰_i, -|v⁰_i|²/2, 1]   and   [α_j ζ_j, α_j, β_j μ_j, β_j, c_j],

where c_j holds what depends on the unit alone: -α_j |ζ_j|²/2 - β_j |μ_j|²/2, or 0 under the magnitude prior. With one
precision for all units the square of the queries drops out. So the E step is softmax attention (`tile`), and an M step
is a second pass with units for its rows, whose rule reads the maximum and total of each query. Scores have the same
bits in both, and a prior is taken to its logarithm pair by pair: nothing of size (m, n) is kept.

Bound by operations: m n (d + e) multiply-adds for the output, m n (3 d + e) for each step.

Results differ from the reference by rounding: precisions multiply the means, not the scores, and what is the same for
all units is left out before it can round.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..assemble import Assembly
from ..columns import shift
from ..dense import Attention, attend
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..rules import Real, Rule, softmax
from ..target import allocate, device, shaped
from ..views import as_column, transposed
from .entries import over_entries
from .mixture_steps import build_adapt, build_features

__all__ = ["probabilistic_attention"]


@functools.cache
def build_log_prior(real: Real) -> Callable[..., Any]:
    """Build the score of a pair with a prior, which stands in place of the bias."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def log_prior(product, prior):
        return product + (lowest if prior == zero else real(math.log(prior)))

    return log_prior


@functools.cache
def weighed_by_prior(real: Real) -> Rule:
    """Make the rule of softmax(<q, k> + log prior)."""
    log_prior = build_log_prior(real)

    @device
    def score(product, bias, scale, first):
        return log_prior(product, bias)

    return Rule(score)


def _received(real: Real, score_of: Callable[..., Any]) -> Rule:
    zero = real(0)

    @device
    def score(product, bias, scale, first, shift, factor):
        # A query that is left out has the factor 0, whatever its scores are.
        return real(math.exp(score_of(product, bias) - shift)) * factor if factor != zero else zero

    @device
    def weight(score, second):
        return score

    return Rule(score, weight=weight, of_key=True)


@device
def _plain(product, bias):
    return product + bias


@functools.cache
def received(real: Real) -> Rule:
    """Make the rule of a unit's part of a query: factor_i exp(<q, k> - shift_i)."""
    return _received(real, _plain)


@functools.cache
def received_by_prior(real: Real) -> Rule:
    """Make the same rule with a prior."""
    return _received(real, build_log_prior(real))


def part_of_taken(real: Real) -> Callable[..., Any]:
    """Make the factor of a query: 1 over its total, or 0 if it is left out."""
    zero, one = real(0), real(1)

    @device
    def entry(left, right):
        return one / (right if right != zero else one) if left else zero

    return entry


def taken_alone(real: Real) -> Callable[..., Any]:
    """Make left where right is set, and 0 elsewhere."""
    zero = real(0)

    @device
    def entry(left, right):
        return left if right else zero

    return entry


def _made(compiled: Any, dtype: np.dtype[Any], shape: tuple[int, ...], *arguments: Any) -> Any:
    """Return what a kernel with a thread for each entry makes."""
    result = allocate(shape, dtype)
    over_entries(compiled, dtype, math.prod(shape), *arguments, result)
    return shaped(result, shape)


class _Mixture:
    """What the scores of all steps share."""

    def __init__(
        self, query: Any, value_init: Any, alpha: Any, beta: Any, prior: Any, mask: Any, magnitude: bool
    ) -> None:
        self.dtype, self.alpha, self.beta = dtype_of(query), alpha, beta
        self.mask, self.prior, self.magnitude, self.guessed = mask, prior, magnitude, value_init is not None
        self.real: Any = self.dtype.type
        # Where all units have one precision, the square of a query takes the same off all its scores.
        self.squares = int(shape_of(alpha)[-2] > 1), int(self.guessed and shape_of(beta)[-2] > 1)
        self.rows = self._features(False, query, value_init if self.guessed else None, (0.0, 0.0))

    def _features(self, of_units: bool, left: Any, right: Any, factors: tuple[float, float]) -> Any:
        (rows, d), (of_left, of_right) = shape_of(left)[-2:], self.squares
        nothing = np.zeros((1, 1), self.dtype)
        e = 0 if right is None else shape_of(right)[-1]
        carried = e if self.guessed else 0
        used = [left, *(() if right is None else (right,))]
        if of_units:
            used += [self.alpha, *(() if right is None else (self.beta,))]
        batch = leading_axes(*used)
        precisions = (self.alpha, nothing if right is None else self.beta) if of_units else (nothing, nothing)
        memories, layout = lay_out([left, nothing if right is None else right, *precisions], batch)
        shape = (*batch, rows, d + of_left + carried + of_right + 1)
        return _made(
            build_features(self.real, of_units), self.dtype, shape,
            rows, d, of_left, carried, of_right, e, *memories, layout, *map(self.real, factors),
        )  # fmt: skip

    def units(self, zeta: Any, mu: Any) -> Any:
        """Return what the units bring to the product, (..., n, r)."""
        # The squares stand in the Gaussians and, with the opposite sign, in the magnitude prior, which always has both.
        if self.magnitude:
            return self._features(True, zeta, mu, (0.0, 0.0 if self.guessed else 0.5))
        return self._features(True, zeta, mu if self.guessed else None, (-0.5, -0.5 if self.guessed else 0.0))

    def reading(self, units: Any, value: Any = None) -> Attention:
        """Return the attention of the queries to the units."""
        rule = softmax if self.prior is None else weighed_by_prior
        return Attention(rule, self.rows, units, value, mask=self.mask, bias=self.prior, scale=1.0)

    def adapted(self, zeta: Any, mu: Any, mean: Any, center: Any, precision: Any, held: Any, x: Any, taken: Any) -> Any:
        """Return the M step of one mean per unit, by those rows of x that are taken, (..., m)."""
        units = self.units(zeta, mu)
        e_step = self.reading(units)
        e_step.output(normalized=False)
        maximum, total = (as_column(shaped(found, e_step.rows)) for found in (e_step.maximum, e_step.total))
        flags = np.ones((1, 1), bool) if taken is None else as_column(taken)
        of_queries = Assembly(leading_axes(maximum, flags), shape_of(x)[-2], 2, self.dtype).put(shift, maximum)
        of_queries.put(part_of_taken, flags, total, column=1)
        if taken is not None:
            m, width = shape_of(x)[-2:]
            x = Assembly(leading_axes(x, flags), m, width, self.dtype).put(taken_alone, x, flags).matrix
        m_step = Attention(
            received if self.prior is None else received_by_prior, units, self.rows, x,
            mask=None if self.mask is None else transposed(self.mask),
            bias=None if self.prior is None else transposed(self.prior),
            scale=1.0, extra=of_queries.matrix,
        )  # fmt: skip
        sums = m_step.output(normalized=False)
        mass = as_column(shaped(m_step.total, m_step.rows))
        operands = [mean, center, sums, mass]
        # What holds a mean back, and then its precision, counts for the leading axes too.
        operands += [np.zeros((1, 1), self.dtype)] * 2 if held is None else [precision, held]
        batch = leading_axes(*operands)
        memories, layout = lay_out(operands, batch)
        rows, columns = shape_of(mean)[-2:]
        return _made(
            build_adapt(self.real), self.dtype, (*batch, rows, columns),
            rows, columns, int(held is not None), *memories, layout,
        )  # fmt: skip


def _per_key(precision: Any, dtype: np.dtype[Any]) -> Any:
    """Return a precision as a column, (..., n, 1) or (1, 1)."""
    return as_column(np.asarray(precision, dtype) if isinstance(precision, int | float) else precision)


def probabilistic_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_precision: Any,
    value_precision: Any,
    prior: Any,
    value_init: Any,
    mask: Any,
    key_update_steps: int,
    key_prior_precision: Any,
    value_fixed: Any,
    value_fixed_mask: Any,
    value_update_steps: int,
    value_prior_precision: Any,
    anchor: str,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.probabilistic_attention`."""
    dtype = dtype_of(query)
    precision = 1 / math.sqrt(shape_of(query)[-1]) if query_precision is None else query_precision
    alpha, beta = _per_key(precision, dtype), _per_key(value_precision, dtype)
    hold_key, hold_value = (
        None if held is None else _per_key(held, dtype) for held in (key_prior_precision, value_prior_precision)
    )
    word = prior if isinstance(prior, str) else None
    mixture = _Mixture(query, value_init, alpha, beta, prior if word is None else None, mask, word == "magnitude")
    zeta, mu = key, value
    for _ in range(key_update_steps):
        center = key if anchor == "initial" else zeta
        zeta = mixture.adapted(zeta, mu, zeta, center, alpha, hold_key, query, None)
    if value_fixed is not None:
        for _ in range(value_update_steps):
            center = value if anchor == "initial" else mu
            mu = mixture.adapted(zeta, mu, mu, center, beta, hold_value, value_fixed, value_fixed_mask)
    return attend(mixture.reading(mixture.units(zeta, mu), mu), return_weights)
