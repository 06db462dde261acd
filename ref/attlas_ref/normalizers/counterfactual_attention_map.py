r"""Counterfactual attention maps: what would the model say had it looked elsewhere?

The causal effect of attention is the difference between the output under the real map and under one that carries no
information: the same everywhere, turned upside down, drawn at random, or shuffled.
"""

from typing import Any

import numpy as np

from ..contract.binding import check_array_like
from ..contract.options import Choice
from ..visibility import Reals


def counterfactual_attention_map(weights: Any, *, method: str = "uniform", draws: Any = None) -> Reals:
    r"""Replace a map of weights by one that knows nothing.

    uniform: the mean of the map; reversed: $\max w - w$; random: twice the given uniform draws; shuffle: the entries in
    a given order.

    Parameters
    ----------
    weights : (..., m, n) real array
        Attention weights.
    method : {"uniform", "reversed", "random", "shuffle"}, default "uniform"
        Which map to make.
    draws : array, optional
        random: numbers in [0, 1) of the shape of `weights`. shuffle: (..., m n) or (m n,) integers, a permutation of
        the entries of each map.

    Returns
    -------
    (..., m, n) array
        Not normalized again.

    Raises
    ------
    ValueError, TypeError
        If `draws` is missing or not what the method needs, or the method is unknown.

    Notes
    -----
    Cost: O(size). The paper then moves the logits by gamma times their difference from the counterfactual ones.

    References
    ----------
    Zhou et al., "Mitigating Modality Prior-Induced Hallucinations in Multimodal Large Language Models via Deciphering
    Attention Causality" (CausalMM), 2024, arXiv 2410.04780.

    Examples
    --------
    >>> import numpy as np
    >>> counterfactual_attention_map(np.array([[0.5, 0.5], [0.9, 0.1]]), method="reversed")
    array([[0.4, 0.4],
           [0. , 0.8]])
    """
    function = "counterfactual_attention_map"
    weights = np.asarray(check_array_like(function, "weights", weights))
    if weights.ndim < 2 or weights.dtype.kind not in "fiu":
        raise ValueError(f"{function}: weights is {weights.dtype} {weights.shape}; it needs real numbers (..., m, n)")
    Choice(values=("uniform", "reversed", "random", "shuffle")).check(function, "method", method)
    entries = weights.reshape(*weights.shape[:-2], -1)  # (..., m n)
    if method == "uniform":
        return np.broadcast_to(entries.mean(axis=-1)[..., None, None], weights.shape).copy()
    if method == "reversed":
        return entries.max(axis=-1)[..., None, None] - weights
    if draws is None:
        raise ValueError(f"{function}: draws is None; it needs an array with method {method!r}")
    draws = np.asarray(check_array_like(function, "draws", draws))
    if method == "random":
        if draws.shape != weights.shape:
            raise ValueError(f"{function}: draws has shape {draws.shape}; it needs that of weights, {weights.shape}")
        return 2 * draws
    order = np.broadcast_to(draws, entries.shape) if draws.shape[-1:] == entries.shape[-1:] else draws
    if order.shape != entries.shape or (np.sort(order, axis=-1) != np.arange(entries.shape[-1])).any():
        raise ValueError(f"{function}: draws needs a permutation of the {entries.shape[-1]} entries of each map")
    return np.take_along_axis(entries, order, axis=-1).reshape(weights.shape)
