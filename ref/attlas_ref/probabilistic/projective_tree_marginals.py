r"""Projective trees: Eisner's chart, inside and outside.

Draw a sentence in a line and the arcs of its dependency tree above it. In most sentences no arcs cross: every head
governs a stretch of the line without holes. Such trees are *projective*, and a sum over them need not go through a
matrix; it goes through stretches. Eisner cuts them so that a head stands at the end of each:

- an *incomplete* stretch I from i to j has an arc between its two ends, i → j ($I_R$) or j → i ($I_L$);
- a *complete* stretch C from i to j belongs to its left end with all the dependents to its right ($C_R$), or to its
  right end with all those to its left ($C_L$).

Both are made of smaller ones. In logarithms, with $\oplus$ for log-sum-exp and $\mathrm{arc}$ = `arc_scores`,

$$T_{ij} = \bigoplus_{i \le k < j} C_R(i, k) + C_L(k + 1, j), \qquad
  I_R(i, j) = \mathrm{arc}_{ij} + T_{ij}, \quad I_L(i, j) = \mathrm{arc}_{ji} + T_{ij},$$

$$C_R(i, j) = \bigoplus_{i < k \le j} I_R(i, k) + C_R(k, j), \qquad
  C_L(i, j) = \bigoplus_{i \le k < j} C_L(i, k) + I_L(k, j), \qquad C_R(i, i) = C_L(i, i) = 0.$$

With one root, $\log Z = \bigoplus_d \mathrm{root}_d + C_L(0, d) + C_R(d, n - 1)$. With several, the root is a token to
the left of the first, with arcs to all and from none, and $\log Z = C_R(\mathrm{root}, n - 1)$.

**Marginals** by the outside pass: each stretch hands the probability that it is in the tree down to its parts, in
proportion to what they contribute. That is the derivative of $\log Z$, and all of it is sums of positive numbers.

**Masked tokens** are taken out and the rest closes up.
"""

from typing import NamedTuple

import numpy as np

from ..contract import TreeMarginals, reference
from ..log_space import log_sum_exp, shares
from ..visibility import Booleans, Reals
from .trees import moved_back, sentence_of


@reference
def projective_tree_marginals(
    arc_scores: Reals, root_scores: Reals, *, multi_root: bool = False, mask: Booleans | None = None
) -> TreeMarginals:
    r"""Sum over all dependency trees without crossing arcs.

    $$Z = \sum_{\mathrm{projective\ trees}} \exp\Bigl(\sum_{\mathrm{root} \to d} \mathrm{root}_d
      + \sum_{h \to d} \mathrm{arc}_{hd}\Bigr), \qquad
      p(h \to d) = \frac{\partial \log Z}{\partial\, \mathrm{arc}_{hd}}$$

    Parameters
    ----------
    arc_scores : (..., n, n) real array
        Score of the arc from head (row) to dependent (column); the diagonal is ignored, -inf forbids an arc.
    root_scores : (..., n) real array
        Score of each token as a root.
    multi_root : bool, default False
        Let several tokens hang from the root, which stands to the left of all; otherwise there is exactly one.
    mask : (..., n) boolean array, optional
        True = the token is part of the sentence.

    Returns
    -------
    log_partition : (...) array
        log Z: -inf if there is no tree, 0 without tokens; +inf if a score is, with NaN as marginals.
    marginals : (..., n, n) array
        The probability of each arc from head to dependent.
    root_marginals : (..., n) array
        The probability of each token to be a root; with its column of `marginals` it sums to 1.

    Raises
    ------
    ValueError, TypeError
        As `tree_attention_marginals`.

    Notes
    -----
    Cost: n³ exponentials there, n³ back, and the memory of four triangles of n² / 2.

    All trees of up to 2 tokens are projective: there it is `tree_attention_marginals`. `syntactic_attention` reads
    values with these weights. Gradients: of the log partition function the marginals.

    References
    ----------
    Eisner, "Three New Probabilistic Models for Dependency Parsing: An Exploration", 1996.
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887, section 3.2.

    Examples
    --------
    Four tokens have 64 trees with one root; 30 of them have no arcs that cross:

    >>> import numpy as np
    >>> float(np.exp(projective_tree_marginals(np.zeros((4, 4)), np.zeros(4)).log_partition).round(6))
    30.0
    """
    sentence = sentence_of(arc_scores, root_scores, mask)
    arcs, roots = sentence.arcs, sentence.roots
    n = roots.shape[-1]
    if multi_root:
        arcs = np.concatenate([roots[..., None, :], arcs], axis=-2)  # (..., n+1, n): the root is token 0
        into_root = np.full((*arcs.shape[:-1], 1), -np.inf, dtype=arcs.dtype)
        arcs = np.concatenate([into_root, arcs], axis=-1)
    chart = _inside(arcs)

    use_left, use_right = np.zeros_like(arcs), np.zeros_like(arcs)  # of complete stretches: probabilities
    if multi_root:
        log_partition = chart.right[..., 0, n]
        use_right[..., 0, n] = log_partition != -np.inf
    elif n:
        whole = roots + chart.left[..., 0, :] + chart.right[..., :, n - 1]
        log_partition = log_sum_exp(whole)
        use_left[..., 0, :] = use_right[..., :, n - 1] = shares(whole)
    else:
        log_partition = np.zeros(roots.shape[:-1], dtype=roots.dtype)

    usage = _outside(chart, use_left.copy(), use_right.copy())
    if multi_root:
        return moved_back(sentence, log_partition, usage[..., 1:, 1:], usage[..., 0, 1:])
    root_marginals = use_left[..., 0, :] if n else roots
    return moved_back(sentence, log_partition, usage, root_marginals)


