r"""Dependency-constrained attention: a parser decides who may be read, the head decides whether.

In StructFormer a parser (`syntactic_dependency`) finds for every token the probabilities of its parents. Each attention
head has its own mixture of two relations: to look at parents, or to look at children,

$$p_{hij} = \lambda_{h, 0} P_{ij} + \lambda_{h, 1} P_{ji},$$

with $\lambda$ = `relation_weights`, P = `dependency`. Whether a token that stands in the relation is read is decided by
queries and keys, for each pair by itself: $w_{hij} = p_{hij}\, \sigma(s_{hij})$. Rows are not normalized. So a gradient
that wants a pair to be read flows into the parser, and the parser learns syntax from a language model.

The dependency has no axis of heads, since one parse serves all of them.
"""

import numpy as np
from scipy.special import expit

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, weighted_sum


@reference
def dependency_constrained_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    dependency: Reals,
    relation_weights: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention through the relations of a parse.

    $$\mathrm{out}_{hi} = \sum_j w_{hij} v_{hj}, \qquad
      w_{hij} = (\lambda_{h,0} P_{ij} + \lambda_{h,1} P_{ji})\, \sigma(s_{hij}), \qquad
      s_{hij} = \mathrm{scale}\,\langle q_{hi}, k_{hj}\rangle + \mathrm{bias}_{hij}$$

    Parameters
    ----------
    query : (..., h, n, d) real array
        One row per head and token.
    key : (..., h, n, d) real array
        One row per head and token.
    value : (..., h, n, e) real array
        One row per head and token.
    dependency : (..., n, n) real array
        At least 0; [i, j]: the probability that j is the parent of i.
    relation_weights : (h, 2) real array
        At least 0: how much each head looks at parents and at children.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., h, n, n) boolean array, optional
        True = may attend.
    bias : (..., h, n, n) real array, optional
        Added to the scaled scores.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., h, n, e) array
        Zeros for a token that sees none.
    weights : (..., h, n, n) array
        With `return_weights` only; not normalized.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or `dependency` or `relation_weights` holds a negative number.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: h n² (d + e) multiplications; an engine streams over blocks of keys.

    With a dependency of ones and relation weights (1, 0) it is `sigmoid_attention`; with equal scores a parent or child
    sum, as in `syntactic_attention`.

    References
    ----------
    Shen et al., "StructFormer: Joint Unsupervised Induction of Dependency and Constituency Structure from Masked
    Language Modeling", 2020, arXiv 2012.00857.

    Examples
    --------
    Token 1 is the parent of token 0. The first head reads parents, the second children, and all scores are large:

    >>> import numpy as np
    >>> parse, value = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[3.0], [5.0]])
    >>> heads = np.full((2, 2, 1), 9.0)
    >>> dependency_constrained_attention(heads, heads, np.stack([value, value]), parse, np.eye(2)).squeeze(-1)
    array([[5., 0.],
           [0., 3.]])
    """
    scores = dot_scores(query, key, scale, bias)  # (..., h, n, n)
    visible = np.ones(scores.shape[-2:], dtype=bool) if mask is None else mask

    parents = dependency[..., None, :, :]  # (..., 1, n, n)
    looks_up, looks_down = relation_weights[..., 0, None, None], relation_weights[..., 1, None, None]  # (h, 1, 1)
    relation = looks_up * parents + looks_down * parents.mT
    weights = np.where(visible, relation * expit(scores), 0)
    output = weighted_sum(weights, value, visible)
    return AttentionResult(output, weights) if return_weights else output
