r"""Chunkwise attention behind a pointer, from queries and keys to the output.

Monotonic attention reads where its pointer stops. MoChA reads a chunk: the pointer of `monotonic_attention` decides
where the chunk ends, and a softmax over the `chunk_size` keys up to there decides what is read. So reordering is
possible within a chunk, and the time stays linear.

Two kinds of energies take part. Those of the pointer come from `monotonic_energy` and its parameters; those of the
chunk, u, are given as `energy`, or are the scaled dot products of queries and keys. Then

$$p = \sigma(e), \qquad \alpha = \text{the alignment of } p, \qquad
  \beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik} \frac{e^{u_{ij}}}{\sum_{l=k-w+1}^{k} e^{u_{il}}}, \qquad
  \mathrm{out}_i = \sum_j \beta_{ij} v_j .$$

With `hard` the alignment is a one-hot row, and $\beta$ is the softmax over one chunk.

**What to watch for.** To stream, feed back the alignment, not $\beta$: the pointer is where it stopped, not where it
read. Both have the same row sums.
"""

from typing import Any

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals, dot_scores, weighted_sum
from .mocha_weights import mocha_weights
from .monotonic_alignment import monotonic_alignment
from .monotonic_energy import monotonic_energy
from .monotonic_hard_alignment import monotonic_hard_alignment


@reference
def mocha_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    chunk_size: int,
    energy: Reals | None = None,
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
    hard: bool = False,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Read softly from the chunk of keys that ends where a pointer stops.

    $$\mathrm{out}_i = \sum_j \beta_{ij} v_j, \qquad
      \beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik} \frac{e^{u_{ij}}}{\sum_{l=k-w+1}^{k} e^{u_{il}}}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, c) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    chunk_size : int
        w, at least 1.
    energy : (..., m, n) real array, optional
        u, the scores inside of a chunk. If not given the scaled dot products of queries and keys, which then need c =
        d.
    score, w_query, w_key, b, v, g, r, scale, noise, noise_scale
        Of the pointer, as those of `monotonic_energy`; `scale` is that of the chunk too, $1/\sqrt d$ there if not
        given.
    hard : bool, default False
        Stop at the first key with p >= 1/2 in place of the expectation.
    previous : (..., n) real array, optional
        The alignment before the first row. Key 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return $\beta$ too.

    Returns
    -------
    output : (..., m, e) array
        Zeros where the pointer has run off the end.
    weights : (..., m, n) array
        With `return_weights` only: with `hard` at most w of a row are not 0.

    Raises
    ------
    ValueError, TypeError
        As `monotonic_energy`, `monotonic_alignment` and `mocha_weights`; also if c differs from d and `energy` is
        missing.

    Notes
    -----
    Cost: that of the energies, 3 m n operations for the alignment, m n w exponentials, m n e for the output.

    With `chunk_size=1` it is `monotonic_attention`. With the chunk as long as the keys it is monotonic attention with
    infinite lookback (`infinite_lookback_weights`).

    References
    ----------
    Chiu & Raffel, "Monotonic Chunkwise Attention", 2018, arXiv 1712.05382.

    Examples
    --------
    The pointer stops at the third key; with equal chunk energies the output is the mean of the last values:

    >>> import numpy as np
    >>> query, key = np.ones((1, 1)), np.array([[-9.0], [-9.0], [9.0], [-9.0]])
    >>> value = np.array([[1.0], [2.0], [4.0], [8.0]])
    >>> for w in (1, 2, 3):
    ...     print(mocha_attention(query, key, value, chunk_size=w, energy=np.zeros((1, 4)), score="dot", hard=True))
    [[4.]]
    [[3.]]
    [[2.33333333]]
    """
    learned: dict[str, Any] = {"w_query": w_query, "w_key": w_key, "b": b, "v": v, "g": g, "r": r, "scale": scale}
    p = formula(monotonic_energy)(
        query, key, score=score, **learned, noise=noise, noise_scale=noise_scale, mask=mask, return_probability=True
    )
    align: Any = formula(monotonic_hard_alignment) if hard else formula(monotonic_alignment)
    alignment = align(p, previous=previous, mask=mask)
    if energy is None:
        energy = dot_scores(query, key, scale, None)
    weights = formula(mocha_weights)(alignment, energy, chunk_size=chunk_size, mask=mask)
    visible = np.ones(weights.shape[-2:], dtype=bool) if mask is None else mask
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
