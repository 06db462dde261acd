r"""What the functions over dependency trees share: sentences whose masked tokens are moved out of the way.

The tokens of a tree that take part are moved together to the front, in their order. Each of the others is hung on the
token to its left (the first of a sentence without any on the root) by its only arc, of score 0. That multiplies every
tree by 1 and crosses no arc, so sums over trees are those over the tokens that take part.
"""

from typing import NamedTuple

import numpy as np

from ..contract import TreeMarginals
from ..visibility import Booleans, Reals


class Sentence(NamedTuple):
    """Scores of the arcs among the tokens in their new order, -inf where there can be none."""

    arcs: Reals
    """(..., n, n): from head (row) to dependent (column)."""
    roots: Reals
    """(..., n)"""
    allowed: Booleans
    """(..., n): whether the token takes part."""
    order: Reals
    """(..., n) integers: where the token stood."""


def sentence_of(arc_scores: Reals, root_scores: Reals, mask: Booleans | None) -> Sentence:
    """Move the tokens that take part to the front."""
    n = root_scores.shape[-1]
    batch = np.broadcast_shapes(arc_scores.shape[:-2], root_scores.shape[:-1], () if mask is None else mask.shape[:-1])
    allowed = np.broadcast_to(True if mask is None else mask, (*batch, n))
    order = np.argsort(~allowed, axis=-1, kind="stable")
    allowed = np.take_along_axis(allowed, order, axis=-1)
    roots = np.take_along_axis(np.broadcast_to(root_scores, (*batch, n)), order, axis=-1)
    arcs = np.take_along_axis(np.broadcast_to(arc_scores, (*batch, n, n)), order[..., :, None], axis=-2)
    arcs = np.take_along_axis(arcs, order[..., None, :], axis=-1)

    hung = ~allowed[..., None, :] & np.eye(n, k=1, dtype=bool)  # on the left neighbor
    arcs = np.where(arcs_among(allowed), arcs, np.where(hung, 0.0, -np.inf).astype(arcs.dtype))
    first = np.arange(n) == 0
    roots = np.where(allowed, roots, np.where(~allowed & first, 0.0, -np.inf).astype(roots.dtype))
    return Sentence(arcs, roots, allowed, order)


def arcs_among(allowed: Booleans) -> Booleans:
    """Return the pairs of two different tokens that both take part, (..., n, n)."""
    n = allowed.shape[-1]
    return allowed[..., :, None] & allowed[..., None, :] & ~np.eye(n, dtype=bool)


def moved_back(sentence: Sentence, log_partition: Reals, marginals: Reals, root_marginals: Reals) -> TreeMarginals:
    """Return the marginals of arcs and roots at the tokens' old places, 0 for those that take no part.

    Where a score is +inf, so is log Z, and no share of it is known.
    """
    largest_arc = sentence.arcs.max(axis=(-2, -1), initial=-np.inf)
    largest_root = sentence.roots.max(axis=-1, initial=-np.inf)
    endless = np.maximum(largest_arc, largest_root) == np.inf  # a NaN is larger
    log_partition = np.where(endless, np.inf, log_partition)
    marginals = np.where(endless[..., None, None], np.nan, marginals)
    root_marginals = np.where(endless[..., None], np.nan, root_marginals)
    back = np.argsort(sentence.order, axis=-1)
    marginals = np.where(arcs_among(sentence.allowed), marginals, 0)
    marginals = np.take_along_axis(marginals, back[..., :, None], axis=-2)
    marginals = np.take_along_axis(marginals, back[..., None, :], axis=-1)
    roots = np.where(sentence.allowed, root_marginals, 0)
    return TreeMarginals(log_partition, marginals, np.take_along_axis(roots, back, axis=-1))
