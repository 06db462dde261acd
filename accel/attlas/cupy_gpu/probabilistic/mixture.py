"""Probabilistic attention: responsibilities of a mixture, whose means may adapt first.

An E step is softmax attention with a score of its own, streamed tile by tile. An M step passes over the tiles twice:
for each query's maximum and total, then for what the queries of a tile give to its units. Between passes only sums per
unit are kept.
Bound by memory traffic: each pass reads and writes a tile a few times.
Differs from the reference by rounding. Where all units share a precision, the squares of the queries are left out: they
are then the same for all units.
"""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from ..streams import softmax_attended, softmax_partial, softmax_weights
from ..tile import Score, Strange, Tile, Tiles, part, transposed

__all__ = ["probabilistic_attention"]


class Mixture(NamedTuple):
    """What the scores of all steps share; arrays as in the reference."""

    query: Any
    alpha: Any
    """(..., 1, n) or (1, 1), like beta."""
    beta: Any
    value_init: Any
    mask: Any
    prior: Any

    def tiles(self, zeta: Any, mu: Any, *others: Any) -> tuple[Tiles, Score]:
        """Return the tiles of a step, and the log responsibilities up to a constant of each query."""
        by_magnitude = isinstance(self.prior, str) and self.prior == "magnitude"
        prior = None if isinstance(self.prior, str) else self.prior
        scored = [self.alpha]
        if self.value_init is not None:
            scored += [self.beta, self.value_init, mu]
        elif by_magnitude:
            scored += [self.beta, mu]
        tiles = Tiles(self.query, zeta, *others, mask=self.mask, bias=prior, causal=False, scored=scored)

        def score(tile: Tile) -> Any:
            # The squares of the means stand in the Gaussians and, with the opposite sign, in the magnitude prior.
            scores = _closeness(tile, self.query, zeta, self.alpha, with_square=not by_magnitude)
            if self.value_init is not None:
                scores = scores + _closeness(tile, self.value_init, mu, self.beta, with_square=not by_magnitude)
            elif by_magnitude:
                scores = scores + tile.of_pairs(self.beta) * _half_squares(tile.of_keys(mu))[..., None, :]
            if prior is not None:
                scores = scores + tiles.xp.log(tile.of_pairs(prior).astype(tiles.dtype, copy=False))
            return scores

        return tiles, score

    def strange(self, x: Any, selects: bool) -> Strange:
        """Find the rows (..., m, *) that hold a NaN or infinity, if any query may be hidden from a unit."""
        return Tiles(self.query, self.query, mask=self.mask, bias=None, causal=False).strange(x, selects)

    def shares(self, zeta: Any, mu: Any, x: Any, taken: Any, strange: Strange) -> tuple[Any, Any]:
        """Return Σ_i w_ij x_i, (..., n, d), and Σ_i w_ij, (..., n, 1), over the queries that are taken, (..., m, 1)."""
        tiles, score = self.tiles(zeta, mu, x, *([] if taken is None else [taken]))
        sums, mass = (tiles.zeros(tiles.leading, tiles.n, width) for width in (x.shape[-1], 1))
        for band in tiles.bands():
            maximum, total, _ = softmax_partial(tiles, band, score)
            final = softmax_weights(tiles, score, maximum, total)
            for tile, visible in tiles.along(band):
                weights = tiles.select(visible, final(tile), 0)
                if taken is not None:
                    known = band.of_queries(taken)
                    weights = tiles.xp.where(known, weights, 0)
                    visible = known if visible is None else visible & known
                weights, seen = transposed(weights), None if visible is None else transposed(visible)
                here, there = tile.of_keys(sums), tile.of_keys(mass)
                here += tiles.weighted_sum(weights, band.of_queries(x), seen, part(strange, tile.rows))
                there += weights.sum(axis=-1, keepdims=True)
        return sums, mass


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
    """Return the mean of the values under the responsibilities, after the steps of keys and values."""
    alpha = _per_key(1 / math.sqrt(query.shape[-1]) if query_precision is None else query_precision, query)
    beta = _per_key(value_precision, query)
    mixture = Mixture(query, alpha, beta, value_init, mask, prior)
    zeta, mu = key, value
    strange = mixture.strange(query, selects=False) if key_update_steps else None
    for _ in range(key_update_steps):
        center = key if anchor == "initial" else zeta
        zeta = _adapted(zeta, center, alpha, key_prior_precision, *mixture.shares(zeta, mu, query, None, strange))
    value_update_steps = 0 if value_fixed is None else value_update_steps
    strange = mixture.strange(value_fixed, selects=True) if value_update_steps else None
    for _ in range(value_update_steps):
        center = value if anchor == "initial" else mu
        sums = mixture.shares(zeta, mu, value_fixed, value_fixed_mask[..., None], strange)
        mu = _adapted(mu, center, beta, value_prior_precision, *sums)
    tiles, score = mixture.tiles(zeta, mu, mu)
    return softmax_attended(tiles, score, mu, return_weights)


def _per_key(precision: Any, like: Any) -> Any:
    """Return a precision as one row per member, (..., 1, n) or (1, 1)."""
    precision = array_namespace(like).asarray(precision).astype(like.dtype, copy=False)
    return precision[..., None, :] if precision.ndim else precision[None, None]


def _half_squares(rows: Any) -> Any:
    return (rows * rows).sum(axis=-1) / 2


def _closeness(tile: Tile, x: Any, mean: Any, precision: Any, with_square: bool) -> Any:
    """Return minus half the squared distances times the precision, but for what is the same for all units."""
    rows, units = tile.of_queries(x), tile.of_keys(mean)
    scores = rows @ transposed(units)
    if with_square:
        scores = scores - _half_squares(units)[..., None, :]
    if precision.shape[-1] > 1:
        scores = scores - _half_squares(rows)[..., :, None]
    return tile.of_pairs(precision) * scores


def _adapted(mean: Any, center: Any, precision: Any, held: Any, total: Any, mass: Any) -> Any:
    """Return the M step of one mean per unit, (..., n, d), drawn to its center."""
    if held is not None:
        tau, precision = transposed(_per_key(held, mean)), transposed(precision)
        total, mass = tau * center + precision * total, tau + precision * mass
    # A unit without any mass stays where it is.
    xp = array_namespace(mean)
    return xp.where(mass == 0, mean, total / xp.where(mass == 0, 1, mass))
