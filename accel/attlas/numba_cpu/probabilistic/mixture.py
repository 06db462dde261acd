"""Probabilistic attention: responsibilities of a mixture, whose means may adapt first.

The log responsibilities are one product. With both squares multiplied out, and but for a constant of each query, the
score of a pair is the dot product of

    [q_i, -|q_i|²/2, v⁰_i, -|v⁰_i|²/2, 1]   and   [α_j ζ_j, α_j - α, β_j μ_j, β_j - β, c_j],

where α and β are the least precisions and c_j holds what depends on the unit alone: -α_j |ζ_j|²/2 - β_j |μ_j|²/2, or 0
under the magnitude prior. With one precision for all units the squares of the queries drop out.

So the E step is softmax attention (`tile`), and an M step sums the queries of every unit (`columns`, lanes are units),
given the maximum and total of every query. Scores have the same bits in both.

Bound by: multiply-adds, m n (d + e) for the output, m n (3 d + e) for each step. Only sums per unit and statistics per
query are kept between passes; an array as prior is taken to its logarithm once.
Differs from the reference by rounding: precisions multiply the means, not the scores, and what is the same for all
units is left out before it can round.
"""

from typing import Any, NamedTuple

import numpy as np

from ..attention import attend, kernels_of, lay_out_scores, run_forward, score_batch
from ..columns import receivers, transposed
from ..dense import build_softmax
from ..operands import Array, lay_out, lean
from ..real import Real
from ..tile import Kernels
from .sums import sums_of

__all__ = ["probabilistic_attention"]


def build_members(real: Real) -> Kernels:
    """Sum what the queries give to each unit; parameters (1,), `extra` (m, 2): each query's shift and 1 / total.

    A factor of 0 keeps a query out, whatever its scores are. A unit that all queries are far from still moves to the
    nearest, so weights below the smallest normal number count.
    """
    zero, one, exp = real.number(0), real.number(1), sums_of(real).gradual

    def share(score, shift, factor, parameters):
        return exp(score - shift) * factor if factor != zero else zero

    def undivided(total, parameters):
        return one

    return receivers("members", real, share, undivided)


class Mixture(NamedTuple):
    """What the scores of all steps share; arrays as in the reference."""

    rows: Array
    """(..., m, r): what the queries bring to the product."""
    alpha: Array
    """(..., n) or (1,), like beta."""
    beta: Array
    guessed: bool
    """Whether a value_init is part of the rows."""
    magnitude: bool
    mask: Array | None
    bias: Array | None
    """(..., m, n): the logarithm of a prior."""

    def units(self, zeta: Array, mu: Array) -> Array:
        """Return what the units bring to the product, (..., n, r)."""
        alpha, beta = self.alpha[..., None], self.beta[..., None]  # (..., n, 1)
        # The squares stand in the Gaussians and, with the opposite sign, in the magnitude prior, which always has both.
        constant = np.zeros((1, 1), dtype=zeta.dtype) if self.magnitude else -alpha * _square(zeta) / 2
        if self.guessed != self.magnitude:
            square = beta * _square(mu) / 2
            constant = constant + square if self.magnitude else constant - square
        parts = [*_scaled(zeta, alpha), *(_scaled(mu, beta) if self.guessed else ()), constant]
        return _side_by_side(parts, zeta.shape[-2])


def _square(x: Array) -> Array:
    """Return |x|², (..., n, 1)."""
    square: Array = (x**2).sum(axis=-1, keepdims=True)
    return square


def _side_by_side(parts: list[Array], length: int) -> Array:
    """Join (..., length or 1, width) arrays along their widths."""
    leading = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return np.concatenate([np.broadcast_to(part, (*leading, length, part.shape[-1])) for part in parts], axis=-1)


def _excess(precision: Array) -> Array:
    """Return what precisions (..., n, 1) exceed the least of them by."""
    least = np.where(np.isfinite(precision), precision, np.inf).min(axis=-2, keepdims=True, initial=np.inf)
    return precision - np.where(np.isfinite(least), least, 0)


def _scaled(mean: Array, precision: Array) -> list[Array]:
    """Return what the units bring for one of the two squares."""
    excess = _excess(precision)
    return [precision * mean, excess] if excess.any() else [precision * mean]


