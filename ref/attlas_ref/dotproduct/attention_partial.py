r"""Attention in pieces: the monoid of partial attentions.

Softmax attention over many keys can be put together from attention over few. For a block of keys keep three numbers
per query: the largest score $M$, the sum $S = \sum_j e^{s_j - M}$ and the weighted sum of values
$A = \sum_j e^{s_j - M} v_j$. Two blocks merge by expressing both in the larger maximum,

$$M = \max(M_1, M_2), \quad c_r = e^{M_r - M}, \quad S = c_1 S_1 + c_2 S_2, \quad A = c_1 A_1 + c_2 A_2,$$

since $c_r e^{s_j - M_r} = e^{s_j - M}$. The rule is associative and commutative, and $(-\infty, 0, 0)$ changes
nothing: a monoid. So any order and any grouping of the blocks gives the same output $A / S$: one key at a time (a
recurrence), block by block (FlashAttention), or as a tree (a parallel scan, or many machines).

Watch for $-\infty - (-\infty)$: two empty blocks merge to an empty block, so $e^{-\infty - (-\infty)}$ counts as 0.
"""

from collections.abc import Sequence

import numpy as np

from ..contract import AttentionPartial, Integer, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def attention_partial(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    query_offset: int = 0,
    key_offset: int = 0,
) -> AttentionPartial:
    r"""Softmax attention over one block of keys, in the form that merges.

    $$M_i = \max_{j \in V(i)} s_{ij}, \qquad S_i = \sum_{j \in V(i)} e^{s_{ij} - M_i}, \qquad
      A_i = \sum_{j \in V(i)} e^{s_{ij} - M_i} v_j$$

    Parameters
    ----------
    query : (..., m, d) real array
        A block of queries.
    key : (..., n, d) real array
        A block of keys.
    value : (..., n, e) real array
        Their values.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff key_offset + j <= query_offset + i.
    query_offset, key_offset : int, default 0
        Where the blocks begin in their sequences.

    Returns
    -------
    maximum : (..., m) array
        $-\infty$ where nothing is visible.
    total : (..., m) array
    accumulator : (..., m, e) array
        In the unit of the values. All three are float32 when the arrays are of half precision: they are to be used
        further.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; TypeError for an offset that is not a whole number.

    Notes
    -----
    Cost: m n (d + e) multiplications. `merge_attention_partials` joins two results, `finish_attention_partial` makes
    the output of one; $M + \log S$ is minus the `attention_energy`.

    References
    ----------
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682.

    Examples
    --------
    Two halves of the keys, merged, are the whole:

    >>> import numpy as np
    >>> from attlas_ref import finish_attention_partial, merge_attention_partials, softmax_attention
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.normal(size=(3, 4)), rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    >>> left, right = attention_partial(q, k[:3], v[:3]), attention_partial(q, k[3:], v[3:])
    >>> whole = finish_attention_partial(merge_attention_partials(left, right))
    >>> bool(np.allclose(whole, softmax_attention(q, k, v)))
    True
    """
    visible = visible_pairs(query, key, mask, causal, offset=query_offset - key_offset)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., m, n)
    maximum = scores.max(axis=-1, initial=-np.inf)  # (..., m)
    shift = np.where(maximum == -np.inf, 0, maximum)[..., None]
    unnormalized = np.where(visible, np.exp(scores - shift), 0)
    return AttentionPartial(maximum, unnormalized.sum(axis=-1), weighted_sum(unnormalized, value, visible))


