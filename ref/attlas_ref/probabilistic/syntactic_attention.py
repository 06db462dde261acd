r"""Syntactic attention: each word reads its head, or its dependents, under all trees at once.

What a word means depends on what it hangs on. A parser would fix one tree and let every word read its head there. This
reads the expectation over all trees: with the probabilities $p(h \to d)$ of the arcs, from `tree_attention_marginals`
or, without crossing arcs, from `projective_tree_marginals`,

$$\mathrm{out}_d = \sum_h p(h \to d)\, v_h \;\;(\text{parent}), \qquad
  \mathrm{out}_h = \sum_d p(h \to d)\, v_d \;\;(\text{child}).$$

A word is a root with the probability that is missing in its row of parents: the root has no value to give. The sum of
children is an expected *sum*, as heavy as the expected number of dependents.

The weights differ from a softmax over heads, word by word, in that they obey the whole: what one word takes as its head
cannot take that word as its own.
"""

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals, weighted_sum
from .projective_tree_marginals import projective_tree_marginals
from .tree_attention_marginals import tree_attention_marginals
from .trees import arcs_among


@reference
def syntactic_attention(
    value: Reals,
    arc_scores: Reals,
    root_scores: Reals,
    *,
    projective: bool = False,
    multi_root: bool = False,
    direction: str = "parent",
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Read the values of heads or dependents, weighted by the marginals of dependency trees.

    $$\mathrm{out}_d = \sum_h p(h \to d)\, v_h \quad\text{or}\quad \mathrm{out}_h = \sum_d p(h \to d)\, v_d$$

    Parameters
    ----------
    value : (..., n, e) real array
        One row per token.
    arc_scores : (..., n, n) real array
        Score of the arc from head (row) to dependent (column); the diagonal is ignored.
    root_scores : (..., n) real array
        Score of each token as a root.
    projective : bool, default False
        Allow no arcs that cross.
    multi_root : bool, default False
        Let several tokens hang from the root.
    direction : {"parent", "child"}, default "parent"
        Read the head, or the dependents.
    mask : (..., n) boolean array, optional
        True = the token is part of the sentence.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, e) array
        Zeros for tokens that take no part.
    weights : (..., n, n) array
        With `return_weights` only: rows are readers. For parents they sum to 1 less the probability of being a root.

    Raises
    ------
    ValueError, TypeError
        As `tree_attention_marginals`; ValueError if `direction` is unknown.

    Notes
    -----
    Cost: that of the marginals, O(n³), and n² e multiplications.

    `syntactic_dependency` has another parser, from heights and distances; `dependency_constrained_attention` combines
    such weights with scores of queries and keys.

    References
    ----------
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887, section 3.2.

    Examples
    --------
    Scores that leave no doubt about "the cat sleeps": the article reads "cat", "cat" reads "sleeps", the verb is the
    root and reads nothing:

    >>> import numpy as np
    >>> arcs = np.full((3, 3), -100.0)
    >>> arcs[1, 0] = arcs[2, 1] = 100.0
    >>> syntactic_attention(np.array([[1.0], [2.0], [3.0]]), arcs, np.array([-100.0, -100.0, 100.0])).ravel().round(3)
    array([2., 3., 0.])
    """
    marginals_of = formula(projective_tree_marginals if projective else tree_attention_marginals)
    marginals = marginals_of(arc_scores, root_scores, multi_root=multi_root, mask=mask).marginals  # (..., n, n)
    weights = marginals.mT if direction == "parent" else marginals

    visible = arcs_among(np.ones(value.shape[-2], dtype=bool) if mask is None else mask)
    output = weighted_sum(weights, value, visible)  # (..., n, e)
    return AttentionResult(output, weights) if return_weights else output
