r"""Search of a tree: one path from the root per query.

A query that wants one thing out of many need not look at all of them. On a tree of summaries (`build_token_tree`) it
looks at the children of the root, goes to the one that fits best, looks at the children of that, and so on: b summaries
on each of k levels, instead of N tokens.

How well a child fits is a softmax over the children, as in multi-head attention, with the same projections as the
reading that follows. Each head h has its own opinion, and their mean $\bar w$ decides:

$$w^h = \mathrm{softmax}_{c \in \mathrm{children}}\bigl(\langle q W^h_q, x_c W^h_k \rangle / \sqrt{d_h}\bigr), \qquad
  \bar w = \frac1H \sum_h w^h, \qquad c^* = \arg\max_c \bar w_c \ \text{ or } \ c^* \sim \bar w .$$

A choice has no gradient. So the search is a policy and is trained as one (REINFORCE): the reward times the gradient of
`log_prob` $= \sum_l \log \bar w_l[c^*_l]$, and a bonus for `entropy`, the mean over the levels of
$-\sum_c \bar w_c \log \bar w_c$, which keeps it from settling too early. For this it samples; in use it is greedy.

**Ties** take the lowest child. Where nothing is visible at all there is no path: -1, with the logarithm $-\infty$.
"""

from typing import Any

import numpy as np

from ..contract import SearchPath, TreeLevel, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import inverse_cdf
from ..visibility import Booleans, Reals


@reference
def tree_search_path(
    query: Reals,
    levels: tuple[TreeLevel, ...],
    *,
    w_query: Reals,
    w_key: Reals,
    mode: str = "greedy",
    uniform: Reals | None = None,
) -> SearchPath:
    r"""Walk down a tree of summaries, one path per query.

    $$c^*_l = \arg\max_{c \in \mathrm{children}(c^*_{l-1})} \bar w_{l, c}, \qquad
      \mathrm{log\_prob} = \sum_{l=1}^k \log \bar w_{l, c^*_l}, \qquad
      \mathrm{entropy} = -\frac1k \sum_{l=1}^k \sum_c \bar w_{l, c} \log \bar w_{l, c}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    levels : tuple of pairs, root first
        Nodes (..., N_l, d) and booleans (..., N_l), as `build_token_tree` returns them.
    w_query : (h, d, hd) real array
        $W_q$ of each head.
    w_key : (h, d, hd) real array
        $W_k$ of each head.
    mode : {"greedy", "sample"}, default "greedy"
        Take the best child, or draw one.
    uniform : (..., m, k) real array, optional
        Numbers in [0, 1), one per query and level, for "sample": the first child whose cumulative weight exceeds it.

    Returns
    -------
    path : (..., m, k) integer array
        The chosen node of the levels 1 to k, numbered within its level; -1 where nothing is visible.
    log_prob : (..., m) array
        At most 0, in nats; 0 for k = 0, and -inf where there is no path.
    entropy : (..., m) array
        In nats, at most log b; 0 for k = 0.

    Raises
    ------
    ValueError
        If shapes disagree, the levels have not the sizes of a tree, a head has no width, a uniform number leaves
        [0, 1), or "sample" comes without `uniform`.
    TypeError
        If an array is complex, an object or text, or `levels` are not pairs with booleans.

    Notes
    -----
    Cost: m k b h d hd multiplications; the last level, that of the tokens, is not read. Gradients: through `log_prob`
    and `entropy` only.

    `tree_cross_attention` reads at the end of the path.

    References
    ----------
    Feng, Tung, Hajimirsadeghi, Bengio & Ahmed, "Tree Cross Attention", 2023, arXiv 2309.17388.

    Examples
    --------
    Sixteen tokens on a line, and a query that asks for large ones: right at every fork.

    >>> import numpy as np
    >>> from attlas_ref import build_token_tree
    >>> one = np.ones((1, 1, 1))
    >>> tree = build_token_tree(np.linspace(-1, 1, 16)[:, None])
    >>> found = tree_search_path(np.array([[4.0], [-4.0]]), tree, w_query=one, w_key=one)
    >>> found.path
    array([[1, 3, 7],
           [0, 0, 0]])
    >>> np.exp(found.log_prob).round(2)
    array([0.66, 0.66])
    """
    return walked(query, levels, w_query, w_key, uniform if mode == "sample" else None)[0]


