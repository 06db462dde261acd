"""Search of a tree of summaries, and attention to what the search has passed by.

All queries go down together, one level after the other: a level takes a handful of launches, whatever the number of
tokens, and reads b nodes per query. The projections of keys are moved to the queries, and those of values behind the
sum (see `numba_cpu`), so a node is never projected.

Bound by memory traffic: h (k b + P) d numbers per query, which are made once and summed once.
Differs from the reference by rounding, and where rounding decides a choice. Scores are sums of products, not matrix
products, so that equal nodes have equal scores to the last bit.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import SearchPath, with_extras

from ...gathering import numbered, rows_at
from ...trees import levels_of
from .rows import masked_softmax

__all__ = ["tree_cross_attention", "tree_search_path"]


class _Looked(NamedTuple):
    """The children that every query looks at on one level."""

    places: Any
    """(..., m, c), within the level."""
    nodes: Any
    """(..., m, c, d), zeros where they are padding."""
    seen: Any
    """(..., m, c)"""
    scores: Any
    """(..., h, m, c)"""


def _look(asked: Any, level: Any, places: Any) -> _Looked:
    xp, (nodes, flags) = array_namespace(asked), level
    seen = rows_at(xp, flags, places, core=0, own=2)
    found = xp.where(seen[..., None], rows_at(xp, nodes, places, own=2), 0)
    scores = (found[..., None, :, :, :] * asked[..., :, :, None, :]).sum(axis=-1)
    return _Looked(places, found, seen, scores)


def _walked(
    query: Any, levels: Any, w_query: Any, w_key: Any, uniform: Any, reads: bool
) -> tuple[SearchPath, list[_Looked]]:
    """Go down; return the paths, and what was looked at, less what was chosen, with the leaves if they are read."""
    xp, m, depth = array_namespace(query), query.shape[-2], len(levels) - 2
    shapes = [shape for nodes, flags in levels for shape in (nodes.shape[:-2], flags.shape[:-1])]
    batch = np.broadcast_shapes(query.shape[:-2], () if uniform is None else uniform.shape[:-2], *shapes)
    asked = (query[..., None, :, :] @ w_query) @ (w_key.swapaxes(-1, -2) / math.sqrt(w_key.shape[-1]))  # (..., h, m, d)
    sizes = [flags.shape[-1] for _, flags in levels]
    current = xp.zeros((*batch, m), dtype="int64")
    log_prob, entropy = (xp.zeros((*batch, m), dtype=query.dtype) for _ in range(2))
    path, all_looked = xp.zeros((*batch, m, depth), dtype="int64"), []
    for t in range(depth + 1 if reads else depth):
        count = sizes[t + 1] // sizes[t]
        children = xp.arange(count)
        looked = _look(asked, levels[t + 1], current[..., None] * count + children)
        if t == depth:  # leaves are read, not chosen
            all_looked.append(looked)
            break
        mean = masked_softmax(xp, looked.scores, looked.seen[..., None, :, :]).sum(axis=-3) / w_query.shape[0]
        choice = _chosen(xp, mean, None if uniform is None else uniform[..., t])[..., None]
        log_prob = log_prob + xp.log(xp.take_along_axis(mean, choice, axis=-1)[..., 0])
        entropy = entropy - (mean * xp.log(xp.where(mean == 0, 1, mean))).sum(axis=-1) / depth
        current = current * count + choice[..., 0]
        path[..., t] = xp.where(looked.seen.any(axis=-1), current, -1)
        all_looked.append(looked._replace(seen=looked.seen & (children != choice)))
    return SearchPath(path, log_prob, entropy), all_looked


def _chosen(xp: Any, weights: Any, uniform: Any) -> Any:
    """Return the first of the best children, or by inverse CDF the one that a uniform number falls on."""
    if uniform is None:
        return weights.argmax(axis=-1)
    below = (xp.cumsum(weights, axis=-1) <= uniform[..., None]).sum(axis=-1)
    last = xp.where(weights > 0, xp.arange(weights.shape[-1]), 0).max(axis=-1)
    return xp.minimum(below, last)


def tree_search_path(query: Any, levels: Any, *, w_query: Any, w_key: Any, mode: str, uniform: Any) -> SearchPath:
    """Return one path per query, how likely it was, and how open the choices were."""
    return _walked(query, levels, w_query, w_key, uniform if mode == "sample" else None, reads=False)[0]


def tree_cross_attention(
    query: Any,
    tokens: Any,
    *,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    b_out: Any,
    branch_factor: int,
    aggregator: str,
    levels: Any,
    mask: Any,
    mode: str,
    uniform: Any,
    return_weights: bool,
    return_selected: bool,
    return_log_prob: bool,
) -> Any:
    """Return what heads read from the leaves at the end of a path, and from the summaries beside it."""
    xp = array_namespace(query)
    levels = levels_of(xp, tokens, mask, branch_factor) if levels is None else levels
    search, looked = _walked(query, levels, w_query, w_key, uniform if mode == "sample" else None, reads=True)
    starts = np.cumsum([flags.shape[-1] for _, flags in levels])
    places = xp.concatenate(
        [part.places + int(start) for part, start in zip(looked, starts[:-1], strict=True)], axis=-1
    )
    seen = xp.concatenate([part.seen for part in looked], axis=-1)  # (..., m, r)
    nodes = xp.concatenate([part.nodes for part in looked], axis=-2)  # (..., m, r, d)
    scores = xp.concatenate([part.scores for part in looked], axis=-1)  # (..., h, m, r)
    weights = masked_softmax(xp, scores, seen[..., None, :, :])
    # What was chosen takes no part, not even as 0 times a NaN.
    nodes = xp.where(seen[..., None], nodes, 0)
    sums = (weights[..., None, :] @ nodes[..., None, :, :, :])[..., 0, :]  # (..., h, m, d)
    heads = xp.moveaxis(sums @ w_value, -3, -2)  # (..., m, h, hd)
    output = heads.reshape(*seen.shape[:-1], w_out.shape[0]) @ w_out
    output = output if b_out is None else output + b_out
    return with_extras(
        xp.where(seen.any(axis=-1, keepdims=True), output, 0),
        weights=_placed(xp, weights, places[..., None, :, :], int(starts[-1])) if return_weights else None,
        selected=_placed(xp, seen, places, int(starts[-1])) if return_selected else None,
        log_prob=search.log_prob if return_log_prob else None,
    )


def _placed(xp: Any, values: Any, places: Any, size: int) -> Any:
    """Return values (..., r) at their places among so many, and 0 elsewhere."""
    wide = xp.zeros((*values.shape[:-1], size), dtype=values.dtype)
    wide[(*numbered(xp, values.shape[:-1], 1), places)] = values
    return wide
