r"""Landmark attention: a token at the end of each block stands for the block.

A long context is cut into blocks, and each block ends with a landmark. A query looks at the tokens of its own block and
at the landmarks of the earlier blocks, all in one softmax. What a landmark wins it does not keep: it is the share of
its block, and a second softmax over the block's tokens hands it out. So a block is read exactly as much as its landmark
is attended to, and a cache may leave blocks on disk whose landmarks score low: `top_k` is that retrieval.

In the letters of Mohtashami and Jaggi, with b the block of query i, $l_c$ the landmark of block c and $r^c$ the softmax
of the scores over the regular tokens of block c,

$$W_{ij} = p_j \ (j \text{ regular in block } b), \qquad
  W_{ij} = p_{l_c}\, r^c_j \ (j \text{ regular in block } c < b),$$

where p is the softmax over the group $G_i$: the regular tokens j <= i of block b and the earlier landmarks.

The landmark at the end of a block belongs to it. It is a key only: its own value is never read, and as a query it sees
the tokens of its block but not itself. A block without a regular token has nobody to give its share to, and that mass
is lost, as in the official code. The whole is causal.
"""

from collections.abc import Iterator

import numpy as np

from ..contract import AttentionResult, AttentionVJP, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..dotproduct.softmax_attention_vjp import sum_to_shape
from ..visibility import Booleans, Reals, dot_scores, weighted_sum


