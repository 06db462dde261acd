"""Marginals of dependency trees, by elimination of one token after the other, in logarithms.

The token with the largest D is moved behind all that remain, so that these are a smaller matrix and the last one can be
the root. Its row and its column are left as they are, like the factors of an LU decomposition; the way back finds them
there. With g the derivatives of log Z by the weights w,

    g[k, d] = Σ_h g[h, d] w[h, k] / D,    g[h, k] = Σ_d g[h, d] w[k, d] / D + (1 - flow) / D,

where flow is what goes over k altogether; the root has the last term only where it is part of D.
Bound by the host, which begins some sixty small steps for each token, as long as sentences are few or short; else by
memory traffic: the n³ / 3 numbers of all matrices, each read and written some twenty times. Memory: three matrices.
Differs from the reference by rounding: it keeps derivatives where the reference keeps all matrices.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import TreeMarginals

from .logs import finite_or_zero, log_sum_exp
from .trees import moved, moved_back, sentence_of

__all__ = ["tree_attention_marginals"]


def tree_attention_marginals(arc_scores: Any, root_scores: Any, *, multi_root: bool, mask: Any) -> TreeMarginals:
    """Return log Z and how likely each arc and each root is."""
    xp, n = array_namespace(arc_scores), root_scores.shape[-1]
    sentence = sentence_of(arc_scores, root_scores, mask)
    weights = xp.empty((*sentence.batch, n + 1, n), dtype=arc_scores.dtype)  # the root comes first
    weights[..., 0, :], weights[..., 1:, :] = sentence.roots, sentence.arcs
    weights, masses, places = _eliminated(xp, weights, multi_root)
    slopes = _slopes(xp, weights, masses, multi_root)

    log_partition = masses.sum(axis=-1)
    possible = log_partition != -math.inf
    marginals = _used(xp, sentence.arcs, moved(xp, slopes[..., 1:, :], places))
    root_marginals = _used(xp, sentence.roots, xp.take_along_axis(slopes[..., 0, :], places, axis=-1))
    marginals = xp.where(possible[..., None, None], marginals, 0)
    return moved_back(sentence, log_partition, marginals, xp.where(possible[..., None], root_marginals, 0))


def _eliminated(xp: Any, weights: Any, multi_root: bool) -> tuple[Any, Any, Any]:
    """Return the weights when all tokens are eliminated, log D and, for each token, where it stands now."""
    *batch, n = weights.shape[:-2] + weights.shape[-1:]
    masses = xp.zeros((*batch, n), dtype=weights.dtype)
    places = xp.zeros((*batch, n), dtype="int64") + xp.arange(n)
    for last in range(n - 1, -1, -1):
        heads = slice(_first_head(last, multi_root), last + 2)
        into = log_sum_exp(xp, weights[..., heads, : last + 1], -2)[..., 0, :]
        chosen = into.argmax(axis=-1)[..., None]
        masses[..., last] = into.max(axis=-1)
        weights = _exchanged(xp, weights, chosen[..., None], last)
        places = xp.where(places == chosen, last, xp.where(places == last, chosen, places))
        if last:
            to_chosen = weights[..., : last + 1, last] - finite_or_zero(xp, masses[..., last])[..., None]
            paths = to_chosen[..., :, None] + weights[..., last + 1, None, :last]
            from_itself = xp.arange(last + 1)[:, None] == xp.arange(last) + 1
            rest = weights[..., : last + 1, :last]
            rest[...] = _log_sum(xp, rest, xp.where(from_itself, -math.inf, paths))
    return weights, masses, places


def _slopes(xp: Any, weights: Any, masses: Any, multi_root: bool) -> Any:
    """Return the logarithms of the derivatives of log Z by the weights."""
    slopes = xp.zeros_like(weights) - math.inf
    for last in range(weights.shape[-1]):
        into = weights[..., : last + 1, last]
        to_last = into - finite_or_zero(xp, masses[..., last])[..., None]
        is_part = xp.arange(last + 1) >= _first_head(last, multi_root)
        used = xp.where(is_part, xp.exp(to_last), 0)
        if last:
            onward = weights[..., last + 1, :last]
            paths = to_last[..., :, None] + onward[..., None, :]
            flow = xp.exp(xp.minimum(paths + slopes[..., : last + 1, :last], 0))
            passed = flow.sum(axis=-2)
            used = flow.sum(axis=-1) + (1 - passed.sum(axis=-1))[..., None] * used
            slopes[..., last + 1, :last] = _slope(xp, passed, onward)
        slopes[..., : last + 1, last] = _slope(xp, used, into)
    return slopes


def _first_head(last: int, multi_root: bool) -> int:
    """Return the first row that belongs to D: that of the root, or the one behind it."""
    return 0 if multi_root or last == 0 else 1


def _exchanged(xp: Any, weights: Any, chosen: Any, last: int) -> Any:
    """Let two tokens, each with its row and its column, change places; `chosen` is (..., 1, 1)."""
    rows, columns = xp.arange(weights.shape[-2])[:, None], xp.arange(weights.shape[-1])
    row, own_row = xp.take_along_axis(weights, chosen + 1, axis=-2), weights[..., last + 1 : last + 2, :]
    weights = xp.where(rows == chosen + 1, own_row, xp.where(rows == last + 1, row, weights))
    column, own_column = xp.take_along_axis(weights, chosen, axis=-1), weights[..., last : last + 1]
    return xp.where(columns == chosen, own_column, xp.where(columns == last, column, weights))


def _log_sum(xp: Any, x: Any, y: Any) -> Any:
    """Return the logarithm of a sum of two, also where both are -inf."""
    larger = xp.maximum(x, y)
    return larger + xp.log1p(xp.exp(xp.minimum(x, y) - finite_or_zero(xp, larger)))


def _slope(xp: Any, used: Any, weight: Any) -> Any:
    """Return the logarithm of a derivative by a weight, from the probability of its arc."""
    return xp.where((used > 0) & (weight != -math.inf), xp.log(used) - weight, -math.inf)


def _used(xp: Any, scores: Any, slopes: Any) -> Any:
    """Return the probabilities of arcs."""
    return xp.where(scores == -math.inf, 0, xp.exp(xp.minimum(scores + slopes, 0)))
