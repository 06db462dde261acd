r"""Dependencies from distances and heights: a parser that is a few sums.

StructFormer draws a sentence as a skyline. Between two neighbors stands a wall, their syntactic *distance* $\tau$; each
token has a *height* $\delta$. A token's constituent reaches to the left and to the right until a wall is higher than
the token. Within its constituent the highest token is the head. With soft comparisons both become probabilities, and
the head of token $i$ is

$$P_{ij} = \sum_{l \le \min(i, j)} \sum_{r \ge \max(i, j)} p(l \mid i)\, p(r \mid i)\, p(j \mid l, r),$$

for $i \ne j$, and $P_{ii} = 0$. Wall $k$, between tokens $k$ and $k + 1$, is passed with probability
$\alpha_{ik} = \sigma((\delta_i - \tau_k) / \mu_1)$. To reach as far as $l$, all walls between have to be passed:
$L_{il} = \min_{l \le k < i} \alpha_{ik}$, as released, or the product, were the walls independent; $R_{ir}$ likewise to
the right. The ends of the constituent are where the reach ends,

$$p(l \mid i) = L_{il} - L_{i, l-1}, \qquad p(r \mid i) = R_{ir} - R_{i, r+1}, \qquad
  p(j \mid l, r) = \frac{e^{\delta_j / \mu_2}}{\sum_{l \le k \le r} e^{\delta_k / \mu_2}},$$

with $L_{ii} = R_{ii} = 1$ and nothing beyond the sentence. $\tau$ = `distance`, $\delta$ = `height`, $\mu_1$ =
`distance_temperature`, $\mu_2$ = `height_temperature`.

The released model first lowers all distances of a sentence by one number, so that distances and heights meet. That is
left to the caller. What is missing in a row is the probability that the token heads its own constituent.
"""

import numpy as np
from scipy.special import expit

from ..contract import reference
from ..log_space import shares
from ..visibility import Reals


@reference
def syntactic_dependency(
    distance: Reals,
    height: Reals,
    *,
    distance_temperature: float = 1.0,
    height_temperature: float = 1.0,
    combine: str = "minimum",
) -> Reals:
    r"""Return the probability that token j is the parent of token i.

    $$P_{ij} = \sum_{l \le \min(i, j)} \sum_{r \ge \max(i, j)} p(l \mid i)\, p(r \mid i)\, p(j \mid l, r)
      \quad (i \ne j), \qquad P_{ii} = 0$$

    Parameters
    ----------
    distance : (..., n-1) real array
        Syntactic distance between each token and the next one.
    height : (..., n) real array
        Syntactic height of each token, on the same scale.
    distance_temperature : float, default 1
        Softness of the walls, above 0.
    height_temperature : float, default 1
        Softness of the choice of a head, above 0.
    combine : {"minimum", "product"}, default "minimum"
        How the walls between two tokens combine.

    Returns
    -------
    (..., n, n) array
        Row i: the parents of token i; rows sum to at most 1.

    Raises
    ------
    ValueError
        If `distance` is not one shorter than `height`, a temperature is not above 0 or `combine` is unknown.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n⁴ multiplications and n³ memory, as defined; with cumulative sums over both ends it is n³.

    `dependency_constrained_attention` is what it was made for. `tree_attention_marginals` finds the marginals of arcs
    under a distribution over trees; these here come from no such distribution.

    References
    ----------
    Shen et al., "StructFormer: Joint Unsupervised Induction of Dependency and Constituency Structure from Masked
    Language Modeling", 2020, arXiv 2012.00857.

    Examples
    --------
    "the cat | sleeps", in ascending order of height. A high wall keeps the cat from its verb, a lower one does not:

    >>> import numpy as np
    >>> syntactic_dependency(np.array([0.0, 50.0]), np.array([20.0, 40.0, 60.0])).round(2)
    array([[0., 1., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    >>> syntactic_dependency(np.array([0.0, 25.0]), np.array([20.0, 40.0, 60.0])).round(1)
    array([[0., 1., 0.],
           [0., 0., 1.],
           [0., 0., 0.]])
    """
    starts, ends = ends_of_constituents(distance, height, distance_temperature, combine)  # (..., i, l), (..., i, r)
    token = np.arange(height.shape[-1])
    left_end, right_end = token[:, None, None], token[:, None]
    within = (left_end <= token) & (token <= right_end)  # (l, r, j)
    heads = shares(np.where(within, height[..., None, None, :] / height_temperature, -np.inf))
    parents = np.einsum("...il,...ir,...lrj->...ij", starts, ends, heads)
    return np.where(token == token[:, None], 0, parents)


def ends_of_constituents(
    distance: Reals, height: Reals, distance_temperature: float, combine: str
) -> tuple[Reals, Reals]:
    """Return the distributions of where each token's constituent starts and where it ends, both (..., n, n)."""
    n = height.shape[-1]
    token = np.arange(n)
    passed = expit((height[..., :, None] - distance[..., None, :]) / distance_temperature)  # alpha, (..., i, k)

    gap = np.arange(n - 1) if n else token
    i, end, k = token[:, None, None], token[:, None], gap
    to_left = np.where((end <= k) & (k < i), passed[..., :, None, :], 1)  # (..., i, l, k)
    to_right = np.where((i <= k) & (k < end), passed[..., :, None, :], 1)  # (..., i, r, k)
    if combine == "minimum":
        left, right = to_left.min(axis=-1, initial=1), to_right.min(axis=-1, initial=1)
    else:
        left, right = to_left.prod(axis=-1), to_right.prod(axis=-1)
    left = np.where(token <= token[:, None], left, 0)  # L, (..., i, l)
    right = np.where(token >= token[:, None], right, 0)  # R, (..., i, r)

    nothing = np.zeros_like(left[..., :1])
    starts = np.where(token <= token[:, None], left - np.concatenate([nothing, left[..., :-1]], axis=-1), 0)
    ends = np.where(token >= token[:, None], right - np.concatenate([right[..., 1:], nothing], axis=-1), 0)
    return starts, ends