def _rows(query: Array, alpha: Array, value_init: Array | None, beta: Array) -> Array:
    """Return what the queries bring to the product."""
    parts = []
    for x, precision in ((query, alpha), (value_init, beta)):
        if x is not None:
            parts += [x, -_square(x) / 2] if _excess(precision[..., None]).any() else [x]
    return _side_by_side([*parts, np.ones((1, 1), dtype=query.dtype)], query.shape[-2])


def _per_key(precision: Array | float, like: Array) -> Array:
    """Return a precision with an axis for the keys, (..., n) or (1,)."""
    return np.atleast_1d(np.asarray(precision, dtype=like.dtype))


def _shares(mixture: Mixture, zeta: Array, mu: Array, x: Array, taken: Array | None) -> tuple[Array, Array]:
    """Return Σ_i w_ij x_i, (..., n, d), and Σ_i w_ij, (..., n, 1), over the queries that are taken, (..., m)."""
    units, rows, mask, bias = mixture.units(zeta, mu), mixture.rows, mixture.mask, mixture.bias
    asked = lay_out_scores(rows, units, mask=mask, bias=bias, diagonal=None, parameters=(1.0, 1.0))
    _, maximum, total = run_forward(asked, kernels_of(build_softmax, rows.dtype)._replace(few=None))
    shift, factor = np.where(np.isneginf(maximum), 0, maximum), 1 / np.where(total == 0, 1, total)
    if taken is not None:
        x, factor = np.where(taken[..., None], x, 0), np.where(taken, factor, 0)
    extra = np.stack(np.broadcast_arrays(shift, factor), axis=-1).astype(rows.dtype, copy=False)
    problem = lay_out(
        units,
        rows,
        x.astype(rows.dtype, copy=False),
        mask=transposed(mask),
        bias=transposed(bias),
        extra=extra,
        diagonal=None,
        order=-1,
        batch=score_batch(units, rows, x, mask, bias, extra),
        parameters=(1.0,),
    )
    sums, _, mass = run_forward(problem, kernels_of(build_members, rows.dtype))
    return sums, mass[..., None]


def _adapted(
    mean: Array, center: Array, precision: Array, held: Array | float | None, total: Array, mass: Array
) -> Array:
    """Return the M step of one mean per unit, (..., n, d), drawn to its center."""
    if held is not None:
        tau, precision = _per_key(held, mean)[..., None], precision[..., None]
        total, mass = tau * center + precision * total, tau + precision * mass
    # A unit without any mass stays where it is.
    return np.where(mass == 0, mean, total / np.where(mass == 0, 1, mass))


def probabilistic_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    query_precision: Array | float | None,
    value_precision: Array | float,
    prior: Array | str,
    value_init: Array | None,
    mask: Array | None,
    key_update_steps: int,
    key_prior_precision: Array | float | None,
    value_fixed: Array | None,
    value_fixed_mask: Array | None,
    value_update_steps: int,
    value_prior_precision: Array | float | None,
    anchor: str,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.probabilistic_attention`."""
    precision = 1 / float(np.sqrt(query.shape[-1])) if query_precision is None else query_precision
    alpha, beta = _per_key(precision, query), _per_key(value_precision, query)
    bias = None
    if not isinstance(prior, str):
        prior = np.atleast_2d(prior)
        bias = np.broadcast_to(np.log(lean(prior), dtype=query.dtype), prior.shape)
    magnitude = isinstance(prior, str) and prior == "magnitude"
    rows = _rows(query, alpha, value_init, beta)
    rows = np.broadcast_to(rows, (*score_batch(rows, bias), *rows.shape[-2:]))  # a prior may have members of its own
    mixture = Mixture(rows, alpha, beta, value_init is not None, magnitude, mask, bias)
    zeta, mu = key, value
    for _ in range(key_update_steps):
        center = key if anchor == "initial" else zeta
        zeta = _adapted(zeta, center, alpha, key_prior_precision, *_shares(mixture, zeta, mu, query, None))
    if value_fixed is not None and value_fixed_mask is not None:
        for _ in range(value_update_steps):
            center = value if anchor == "initial" else mu
            sums = _shares(mixture, zeta, mu, value_fixed, value_fixed_mask)
            mu = _adapted(mu, center, beta, value_prior_precision, *sums)
    units = mixture.units(zeta, mu)
    return attend(
        build_softmax,
        mixture.rows,
        units,
        mu,
        1.0,
        1.0,
        mask=mask,
        bias=bias,
        causal=False,
        return_weights=return_weights,
    )