@reference
def landmark_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    is_landmark: Booleans,
    scale: float | None = None,
    top_k: int | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Causal attention that reaches earlier blocks through their landmarks.

    $$\mathrm{out}_i = \sum_{j \in b(i)} p_{ij} v_j + \sum_{c < b(i)} p_{i l_c} \sum_{j \in c} r^c_{ij} v_j, \qquad
      p_{i\cdot} = \mathrm{softmax}_{G_i}(s_{i\cdot}), \quad r^c_{i\cdot} = \mathrm{softmax}_{c}(s_{i\cdot})$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token, landmarks included.
    value : (..., n, e) real array
        One row per token; those of landmarks are not read.
    is_landmark : (n,) boolean array
        True where a token closes its block.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    top_k : int, optional
        How many earlier blocks a query reads, at least 0: those whose landmarks score highest, and any that tie with
        the last of them. All if not given.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, e) array
        Zeros for a query whose group is empty.
    weights : (..., n, n) array
        With `return_weights` only: W, zero at landmarks and in the future. Rows sum to 1 where no earlier block is
        empty.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, there are not as many queries as keys, `top_k` is negative or `is_landmark` is not boolean.

    Notes
    -----
    Cost: n² (d + e) multiplications by the definition; n (n/B + top_k B) (d + e) with blocks of B tokens and retrieval.

    Without landmarks it is causal `softmax_attention`; the gradients are `landmark_attention_vjp`. The positions that
    the official cache gives to retrieved blocks are outside of this function.

    References
    ----------
    Mohtashami & Jaggi, "Landmark Attention: Random-Access Infinite Context Length for Transformers", 2023, arXiv
    2305.16300.

    Examples
    --------
    Two tokens, their landmark, and a query behind them. The landmark's score decides how much of the block is read, and
    the tokens' scores how it is shared:

    >>> import numpy as np
    >>> key = np.array([[0.0], [2.0], [1.0], [0.0]])
    >>> landmarks = np.array([False, False, True, False])
    >>> landmark_attention(np.ones((4, 1)), key, key, is_landmark=landmarks, return_weights=True).weights[3].round(2)
    array([0.09, 0.64, 0.  , 0.27])
    """
    own, doors = landmark_groups(is_landmark)
    scores = dot_scores(query, key, scale, None)  # (..., n, n)
    doors = best_scores(scores, doors, top_k)
    shares = softmax_weights(scores, own | doors)  # p
    weights = np.where(own, shares, 0)
    seen = np.broadcast_to(own, weights.shape)
    for landmark, members in closed_blocks(is_landmark):
        inside = members & doors[..., landmark, None]  # (..., n, n)
        # Selected, not multiplied: the share of a row that a NaN has reached is NaN, also where the row sees nothing.
        weights = np.where(inside, shares[..., landmark, None] * softmax_weights(scores, inside), weights)
        seen = seen | inside
    output = weighted_sum(weights, value, seen)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output


@reference
def landmark_attention_vjp(
    query: Reals,
    key: Reals,
    value: Reals,
    grad_output: Reals,
    *,
    is_landmark: Booleans,
    scale: float | None = None,
) -> AttentionVJP:
    r"""Gradients of sum(landmark_attention(...) * grad_output).

    $$dp_{ij} = g_{ij}, \quad dp_{i l_c} = \sum_{j \in c} r^c_{ij} g_{ij}, \quad dr^c_{ij} = p_{i l_c} g_{ij}, \qquad
      ds = p \odot (dp - \langle p, dp \rangle) + \sum_c r^c \odot (dr^c - \langle r^c, dr^c \rangle)$$

    with $g_{ij} = \langle G_i, v_j \rangle$. Each softmax sends its part to its own scores: a landmark's score belongs
    to one of them, that of a regular token to the first while its block is open and to the second later.

    Parameters
    ----------
    query : (..., n, d) real array
        One row per token.
    key : (..., n, d) real array
        One row per token, landmarks included.
    value : (..., n, e) real array
        One row per token.
    grad_output : (..., n, e) real array
        G, the gradient with respect to the output.
    is_landmark : (n,) boolean array
        True where a token closes its block.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.

    Returns
    -------
    grad_query, grad_key, grad_value : arrays
        Each in the shape of its argument: summed over the axes along which that argument was broadcast.

    Raises
    ------
    ValueError, TypeError
        As `landmark_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: about 2.5 times the forward pass.

    The gradient of a landmark's value is exactly 0; without landmarks this is `softmax_attention_vjp` with
    `causal=True`.

    References
    ----------
    Mohtashami & Jaggi, "Landmark Attention: Random-Access Infinite Context Length for Transformers", 2023, arXiv
    2305.16300.

    Examples
    --------
    A landmark's key decides how much of its block is read, so it has a gradient; its value has none:

    >>> import numpy as np
    >>> key = np.array([[0.0], [2.0], [1.0], [0.0]])
    >>> landmarks = np.array([False, False, True, False])
    >>> last = np.array([[0.0], [0.0], [0.0], [1.0]])
    >>> grads = landmark_attention_vjp(np.ones((4, 1)), key, key, last, is_landmark=landmarks)
    >>> bool(grads.grad_key[2, 0] > 0), float(grads.grad_value[2, 0])
    (True, 0.0)
    """
    own, doors = landmark_groups(is_landmark)
    group = own | doors
    scores = dot_scores(query, key, scale, None)  # (..., n, n)
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    shares = softmax_weights(scores, group)  # p
    grad_weights = grad_output @ value.mT  # g, (..., n, n)

    weights = np.where(own, shares, 0)
    grad_shares = np.where(own, grad_weights, 0)  # dp
    grad_scores = np.zeros_like(weights)
    seen = own
    for landmark, members in closed_blocks(is_landmark):
        inside = members & doors[:, landmark, None]  # (n, n)
        within = softmax_weights(scores, inside)  # r of this block
        share = shares[..., landmark, None]  # (..., n, 1)
        mean = np.where(inside, within * grad_weights, 0).sum(axis=-1, keepdims=True)  # <r, g>
        weights = np.where(inside, share * within, weights)
        grad_scores = np.where(inside, share * within * (grad_weights - mean), grad_scores)
        grad_shares = np.where(doors & (np.arange(len(own)) == landmark), mean, grad_shares)
        seen = seen | inside
    mean = (shares * grad_shares).sum(axis=-1, keepdims=True)
    grad_scores = np.where(group, shares * (grad_shares - mean), grad_scores)

    felt = group | seen
    grads = (
        factor * weighted_sum(grad_scores, key, felt),
        factor * weighted_sum(grad_scores.mT, query, felt.mT),
        weighted_sum(weights.mT, grad_output, seen.mT),
    )
    shapes = (query.shape, key.shape, value.shape)
    return AttentionVJP(*(sum_to_shape(grad, shape) for grad, shape in zip(grads, shapes, strict=True)))


def landmark_groups(is_landmark: Booleans) -> tuple[Booleans, Booleans]:
    """Return the two parts of every group, (n, n) each: the query's own block so far, and the earlier landmarks."""
    block = _blocks(is_landmark)
    own = np.tri(len(block), dtype=bool) & (block[:, None] == block) & ~is_landmark
    return own, is_landmark & (block < block[:, None])


def closed_blocks(is_landmark: Booleans) -> Iterator[tuple[int, Booleans]]:
    """Yield the position of each landmark and which tokens it stands for, (n,)."""
    block = _blocks(is_landmark)
    for landmark in np.flatnonzero(is_landmark).tolist():
        yield landmark, (block == block[landmark]) & ~is_landmark


def _blocks(is_landmark: Booleans) -> Reals:
    """Return the block of each token: the number of landmarks before it."""
    return np.cumsum(is_landmark) - is_landmark


def best_scores(scores: Reals, visible: Booleans, top_k: int | None) -> Booleans:
    """Return the visible entries that score among the best `top_k` of their row; ties with the last of them stay."""
    n = scores.shape[-1]
    if top_k is None or top_k >= n:
        return np.broadcast_to(visible, scores.shape)
    if top_k == 0:
        return np.zeros(scores.shape, dtype=bool)
    threshold = np.sort(np.where(visible, scores, -np.inf), axis=-1)[..., n - top_k, None]
    return visible & ~(scores < threshold)
