r"""Attention calibration: taking weight back from the sinks.

Some tokens attract weight without meaning anything. Where a column of a head's weights is high on average over the
queries that can see it, it is a sink; ACT multiplies it by beta and hands what is freed to the row's other keys in
proportion to what they have.
"""

from typing import Any

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def calibrate_attention_sinks(
    weights: Reals, *, threshold: float, beta: float = 0.4, heads: Any = None, keep_first: bool = True
) -> Reals:
    r"""Damp the sink columns of causal weights and give the rest to the other keys of the row.

    $$\mu_t = \frac{1}{n - t} \sum_{i \ge t} w_{it}, \qquad S = \{t : \mu_t > \mathrm{threshold}\}, \qquad
      w'_{it} = \beta w_{it}\ (t \in S), \qquad
      w'_{ij} = w_{ij} + \frac{w_{ij}}{\sum_{l \notin S} w_{il}} (1 - \beta) \sum_{t \in S} w_{it}\ (j \notin S)$$

    Parameters
    ----------
    weights : (..., h, n, n) real array
        Causal weights with rows that sum to 1.
    threshold : float
        The column mean above which a key is a sink, at least 0.
    beta : float, default 0.4
        Between 0 and 1: what is left of a sink.
    heads : integer array, optional
        Which heads to treat; all if not given.
    keep_first : bool, default True
        Leave the first sink alone; it is normally token 0, whose sink a model needs.

    Returns
    -------
    (..., h, n, n) array
        Rows sum to what they did. A row that has nothing but sinks is left as it is.

    Raises
    ------
    ValueError, TypeError
        If `beta` lies outside 0 to 1, the weights are not square or a head is out of range.

    Notes
    -----
    Cost: O(n²) per head. The weight of the first query on the first key is 1 afterwards, as in the authors' code. The
    paper states the threshold as alpha / n, the code as a constant.

    References
    ----------
    Yu et al., "Unveiling and Harnessing Hidden Attention Sinks", 2024, arXiv 2406.15765.

    Examples
    --------
    The middle key is a sink; half of its weight returns to the others:

    >>> import numpy as np
    >>> weights = np.array([[[1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.1, 0.8, 0.1]]])
    >>> calibrate_attention_sinks(weights, threshold=0.5, beta=0.5, keep_first=False)[0, 2]
    array([0.3, 0.4, 0.3])
    """
    n = weights.shape[-1]
    chosen = np.zeros(weights.shape[-3], dtype=bool)
    chosen[slice(None) if heads is None else np.asarray(heads)] = True
    mean = weights.sum(axis=-2) / np.arange(n, 0, -1)  # (..., h, n)
    sink = mean > threshold
    if keep_first:
        sink &= np.cumsum(sink, axis=-1) > 1
    sink = sink[..., None, :] & (np.arange(n) > 0)[:, None]  # (..., h, n, n): the first row is left as it is
    rest = np.where(sink, 0, weights)
    total = rest.sum(axis=-1, keepdims=True)
    freed = (1 - beta) * np.where(sink, weights, 0).sum(axis=-1, keepdims=True)
    calibrated = np.where(sink, beta * weights, weights) + freed * rest / np.where(total == 0, 1, total)
    calibrated = np.where(total == 0, weights, calibrated)
    calibrated[..., :1, :1] = 1
    return np.where(chosen[:, None, None], calibrated, weights)