def walked(
    query: Reals, levels: tuple[TreeLevel, ...], w_query: Reals, w_key: Reals, uniform: Reals | None
) -> tuple[SearchPath, list[Any]]:
    """Return the paths, and for each level below the root the children that were looked at, (..., m, c)."""
    depth, m = len(levels) - 2, query.shape[-2]
    batch = np.broadcast_shapes(query.shape[:-2], *(flags.shape[:-1] for _, flags in levels))
    batch = np.broadcast_shapes(batch, *(nodes.shape[:-2] for nodes, _ in levels))
    batch = batch if uniform is None else np.broadcast_shapes(batch, uniform.shape[:-2])

    current = np.zeros((*batch, m), dtype=np.int64)
    log_prob, entropy = np.zeros((*batch, m), dtype=query.dtype), np.zeros((*batch, m), dtype=query.dtype)
    path, looked_at = np.zeros((*batch, m, depth), dtype=np.int64), []
    for level in range(1, depth + 2):
        branches = _branches(levels, level)
        children = current[..., None] * branches + np.arange(branches)  # (..., m, c)
        looked_at.append(children)
        if level == depth + 1:  # leaves are read, not chosen
            break
        nodes, seen = taken(levels[level], children)  # (..., m, c, d), (..., m, c)
        weights = mean_weights(query, nodes, seen, w_query, w_key)  # (..., m, c)
        choice = weights.argmax(axis=-1) if uniform is None else inverse_cdf(weights, uniform[..., level - 1, None])
        chance = np.take_along_axis(weights, choice[..., None], axis=-1)[..., 0]
        log_prob = log_prob + np.log(chance)
        plogp = np.where(weights == 0, 0, weights * np.log(np.where(weights == 0, 1, weights)))
        entropy = entropy - plogp.sum(axis=-1) / depth
        current = np.take_along_axis(children, choice[..., None], axis=-1)[..., 0]
        path[..., level - 1] = np.where(seen.any(axis=-1), current, -1)
    return SearchPath(path, log_prob, entropy), looked_at


def _branches(levels: tuple[TreeLevel, ...], level: int) -> int:
    """Return how many children a node above a level has."""
    return int(levels[level][1].shape[-1] // levels[level - 1][1].shape[-1])


def taken(level: TreeLevel, places: Reals) -> tuple[Reals, Booleans]:
    """Return some nodes of a level for each query, (..., m, c, d), and which are no padding, (..., m, c).

    >>> taken((np.array([[1.0], [2.0]]), np.array([True, False])), np.array([[1, 1, 0]]))
    (array([[[2.],
            [2.],
            [1.]]]), array([[False, False,  True]]))
    """
    nodes, flags = level
    flat = places.reshape(*places.shape[:-2], places.shape[-2] * places.shape[-1])  # (..., m c)
    wide = np.broadcast_to(nodes, (*places.shape[:-2], *nodes.shape[-2:]))
    found = np.take_along_axis(wide, flat[..., None], axis=-2).reshape(*places.shape, nodes.shape[-1])
    seen = np.take_along_axis(np.broadcast_to(flags, (*places.shape[:-2], flags.shape[-1])), flat, axis=-1)
    return found, seen.reshape(places.shape)


def head_weights(query: Reals, nodes: Reals, seen: Booleans, w_query: Reals, w_key: Reals) -> Reals:
    """Return the softmax of each head over nodes (..., m, c, d) that differ from query to query, (..., h, m, c)."""
    queries = query[..., None, :, :] @ w_query  # (..., h, m, hd)
    keys = nodes[..., None, :, :, :] @ w_key[:, None]  # (..., h, m, c, hd)
    scores = (keys @ queries[..., None])[..., 0] / float(np.sqrt(w_query.shape[-1]))  # (..., h, m, c)
    return softmax_weights(scores, seen[..., None, :, :])


def mean_weights(query: Reals, nodes: Reals, seen: Booleans, w_query: Reals, w_key: Reals) -> Reals:
    """Return the mean of the weights of all heads, (..., m, c)."""
    return head_weights(query, nodes, seen, w_query, w_key).sum(axis=-3) / float(w_query.shape[0])
