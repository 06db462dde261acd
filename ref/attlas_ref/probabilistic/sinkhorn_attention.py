r"""Attention with a transport plan: every key is read as much as it should be.

In softmax attention each query shares out one unit of attention, and nobody looks at where it all lands: a key may get
everything or nothing. Ask in addition that key j be read $b_j$ in total, and the weights are a transport plan from
queries to keys, with minus the scores as the cost:

$$P = \mathrm{sinkhorn}(-S;\ a, b, \varepsilon), \qquad w_{ij} = P_{ij} / a_i = \mathrm{softmax}_j(s_{ij}/\varepsilon
  + g_j).$$

The second form says what has changed: a bias $g_j$ on every key, the same for all queries, which Sinkhorn's steps
adjust until the columns are right (`sinkhorn_plan` has the mathematics). One query alone has no choice left: it must
read $b$. With the column masses that softmax attention happens to have, nothing changes, and it is softmax attention.

With as many queries as keys, uniform masses and $\varepsilon = 1$ this is the Sinkformer, whose weights are doubly
stochastic. `query_marginal` = a, `key_marginal` = b.

The first step is not softmax attention: it makes the columns right first, then the rows. Sinkformers start with the
rows, which is one step on the way between.
"""

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .sinkhorn_plan import sinkhorn_weights


@reference
def sinkhorn_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    epsilon: float = 1.0,
    query_marginal: Reals | None = None,
    key_marginal: Reals | None = None,
    steps: int = 100,
    tolerance: float | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention whose weights are a transport plan from queries to keys.

    $$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{ij} = P_{ij} / a_i, \qquad
      P = \arg\min_{P 1 = a,\ P^\top 1 = b}\ \sum_{ij} P_{ij} (-s_{ij} + \varepsilon \log P_{ij} - \varepsilon)$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    epsilon : float, default 1
        Above 0: the temperature of the plan.
    query_marginal : (..., m) real array, optional
        a >= 0: how much each query counts when keys are shared. Uniform over the queries that see a key if not given,
        with the total of `key_marginal`, or 1.
    key_marginal : (..., n) real array, optional
        b >= 0: how much each key is to be read by all queries together, likewise. Both totals must agree.
    steps : int, default 100
        How often columns and rows are put right, at least 1.
    tolerance : float, optional
        If given, a member of the leading axes stops once no key's mass is wrong by more.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key or has no mass.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible; $\sum_i a_i w_{ij} = b_j$ in the
        limit.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention` and `sinkhorn_plan`.

    Notes
    -----
    Cost: m n (d + e) multiplications and 2 steps m n exponentials; an engine streams over blocks, O(m + n) beside its
    inputs, and recomputes the scores in each step.

    Queries know of each other: what one reads, the others cannot. A visible NaN reaches all that compete with it. The
    weights are those of `softmax_attention` with the bias g on the keys; `reversed_attention` normalizes columns alone.

    References
    ----------
    Sander, Ablin, Blondel & Peyré, "Sinkformers: Transformers with Doubly Stochastic Attention", 2021, arXiv
    2110.11773.
    Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", 2013, arXiv 1306.0895.

    Examples
    --------
    Both queries like the first key better, the second one much more so. A softmax lets both have it; a plan does not:

    >>> import numpy as np
    >>> query, key = np.array([[2.0], [6.0]]), np.array([[1.0], [0.0]])
    >>> softmax = sinkhorn_attention(query, key, np.eye(2), key_marginal=np.array([0.94, 0.06]))
    >>> plan = sinkhorn_attention(query, key, np.eye(2))
    >>> print(np.hstack([softmax, plan]).round(2))
    [[0.88 0.12 0.12 0.88]
     [1.   0.   0.88 0.12]]
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights, _, live = sinkhorn_weights(scores / epsilon, query_marginal, key_marginal, steps, tolerance, visible)
    output = weighted_sum(weights, value, live)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
