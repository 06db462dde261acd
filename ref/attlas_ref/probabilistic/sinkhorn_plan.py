r"""Entropic optimal transport: how to move mass from rows to columns, cheaply and not too sharply.

Row i has a mass $a_i$ to give, column j a mass $b_j$ to take, and moving one unit from i to j costs $C_{ij}$. A plan P
says how much goes where. The cheapest plan sits in a corner of the polytope of all plans: it is sparse, it jumps when
costs change a little, and a linear program finds it (`optimal_transport_distance`). An entropy in the objective rounds
the corner off,

$$\min_P \ \langle P, C\rangle + \varepsilon \sum_{ij} P_{ij} (\log P_{ij} - 1) \qquad
  \text{subject to} \quad P 1 = a, \quad P^\top 1 = b,$$

and now the plan has a closed form up to one factor per row and one per column: setting the derivative of the
Lagrangian to zero, $C_{ij} + \varepsilon \log P_{ij} = \varepsilon f_i + \varepsilon g_j$, that is

$$P_{ij} = u_i K_{ij} v_j, \qquad K = e^{-C/\varepsilon}, \quad u = e^f, \quad v = e^g.$$

Sinkhorn's iteration finds them by making the columns right, then the rows, and again: $v = b / K^\top u$,
$u = a / K v$. In Cuturi's letters a, b are r, c and $1/\varepsilon$ is $\lambda$; `row_marginal` = a, `column_marginal`
= b.

**In log space.** K underflows as soon as a cost is a hundred times $\varepsilon$ (in float32), and then whole rows of
it are zero. The logarithms f and g never leave the range of the numbers:

$$g_j = \log b_j - \log \sum_i e^{f_i - C_{ij}/\varepsilon}, \qquad
  f_i = \log a_i - \log \sum_j e^{g_j - C_{ij}/\varepsilon}.$$

**A softmax with prices.** Put the last f into the plan, and each row is a softmax:
$P_{ij} = a_i\, \mathrm{softmax}_j(g_j - C_{ij}/\varepsilon)$. So the plan is attention with a bias on each key, a price
that falls until the key is read as much as it should be. It is computed so; the row marginal is then exact, however few
steps were made, and all that is left of the error stands in the columns.

**What to watch for.** The smaller $\varepsilon$, the more steps; the error of the columns, `abs(plan.sum(axis=-2) -
b).max()`, says how far it is. A mask may leave no plan at all (a causal one with uniform masses does); the rows stay
right, the columns cannot, and no number of steps helps.
"""

import numpy as np

from ..contract import reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_ratio, log_sum_exp
from ..visibility import Booleans, Reals


