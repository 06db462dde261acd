r"""Compressed context memory: a few tokens remember each block.

A conversation grows without end, and so would its cache. After each block of context the model therefore emits a few
*memory tokens*, which have seen their block; then the block itself is dropped and only their keys and values stay. A
later token sees its own block so far and the memory tokens of the earlier ones.

With T blocks and s memory tokens per block that memory still grows as T s (`merge=None`, concatenation). It stays at s
if the blocks are merged slot by slot: into their mean, $\bar K_t = \tfrac1t \sum_{c \le t} K_c$, or into an exponential
moving average, $\bar K_t = (1 - a) \bar K_{t-1} + a K_t$, which the first block sets.

The recurrence over blocks is only how it is used online; in training all blocks are one masked attention, as here. The
merged slots enter the softmax like any key, although they stand for several. That the average is over the blocks
that have memory tokens, and that the first of them sets the moving average, is our reading.
"""

from typing import Any

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..contract.utilities import check_booleans, check_labels
from ..dotproduct.softmax_attention import softmax_attention
from ..visibility import Booleans, Reals


def compressed_memory_mask(block: Any, is_memory: Any) -> Booleans:
    """Let each token see its own block so far and the memory tokens of earlier blocks.

    True where j <= i, and block_j = block_i or is_memory_j.

    Parameters
    ----------
    block : (n,) integer array
        The block of each token, at least 0 and in non-decreasing order.
    is_memory : (n,) boolean array
        Which tokens are memory tokens.

    Returns
    -------
    (n, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If the blocks decrease, or the arrays differ in length or kind.

    Notes
    -----
    Cost: O(n²) booleans. `softmax_attention` with this mask is `compressed_memory_attention` without merging.

    References
    ----------
    Kim, Yeom, Yun & Song, "Compressed Context Memory for Online Language Model Interaction", 2023, arXiv 2312.03414.

    Examples
    --------
    A block of two tokens, the second of them its memory, and a block of two more:

    >>> import numpy as np
    >>> compressed_memory_mask([0, 0, 1, 1], np.array([False, True, False, False])).astype(int)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 1, 1, 1]])
    """
    function = "compressed_memory_mask"
    block = check_labels(function, "block", block, "(n,)")
    is_memory = check_booleans(function, "is_memory", is_memory, "(n,)")
    if (np.diff(block) < 0).any():
        raise ValueError(f"{function}: block decreases somewhere; it needs non-decreasing block numbers")
    if len(block) != len(is_memory):
        raise ValueError(f"{function}: is_memory has {len(is_memory)} entries and block has {len(block)}; both need n")
    causal = np.tri(len(block), dtype=bool)
    return causal & ((block[:, None] == block) | is_memory)


@reference
def compressed_memory_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    block: Any,
    is_memory: Booleans,
    merge: str | float | None = None,
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention within a block and to the memory tokens of earlier blocks.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(\mathrm{scale}\, q_i K^\top),
      \qquad V(i) = \{j \le i : b_j = b_i\} \cup \mathrm{memory}(b_i)$$

    where memory(b) holds the memory tokens of the blocks before b, or the s slots that they are merged into.

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token, memory tokens included.
    value : (..., n, e) real array
        One row per token.
    block : (n,) integer array
        The block of each token, from 0 to T, in non-decreasing order.
    is_memory : (n,) boolean array
        The memory tokens of each block; with `merge` the same number s in each block that has any.
    merge : "mean" or float, optional
        Merge the memory of the earlier blocks into their mean, or into a moving average with this rate, above 0 and at
        most 1; keep them side by side if not given.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, e) array
    weights : (..., n, n) array, or (..., n, n + T s) with `merge`
        With `return_weights` only: rows sum to 1. The slots stand behind the tokens, s for each block from 1 to T: what
        that block sees of the blocks before it.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, there are not as many queries as keys, the blocks decrease, `merge` is out of range, or
        blocks differ in their number of memory tokens where they are merged.

    Notes
    -----
    Cost: blocks of b tokens need b (b + T s) pairs each, merged b (b + s), instead of n²/2 together.

    Without `merge` it is `softmax_attention` with `compressed_memory_mask`; with a single block it is causal. The
    memory tokens get weights of their own through `conditional_lora`.

    References
    ----------
    Kim, Yeom, Yun & Song, "Compressed Context Memory for Online Language Model Interaction", 2023, arXiv 2312.03414.

    Examples
    --------
    Two blocks with a memory token each, and a question. It reads the mean of what the blocks left behind:

    >>> import numpy as np
    >>> value = np.array([[9.0], [2.0], [9.0], [4.0], [0.0]])
    >>> notes = np.array([False, True, False, True, False])
    >>> flat = np.zeros((5, 1))
    >>> compressed_memory_attention(flat, flat, value, block=[0, 0, 1, 1, 2], is_memory=notes, merge="mean")[4]
    array([1.5])
    """
    own = np.tri(len(block), dtype=bool) & (block[:, None] == block)  # (n, n)
    if merge is None:
        visible = own | (np.tri(len(block), dtype=bool) & is_memory)
        return formula(softmax_attention)(query, key, value, scale=scale, mask=visible, return_weights=return_weights)
    slot_key = merged_slots(key, block, is_memory, merge)  # (..., T s, d)
    slot_value = merged_slots(value, block, is_memory, merge)
    last = int(block.max(initial=0))
    slots = slot_key.shape[-2] // max(last, 1)
    owner = np.repeat(np.arange(1, last + 1), slots)  # the block that sees a slot
    filled = owner > block[is_memory].min(initial=last + 1)  # some block before it has left something
    visible = np.concatenate([own, (block[:, None] == owner) & filled], axis=-1)  # (n, n + T s)
    return formula(softmax_attention)(
        query,
        np.concatenate([key, slot_key], axis=-2),
        np.concatenate([value, slot_value], axis=-2),
        scale=scale,
        mask=visible,
        return_weights=return_weights,
    )


def merged_slots(rows: Reals, block: Any, is_memory: Booleans, merge: str | float) -> Reals:
    """Return what each block from 1 to T sees of the memory tokens before it, merged: (..., T s, ·)."""
    last = int(block.max(initial=0))
    counts = np.bincount(block[is_memory], minlength=last + 1)
    slots = int(counts.max(initial=0))
    state = np.zeros((*rows.shape[:-2], slots, rows.shape[-1]), dtype=rows.dtype)
    seen, merged = 0, [np.zeros_like(state[..., :0, :])]
    for c in range(last):  # the memory of block c is seen by the blocks after it
        if counts[c]:
            seen += 1
            rate = 1.0 if seen == 1 else 1 / seen if isinstance(merge, str) else merge
            written = rows[..., is_memory & (block == c), :]  # (..., s, ·)
            # A rate of 1 replaces: what was there is not multiplied by 0, where NaN would stay.
            state = written if rate == 1 else (1 - rate) * state + rate * written
        merged.append(state)
    return np.concatenate(merged, axis=-2)
