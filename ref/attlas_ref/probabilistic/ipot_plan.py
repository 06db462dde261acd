r"""Inexact proximal transport: the sharp plan, by repeating a smooth one.

`sinkhorn_plan` with a small $\varepsilon$ is slow, and with a large one blurred. The proximal point method has it both
ways: solve a blurred problem, then another one in which the entropy is measured from the plan just found instead of
from nothing,

$$P^{t+1} = \arg\min_{P 1 = a,\ P^\top 1 = b}\ \langle P, C\rangle + \beta\, \mathrm{KL}(P \mid P^t).$$

Each problem is Sinkhorn's with $Q = e^{-C/\beta} \odot P^t$ as its kernel. After t of them the cost has been counted t
times: the plan is that of $\varepsilon = \beta / t$, reached by t easy steps; so it tends to the unsmoothed plan for
any $\beta$. And since the next problem corrects what this one left undone, one Sinkhorn step for each is enough
(`inner_steps`): inexact, hence the name.

UNITER aligns the words of a caption with the regions of an image so, all masses uniform, the cost by `cosine_cost`. In
its letters `beta` = $\beta$, $G = e^{-C/\beta}$, T = the plan, A = Q, $\sigma$ = u, $\delta$ = v.

**In log space** $\log Q = \log P - C/\beta$; the products of hundreds of kernels would underflow. As in `sinkhorn_plan`
the last row step is a softmax, and the rows are exact: $P_{ij} = \frac1{m'} \mathrm{softmax}_j(\log Q_{ij} + \log
v_j)$. The released code returns the plan transposed and allows `inner_steps=1` only.
"""

import numpy as np

from ..contract import PlanResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_ratio, log_sum_exp
from ..visibility import Booleans, Reals


@reference
def ipot_plan(
    cost: Reals,
    *,
    row_mask: Booleans | None = None,
    column_mask: Booleans | None = None,
    beta: float = 0.5,
    steps: int = 50,
    inner_steps: int = 1,
    return_distance: bool = False,
) -> Reals | PlanResult:
    r"""Return a transport plan between uniform masses by proximal point steps.

    $$Q = e^{-C/\beta} \odot P, \qquad v \leftarrow \frac{1}{n' Q^\top u}, \quad u \leftarrow \frac{1}{m' Q v}, \qquad
      P \leftarrow \mathrm{diag}(u)\, Q\, \mathrm{diag}(v)$$

    from P = 1 and $u = 1/m'$, with m' rows and n' columns that are not masked.

    Parameters
    ----------
    cost : (..., m, n) real array
        C: what one unit from row i to column j costs. A cost of $+\infty$ forbids the pair.
    row_mask : (..., m) boolean array, optional
        True = the row takes part.
    column_mask : (..., n) boolean array, optional
        True = the column takes part.
    beta : float, default 0.5
        Above 0, in the unit of the cost: how far one step may go. Large is slow, small is uneven.
    steps : int, default 50
        Proximal steps, at least 1.
    inner_steps : int, default 1
        Sinkhorn steps within each, at least 1; u is carried over.
    return_distance : bool, default False
        Return the cost of the plan too.

    Returns
    -------
    plan : (..., m, n) array
        Rows that take part sum to 1/m', columns to 1/n' in the limit; the rest is 0.
    distance : (...) array
        With `return_distance` only: $\sum_{ij} C_{ij} P_{ij}$.

    Raises
    ------
    ValueError
        If `beta`, `steps` or `inner_steps` is out of range.
    TypeError
        If an array is complex, an object or text, or a mask is not boolean.

    Notes
    -----
    Cost: 2 steps inner_steps m n exponentials.

    With `steps=1` it is `sinkhorn_plan` with epsilon = beta and `inner_steps` as its steps; with many, its cost tends
    to `optimal_transport_distance`.

    References
    ----------
    Xie, Wang, Wang & Zha, "A Fast Proximal Point Method for Computing Exact Wasserstein Distance", 2018, arXiv
    1802.04307.
    Chen et al., "UNITER: UNiversal Image-TExt Representation Learning", 2019, arXiv 1909.11740.

    Examples
    --------
    The cost of the best assignment is 2, that is 2/3 for masses of a third. Its plan comes into focus:

    >>> import numpy as np
    >>> way = np.array([[0.0, 2.0, 3.0], [0.0, 1.0, 4.0], [1.0, 5.0, 1.0]])
    >>> for steps in (1, 5, 50):
    ...     print(ipot_plan(way, steps=steps, return_distance=True).distance.round(3))
    0.714
    0.668
    0.667
    """
    shape = cost.shape[-2:]
    rows = np.ones(shape[0], dtype=bool) & (True if row_mask is None else row_mask)  # (..., m)
    columns = np.ones(shape[1], dtype=bool) & (True if column_mask is None else column_mask)  # (..., n)
    live = rows[..., :, None] & columns[..., None, :] & (cost != np.inf)  # (..., m, n)
    log_m = np.log(np.maximum(rows.sum(axis=-1, keepdims=True), 1).astype(cost.dtype))  # (..., 1)
    log_n = np.log(np.maximum(columns.sum(axis=-1, keepdims=True), 1).astype(cost.dtype))

    log_plan = np.zeros(live.shape, dtype=cost.dtype)
    f = np.broadcast_to(-log_m, live.shape[:-1])  # log u, (..., m)
    for _ in range(steps):
        log_kernel = log_plan - cost / beta  # log Q, (..., m, n)
        for _ in range(inner_steps):
            g = log_ratio(-log_n, log_sum_exp(log_kernel + f[..., :, None], axis=-2, where=live))  # log v, (..., n)
            f = log_ratio(-log_m, log_sum_exp(log_kernel + g[..., None, :], where=live))
        log_plan = log_kernel + f[..., :, None] + g[..., None, :]
    # The last row step as a softmax: the rows are right to the last digit.
    plan = np.exp(-log_m)[..., None] * softmax_weights(log_kernel + g[..., None, :], live)
    if not return_distance:
        return plan
    return PlanResult(plan, np.where(plan == 0, 0, cost * plan).sum(axis=(-2, -1)))
