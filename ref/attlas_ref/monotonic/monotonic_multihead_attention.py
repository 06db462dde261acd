r"""A pointer per head.

A simultaneous translator listens and decides, before each word that it says, how much more to hear. With one pointer
(`monotonic_attention`) it hears no more than it reads. Multihead attention has many, at different speeds: some heads
stay behind and watch the structure, others run ahead. Each is a monotonic attention of its own with scaled dot
products,

$$e^h_{ij} = \mathrm{scale}\, \langle q^h_i, k^h_j \rangle + \mathrm{bias}, \qquad
  p^h = \sigma(e^h + \mathrm{noise}), \qquad
  \alpha^h = \text{the alignment of } p^h ,$$

and `kind` says what a stop reads: "hard" the key itself (MMA-H), "infinite_lookback" softly all keys up to it (MMA-IL),
"chunkwise" softly the last `chunk_size` keys (MMA-CW). The soft reading has queries and keys of its own,
$u^h_{ij} = \mathrm{scale}\, \langle \tilde q^h_i, \tilde k^h_j \rangle$.

**In use**, with `streaming`, every pointer stops at the first key with p >= 1/2, or at the last one. The word can be
said when every head has stopped, so the number of keys that must have been heard is $g_i = \max_h t^h_i + 1$
(`return_reads`): the fastest head decides how late the translator is.

**What to watch for.** With `mass_preservation` the last visible key takes what ran off the end, as the paper does; in
use that is always so. Public code clamps the cumulative products of $1 - p$ at 1e-6 and so loses mass where p is near
1; the alignment here is exact (`monotonic_alignment`).
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import formula, reference, with_extras
from ..visibility import Booleans, Reals, dot_scores, weighted_sum
from .infinite_lookback_weights import infinite_lookback_weights
from .mass_preservation import mass_preservation as preserved
from .mocha_weights import mocha_weights
from .monotonic_alignment import monotonic_alignment
from .monotonic_attention import read_stops
from .monotonic_hard_alignment import monotonic_hard_alignment


@reference
def monotonic_multihead_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    soft_query: Reals | None = None,
    soft_key: Reals | None = None,
    kind: str = "hard",
    chunk_size: int | None = None,
    energy_bias: float = 0.0,
    noise: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    mass_preservation: bool = True,
    streaming: bool = False,
    return_weights: bool = False,
    return_alignment: bool = False,
    return_probability: bool = False,
    return_reads: bool = False,
) -> Any:
    r"""Read from where the pointer of each head stops, or from what it has passed.

    $$\mathrm{out}^h_i = \sum_j \beta^h_{ij} v^h_j, \qquad \beta^h_{ij} = \alpha^h_{ij}
      \quad\text{or}\quad \sum_{k \ge j} \alpha^h_{ik} \frac{e^{u^h_{ij}}}{\sum_{l \le k} e^{u^h_{il}}}$$

    Parameters
    ----------
    query : (..., h, m, d) real array
        One row per head and query, for the pointers.
    key : (..., h, n, d) real array
        One row per head and key, for the pointers.
    value : (..., h, n, e) real array
        One row per head and key.
    soft_query : (..., h, m, c) real array, optional
        Queries of the soft reading; needed by "infinite_lookback" and "chunkwise".
    soft_key : (..., h, n, c) real array, optional
        Keys of the soft reading; needed by the same.
    kind : {"hard", "infinite_lookback", "chunkwise"}
        What a stop reads.
    chunk_size : int, optional
        How many keys a chunk has, at least 1; needed by "chunkwise".
    energy_bias : float, default 0
        Added to the energies.
    noise : (..., h, m, n) real array, optional
        Added to the energies, in training.
    scale : float, optional
        Factor of the dot products; one over the root of their width if not given.
    mask : (..., h, m, n) boolean array, optional
        True = may attend.
    mass_preservation : bool, default True
        Let the last visible key take what ran off the end; always so with `streaming`.
    streaming : bool, default False
        Run the pointers in place of computing the expectation.
    return_weights, return_alignment, return_probability, return_reads : bool, default False
        Return the weights $\beta$, the alignment $\alpha$, the probabilities p, the reads g too.

    Returns
    -------
    output : (..., h, m, e) array
        Zeros where nothing is read.
    weights : (..., h, m, n) array
        $\beta$, if asked for.
    alignment : (..., h, m, n) array
        $\alpha$, if asked for: after `mass_preservation`, and one-hot rows with `streaming`.
    probability : (..., h, m, n) array
        p, if asked for.
    reads : (..., m) integer array
        If asked for: how many keys the pointers in use have read before output i, also without `streaming`.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `kind` is unknown, `soft_query` or `soft_key` is missing where the kind needs it, or
        `chunk_size`.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: h times that of the parts: m n (d + c + e) multiplications and the recursions over m n.

    With one head it is `monotonic_alignment`, `mass_preservation` and `infinite_lookback_weights` or `mocha_weights`,
    one after the other.

    References
    ----------
    Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2020, arXiv 1909.12406.

    Examples
    --------
    Two heads; the second one runs ahead, and the reads are its own:

    >>> import numpy as np
    >>> energy = np.array([[[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]], [[-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]])
    >>> query, key, value = np.broadcast_to(np.eye(2), (2, 2, 2)), energy.mT, np.array([[[1.0], [2.0], [3.0]]] * 2)
    >>> run = monotonic_multihead_attention(query, key, value, streaming=True, return_reads=True)
    >>> run.output[..., 0]
    array([[1., 2.],
           [2., 3.]])
    >>> run.reads
    array([2, 3])
    """
    energy = dot_scores(query, key, scale, None) + energy_bias  # (..., h, m, n)
    if noise is not None:
        energy = energy + noise
    p = expit(energy) if mask is None else np.where(mask, expit(energy), 0)
    run: Any = formula(monotonic_hard_alignment)(p, mask=mask, stay_on_last=True, return_index=True)
    if streaming:
        alignment = run.alignment
    else:
        alignment = formula(monotonic_alignment)(p, mask=mask)
        if mass_preservation:
            alignment = formula(preserved)(alignment, mask=mask)

    weights = alignment
    if kind != "hard":
        assert soft_query is not None
        assert soft_key is not None
        soft_energy = dot_scores(soft_query, soft_key, scale, None)
        if kind == "infinite_lookback":
            weights = formula(infinite_lookback_weights)(alignment, soft_energy, mask=mask)
        else:
            assert chunk_size is not None
            weights = formula(mocha_weights)(alignment, soft_energy, chunk_size=chunk_size, mask=mask)
    visible = np.ones(weights.shape[-2:], dtype=bool) if mask is None else mask
    copies = streaming and kind == "hard"
    output = read_stops(weights, value) if copies else weighted_sum(weights, value, visible)  # (..., h, m, e)

    # A pointer that found nothing has read all n keys.
    reads = np.minimum(run.index.max(axis=-2, initial=-1) + 1, p.shape[-1])  # (..., m)
    return with_extras(
        output,
        weights=weights if return_weights else None,
        alignment=alignment if return_alignment else None,
        probability=p if return_probability else None,
        reads=reads if return_reads else None,
    )
