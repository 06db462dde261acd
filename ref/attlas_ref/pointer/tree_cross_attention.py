r"""Tree Cross Attention: read a few tokens closely, and the rest as summaries.

Cross attention reads all N tokens for every query. Tree Cross Attention reads $O(\log N)$ nodes: it walks down a tree
of summaries (`tree_search_path`) to one block of tokens, and on its way notes what it passes by. The tokens of the
block are read one by one; every other part of the sequence is read as the one summary that was rejected in its stead.

With the path $c^*_1, \dots, c^*_k$ of a query, the set that it reads is

$$S = \bigcup_{l=1}^{k} \bigl(\mathrm{children}(c^*_{l-1}) \setminus \{c^*_l\}\bigr) \cup \mathrm{children}(c^*_k),
  \qquad |S| = k (b - 1) + P ,$$

less what is padding. Each token stands below exactly one node of S (or is one), so nothing is lost and nothing is read
twice: near the end of the path in detail, far from it coarsely. Then

$$\mathrm{out} = \bigl[\textstyle\sum_{x \in S} w^h_x\, x W^h_v\bigr]_h W_o + b_o, \qquad
  w^h = \mathrm{softmax}_{x \in S}\bigl(\langle q W^h_q, x W^h_k \rangle / \sqrt{d_h}\bigr),$$

with the projections that the search has used.

With k = 0, that is N <= b, the children of the root are the tokens: all are read, as in plain multi-head cross
attention. So it is too where all tokens are alike, since a summary of equal tokens is that token.

**Conventions that differ.** The official code also attends to rejected siblings that are all padding, fills a block
with copies of the first tokens (+ 1e-5), and for k = 0 loses the chosen leaf.
"""

from typing import Any

import numpy as np

from ..contract import TreeLevel, formula, reference, with_extras
from ..visibility import Booleans, Reals
from .build_token_tree import build_token_tree
from .tree_search_path import head_weights, taken, walked


