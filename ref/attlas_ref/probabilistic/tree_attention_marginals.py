r"""Marginals of dependency trees: the matrix–tree theorem without a difference.

In a dependency tree every token has one head: another token, or the root. As attention it is a strict one: token $d$
puts its whole weight on its head $h$, and nobody may be, through others, his own head. With a score for every arc, a
tree weighs the exponential of the sum of its arcs' scores, and the marginals say how much of the total weight $Z$ of
all trees uses each arc. There are $(n + 1)^{n - 1}$ trees, and a determinant knows their sum. With
$A_{hd} = e^{\mathrm{arc}_{hd}}$ ($A_{dd} = 0$) and $\rho_d = e^{\mathrm{root}_d}$ (`arc_scores`, `root_scores`),

$$\hat L_{hd} = -A_{hd}, \qquad \hat L_{dd} = \rho_d + \sum_h A_{hd}, \qquad Z = \det \hat L.$$

That counts trees in which several tokens may hang from the root (`multi_root`). With one root alone,
$Z$ is the part of $\det \hat L$ that is linear in $\rho$.

**Why not simply a determinant.** With scores in the thousands, nearly all of $\hat L$ underflows: two tokens that each
prefer the other as head leave the matrix $\begin{pmatrix} 1 & -1 \\ -1 & 1 \end{pmatrix}$, whose determinant is 0,
though the trees are there. But eliminating a token $k$ from $\hat L$ (a step of Gaussian elimination) leaves a matrix
of the same form, over the other tokens, with the path over $k$ added to the arc:

$$A_{hd} \leftarrow A_{hd} + \frac{A_{hk} A_{kd}}{D_k}, \qquad D_k = \sum_{h \ne k} A_{hk}, \qquad Z = \prod_k D_k,$$

where $h$ runs over the remaining tokens and the root, whose row is $A_{\mathrm{root}, d} = \rho_d$. (The diagonal
follows, since a column sums to its root's weight.) There is no minus sign in this, so it can be done with logarithms,
and no scores are too large. Grassmann, Taksar & Heyman found it for Markov chains. For a single root the root is left
out of every $D_k$ but the last one: then just one of the factors is linear in $\rho$. Tokens are eliminated in the
order of their $D_k$, so that the last one is a token that can be the root.

**Marginals** are the derivatives of $\log Z$ by the scores, here by the chain rule backward through the elimination. Of
what flows into the new arc, a share belongs to the old arc and the rest to the path over $k$, to both of its arcs.

**Masked tokens** take no part: they have no arcs and the marginals 0.
"""

import numpy as np

from ..contract import TreeMarginals, reference
from ..log_space import finite_or_zero, log_sum_exp
from ..visibility import Booleans, Reals
from .trees import moved_back, sentence_of