def empty_attention_partial(shape: Sequence[int], e: int) -> AttentionPartial:
    r"""Return the identity of the monoid, $(-\infty, 0, 0)$: attention to no key at all.

    Parameters
    ----------
    shape : sequence of int
        The shape (..., m) of maximum and total.
    e : int
        The width of the values.

    Returns
    -------
    maximum : (..., m) float64 array
    total : (..., m) float64 array
    accumulator : (..., m, e) float64 array

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 0.

    Notes
    -----
    Merging it with any partial gives that partial back: see `merge_attention_partials`.

    References
    ----------
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682.

    Examples
    --------
    >>> empty_attention_partial((2,), e=1)
    AttentionPartial(maximum=array([-inf, -inf]), total=array([0., 0.]), accumulator=array([[0.],
           [0.]]))
    """
    size = Integer(low=0)
    sizes = tuple(size.check("empty_attention_partial", "shape", axis) for axis in shape)
    e = size.check("empty_attention_partial", "e", e)
    return AttentionPartial(np.full(sizes, -np.inf), np.zeros(sizes), np.zeros((*sizes, e)))


@reference
def merge_attention_partials(first: tuple[Reals, Reals, Reals], second: tuple[Reals, Reals, Reals]) -> AttentionPartial:
    r"""Join the partial attentions of two disjoint sets of keys.

    $$M = \max(M_1, M_2), \qquad c_r = e^{M_r - M}, \qquad S = c_1 S_1 + c_2 S_2, \qquad A = c_1 A_1 + c_2 A_2$$

    Parameters
    ----------
    first, second : tuple of (..., m), (..., m) and (..., m, e) real arrays
        Maximum, total and accumulator of each; leading axes broadcast.

    Returns
    -------
    maximum : (..., m) array
    total : (..., m) array
    accumulator : (..., m, e) array

    Raises
    ------
    ValueError
        If shapes disagree or a total is negative.
    TypeError
        If an argument is not a triple of real arrays.

    Notes
    -----
    Cost: O(m e). Associative and commutative up to rounding, with `empty_attention_partial` as the neutral element.

    References
    ----------
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682.

    Examples
    --------
    A block whose best score is 700 lower contributes nothing that float64 could hold, and nothing overflows:

    >>> import numpy as np
    >>> near = (np.array([700.0]), np.array([1.0]), np.array([[5.0]]))
    >>> far = (np.array([0.0]), np.array([1.0]), np.array([[9.0]]))
    >>> merge_attention_partials(near, far).accumulator
    array([[5.]])
    """
    (maximum_1, total_1, accumulator_1), (maximum_2, total_2, accumulator_2) = first, second
    maximum = np.maximum(maximum_1, maximum_2)  # (..., m)
    rescale_1 = _rescale(maximum_1, maximum)
    rescale_2 = _rescale(maximum_2, maximum)
    total = rescale_1 * total_1 + rescale_2 * total_2
    accumulator = rescale_1[..., None] * accumulator_1 + rescale_2[..., None] * accumulator_2  # (..., m, e)
    return AttentionPartial(maximum, total, accumulator)


@reference
def finish_attention_partial(partial: tuple[Reals, Reals, Reals]) -> Reals:
    r"""Return the output of a partial attention: $A / S$, and 0 where $S = 0$.

    Parameters
    ----------
    partial : tuple of (..., m), (..., m) and (..., m, e) real arrays
        Maximum, total and accumulator, merged over all keys.

    Returns
    -------
    (..., m, e) array

    Raises
    ------
    ValueError
        If shapes disagree or a total is negative.
    TypeError
        If the argument is not a triple of real arrays.

    Notes
    -----
    Cost: O(m e). The maximum plays no part: numerator and denominator carry the same factor.

    References
    ----------
    Rabe & Staats, "Self-attention Does Not Need O(n²) Memory", 2021, arXiv 2112.05682.

    Examples
    --------
    >>> import numpy as np
    >>> finish_attention_partial((np.array([3.0]), np.array([2.0]), np.array([[1.0, 4.0]])))
    array([[0.5, 2. ]])
    """
    _, total, accumulator = partial
    # A partial without keys has the accumulator 0, which stays 0.
    return accumulator / np.where(total == 0, 1, total)[..., None]


def _rescale(old: Reals, new: Reals) -> Reals:
    """Return exp(old - new), and 0 for an empty block: also when both are -inf."""
    return np.where(old == -np.inf, 0, np.exp(old - new))
