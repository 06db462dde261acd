r"""One set of queries, several sources.

An image model may attend to a text, a reference picture and a layout at once. Either each source has its own softmax
and the outputs are added with gates (decoupled cross-attention), or one softmax runs over the keys of all sources
together, and they compete. The second is the first with the gates $g_s = e^{L_s} / \sum_r e^{L_r}$, L being the
logarithms of the normalizers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..contract import AttentionResult
from ..contract.options import Choice
from .softmax_attention import softmax_attention


def multi_source_attention(
    query: Any,
    keys: Sequence[Any],
    values: Sequence[Any],
    *,
    gates: Sequence[Any] | None = None,
    mode: str = "sum",
    scale: float | None = None,
    masks: Sequence[Any] | None = None,
    return_weights: bool = False,
) -> Any:
    r"""Attention to several sources, added with gates or joined in one softmax.

    $$\text{sum: } \sum_s g_s \odot \mathrm{softmax}(Q K_s^\top)\, V_s, \qquad
      \text{joint: } \mathrm{softmax}\bigl(Q [K_1; K_2; \dots]^\top\bigr) [V_1; V_2; \dots]$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    keys : sequence of (..., n_s, d) real arrays
        The keys of each source.
    values : sequence of (..., n_s, e) real arrays
        The values of each source.
    gates : sequence of numbers or arrays that broadcast to (..., m, e), optional
        One per source, with mode "sum" only; all 1 if not given. A gate of exactly 0 removes its source, NaN included.
    mode : {"sum", "joint"}, default "sum"
        One softmax per source, or one over all.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    masks : sequence of (..., m, n_s) boolean arrays or None, optional
        True = may attend, per source.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
    weights : tuple of (..., m, n_s) arrays
        With `return_weights` only: before the gates, or the slices of the joint softmax.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if there is no source, the sequences differ in length, or gates come with
        mode "joint".

    Notes
    -----
    Cost: the sum over the sources. One source with a gate of 1 is `softmax_attention`; the order does not matter.

    References
    ----------
    Ye et al., "IP-Adapter: Text Compatible Image Prompt Adapter", 2023, arXiv 2308.06721. Which later model uses which
    mode is our reading.

    Examples
    --------
    >>> import numpy as np
    >>> q, k = np.zeros((1, 2)), np.zeros((1, 2))
    >>> sources = [np.array([[2.0]]), np.array([[10.0]])]
    >>> multi_source_attention(q, [k, k], sources, gates=[1.0, 0.5])
    array([[7.]])
    >>> multi_source_attention(q, [k, k], sources, mode="joint")
    array([[6.]])
    """
    function = "multi_source_attention"
    Choice(values=("sum", "joint")).check(function, "mode", mode)
    count = len(keys)
    if count == 0:
        raise ValueError(f"{function}: keys is empty; it needs at least one source")
    for name, several in (("values", values), ("gates", gates), ("masks", masks)):
        if several is not None and len(several) != count:
            raise ValueError(f"{function}: {name} has {len(several)} entries and keys has {count}; they need one each")
    masks = [None] * count if masks is None else masks
    if mode == "joint":
        if gates is not None:
            raise ValueError(f"{function}: gates is given; it needs mode 'sum'")
        return _joint(query, keys, values, scale, masks, return_weights)

    sources: list[Any] = [
        softmax_attention(query, key, value, scale=scale, mask=mask, return_weights=True)
        for key, value, mask in zip(keys, values, masks, strict=True)
    ]
    gates = [1.0] * count if gates is None else gates
    # Selected, not multiplied: a source whose gate is 0 is not felt.
    terms = [np.where(np.equal(gate, 0), 0, gate * source.output) for gate, source in zip(gates, sources, strict=True)]
    output = np.sum(np.broadcast_arrays(*terms), axis=0).astype(terms[0].dtype, copy=False)
    return AttentionResult(output, tuple(source.weights for source in sources)) if return_weights else output


def _joint(
    query: Any, keys: Sequence[Any], values: Sequence[Any], scale: float | None, masks: Sequence[Any], weights: bool
) -> Any:
    """Return attention to all keys together; a source without a mask is visible as a whole."""
    keys, values = [np.asarray(key) for key in keys], [np.asarray(value) for value in values]
    m = np.shape(query)[-2]
    sizes = [key.shape[-2] for key in keys]
    shown = [np.ones((m, n), bool) if mask is None else np.asarray(mask) for mask, n in zip(masks, sizes, strict=True)]
    whole = [_concatenated(keys, -2), _concatenated(values, -2)]
    full = [np.broadcast_to(x, np.broadcast_shapes(x.shape, (m, n))) for x, n in zip(shown, sizes, strict=True)]
    mask = _concatenated(full, -1)
    result: Any = softmax_attention(query, *whole, scale=scale, mask=mask, return_weights=weights)
    if not weights:
        return result
    ends = np.cumsum(sizes)[:-1]
    return AttentionResult(result.output, tuple(np.split(result.weights, ends, axis=-1)))


def _concatenated(parts: Sequence[Any], axis: int) -> Any:
    """Return the parts one after the other; their leading axes broadcast."""
    leading = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return np.concatenate([np.broadcast_to(part, (*leading, *part.shape[-2:])) for part in parts], axis=axis)
