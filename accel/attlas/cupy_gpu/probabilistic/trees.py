"""What the functions over dependency trees share: the tokens that take part, and what strange scores do.

The tokens of a tree that take part are moved together to the front, in their order. Each of the others is hung on the
token to its left (the first of a sentence without any on the root) by its only arc, of score 0. That multiplies every
tree by 1 and crosses no arc.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import TreeMarginals


class Sentence(NamedTuple):
    """Scores of the arcs among the tokens in their new order, -inf where there can be none."""

    arcs: Any
    """(..., n, n): from head (row) to dependent (column)."""
    roots: Any
    """(..., n)"""
    allowed: Any
    """(..., n): whether a token takes part, in the old order; None if all do."""
    strange: Any
    """(...): NaN where there is a NaN or +inf among the scores, which no sum over trees survives, else 0."""
    batch: tuple[int, ...]
    """The leading axes of all together."""


def sentence_of(arc_scores: Any, root_scores: Any, mask: Any) -> Sentence:
    """Move the tokens that take part to the front; without a mask nothing moves."""
    xp, n = array_namespace(arc_scores), root_scores.shape[-1]
    leading = () if mask is None else mask.shape[:-1]
    batch = np.broadcast_shapes(arc_scores.shape[:-2], root_scores.shape[:-1], leading)
    token = xp.arange(n)
    different = token[:, None] != token
    if mask is None:
        allowed, arcs, roots = None, xp.where(different, arc_scores, -math.inf), root_scores
    else:
        allowed = xp.broadcast_to(mask, (*batch, n))
        order = xp.sort(xp.where(allowed, token, token + n), axis=-1)
        front, order = order < n, order % max(n, 1)
        roots = xp.take_along_axis(xp.broadcast_to(root_scores, (*batch, n)), order, axis=-1)
        arcs = moved(xp, xp.broadcast_to(arc_scores, (*batch, n, n)), order)
        arcs = xp.where(front[..., :, None] & front[..., None, :] & different, arcs, -math.inf)
        hung = ~front[..., None, :] & (token[:, None] + 1 == token)
        arcs = xp.where(hung, 0, arcs)
        roots = xp.where(front, roots, -math.inf)
        roots = xp.where(~front & (token == 0), 0, roots)
    strange = _strange(xp, arcs).sum(axis=(-2, -1)) + _strange(xp, roots).sum(axis=-1)
    return Sentence(arcs, roots, allowed, strange, batch)


def moved(xp: Any, matrices: Any, places: Any) -> Any:
    """Return matrices (..., n, n) with the rows and columns that stand at given places (..., n)."""
    return xp.take_along_axis(
        xp.take_along_axis(matrices, places[..., :, None], axis=-2), places[..., None, :], axis=-1
    )


def moved_back(sentence: Sentence, log_partition: Any, marginals: Any, root_marginals: Any) -> TreeMarginals:
    """Return the result with the tokens at their old places: 0 for those that take no part, NaN where NaN must be."""
    xp, n = array_namespace(marginals), marginals.shape[-1]
    token, allowed, strange = xp.arange(n), sentence.allowed, sentence.strange
    marginals, root_marginals = marginals + strange[..., None, None], root_marginals + strange[..., None]
    pairs = token[:, None] != token
    if allowed is not None:
        places = xp.maximum(xp.cumsum(allowed.astype("int64"), axis=-1) - 1, 0)
        marginals, pairs = moved(xp, marginals, places), pairs & allowed[..., :, None] & allowed[..., None, :]
        root_marginals = xp.where(allowed, xp.take_along_axis(root_marginals, places, axis=-1), 0)
    return TreeMarginals(log_partition + strange, xp.where(pairs, marginals, 0), root_marginals)


def _strange(xp: Any, scores: Any) -> Any:
    """Return 0 for a number and NaN for what is none."""
    return xp.where(scores < math.inf, 0, scores - scores)
