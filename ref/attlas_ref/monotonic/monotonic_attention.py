r"""Attention that moves forward over the keys, from queries and keys to the output.

Speech, lines of text, songs: what comes out follows what goes in, in order. Softmax attention has to learn that, looks
at all keys for every output, and cannot begin before the last key is there. Monotonic attention is built in order. A
pointer walks over the keys; the energy of query i at key j says how willing it is to stop there:

$$e \xrightarrow{\ \sigma\ } p \xrightarrow{\text{the walk}} \alpha, \qquad \mathrm{out}_i = \sum_j \alpha_{ij} v_j .$$

Three formulations do the three steps: `monotonic_energy`; then `monotonic_alignment`, the probability of each stop,
which has a gradient, or with `hard` `monotonic_hard_alignment`, the stop itself, which takes linear time; then a
weighted sum. With `mass_preservation` the last key takes what ran off the end.

**What to watch for.** All queries come at once here, though each row depends on the one before. In use they come one by
one: hand the last row of the weights to the next call as `previous`. That gives the same numbers, except with
`mass_preservation`, whose rows no longer tell where the pointer was.
"""

from typing import Any

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..variational.hard_attention import rows_at
from ..visibility import Booleans, Reals, weighted_sum
from .mass_preservation import mass_preservation as preserved
from .monotonic_alignment import monotonic_alignment
from .monotonic_energy import monotonic_energy
from .monotonic_hard_alignment import monotonic_hard_alignment


@reference
def monotonic_attention(
    query: Reals,
    key: Reals,
    value: Reals,
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
    hard: bool = False,
    mass_preservation: bool = False,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Read the values where a pointer that only moves forward stops.

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad \alpha_{ij} = p_{ij} q_{ij}, \qquad
      q_{ij} = (1 - p_{i,j-1})\, q_{i,j-1} + \alpha_{i-1,j}, \qquad p = \sigma(e)$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, c) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    score, w_query, w_key, b, v, g, r, scale, noise, noise_scale
        As those of `monotonic_energy`.
    hard : bool, default False
        Stop at the first key with p >= 1/2 in place of the expectation.
    mass_preservation : bool, default False
        Let the last visible key take what ran off the end.
    previous : (..., n) real array, optional
        The weights before the first row. Key 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return $\alpha$ too.

    Returns
    -------
    output : (..., m, e) array
        With `hard` copies of rows of `value`; zeros where the pointer has run off the end.
    weights : (..., m, n) array
        With `return_weights` only.

    Raises
    ------
    ValueError, TypeError
        As `monotonic_energy` and `monotonic_alignment`.

    Notes
    -----
    Cost: that of the energies, then 3 m n operations for the alignment and m n e for the output; `hard` reads m rows
    only and needs at most m + n energies.

    `mocha_attention` looks back from the stop, `monotonic_multihead_attention` has a pointer per head. Gradients: the
    chain of `monotonic_alignment_vjp` and the energies.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
    arXiv 1704.00784.

    Examples
    --------
    The pointer stops at keys that fit. The second query asks for a key that lies behind it: it is never found again.

    >>> import numpy as np
    >>> key = 20 * np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> query, value = np.array([[-1.0, 1.0], [1.0, -1.0]]), np.array([[10.0], [20.0], [30.0]])
    >>> monotonic_attention(query, key, value, score="dot", r=-9.0).round(2)
    array([[20.],
           [ 0.]])
    """
    learned: dict[str, Any] = {"w_query": w_query, "w_key": w_key, "b": b, "v": v, "g": g, "r": r, "scale": scale}
    p = formula(monotonic_energy)(
        query, key, score=score, **learned, noise=noise, noise_scale=noise_scale, mask=mask, return_probability=True
    )
    align: Any = formula(monotonic_hard_alignment) if hard else formula(monotonic_alignment)
    weights = align(p, previous=previous, mask=mask)
    if mass_preservation:
        weights = formula(preserved)(weights, mask=mask)
    visible = np.ones(weights.shape[-2:], dtype=bool) if mask is None else mask
    output = read_stops(weights, value) if hard else weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def read_stops(weights: Reals, value: Reals) -> Reals:
    """Copy the rows of the values at which one-hot weights are 1, (..., m, e): zeros where there is none."""
    index = np.where((weights > 0.5).any(axis=-1), weights.argmax(axis=-1), -1) if weights.shape[-1] else -1
    index = np.broadcast_to(index, weights.shape[:-1])
    return rows_at(index, np.asarray(np.isnan(weights).any(axis=-1)), value)
