r"""A tree of summaries over a sequence of tokens.

To find something in a long list without reading all of it, one needs a table of contents: summaries of parts, and
summaries of these. Tree Cross Attention puts a tree over the tokens. The leaves are the tokens, every inner node is a
summary of its children, here their mean. `tree_cross_attention` then walks from the root to one leaf block.

With N tokens and `branch_factor` b, let k be the largest number with $b^k \le N - 1$. The lowest summaries stand over
blocks of $P = \lceil N / b^k \rceil$ tokens, from 2 to b of them; above, b nodes share a parent. So there are k + 2
levels with

$$1,\; b,\; b^2,\; \dots,\; b^k,\; P\, b^k$$

nodes, and the children of node c are $cb, \dots, cb + b - 1$, or $cP, \dots, cP + P - 1$ where the children are leaves.
Leaves behind the last token are padding: zeros, and masked. A summary is the mean of those children that are not
masked, and is masked itself if all are.

**Means of means.** A node counts once, however many tokens stand below it. Where blocks are not full the root is
therefore not the mean of all tokens.

**Order matters.** Neighbors in the list share a summary. Tokens should come in an order in which neighbors are alike:
text as it is read, pixels along a space-filling curve; the paper sorts by coordinates or a k-d tree.
"""

from typing import Any

import numpy as np

from ..contract import TreeLevel, reference
from ..visibility import Booleans, Reals


@reference
def build_token_tree(
    tokens: Reals, *, branch_factor: int = 2, mask: Booleans | None = None, aggregator: str = "mean"
) -> tuple[TreeLevel, ...]:
    r"""Return the levels of a tree over tokens, the root first.

    $$x_{l, c} = \frac{\sum_{c' \in \mathrm{children}(c)} \mathrm{mask}_{l+1, c'}\, x_{l+1, c'}}
      {\sum_{c' \in \mathrm{children}(c)} \mathrm{mask}_{l+1, c'}}, \qquad
      N_l = b^l \ (l \le k), \qquad N_{k+1} = P\, b^k$$

    Parameters
    ----------
    tokens : (..., N, d) real array
        At least two, in an order in which neighbors are alike.
    branch_factor : int, default 2
        b, at least 2: children of an inner node.
    mask : (..., N) boolean array, optional
        True = a token, False = padding.
    aggregator : {"mean"}, default "mean"
        How a node sums up its children.

    Returns
    -------
    tuple of k + 2 pairs, root first
        nodes : (..., N_l, d) array
            Zeros where masked.
        mask : (..., N_l) boolean array
            False for a node without a token below it.

    Raises
    ------
    ValueError
        If N or `branch_factor` is below 2, or `aggregator` is unknown.
    TypeError
        If `tokens` is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: O(N d) time and memory, once for all queries. Gradients: linear; each child of a node with r unmasked ones
    gets 1 / r of its gradient.

    The paper learns the aggregator; the mean is what its code falls back to. `tree_search_path` walks down the tree.

    References
    ----------
    Feng, Tung, Hajimirsadeghi, Bengio & Ahmed, "Tree Cross Attention", 2023, arXiv 2309.17388.

    Examples
    --------
    Five tokens: k = 2, and four blocks of two. The lonely fifth counts as much as the other four together:

    >>> import numpy as np
    >>> tree = build_token_tree(np.arange(1.0, 6.0)[:, None])
    >>> for nodes, mask in tree:
    ...     print([float(x) if seen else None for (x,), seen in zip(nodes, mask)])
    [3.75]
    [2.5, 5.0]
    [1.5, 3.5, 5.0, None]
    [1.0, 2.0, 3.0, 4.0, 5.0, None, None, None]
    """
    count, width = tokens.shape[-2:]
    depth, block = shape_of_tree(count, branch_factor)
    padding = block * branch_factor**depth - count
    seen = np.ones(tokens.shape[:-1], dtype=bool) if mask is None else mask
    batch = np.broadcast_shapes(tokens.shape[:-2], seen.shape[:-1])
    seen, tokens = np.broadcast_to(seen, (*batch, count)), np.broadcast_to(tokens, (*batch, count, width))
    seen = np.concatenate([seen, np.zeros((*batch, padding), dtype=bool)], axis=-1)
    leaves = np.concatenate([tokens, np.zeros((*batch, padding, width), dtype=tokens.dtype)], axis=-2)

    levels = [TreeLevel(np.where(seen[..., None], leaves, 0), seen)]
    for children in (block, *[branch_factor] * depth):
        levels.append(_parents(levels[-1], children))
    return tuple(levels[::-1])


def shape_of_tree(count: int, branch_factor: int) -> tuple[int, int]:
    """Return k, the largest with b^k <= N - 1, and P = ceil(N / b^k), the tokens of a leaf block.

    >>> shape_of_tree(5, 2), shape_of_tree(3, 4)
    ((2, 2), (0, 3))
    """
    depth = 0
    while branch_factor ** (depth + 1) <= count - 1:
        depth += 1
    return depth, -(-count // branch_factor**depth)


def _parents(level: TreeLevel, children: int) -> TreeLevel:
    """Return the level above: the means of the unmasked nodes of each group."""
    nodes, mask = level
    parts = nodes.reshape(*nodes.shape[:-2], nodes.shape[-2] // children, children, nodes.shape[-1])
    seen = mask.reshape(*mask.shape[:-1], mask.shape[-1] // children, children)
    number = seen.sum(axis=-1, keepdims=True)
    # Masked nodes are zeros and add nothing.
    mean: Any = parts.sum(axis=-2) / np.maximum(number, 1).astype(nodes.dtype)
    return TreeLevel(mean, seen.any(axis=-1))