@reference
def tree_attention_marginals(
    arc_scores: Reals, root_scores: Reals, *, multi_root: bool = False, mask: Booleans | None = None
) -> TreeMarginals:
    r"""Sum over all dependency trees: their log partition function and the marginals of arcs and roots.

    $$Z = \sum_{\mathrm{trees}} \exp\Bigl(\sum_{\mathrm{root} \to d} \mathrm{root}_d
      + \sum_{h \to d} \mathrm{arc}_{hd}\Bigr), \qquad
      p(h \to d) = \frac{\partial \log Z}{\partial\, \mathrm{arc}_{hd}}$$

    Parameters
    ----------
    arc_scores : (..., n, n) real array
        Score of the arc from head (row) to dependent (column); the diagonal is ignored, -inf forbids an arc.
    root_scores : (..., n) real array
        Score of each token as a root.
    multi_root : bool, default False
        Let several tokens hang from the root; otherwise there is exactly one.
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
    ValueError
        If shapes disagree or `arc_scores` is not square.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 3 n³ exponentials and logarithms and the memory of n matrices in this reference; an engine may use LU, with
    2 n³ multiply-adds, where the scores allow it.

    `projective_tree_marginals` allows no arcs that cross. `syntactic_attention` reads values with these weights.
    Gradients: of the log partition function the marginals.

    References
    ----------
    Koo, Globerson, Carreras & Collins, "Structured Prediction Models via the Matrix-Tree Theorem", 2007.
    Liu & Lapata, "Learning Structured Text Representations", 2018, arXiv 1705.09207.
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887.
    Grassmann, Taksar & Heyman, "Regenerative Analysis and Steady State Distributions for Markov Chains", 1985.

    Examples
    --------
    Four tokens have 4³ trees with one root. Two tokens that prefer each other cannot both have their way:

    >>> import numpy as np
    >>> float(np.exp(tree_attention_marginals(np.zeros((4, 4)), np.zeros(4)).log_partition).round(6))
    64.0
    >>> wanted = np.array([[0.0, 5000.0], [5000.0, 0.0]])
    >>> tree = tree_attention_marginals(wanted, np.zeros(2))
    >>> float(tree.log_partition.round(3)), tree.marginals.round(3).tolist(), tree.root_marginals.round(3).tolist()
    (5000.693, [[0.0, 0.5], [0.5, 0.0]], [0.5, 0.5])
    """
    sentence = sentence_of(arc_scores, root_scores, mask)
    n = root_scores.shape[-1]
    arcs = np.concatenate([sentence.arcs, sentence.roots[..., None, :]], axis=-2)  # (..., n+1, n): the root comes last

    log_partition = np.zeros(sentence.roots.shape[:-1], dtype=arcs.dtype)
    steps = []
    for step in range(n):
        with_root = multi_root or step == n - 1
        into = log_sum_exp(arcs if with_root else arcs[..., :-1, :], axis=-2)  # log D, (..., n)
        k = into.argmax(axis=-1)[..., None, None]  # (..., 1, 1)
        total = np.take_along_axis(into[..., None, :], k, axis=-1)  # log D_k, (..., 1, 1)
        log_partition = log_partition + total[..., 0, 0]

        to_k = np.take_along_axis(arcs, k, axis=-1) - finite_or_zero(total)  # A_hk / D_k, (..., n+1, 1)
        from_k = np.take_along_axis(arcs, k, axis=-2)  # (..., 1, n)
        paths = np.where(np.eye(n + 1, n, dtype=bool), -np.inf, to_k + from_k)
        gone = (np.arange(n + 1)[:, None] == k) | (np.arange(n) == k)
        after = np.where(gone, -np.inf, np.logaddexp(arcs, paths))
        steps.append((k, with_root, arcs, to_k, paths, after))
        arcs = after

    usage = np.zeros_like(arcs)  # the derivative of log Z by the arcs that remain
    for k, with_root, before, to_k, paths, after in reversed(steps):
        flow = usage * _ratio(paths, after)  # over k
        rest = 1 - flow.sum(axis=(-2, -1), keepdims=True)
        chosen = np.exp(to_k)
        if not with_root:
            chosen = np.where(np.arange(n + 1)[:, None] == n, 0, chosen)
        into_k = flow.sum(axis=-1, keepdims=True) + rest * chosen  # (..., n+1, 1)
        kept = usage * _ratio(before, after) + np.where(np.arange(n) == k, into_k, 0)
        usage = kept + np.where(np.arange(n + 1)[:, None] == k, flow.sum(axis=-2, keepdims=True), 0)

    possible = log_partition[..., None, None] != -np.inf
    usage = np.where(possible, np.maximum(usage, 0), 0)  # rounding may take an impossible arc below 0
    return moved_back(sentence, log_partition, usage[..., :-1, :], usage[..., -1, :])


def _ratio(part: Reals, whole: Reals) -> Reals:
    """Return exp(part - whole), 0 where the whole is nothing."""
    return np.where(whole == -np.inf, 0, np.exp(part - finite_or_zero(whole)))
