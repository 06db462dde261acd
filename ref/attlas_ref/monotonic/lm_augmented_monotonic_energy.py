r"""A pointer that knows what is likely to be said next.

Whether a simultaneous translator must read on depends on the word that it is about to write. A language model of the
target has an idea of that word before it is written. Its most likely tokens, as a mixture of their embeddings behind a
small network, are the `future` representation $f_i$ (`future_representation`). A second energy between it and the keys
is mixed into the first:

$$e_{ij} = \frac{(q_i W_q) \cdot (k_j W_k)}{\sqrt a}, \qquad
  \tilde e_{ij} = \frac{(f_i W_f) \cdot (k_j \tilde W_k)}{\sqrt a}, \qquad
  p_{ij} = \sigma\bigl((1 - \mathrm{mix})\, e_{ij} + \mathrm{mix}\, \tilde e_{ij} + r\bigr) .$$

**What to watch for.** This is our reading of the paper's figure and text: its equations were not at hand, and there is
no public code. The two energies are averaged before the sigmoid.
"""

import numpy as np
from scipy.special import expit

from ..contract import reference
from ..visibility import Booleans, Reals, dot_scores


@reference
def lm_augmented_monotonic_energy(
    query: Reals,
    key: Reals,
    future: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    w_future: Reals,
    w_future_key: Reals,
    r: float = 0.0,
    mix: float = 0.5,
    noise: Reals | None = None,
    mask: Booleans | None = None,
    return_probability: bool = False,
) -> Reals:
    r"""Energies of a monotonic pointer, mixed with those of what a language model expects next.

    $$e_{ij} = (1 - \mathrm{mix}) \frac{(q_i W_q) \cdot (k_j W_k)}{\sqrt a}
      + \mathrm{mix} \frac{(f_i W_f) \cdot (k_j \tilde W_k)}{\sqrt a} + r + \mathrm{noise}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, c) real array
        One row per key.
    future : (..., m, f) real array
        What the language model expects at each query.
    w_query : (d, a) real array
        $W_q$.
    w_key : (c, a) real array
        $W_k$.
    w_future : (f, a) real array
        $W_f$.
    w_future_key : (c, a) real array
        $\tilde W_k$.
    r : float, default 0
        Offset.
    mix : float, default 1/2
        Share of the second energy, from 0 to 1.
    noise : (..., m, n) real array, optional
        Added, in training.
    mask : (..., m, n) boolean array, optional
        True = may stop there.
    return_probability : bool, default False
        Return p in place of the energies.

    Returns
    -------
    (..., m, n) array
        The energies, $-\infty$ at hidden keys; or p, 0 there.

    Raises
    ------
    ValueError
        If shapes disagree, a width is 0 or `mix` is not between 0 and 1.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: two score matrices, 2 m n a multiplications and the projections.

    With `mix=0` it is `monotonic_energy` with "scaled_dot", with `mix=1` the same of `future`. Both are one product of
    width 2a, of stacked queries and keys.

    References
    ----------
    Zaidi, Indurthi et al., "Infusing Future Information into Monotonic Attention Through Language Models", 2021,
    arXiv 2109.03121.

    Examples
    --------
    The decoder is undecided, the language model expects the second key's word:

    >>> import numpy as np
    >>> one, key = np.eye(2), 4 * np.eye(2)
    >>> matrices = {"w_query": one, "w_key": one, "w_future": one, "w_future_key": one}
    >>> lm_augmented_monotonic_energy(np.zeros((1, 2)), key, np.array([[-1.0, 1.0]]), **matrices).round(2)
    array([[-1.41,  1.41]])
    """
    present = dot_scores(query @ w_query, key @ w_key, None, None)  # (..., m, n)
    expected = dot_scores(future @ w_future, key @ w_future_key, None, None)
    energy = (1 - mix) * present + mix * expected + r
    if noise is not None:
        energy = energy + noise
    if mask is not None:
        energy = np.where(mask, energy, -np.inf)
    return expit(energy) if return_probability else energy


@reference
def future_representation(
    lm_prob: Reals, embedding: Reals, *, w1: Reals, b1: Reals, w2: Reals, b2: Reals, top: int = 1
) -> Reals:
    r"""Represent what a language model expects next.

    $$f_i = \mathrm{ReLU}(x_i W_1 + b_1) W_2 + b_2, \qquad
      x_i = \sum_{t \in \mathrm{top}(i)} \frac{\pi_{it}}{\sum_{t' \in \mathrm{top}(i)} \pi_{it'}}\, E_t$$

    Parameters
    ----------
    lm_prob : (..., m, V) real array
        $\pi$, the probability of each token: not negative.
    embedding : (V, d) real array
        E, one row per token.
    w1 : (d, s) real array
        $W_1$.
    b1 : (s,) real array
        $b_1$.
    w2 : (s, f) real array
        $W_2$.
    b2 : (f,) real array
        $b_2$.
    top : int, default 1
        How many of the most likely tokens take part, at least 1; all if there are fewer. Ties: the lowest token.

    Returns
    -------
    (..., m, f) array
        The network of a zero where no token has a probability.

    Raises
    ------
    ValueError
        If shapes disagree, `top` is below 1 or a probability is negative.
    TypeError
        If an array is complex, an object or text, or `top` is not whole.

    Notes
    -----
    Cost: m V to find the tokens, m top d to mix them, m (d s + s f) for the network.

    Neighbors: its result is the `future` of `lm_augmented_monotonic_energy`; with top = V it takes the mean embedding.

    References
    ----------
    Zaidi, Indurthi et al., "Infusing Future Information into Monotonic Attention Through Language Models", 2021,
    arXiv 2109.03121.

    Examples
    --------
    Two tokens of three, in the proportion 3 to 1:

    >>> import numpy as np
    >>> prob, one, none = np.array([[0.6, 0.2, 0.1]]), np.eye(3), np.zeros(3)
    >>> future_representation(prob, one, w1=one, b1=none, w2=one, b2=none, top=2)
    array([[0.75, 0.25, 0.  ]])
    """
    order = np.argsort(-lm_prob, axis=-1, kind="stable")  # (..., m, V): the most likely token first
    rank = np.argsort(order, axis=-1, kind="stable")
    kept = np.where(rank < top, lm_prob, 0)
    total = kept.sum(axis=-1, keepdims=True)
    mixed = (kept / np.where(total == 0, 1, total)) @ embedding  # (..., m, d)
    return np.maximum(mixed @ w1 + b1, 0) @ w2 + b2
