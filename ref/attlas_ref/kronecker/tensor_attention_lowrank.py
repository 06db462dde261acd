r"""Tensor attention in nearly linear time, for small entries.

Over pairs of n tokens attention costs n³ operations. Alman and Song show where that can be avoided: if all entries stay
below $o((\log n)^{1/3})$ a polynomial of low degree stands in for the exponential, and the time is almost linear; if
entries may be larger, no algorithm is much faster than n³, unless the strong exponential time hypothesis fails.

**The polynomial.** Replace $e^s$ by $T_g(s) = \sum_{l \le g} s^l / l!$, with g = `degree`. A score is a sum over
channels, $s = \mathrm{scale} \sum_c q_c k^1_c \cdots k^p_c$, so by the multinomial theorem

$$T_g(s) = \sum_{|a| \le g} \frac{\mathrm{scale}^{|a|}}{a!}\; q^a\, (k^1)^a \cdots (k^p)^a$$

over multi-indices $a \in \mathbb{N}^d$, with $x^a = \prod_c x_c^{a_c}$ and $a! = \prod_c a_c!$: each term is a product
of a factor for the query and one for each member of the tuple.

**Why that is fast.** A sum over all tuples of a product of factors is a product of sums,

$$\sum_{J} T_g(s_{iJ}) \prod_r v^r_{j_r c} = \sum_{|a| \le g} \frac{\mathrm{scale}^{|a|}}{a!}\; q_i^a
  \prod_r \Bigl( \sum_j (k^r_j)^a\, v^r_{jc} \Bigr),$$

and the cube is never formed. There are $\binom{d+g}{g}$ monomials.

**How good it is.** With $S = \max |s|$ every kernel value has a relative error of at most
$\delta = e^S S^{g+1}/(g+1)!$, and if $\delta < 1$ the output errs by at most
$\frac{2\delta}{1-\delta} \max|v^1| \cdots \max|v^p|$. So the degree has to exceed $S$ by a good factor. Even degrees
keep all kernel values positive.

**Watch out.** A mask on tuples does not factorize, and neither does a causal rule: none can be had.
"""

import math
import warnings
from collections import Counter
from itertools import combinations_with_replacement

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def tensor_attention_lowrank(
    query: Reals,
    keys: tuple[Reals, ...],
    values: tuple[Reals, ...],
    *,
    degree: int,
    scale: float | None = None,
    kernel: str = "taylor",
) -> Reals:
    r"""Order-p attention with a truncated exponential, as products of sums.

    $$\mathrm{out}_{ic} = \frac{\sum_a \beta_a\, q_i^a \prod_r \sum_j (k^r_j)^a v^r_{jc}}
      {\sum_a \beta_a\, q_i^a \prod_r \sum_j (k^r_j)^a}, \qquad
      \beta_a = \frac{\mathrm{scale}^{|a|}}{a!}, \quad |a| \le \mathrm{degree}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    keys : tuple of p (..., n_r, d) real arrays
        One set of keys per member of a tuple.
    values : tuple of p (..., n_r, e) real arrays
        One set of values per member.
    degree : int
        g, at least 0.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.
    kernel : {"taylor"}, default "taylor"
        The polynomial: the exponential series, cut off.

    Returns
    -------
    (..., m, e) array
        Zeros if a set of keys is empty.

    Raises
    ------
    ValueError
        If `keys` is empty or `values` has another number of arrays, shapes disagree, `degree` is below 0, or `kernel`
        is unknown.
    TypeError
        If `keys` or `values` is not a tuple, an array is complex, an object or text, or `degree` is not whole.

    Warns
    -----
    RuntimeWarning
        If the bound says nothing, δ >= 1. The scores are not formed, but their root mean square is known for each
        query, and the largest is at least that.

    Notes
    -----
    Cost: (m + n_1 + ... + n_p) r (e + 1) operations and r (e + 1) numbers of memory, with r = C(d + g, g) monomials.

    With p = 1 this is `fastmax_attention` of that order. As the degree grows it becomes `tensor_attention`; degree 0 is
    the product of the means of the values. The constants of the paper's theorem were not re-read.

    References
    ----------
    Alman & Song, "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker
    Computation", 2023, arXiv 2310.04064.

    Examples
    --------
    >>> import numpy as np
    >>> from attlas_ref import tensor_attention
    >>> rng = np.random.default_rng(0)
    >>> q, k1, k2, v1, v2 = rng.uniform(-1, 1, (5, 20, 3))
    >>> exact = tensor_attention(q, (k1, k2), (v1, v2))
    >>> errors = [abs(tensor_attention_lowrank(q, (k1, k2), (v1, v2), degree=g) - exact).max() for g in (0, 2, 4, 6)]
    >>> [f"{error:.0e}" for error in errors]
    ['5e-03', '3e-04', '2e-05', '4e-07']
    """
    scale = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    _warn_if_the_bound_says_nothing(query, keys, degree, scale)
    indices = monomials(query.shape[-1], degree)
    one_over_factorials = np.array([1 / factorials(a) for a in indices], dtype=query.dtype)  # (r,)

    numerator: Reals = np.ones((), dtype=query.dtype)
    denominator: Reals = np.ones((), dtype=query.dtype)
    for key, value in zip(keys, values, strict=True):
        features = evaluated(key, indices)  # (..., n_r, r)
        numerator = numerator * (features.mT @ value)  # (..., r, e): a product of p sums
        denominator = denominator * features.sum(axis=-2)[..., None]  # (..., r, 1)
    features = one_over_factorials * evaluated(scale * query, indices)  # (..., m, r)
    total = features @ denominator  # (..., m, 1)
    empty = any(key.shape[-2] == 0 for key in keys)
    return features @ numerator / np.where(empty, 1, total)