@reference
def tree_cross_attention(
    query: Reals,
    tokens: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    w_value: Reals,
    w_out: Reals,
    b_out: Reals | None = None,
    branch_factor: int = 2,
    aggregator: str = "mean",
    levels: tuple[TreeLevel, ...] | None = None,
    mask: Booleans | None = None,
    mode: str = "greedy",
    uniform: Reals | None = None,
    return_weights: bool = False,
    return_selected: bool = False,
    return_log_prob: bool = False,
) -> Any:
    r"""Attend to one block of tokens, found by search of a tree, and to the summaries of all others.

    $$\mathrm{out}_i = \Bigl[\sum_{x \in S_i} w^h_{ix}\, x W^h_v\Bigr]_h W_o + b_o, \qquad
      w^h_{i \cdot} = \mathrm{softmax}_{x \in S_i}\bigl(\langle q_i W^h_q, x W^h_k \rangle / \sqrt{d_h}\bigr)$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    tokens : (..., N, d) real array
        At least two, in an order in which neighbors are alike.
    w_query, w_key, w_value : (h, d, hd) real arrays
        $W_q$, $W_k$ and $W_v$ of each head.
    w_out : (h*hd, d) real array
        $W_o$; the heads stand one after the other.
    b_out : (d,) real array, optional
        $b_o$; 0 if not given.
    branch_factor : int, default 2
        b, at least 2.
    aggregator : {"mean"}, default "mean"
        How a node sums up its children.
    levels : tuple of pairs, root first, optional
        The tree, if it is made already: of other summaries, or once for many calls. Then the leaves are the tokens, and
        `tokens`, `branch_factor`, `aggregator` and `mask` are not looked at.
    mask : (..., N) boolean array, optional
        True = a token, False = padding.
    mode : {"greedy", "sample"}, default "greedy"
        Search for the best path, or draw one.
    uniform : (..., m, k) real array, optional
        Numbers in [0, 1) for "sample".
    return_weights : bool, default False
        Return the weights too.
    return_selected : bool, default False
        Return which nodes are in S too.
    return_log_prob : bool, default False
        Return the log probability of the path too.

    Returns
    -------
    output : (..., m, d) array
        Zeros where there is no token.
    weights : (..., h, m, S) array
        With `return_weights` only: over the nodes of all levels, root first; rows sum to 1.
    selected : (..., m, S) boolean array
        With `return_selected` only.
    log_prob : (..., m) array
        With `return_log_prob` only: as `tree_search_path` returns it.

    Raises
    ------
    ValueError
        If shapes disagree, N or `branch_factor` is below 2, `aggregator` or `mode` is unknown, the levels have not the
        sizes of a tree, a uniform number leaves [0, 1), or "sample" comes without `uniform`.
    TypeError
        If an array is complex, an object or text, `mask` is not boolean, or `levels` are not pairs with booleans.

    Notes
    -----
    Cost: N d additions for the tree, once; then k b + P nodes per query, each projected to a key and a value, 2 d hd h
    multiplications. Beside m N of them in full cross attention. Only these nodes are read: what stands in others does
    not matter. Gradients: those of the softmax over S, the choice being constant; `log_prob` trains the search.

    References
    ----------
    Feng, Tung, Hajimirsadeghi, Bengio & Ahmed, "Tree Cross Attention", 2023, arXiv 2309.17388.

    Examples
    --------
    Of 16 tokens, a query reads two, and summaries of 2, 4 and 8 others:

    >>> import numpy as np
    >>> one = np.ones((1, 1, 1))
    >>> found = tree_cross_attention(
    ...     np.array([[2.0]]),
    ...     np.linspace(-1, 1, 16)[:, None],
    ...     w_query=one,
    ...     w_key=one,
    ...     w_value=one,
    ...     w_out=one[0],
    ...     return_weights=True,
    ...     return_selected=True,
    ... )
    >>> starts = np.cumsum([0, 1, 2, 4, 8])
    >>> for level, nodes in enumerate(np.split(np.arange(31), starts[1:])):
    ...     for node in nodes[found.selected[0, nodes]]:
    ...         print(f"level {level}, node {node - starts[level]:2}: {found.weights[0, 0, node]:.2f}")
    level 1, node  0: 0.02
    level 2, node  2: 0.09
    level 3, node  6: 0.20
    level 4, node 14: 0.30
    level 4, node 15: 0.39
    """
    if levels is None:
        levels = formula(build_token_tree)(tokens, branch_factor=branch_factor, mask=mask, aggregator=aggregator)
    search, looked_at = walked(query, levels, w_query, w_key, uniform if mode == "sample" else None)

    nodes, seen, places = read(levels, search.path, looked_at)  # (..., m, r, d), (..., m, r), (..., m, r)
    weights = head_weights(query, nodes, seen, w_query, w_key)  # (..., h, m, r)
    values = nodes[..., None, :, :, :] @ w_value[:, None]  # (..., h, m, r, hd)
    # What is padding or was chosen takes no part, not even as 0 times a NaN.
    values = np.where(seen[..., None, :, :, None], values, 0)
    heads = (weights[..., None, :] @ values)[..., 0, :]  # (..., h, m, hd)
    output = np.moveaxis(heads, -3, -2).reshape(*seen.shape[:-1], w_out.shape[0]) @ w_out  # (..., m, d)
    output = output if b_out is None else output + b_out
    output = np.where(seen.any(axis=-1, keepdims=True), output, 0)

    return with_extras(
        output,
        weights=placed(weights, places[..., None, :, :], levels) if return_weights else None,  # (..., h, m, S)
        selected=placed(seen, places, levels) if return_selected else None,  # (..., m, S)
        log_prob=search.log_prob if return_log_prob else None,
    )


def read(levels: tuple[TreeLevel, ...], path: Reals, looked_at: list[Any]) -> tuple[Reals, Booleans, Reals]:
    """Return the nodes that were looked at, which of them are in S, and their places among the nodes of all levels."""
    found = []
    start = levels[0][1].shape[-1]
    for depth, children in enumerate(looked_at):
        nodes, seen = taken(levels[depth + 1], children)
        if depth < path.shape[-1]:
            seen = seen & (children != path[..., depth, None])  # the one chosen is read through its own children
        found.append((nodes, seen, children + start))
        start += levels[depth + 1][1].shape[-1]
    all_nodes, all_seen, places = zip(*found, strict=True)
    return np.concatenate(all_nodes, axis=-2), np.concatenate(all_seen, axis=-1), np.concatenate(places, axis=-1)


def placed(values: Reals, places: Reals, levels: tuple[TreeLevel, ...]) -> Reals:
    """Return values at their places among the nodes of all levels, and 0 elsewhere."""
    wide = np.zeros((*values.shape[:-1], sum(flags.shape[-1] for _, flags in levels)), dtype=values.dtype)
    np.put_along_axis(wide, np.broadcast_to(places, values.shape), values, axis=-1)
    return wide
