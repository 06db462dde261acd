r"""Masks: who may attend to whom, as booleans (True = may attend).

A mask is data, not a formulation: build it once, combine several with `&`, hand it over as `mask=`. All of these have
one row per query and one column per key.

Where a function takes `causal=True`, prefer that to `causal_mask`: an engine then skips what is hidden and needs no
array.
"""

from typing import Any

import numpy as np

from ..contract.options import Integer
from ..contract.utilities import check_booleans, check_labels
from ..visibility import Booleans

_SIZE = Integer(low=0)


def causal_mask(m: int, n: int) -> Booleans:
    """Let the last query see all keys, the one before it all but the last, and so on.

    True where j <= i + n - m.

    Parameters
    ----------
    m, n : int
        Numbers of queries and keys, at least 0.

    Returns
    -------
    (m, n) boolean array
        With m > n the first m - n rows are empty.

    Raises
    ------
    ValueError, TypeError
        If a size is negative or not a whole number.

    Notes
    -----
    Cost: O(m n) booleans. The same as `causal=True`, and as PyTorch's `causal_lower_right`; PyTorch's `is_causal=True`
    is aligned at the upper left instead.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762.

    Examples
    --------
    >>> causal_mask(2, 4).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    m, n = _SIZE.check("causal_mask", "m", m), _SIZE.check("causal_mask", "n", n)
    i, j = np.arange(m)[:, None], np.arange(n)
    return j <= i + n - m


def prefix_mask(n: int, prefix_length: int) -> Booleans:
    """Let everybody see the prefix, and the rest be causal.

    True where j <= i or j < prefix_length.

    Parameters
    ----------
    n : int
        Number of tokens, at least 0.
    prefix_length : int
        Between 0 (causal) and n (everything visible).

    Returns
    -------
    (n, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If `prefix_length` does not lie between 0 and n.

    Notes
    -----
    Cost: O(n²) booleans. A prompt is read in both directions, an answer written from left to right.

    References
    ----------
    Dong et al., "Unified Language Model Pre-training" (UniLM), 2019, arXiv 1905.03197.

    Examples
    --------
    >>> prefix_mask(3, 2).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    n = _SIZE.check("prefix_mask", "n", n)
    prefix_length = _SIZE.check("prefix_mask", "prefix_length", prefix_length)
    if prefix_length > n:
        raise ValueError(f"prefix_mask: prefix_length is {prefix_length}; it needs to be at most n = {n}")
    return causal_mask(n, n) | (np.arange(n) < prefix_length)


def block_mask(query_blocks: Any, key_blocks: Any, allowed: Any) -> Booleans:
    """Say block by block who may attend to whom.

    True at (i, j) where `allowed[query_blocks[i], key_blocks[j]]` is.

    Parameters
    ----------
    query_blocks : (..., m) integer array
        The block of each query, from 0 to B - 1.
    key_blocks : (..., n) integer array
        The block of each key.
    allowed : (B, B) boolean array
        Which block sees which.

    Returns
    -------
    (..., m, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If a label lies outside 0..B-1 or `allowed` is not a square boolean array.

    Notes
    -----
    Cost: O(m n) booleans. Most other masks are instances: the identity for documents that are packed together, a lower
    triangle for causal blocks.

    References
    ----------
    Textbook; used under many names.

    Examples
    --------
    Block 0 is shared, block 1 sees itself and what is shared:

    >>> import numpy as np
    >>> block_mask([0, 1, 1], [0, 1, 1], np.array([[True, False], [True, True]])).astype(int)
    array([[1, 0, 0],
           [1, 1, 1],
           [1, 1, 1]])
    """
    allowed = check_booleans("block_mask", "allowed", allowed, "(B, B)", rank=2)
    if allowed.shape[0] != allowed.shape[1]:
        raise ValueError(f"block_mask: allowed has shape {allowed.shape}; it needs the shape (B, B)")
    last = allowed.shape[0] - 1
    rows = check_labels("block_mask", "query_blocks", query_blocks, "(..., m)", high=last, rank=None)
    columns = check_labels("block_mask", "key_blocks", key_blocks, "(..., n)", high=last, rank=None)
    return allowed[rows[..., :, None], columns[..., None, :]]


def isolation_mask(groups: Any, key_groups: Any = None) -> Booleans:
    """Keep subjects apart: they see themselves and the background, which sees all.

    True unless i and j belong to two different subjects.

    Parameters
    ----------
    groups : (m,) integer array
        The subject of each query, -1 for the background.
    key_groups : (n,) integer array, optional
        The subject of each key; `groups` if not given. Reference tokens of a subject carry its label.

    Returns
    -------
    (m, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If a label is below -1 or not a whole number.

    Notes
    -----
    Cost: O(m n) booleans. Relabeling the subjects changes nothing. The rule is our reading of the paper.

    References
    ----------
    "Isolation and Reposition Attention" (IR-Diffusion), 2024.

    Examples
    --------
    >>> isolation_mask([0, 1, -1]).astype(int)
    array([[1, 0, 1],
           [0, 1, 1],
           [1, 1, 1]])
    """
    rows = check_labels("isolation_mask", "groups", groups, "(m,)", low=-1)[:, None]
    columns = rows[:, 0] if key_groups is None else check_labels("isolation_mask", "key_groups", key_groups, "(n,)", -1)
    return (rows == columns) | (rows < 0) | (columns < 0)


def identity_mask(n: int) -> Booleans:
    """Let each token see itself alone.

    True where i = j.

    Parameters
    ----------
    n : int
        Number of tokens, at least 0.

    Returns
    -------
    (n, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If `n` is negative or not a whole number.

    Notes
    -----
    Cost: O(n²) booleans. Attention becomes the identity on the values; perturbed-attention guidance uses it as the
    attention that knows no structure.

    References
    ----------
    Ahn et al., "Perturbed-Attention Guidance", 2024, arXiv 2403.17377.

    Examples
    --------
    >>> identity_mask(2)
    array([[ True, False],
           [False,  True]])
    """
    return np.eye(_SIZE.check("identity_mask", "n", n), dtype=bool)
