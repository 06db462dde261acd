r"""Probabilistic attention: a mixture of Gaussians that can learn while it is being read.

Think of each key as the center of a cluster that produces queries, and of its value as what comes along with them.
Given a query, which cluster did it come from? The answer is a row of responsibilities, the E step of a mixture of
Gaussians, and the value to expect is their mean of the values: attention.

In Gabbur's letters unit j has the query mean $\zeta_j$ (a row of `key`), the value mean $\mu_j$ (of `value`), and the
precisions $\alpha_j$ and $\beta_j$ (`query_precision`, `value_precision`). The log responsibilities are

$$\ell_{ij} = \log \pi_{ij} - \tfrac{\alpha_j}2 |q_i - \zeta_j|^2 - \tfrac{\beta_j}2 |v^0_i - \mu_j|^2, \qquad
  w_i = \mathrm{softmax}_j(\ell_{ij}),$$

the last term only where a first guess of the value, $v^0$ (`value_init`), is at hand. The paper leaves out the
normalizers $\tfrac d2 \log \alpha_j$ of the Gaussians, and so does this function. Multiply out the square: $|q_i|^2$
is the same for all keys if they share one precision, and the "magnitude" prior
$\log \pi_{ij} = \tfrac{\alpha_j}2 |\zeta_j|^2 + \tfrac{\beta_j}2 |\mu_j|^2$ takes the squares of the keys away. What is
left is $\alpha \langle q_i, \zeta_j \rangle$: softmax attention is the mixture whose prior favors long keys.

**Keys that adapt.** A mixture is fitted by EM. The M step moves every key towards the queries that it is responsible
for, held back by a Gaussian prior of precision $\tau_j$ (`key_prior_precision`) around the key $\zeta^*_j$ that came:

$$\zeta_j \leftarrow \frac{\tau_j \zeta^*_j + \alpha_j \sum_i w_{ij} q_i}{\tau_j + \alpha_j \sum_i w_{ij}} .$$

With `anchor="initial"` this is MAP-EM, and the penalized log-likelihood never falls. The official code anchors each
step at the key of the step before (`anchor="current"`), which climbs no fixed objective.

**Values that spread.** A user who corrects a picture fixes the values of a few queries. The same M step with those
queries alone carries them to the values of the units, and from there to all queries alike.

The squares are multiplied out, so that the pairs meet in a matrix product; what is far from the origin should be
moved there first.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def probabilistic_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_precision: Reals | float | None = None,
    value_precision: Reals | float = 0.0,
    prior: Reals | str = "uniform",
    value_init: Reals | None = None,
    mask: Booleans | None = None,
    key_update_steps: int = 0,
    key_prior_precision: Reals | float | None = None,
    value_fixed: Reals | None = None,
    value_fixed_mask: Booleans | None = None,
    value_update_steps: int = 0,
    value_prior_precision: Reals | float | None = None,
    anchor: str = "initial",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Expected value under the responsibilities of a Gaussian mixture, whose keys and values may adapt first.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij}\, \mu_j, \qquad w_{i\cdot} = \mathrm{softmax}_{V(i)}\big(
      \log \pi_{ij} - \tfrac{\alpha_j}2 |q_i - \zeta_j|^2 - \tfrac{\beta_j}2 |v^0_i - \mu_j|^2\big)$$

    after `key_update_steps` times

    $$\zeta_j \leftarrow \frac{\tau_j \zeta^*_j + \alpha_j \sum_i w_{ij}\, q_i}{\tau_j + \alpha_j \sum_i w_{ij}}$$

    and `value_update_steps` times the same for $\mu_j$ with $\beta_j$, $\tau^\mu_j$ and the fixed rows in place of the
    queries, w being computed anew after each.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        $\zeta_j$, the query mean of each unit.
    value : (..., n, e) real array
        $\mu_j$, the value mean of each unit.
    query_precision : float or (..., n) real array, optional
        $\alpha_j \ge 0$; $1/\sqrt d$ if not given.
    value_precision : float or (..., n) real array, default 0
        $\beta_j \ge 0$.
    prior : "uniform", "magnitude" or (..., m, n) real array, default "uniform"
        $\pi_{ij} \ge 0$: all alike, growing with the size of keys and values, or as given, in any unit.
    value_init : (..., m, e) real array, optional
        $v^0_i$, a first guess of the value of each query.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    key_update_steps : int, default 0
        How often the keys adapt.
    key_prior_precision : float or (..., n) real array, optional
        $\tau_j \ge 0$, what holds keys back; nothing does if not given.
    value_fixed : (..., m, e) real array, optional
        Values that are known. Needs `value_fixed_mask`.
    value_fixed_mask : (..., m) boolean array, optional
        Of which queries they are known.
    value_update_steps : int, default 0
        How often the known values are carried over.
    value_prior_precision : float or (..., n) real array, optional
        $\tau^\mu_j \ge 0$, what holds values back.
    anchor : "initial" or "current", default "initial"
        Whether $\zeta^*$ and $\mu^*$ are what came, or what stands there before the step.
    return_weights : bool, default False
        Return the last responsibilities too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, a precision or a visible prior is negative, a number of steps is, a word is unknown,
        or only one of `value_fixed` and `value_fixed_mask` is given.
    TypeError
        If an array is complex, an object or text, or a mask is not boolean.

    Notes
    -----
    Cost: 1 + steps times m n (d + e) multiplications; an engine streams both passes. A unit that no query is
    responsible for, and nothing holds, keeps its mean. The official code adds 1e-20 to sums instead.

    Neighbors: `prior="magnitude"` is `softmax_attention` with the scale $\alpha$, `prior="uniform"`
    `distance_attention` with the scale $\alpha / 2$. `iterative_attention` moves the queries instead of the keys.

    References
    ----------
    Gabbur, Bilkhu & Movellan, "Probabilistic Attention for Interactive Segmentation", 2021, arXiv 2106.15338.
    Movellan & Gabbur, "Probabilistic Transformers", 2020, arXiv 2010.15583.

    Examples
    --------
    Two keys in the gap between two groups of queries; EM moves one into each:

    >>> import numpy as np
    >>> query = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> key, value = np.array([[4.0], [5.0]]), np.array([[-1.0], [1.0]])
    >>> for steps in (0, 1, 3):
    ...     output = probabilistic_attention(query, key, value, key_update_steps=steps, query_precision=0.2)
    ...     print(output.ravel().round(2))
    [-0.42 -0.34  0.34  0.42]
    [-0.88 -0.79  0.79  0.88]
    [-1.   -0.99  0.99  1.  ]

    The value of one query is corrected, and that of its neighbor follows:

    >>> fixed = np.array([[5.0], [0.0], [0.0], [0.0]])
    >>> probabilistic_attention(
    ...     query,
    ...     key,
    ...     value,
    ...     key_update_steps=3,
    ...     query_precision=0.2,
    ...     value_precision=1.0,
    ...     value_update_steps=1,
    ...     value_fixed=fixed,
    ...     value_fixed_mask=np.array([True, False, False, False]),
    ...     value_prior_precision=0.1,
    ... ).ravel().round(2)
    array([4.45, 4.44, 1.05, 1.03])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    alpha = 1 / np.sqrt(query.shape[-1:]).astype(query.dtype) if query_precision is None else per_key(query_precision)
    beta = per_key(value_precision)

    def responsibilities(zeta: Reals, mu: Reals) -> Reals:
        by_magnitude = isinstance(prior, str) and prior == "magnitude"
        # The squares of the keys stand in the Gaussian and in the magnitude prior, with opposite signs.
        scores = closeness(query, zeta, alpha, with_square=not by_magnitude)  # (..., m, n)
        if value_init is not None:
            scores = scores + closeness(value_init, mu, beta, with_square=not by_magnitude)
        elif by_magnitude:
            scores = scores + (beta * (mu**2).sum(axis=-1))[..., None, :] / 2
        if not isinstance(prior, str):
            scores = scores + np.log(prior)
        return softmax_weights(scores, visible)

    zeta, mu = key, value
    weights = responsibilities(zeta, mu)
    for _ in range(key_update_steps):
        center = key if anchor == "initial" else zeta
        zeta = adapted(zeta, center, alpha, key_prior_precision, weights, query, visible)
        weights = responsibilities(zeta, mu)
    if value_fixed is not None:
        fixed = np.asarray(value_fixed_mask)[..., None]  # (..., m, 1)
        for _ in range(value_update_steps):
            center = value if anchor == "initial" else mu
            known = np.where(fixed, weights, 0)
            mu = adapted(mu, center, beta, value_prior_precision, known, value_fixed, visible & fixed)
            weights = responsibilities(zeta, mu)
    output = weighted_sum(weights, mu, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def per_key(precision: Reals | float) -> Reals:
    """Return a precision with an axis for the keys, (..., n) or (1,)."""
    return np.atleast_1d(precision)


def closeness(x: Reals, mean: Reals, precision: Reals, with_square: bool) -> Reals:
    r"""Return $-\frac{a_j}2 |x_i - \mu_j|^2$, shape (..., m, n), without the part of $|\mu_j|^2$ if so wanted."""
    square = (x**2).sum(axis=-1)[..., :, None]  # (..., m, 1)
    if with_square:
        square = square + (mean**2).sum(axis=-1)[..., None, :]  # (..., m, n)
    return precision[..., None, :] * (x @ mean.mT - square / 2)


def adapted(
    mean: Reals,
    center: Reals,
    precision: Reals,
    held: Reals | float | None,
    weights: Reals,
    x: Reals,
    visible: Booleans,
) -> Reals:
    """Return the M step of one mean per unit, (..., n, d): that of the rows of x by weight, drawn to its center."""
    total = weighted_sum(weights.mT, x, visible.mT)  # N, (..., n, d)
    mass = weights.sum(axis=-2)[..., None]  # S, (..., n, 1)
    if held is not None:
        tau, precision = per_key(held)[..., None], precision[..., None]
        total, mass = tau * center + precision * total, tau + precision * mass
    # A unit without any mass stays where it is.
    return np.where(mass == 0, mean, total / np.where(mass == 0, 1, mass))