def monomials(width: int, degree: int) -> list[tuple[int, ...]]:
    """Return the monomials of at most this degree, each as its channels with repetition; C(width + degree, degree).

    >>> monomials(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    """
    return [a for total in range(degree + 1) for a in combinations_with_replacement(range(width), total)]


def factorials(index: tuple[int, ...]) -> int:
    """Return a!, the product of the factorials of the powers of a monomial.

    >>> factorials((0, 0, 0, 1)), factorials(())
    (6, 1)
    """
    return math.prod(map(math.factorial, Counter(index).values()))


def evaluated(x: Reals, indices: list[tuple[int, ...]]) -> Reals:
    r"""Return the monomials $x^a$ of every row, (..., n, r).

    >>> evaluated(np.array([[2.0, 3.0]]), monomials(2, 2)).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    columns: dict[tuple[int, ...], Reals] = {(): np.ones_like(x[..., 0])}
    for index in indices[1:]:
        columns[index] = columns[index[:-1]] * x[..., index[-1]]  # one channel more
    return np.stack(list(columns.values()), axis=-1)


def _warn_if_the_bound_says_nothing(query: Reals, keys: tuple[Reals, ...], degree: int, scale: float) -> None:
    r"""Warn if $e^S S^{g+1}/(g+1)! \ge 1$ for a lower bound S of the largest score.

    The mean square of all scores of a query is $\mathrm{scale}^2\, q^\top (M_1 \odot \dots \odot M_p)\, q$ with the
    second moments $M_r = K_r^\top K_r / n_r$, which takes no tuples to compute.
    """
    if any(key.shape[-2] == 0 for key in keys):
        return
    moments: Reals = np.ones((), dtype=query.dtype)
    for key in keys:
        moments = moments * (key.mT @ key / key.shape[-2])  # (..., d, d)
    square = ((query @ moments) * query).sum(axis=-1)  # (..., m)
    mean_square = float(np.asarray(square).max(initial=0))
    if not mean_square > 0 or math.isinf(mean_square) or scale == 0:
        return
    size = abs(scale) * math.sqrt(mean_square)
    if size + (degree + 1) * math.log(size) - math.lgamma(degree + 2) >= 0:
        warnings.warn(
            f"tensor_attention_lowrank: scores reach {size:.3g} at least; degree {degree} does not bound the error",
            RuntimeWarning,
            stacklevel=4,
        )
