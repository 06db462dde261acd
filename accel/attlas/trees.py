"""The tree of summaries over a sequence of tokens: its sizes, and its levels as array programs make them.

Both are shared by the engines; see `attlas_ref.pointer.build_token_tree` for what they mean.
"""

from typing import Any

import numpy as np


def shape_of_tree(count: int, branch_factor: int) -> tuple[int, int]:
    """Return how often a node is chosen, k, and how many tokens a leaf block has, P.

    >>> shape_of_tree(5, 2), shape_of_tree(3, 4)
    ((2, 2), (0, 3))
    """
    depth = 0
    while branch_factor ** (depth + 1) <= count - 1:
        depth += 1
    return depth, -(-count // branch_factor**depth)


def levels_of(xp: Any, tokens: Any, mask: Any, branch_factor: int) -> tuple[tuple[Any, Any], ...]:
    """Return (nodes, flags) of each level, root first, with the functions that NumPy and CuPy share."""
    count, width = tokens.shape[-2:]
    depth, block = shape_of_tree(count, branch_factor)
    size = block * branch_factor**depth
    batch = tokens.shape[:-2] if mask is None else np.broadcast_shapes(tokens.shape[:-2], mask.shape[:-1])
    nodes = xp.zeros((*batch, size, width), dtype=tokens.dtype)
    flags = xp.zeros((*batch, size), dtype="bool")
    nodes[..., :count, :] = tokens if mask is None else xp.where(mask[..., None], tokens, 0)
    flags[..., :count] = True if mask is None else mask
    levels = [(nodes, flags)]
    for children in (block, *[branch_factor] * depth):
        size //= children
        parts, seen = nodes.reshape(*batch, size, children, width), flags.reshape(*batch, size, children)
        number = xp.maximum(seen.sum(axis=-1, keepdims=True), 1).astype(tokens.dtype)
        # Masked nodes are zeros and add nothing.
        nodes, flags = parts.sum(axis=-2) / number, seen.any(axis=-1)
        levels.append((nodes, flags))
    return tuple(levels[::-1])