class _Chart(NamedTuple):
    """Log weights of stretches from i to j, each (..., n, n)."""

    left: Reals
    """Complete, the head at the right end and the dependents to its left."""
    right: Reals
    """Complete, the head at the left end."""
    arc_left: Reals
    """Incomplete, with the arc from j to i."""
    arc_right: Reals
    """Incomplete, with the arc from i to j."""


def _inside(arcs: Reals) -> _Chart:
    n = arcs.shape[-1]
    left, right, arc_left, arc_right = (np.full_like(arcs, -np.inf) for _ in range(4))
    left[..., range(n), range(n)] = right[..., range(n), range(n)] = 0
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            between = log_sum_exp(right[..., i, i:j] + left[..., i + 1 : j + 1, j])
            arc_right[..., i, j] = arcs[..., i, j] + between
            arc_left[..., i, j] = arcs[..., j, i] + between
            right[..., i, j] = log_sum_exp(arc_right[..., i, i + 1 : j + 1] + right[..., i + 1 : j + 1, j])
            left[..., i, j] = log_sum_exp(left[..., i, i:j] + arc_left[..., i:j, j])
    return _Chart(left, right, arc_left, arc_right)


def _outside(chart: _Chart, use_left: Reals, use_right: Reals) -> Reals:
    """Hand the probabilities of complete stretches down; return those of arcs, (..., n, n)."""
    left, right, arc_left, arc_right = chart
    n = left.shape[-1]
    usage = np.zeros_like(left)
    for width in range(n - 1, 0, -1):
        for i in range(n - width):
            j = i + width
            parts = shares(arc_right[..., i, i + 1 : j + 1] + right[..., i + 1 : j + 1, j])
            parts = parts * use_right[..., i, j, None]
            usage[..., i, i + 1 : j + 1] += parts
            use_right[..., i + 1 : j + 1, j] += parts
            parts = shares(left[..., i, i:j] + arc_left[..., i:j, j]) * use_left[..., i, j, None]
            usage[..., j, i:j] += parts
            use_left[..., i, i:j] += parts
            # All stretches that hold this one's arcs are wider, and done.
            parts = shares(right[..., i, i:j] + left[..., i + 1 : j + 1, j])
            parts = parts * (usage[..., i, j] + usage[..., j, i])[..., None]
            use_right[..., i, i:j] += parts
            use_left[..., i + 1 : j + 1, j] += parts
    return usage
