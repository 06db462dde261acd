r"""How willing a pointer is to stop.

A pointer that moves over the keys asks at each of them whether to stop. The answer for query i at key j is an energy
$e_{ij}$ and the probability $p_{ij} = \sigma(e_{ij})$, with the logistic function $\sigma$. Unlike the scores of
softmax attention an energy stands alone: no other key is compared with, since the pointer has not seen those that
follow.

Alone, its zero and its size matter. The additive energy is that of Bahdanau with a unit vector in place of v, a gain
$g$ and an offset $r$ in front of all,

$$e_{ij} = g\, \frac{v}{\lVert v \rVert} \cdot \tanh(q_i W_q + k_j W_k + b) + r ,$$

with $W_q$ = `w_query`, $W_k$ = `w_key`. A negative $r$ makes the pointer go on at first, so that it sees all keys while
it learns. The other two scores are products, $e_{ij} = g\, q_i \cdot (k_j W_k) + r$ and
$e_{ij} = \mathrm{scale}\, (q_i W_q) \cdot (k_j W_k) + r$.

**Noise.** Expected alignments are soft, the pointer in use is hard. Standard normal `noise` on the energies, in
training only, makes an undecided pointer expensive: only energies far from 0 survive it, and their p are near 0 and 1.

**What to watch for.** The energy of a hidden key is $-\infty$, its probability 0. Near 1 the probability has lost the
digits of $1 - p$; that costs nothing in the alignment but the accuracy of masses below the rounding of 1.
"""

import numpy as np
from scipy.special import expit

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def monotonic_energy(
    query: Reals,
    key: Reals,
    *,
    score: str = "additive",
    w_query: Reals | None = None,
    w_key: Reals | None = None,
    b: Reals | None = None,
    v: Reals | None = None,
    g: float = 1.0,
    r: float = 0.0,
    scale: float | None = None,
    noise: Reals | None = None,
    noise_scale: float = 1.0,
    mask: Booleans | None = None,
    return_probability: bool = False,
) -> Reals:
    r"""Energies of a monotonic pointer, or its probabilities to stop.

    $$p_{ij} = \sigma(e_{ij} + \mathrm{noise\_scale} \cdot \mathrm{noise}_{ij}), \qquad
      e_{ij} = g\, \frac{v}{\lVert v \rVert} \cdot \tanh(q_i W_q + k_j W_k + b) + r$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, c) real array
        One row per key.
    score : {"additive", "dot", "scaled_dot"}
        The formula above; $g\, q_i \cdot (k_j W_k) + r$; or $\mathrm{scale}\, (q_i W_q) \cdot (k_j W_k) + r$.
    w_query : (d, a) real array, optional
        $W_q$: needed by "additive", the identity if not given with "scaled_dot".
    w_key : (c, a) real array, optional
        $W_k$: needed by "additive", the identity if not given otherwise; a = d with "dot".
    b : (a,) real array, optional
        With "additive"; 0 if not given.
    v : (a,) real array, optional
        Needed by "additive"; only its direction counts.
    g : float, default 1
        Gain, of "additive" and "dot".
    r : float, default 0
        Offset.
    scale : float, optional
        Of "scaled_dot"; $1/\sqrt a$ if not given, with a the width of what is multiplied.
    noise : (..., m, n) real array, optional
        Standard normal numbers, in training.
    noise_scale : float, default 1
        Their standard deviation, at least 0.
    mask : (..., m, n) boolean array, optional
        True = may stop there.
    return_probability : bool, default False
        Return p in place of the energies.

    Returns
    -------
    (..., m, n) array
        The energies with their noise, $-\infty$ at hidden keys; or p, 0 there.

    Raises
    ------
    ValueError
        If shapes disagree, d or c is 0, an array that the score needs is missing or one that it does not use is given,
        `v` is 0, `noise_scale` is negative or `score` unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: (m d + n c) a for the projections, then m n a hyperbolic tangents or multiplications. This reference holds an
    (m, n, a) array for "additive"; an engine does not.

    Neighbors: "scaled_dot" without matrices has the scores of `softmax_attention`, "additive" with g = |v| and r = 0
    those of `additive_attention`. `monotonic_alignment` takes the probabilities.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017, arXiv
    1704.00784, eqs (16)-(17). Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2019, arXiv 1909.12406.

    Examples
    --------
    The offset shifts the logit: with r = -4 a pointer without an opinion stops at one key in 56.

    >>> import numpy as np
    >>> p = monotonic_energy(np.zeros((1, 2)), np.zeros((1, 2)), score="scaled_dot", r=-4.0, return_probability=True)
    >>> (1 / p).round(1)
    array([[55.6]])
    """
    if score == "additive":
        assert w_query is not None
        assert w_key is not None
        assert v is not None
        hidden = (query @ w_query)[..., :, None, :] + (key @ w_key)[..., None, :, :]  # (..., m, n, a)
        if b is not None:
            hidden = hidden + b
        direction = v / np.sqrt((v * v).sum(axis=-1, keepdims=True))
        energy = g * (np.tanh(hidden) @ direction) + r  # (..., m, n)
    else:
        if w_query is not None:
            query = query @ w_query
        if w_key is not None:
            key = key @ w_key
        gain = g if score == "dot" else float(1 / np.sqrt(query.shape[-1])) if scale is None else scale
        energy = gain * (query @ key.mT) + r
    if noise is not None:
        energy = energy + noise_scale * noise
    if mask is not None:
        energy = np.where(mask, energy, -np.inf)
    return expit(energy) if return_probability else energy
