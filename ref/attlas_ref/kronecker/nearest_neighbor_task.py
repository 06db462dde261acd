r"""The nearest neighbor on the sphere: what one needs rank for.

A head of attention compares queries and keys through projections to r dimensions, and r is usually far below the width
d of the tokens. Does that matter? Amsel, Yehudai and Bruna take a task that one head of full rank solves: return, from
points on the unit sphere, the one nearest to a query. On the sphere $\lVert x - y \rVert^2 = 2 - 2\langle x, y\rangle$,
so the nearest point has the largest dot product, and softmax attention with a large inverse temperature returns it.
Heads of low rank see shadows of the points in r dimensions; they show that exponentially many are needed.

`nearest_neighbor_task` is the target. `low_rank_heads_error` measures how well given heads can do at best: it fits
their output matrices by least squares.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import formula
from ..contract.options import Number
from ..contract.utilities import check_reals
from ..dotproduct.softmax_attention import softmax_attention


def nearest_neighbor_task(points: Any, query: Any, *, bias: Any = None) -> NDArray[np.float64]:
    r"""The point nearest to a query on the unit sphere.

    $$\mathrm{out} = x_{i^*}, \qquad i^* = \arg\max_i\ \langle x_i, y \rangle + b_i
      = \arg\min_i\ \lVert x_i - y \rVert \quad (b = 0)$$

    Parameters
    ----------
    points : (..., n, d) real array
        x, on the unit sphere; at least one. Elsewhere the largest dot product counts, not the smallest distance.
    query : (..., d) real array
        y, on the unit sphere.
    bias : (..., n) real array, optional
        b, a handicap for each point; none if not given.

    Returns
    -------
    (..., d) array
        Of equally near points the first one.

    Raises
    ------
    ValueError
        If there is no point, or shapes disagree.
    TypeError
        If an array does not hold real numbers.

    Notes
    -----
    Cost: n d multiplications.

    One head solves it: `softmax_attention` of y to the points as keys and values with the scale β errs by at most
    2 (n − 1) exp(−β gap), gap being the distance of the two largest scores. Of heads of low rank exponentially many are
    needed: see `low_rank_heads_error`.

    References
    ----------
    Amsel, Yehudai & Bruna, "On the Benefits of Rank in Attention Layers", 2024, arXiv 2407.16153.

    Examples
    --------
    >>> import numpy as np
    >>> compass = [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    >>> nearest_neighbor_task(compass, [0.6, 0.8]).tolist()
    [0.0, 1.0]
    """
    function = "nearest_neighbor_task"
    points = check_reals(function, "points", points, "(..., n, d)", 2)
    query = check_reals(function, "query", query, "(..., d)", 1)
    if points.shape[-2] == 0:
        raise ValueError(f"{function}: points has shape {points.shape}; it needs at least one point")
    if points.shape[-1] != query.shape[-1]:
        raise ValueError(f"{function}: query has shape {query.shape}; it needs the width of points {points.shape}")
    scores = (points @ query[..., None])[..., 0]  # (..., n)
    if bias is not None:
        bias = check_reals(function, "bias", bias, "(..., n)", 1)
        if bias.shape[-1] != points.shape[-2]:
            raise ValueError(f"{function}: bias has shape {bias.shape}; it needs one entry per point {points.shape}")
        scores = scores + bias
    best = scores.argmax(axis=-1)[..., None, None]  # (..., 1, 1): the first of equals
    points = np.broadcast_to(points, (*scores.shape, points.shape[-1]))
    return np.take_along_axis(points, best, axis=-2)[..., 0, :]


def low_rank_heads_error(points: Any, query: Any, w_query: Any, w_key: Any, *, scale: float = 1.0) -> float:
    r"""How well given heads fit the nearest neighbor when their output matrices are the best ones.

    $$\min_{V_1, \dots, V_H} \frac1B \sum_{b=1}^{B} \Bigl\lVert \sum_h o_{bh} V_h - x^*_b \Bigr\rVert^2, \qquad
      o_{bh} = \mathrm{softmax}\bigl(\mathrm{scale}\,(y_b W^Q_h)(X_b W^K_h)^\top\bigr) X_b$$

    where $x^*_b$ is the point of problem b that is nearest to its query $y_b$.

    Parameters
    ----------
    points : (B, n, d) real array
        X: the points of B problems, at least one each.
    query : (B, d) real array
        y: the query of each problem.
    w_query : (H, d, r) real array
        $W^Q$: the query projection of each head, to r dimensions.
    w_key : (H, d, r) real array
        $W^K$: the key projection of each head.
    scale : float, default 1
        Inverse temperature of the heads.

    Returns
    -------
    float
        The mean squared distance per problem: 0 for a perfect fit, at most 1 on the unit sphere.

    Raises
    ------
    ValueError
        If shapes disagree, or there is no problem or no point.
    TypeError
        If an array does not hold real numbers.

    Notes
    -----
    Cost: O(B H n (d + r)) and a least-squares problem of size B by H d. With H d >= B the fit passes through all
    problems and says nothing: use B far above H d. A further head cannot hurt.

    An exercise after the paper, not a quantity in it.

    References
    ----------
    Amsel, Yehudai & Bruna, "On the Benefits of Rank in Attention Layers", 2024, arXiv 2407.16153.

    Examples
    --------
    One head of full rank, and four heads that see one dimension each:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> points, query = rng.normal(size=(500, 4, 4)), rng.normal(size=(500, 4))
    >>> points /= np.linalg.norm(points, axis=-1, keepdims=True)
    >>> query /= np.linalg.norm(query, axis=-1, keepdims=True)
    >>> full, low = np.eye(4)[None], np.eye(4)[:, :, None]
    >>> round(low_rank_heads_error(points, query, full, full, scale=100.0), 3)
    0.006
    >>> round(low_rank_heads_error(points, query, low, low, scale=100.0), 3)
    0.462
    """
    function = "low_rank_heads_error"
    points = check_reals(function, "points", points, "(B, n, d)", 3, exact=True)
    query = check_reals(function, "query", query, "(B, d)", 2, exact=True)
    w_query = check_reals(function, "w_query", w_query, "(H, d, r)", 3, exact=True)
    w_key = check_reals(function, "w_key", w_key, "(H, d, r)", 3, exact=True)
    scale = Number().check(function, "scale", scale)
    problems, n, d = points.shape
    if not problems or not n:
        raise ValueError(f"{function}: points has shape {points.shape}; it needs at least one problem and one point")
    if query.shape != (problems, d):
        raise ValueError(f"{function}: query has shape {query.shape}; it needs ({problems}, {d})")
    if w_query.shape[1] != d or w_key.shape != w_query.shape:
        raise ValueError(
            f"{function}: w_query has shape {w_query.shape} and w_key {w_key.shape}; both need (H, {d}, r)"
        )

    heads: Any = formula(softmax_attention)(  # (B, H, 1, d)
        query[:, None, None, :] @ w_query, points[:, None] @ w_key, points[:, None], scale=scale
    )
    outputs = heads.reshape(problems, len(w_query) * d)  # (B, H d)
    target = nearest_neighbor_task(points, query)  # (B, d)
    output_matrices = np.linalg.lstsq(outputs, target)[0]  # (H d, d)
    return float(((outputs @ output_matrices - target) ** 2).sum() / problems)
