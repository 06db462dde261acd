r"""Transport with relaxed marginals: mass may be left lying, at a price.

`sinkhorn_plan` must move everything, however far. Often that is wrong: there is more on one side than on the other, or
something has no match at all. Here the marginals are wishes: missing them costs a divergence, weighted by $\lambda$,

$$\min_P\ \langle P, C\rangle + \varepsilon\, \mathrm{KL}(P \mid a b^\top) + \lambda\, \mathrm{KL}(P 1 \mid a)
  + \lambda\, \mathrm{KL}(P^\top 1 \mid b), \qquad \mathrm{KL}(p \mid q) = \sum p \log \frac pq - p + q.$$

The optimum has the same form, $P = \mathrm{diag}(u) K \mathrm{diag}(v)$ with $K = e^{-C/\varepsilon} \odot a b^\top$,
and Sinkhorn's steps change by an exponent: $u = (a / K v)^{\lambda/(\lambda + \varepsilon)}$, a step that stops short
of making the row right. With $\lambda \to \infty$ the exponent is 1 and the plan balanced; with $\lambda \to 0$ it is
0 and nothing holds K back. The factors shrink distances in log space by that exponent, so the iteration always
converges, and fast where $\lambda$ is small.

In the letters of Chizat et al., `marginal_penalty` = $\lambda$, `row_marginal` = a, `column_marginal` = b. Libraries
differ in the reference measure of the entropy ($a b^\top$ here, all ones elsewhere), which changes the plan.
"""

import numpy as np

from ..contract import reference
from ..log_space import log_ratio, log_sum_exp
from ..visibility import Reals


@reference
def unbalanced_sinkhorn_plan(
    cost: Reals,
    *,
    row_marginal: Reals,
    column_marginal: Reals,
    epsilon: float = 1.0,
    marginal_penalty: float = 1.0,
    steps: int = 1000,
) -> Reals:
    r"""Return the transport plan whose marginals may miss their targets at a price.

    $$P = \mathrm{diag}(u) K \mathrm{diag}(v), \qquad K = e^{-C/\varepsilon} \odot a b^\top, \qquad
      u \leftarrow \Bigl(\frac{a}{K v}\Bigr)^{\frac{\lambda}{\lambda+\varepsilon}}, \quad
      v \leftarrow \Bigl(\frac{b}{K^\top u}\Bigr)^{\frac{\lambda}{\lambda+\varepsilon}}$$

    from $v = 1$, repeated `steps` times.

    Parameters
    ----------
    cost : (..., m, n) real array
        C: what one unit from row i to column j costs. A cost of $+\infty$ forbids the pair.
    row_marginal : (..., m) real array
        a >= 0: the mass that each row should give.
    column_marginal : (..., n) real array
        b >= 0: the mass that each column should take. The totals may differ.
    epsilon : float, default 1
        Above 0, in the unit of the cost: the weight of the entropy.
    marginal_penalty : float, default 1
        $\lambda$ above 0, in the unit of the cost: moving costs more than about $2\lambda$ per unit are not paid.
    steps : int, default 1000
        At least 1.

    Returns
    -------
    (..., m, n) array
        The plan, not negative. Zeros in rows and columns without mass.

    Raises
    ------
    ValueError
        If a marginal is negative, or `epsilon`, `marginal_penalty` or `steps` is out of range.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: 2 steps m n exponentials. The error shrinks by at least $(\lambda/(\lambda+\varepsilon))^2$ per step.

    With a large `marginal_penalty` and equal totals this is `sinkhorn_plan`.

    References
    ----------
    Chizat, Peyré, Schmitzer & Vialard, "Scaling Algorithms for Unbalanced Optimal Transport Problems", 2016, arXiv
    1607.05816.

    Examples
    --------
    The second column is far from both rows and stays nearly empty; the first one gets more than it asked for:

    >>> import numpy as np
    >>> way = np.array([[0.0, 9.0], [1.0, 9.0]])
    >>> masses = {"row_marginal": np.array([1.0, 1.0]), "column_marginal": np.array([1.0, 1.0])}
    >>> unbalanced_sinkhorn_plan(way, **masses, epsilon=0.1, marginal_penalty=2.0).round(2)
    array([[0.8 , 0.  ],
           [0.47, 0.03]])
    """
    share = marginal_penalty / (marginal_penalty + epsilon)
    log_a, log_b = np.log(row_marginal), np.log(column_marginal)
    live = (cost != np.inf) & (row_marginal > 0)[..., :, None] & (column_marginal > 0)[..., None, :]
    log_kernel = -cost / epsilon + log_a[..., :, None] + log_b[..., None, :]  # (..., m, n)
    g = np.zeros((*live.shape[:-2], live.shape[-1]), dtype=log_kernel.dtype)  # log v, (..., n)
    for _ in range(steps):
        f = share * log_ratio(log_a, log_sum_exp(log_kernel + g[..., None, :], where=live))  # log u, (..., m)
        g = share * log_ratio(log_b, log_sum_exp(log_kernel + f[..., :, None], axis=-2, where=live))
    return np.where(live, np.exp(log_kernel + f[..., :, None] + g[..., None, :]), 0)
