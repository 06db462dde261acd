r"""One attention layer whose queries and keys are random, and only whose values are learned.

What can a single attention layer learn? Fu et al. answer by freezing the hard part. Every head gets a random matrix
$W_m$ in place of the product of its query and key projections, and only its value vector $v_m$ is trained. The layer is
then linear in what is learned: ridge regression on random features, which theory can follow.

With a constant 1 appended, $\tilde x = [x; 1]$, the layer reads a set of tokens $x_1, \dots, x_n$ (rows of `key`) for a
token $x_0$ (`query`):

$$f = \sum_{m=1}^M \frac1n \sum_{i=1}^n \mathrm{act}\big(\tilde x_0^\top (W_m + W_0)\, \tilde x_i\big)\,
  \langle v_m, \tilde x_i \rangle .$$

The caller draws the entries of $W_m$, independent with mean 0 and variance 1/4: the score of two tokens of unit length
(whose $\tilde x$ has the square 2) then has variance 1. $W_0$ (`bias_matrix`) is 0, or the identity on the tokens,
which biases every head towards $\langle x_0, x_i \rangle$; the paper shows that this makes functions of such
products much easier to learn.

Sum over the tokens first and f is a product with features, $f = \langle \Phi, v \rangle$,

$$\Phi_m = \frac1n \sum_i \mathrm{act}\big(\tilde x_0^\top (W_m + W_0)\, \tilde x_i\big)\, \tilde x_i ,$$

which is `random_feature_map`.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals


@reference
def random_feature_attention_layer(
    query: Reals,
    key: Reals,
    *,
    w: Reals,
    v: Reals,
    activation: str = "relu",
    bias_matrix: Reals | None = None,
    mask: Booleans | None = None,
) -> Reals:
    r"""Read a set of tokens with random attention heads and learned values.

    $$f = \sum_m \frac1n \sum_i \mathrm{act}\big(\tilde x_0^\top (W_m + W_0)\, \tilde x_i\big)\,
      \langle v_m, \tilde x_i \rangle, \qquad \tilde x = [x; 1]$$

    Parameters
    ----------
    query : (..., d) real array
        $x_0$, the token that asks.
    key : (..., n, d) real array
        $x_i$, the tokens that are read.
    w : (M, d + 1, d + 1) real array
        $W_m$, drawn by the caller with variance 1/4.
    v : (M, d + 1) real array
        $v_m$, what is learned.
    activation : "relu" or "identity", default "relu"
        act.
    bias_matrix : (d + 1, d + 1) real array, optional
        $W_0$; 0 if not given.
    mask : (..., n) boolean array, optional
        True = is read; n counts these alone.

    Returns
    -------
    (...) array
        0 where no token is read.

    Raises
    ------
    ValueError
        If shapes disagree, M is 0, or `activation` is unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: M (d + 1)(d + 1 + 2 n) multiplications, with the query folded into the matrices first.

    References
    ----------
    Fu, Guo, Bai & Mei, "What can a Single Attention Layer Learn? A Study Through the Random Features Lens", 2023,
    arXiv 2307.11353.

    Examples
    --------
    Two heads, and values learned from 50 sets whose target is the largest token:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> tokens, asks = rng.normal(size=(50, 3, 1)), np.ones((50, 1))
    >>> w, target = rng.normal(scale=0.5, size=(20, 2, 2)), tokens.max(axis=(1, 2))
    >>> features = random_feature_map(asks, tokens, w=w).reshape(50, -1)
    >>> v = np.linalg.lstsq(features, target)[0].reshape(20, 2)
    >>> error = random_feature_attention_layer(asks, tokens, w=w, v=v) - target
    >>> bool(error.std() < 0.5 * target.std())
    True
    """
    features = formula(random_feature_map)(query, key, w=w, activation=activation, bias_matrix=bias_matrix, mask=mask)
    return (features * v).sum(axis=(-2, -1))


@reference
def random_feature_map(
    query: Reals,
    key: Reals,
    *,
    w: Reals,
    activation: str = "relu",
    bias_matrix: Reals | None = None,
    mask: Booleans | None = None,
) -> Reals:
    r"""Features of a set of tokens under random attention heads.

    $$\Phi_m = \frac1n \sum_i \mathrm{act}\big(\tilde x_0^\top (W_m + W_0)\, \tilde x_i\big)\, \tilde x_i, \qquad
      \tilde x = [x; 1]$$

    Parameters
    ----------
    query : (..., d) real array
        $x_0$, the token that asks.
    key : (..., n, d) real array
        $x_i$, the tokens that are read.
    w : (M, d + 1, d + 1) real array
        $W_m$, drawn by the caller with variance 1/4.
    activation : "relu" or "identity", default "relu"
        act.
    bias_matrix : (d + 1, d + 1) real array, optional
        $W_0$; 0 if not given.
    mask : (..., n) boolean array, optional
        True = is read; n counts these alone.

    Returns
    -------
    (..., M, d + 1) array
        Zeros where no token is read.

    Raises
    ------
    ValueError, TypeError
        As `random_feature_attention_layer`.

    Notes
    -----
    Cost: M (d + 1)(d + 1 + 2 n) multiplications. As M grows, $\frac1M \sum_m \langle \Phi_m, \Phi'_m \rangle$
    approaches a kernel of sets: the mean over pairs of tokens of $\mathbb E[\mathrm{act}\,\mathrm{act}']\, \langle
    \tilde x_i, \tilde x'_j \rangle$, with the arc-cosine kernel for "relu".

    References
    ----------
    Fu, Guo, Bai & Mei, "What can a Single Attention Layer Learn? A Study Through the Random Features Lens", 2023,
    arXiv 2307.11353.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[[1.0, 0.0], [0.0, 0.0]]])  # one head, act(x_0 x_i)
    >>> random_feature_map(np.array([1.0]), np.array([[3.0], [-2.0]]), w=w)
    array([[4.5, 1.5]])
    """
    x0, x = with_one(query), with_one(key)  # (..., d + 1), (..., n, d + 1)
    matrices = w if bias_matrix is None else w + bias_matrix
    asked = np.einsum("...c,mcd->...md", x0, matrices)  # (..., M, d + 1): x_0ᵀ (W_m + W_0)
    scores = asked @ x.mT  # (..., M, n)
    active = scores if activation == "identity" else np.maximum(scores, 0)
    read = np.ones(x.shape[-2], dtype=bool)
    read = read if mask is None else read & mask  # (..., n)
    count = np.maximum(read.sum(axis=-1), 1).astype(x.dtype)[..., None, None]
    active, x = np.where(read[..., None, :], active, 0), np.where(read[..., None], x, 0)
    return active @ x / count  # (..., M, d + 1)


def with_one(x: Reals) -> Reals:
    """Return [x; 1] along the last axis."""
    return np.concatenate([x, np.ones((*x.shape[:-1], 1), dtype=x.dtype)], axis=-1)