@reference
def sinkhorn_plan(
    cost: Reals,
    *,
    epsilon: float = 1.0,
    row_marginal: Reals | None = None,
    column_marginal: Reals | None = None,
    steps: int = 100,
    tolerance: float | None = None,
    mask: Booleans | None = None,
) -> Reals:
    r"""Return the transport plan of least cost plus entropy, after some of Sinkhorn's steps.

    $$P = \mathrm{diag}(u)\, e^{-C/\varepsilon}\, \mathrm{diag}(v), \qquad
      v \leftarrow b / K^\top u, \quad u \leftarrow a / K v$$

    from $u = 1$, repeated `steps` times.

    Parameters
    ----------
    cost : (..., m, n) real array
        C: what one unit from row i to column j costs. A cost of $+\infty$ forbids the pair, as a mask does.
    epsilon : float, default 1
        Above 0, in the unit of the cost: the weight of the entropy. Small is sharp and slow.
    row_marginal : (..., m) real array, optional
        a >= 0: the mass of each row. Uniform over the rows that have an allowed pair if not given, with the total of
        `column_marginal`, or 1.
    column_marginal : (..., n) real array, optional
        b >= 0: the mass of each column, likewise. Both totals must agree.
    steps : int, default 100
        How often columns and rows are put right, at least 1.
    tolerance : float, optional
        If given, a member of the leading axes stops once no column's mass is wrong by more.
    mask : (..., m, n) boolean array, optional
        True = mass may flow.

    Returns
    -------
    (..., m, n) array
        The plan: not negative, rows sum to a. Zeros in rows and columns that have no mass or no allowed pair.

    Raises
    ------
    ValueError
        If a marginal is negative, the totals differ by more than rounding (relative 1e-6), or `epsilon`, `steps` or
        `tolerance` is out of range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 2 steps m n exponentials; this reference holds the (m, n) plan, an engine needs O(m + n) beside the cost,
    which it may recompute from its factors. A visible NaN in the cost reaches every entry that is tied to it by a chain
    of allowed pairs.

    `sinkhorn_attention` reads values with this plan; `unbalanced_sinkhorn_plan` lets the marginals give way;
    `ipot_plan` reaches the unsmoothed plan by repeating this one. At convergence the cost <P, C> is no less than
    `optimal_transport_distance`.

    References
    ----------
    Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", 2013, arXiv 1306.0895.
    Sander, Ablin, Blondel & Peyré, "Sinkformers: Transformers with Doubly Stochastic Attention", 2021, arXiv
    2110.11773.

    Examples
    --------
    Two bakeries with 3 loaves each, three shops that want 2 each. A small epsilon ships what is cheapest, a large one
    shares evenly:

    >>> import numpy as np
    >>> way = np.array([[1.0, 2.0, 5.0], [4.0, 2.0, 1.0]])
    >>> loaves, wanted = np.array([3.0, 3.0]), np.array([2.0, 2.0, 2.0])
    >>> for epsilon in (0.1, 100.0):
    ...     print(sinkhorn_plan(way, epsilon=epsilon, row_marginal=loaves, column_marginal=wanted).round(2))
    [[2. 1. 0.]
     [0. 1. 2.]]
    [[1.02 1.   0.98]
     [0.98 1.   1.02]]
    """
    weights, masses, live = sinkhorn_weights(-cost / epsilon, row_marginal, column_marginal, steps, tolerance, mask)
    return np.where(live, masses[..., :, None] * weights, 0)


def sinkhorn_weights(
    scores: Reals,
    row_marginal: Reals | None,
    column_marginal: Reals | None,
    steps: int,
    tolerance: float | None,
    mask: Booleans | None,
) -> tuple[Reals, Reals, Booleans]:
    """Return a plan with every row divided by its mass, the masses of the rows, and where mass may flow.

    `scores` are minus the costs in units of epsilon, (..., m, n).
    """
    allowed = scores != -np.inf if mask is None else (scores != -np.inf) & mask
    a = _masses(row_marginal, column_marginal, allowed.any(axis=-1), scores)  # (..., m)
    b = _masses(column_marginal, row_marginal, allowed.any(axis=-2), scores)  # (..., n)
    live = allowed & (a > 0)[..., :, None] & (b > 0)[..., None, :]  # (..., m, n)

    f = np.zeros(live.shape[:-1], dtype=scores.dtype)  # log u, (..., m)
    g = np.zeros((*live.shape[:-2], live.shape[-1]), dtype=scores.dtype)  # log v, (..., n)
    moving = np.ones(live.shape[:-2], dtype=bool)
    for _ in range(steps):
        columns_right = log_ratio(np.log(b), log_sum_exp(scores + f[..., :, None], axis=-2, where=live))
        g = np.where(moving[..., None], columns_right, g)
        f = log_ratio(np.log(a), log_sum_exp(scores + g[..., None, :], where=live))
        if tolerance is not None:
            columns = np.exp(g + log_sum_exp(scores + f[..., :, None], axis=-2, where=live))
            error = np.abs(columns - b).max(axis=-1, initial=0)
            moving = moving & ~(error <= tolerance)  # a NaN never comes to rest

    return softmax_weights(scores + g[..., None, :], live & (g != -np.inf)[..., None, :]), a, live


def _masses(marginal: Reals | None, other: Reals | None, open_: Booleans, like: Reals) -> Reals:
    """Return a marginal; if not given, spread the total of the other one evenly over what is open."""
    if marginal is not None:
        return marginal
    total = np.ones(1, dtype=like.dtype) if other is None else other.sum(axis=-1, keepdims=True)
    return np.where(open_, total / np.maximum(open_.sum(axis=-1, keepdims=True), 1).astype(like.dtype), 0)
