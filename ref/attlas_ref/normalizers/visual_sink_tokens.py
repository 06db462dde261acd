r"""Finding sink tokens by their massive activations.

Sink tokens betray themselves in the hidden states: a few fixed dimensions are enormous there, whatever the input. After
a root-mean-square normalization a token counts as a sink if one of these dimensions exceeds a threshold.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.binding import check_array_like
from ..contract.options import Number
from ..contract.utilities import check_labels


def visual_sink_tokens(hidden: Any, *, dims: Any, tau: float = 20.0, eps: float = 1e-6) -> NDArray[np.int64]:
    r"""Return the positions of tokens with massive activations.

    $$\max_{c \in \mathrm{dims}} \frac{|x_c|}{\sqrt{\overline{x^2} + \mathrm{eps}}} > \tau$$

    Parameters
    ----------
    hidden : (n, D) real array
        Hidden states of one layer.
    dims : integer array
        The dimensions in which sinks are massive.
    tau : float, default 20
        The threshold; from $\sqrt D$ upwards nothing can exceed it.
    eps : float, default 1e-6
        Added to the mean square.

    Returns
    -------
    (k,) integer array
        Positions in ascending order.

    Raises
    ------
    ValueError, TypeError
        If `hidden` is not a real matrix or a dimension is out of range.

    Notes
    -----
    Cost: O(n D). The positions serve `redistribute_visual_attention` as `sinks`.

    References
    ----------
    Kang et al., "See What You Are Told: Visual Attention Sink in Large Multimodal Models", 2025, arXiv 2503.03321.

    Examples
    --------
    >>> import numpy as np
    >>> hidden = np.ones((3, 400))
    >>> hidden[1, 7] = 1000.0
    >>> visual_sink_tokens(hidden, dims=[7], tau=15.0)
    array([1])
    """
    function = "visual_sink_tokens"
    hidden = np.asarray(check_array_like(function, "hidden", hidden))
    if hidden.ndim != 2 or hidden.dtype.kind not in "fiu":
        raise ValueError(f"{function}: hidden is {hidden.dtype} {hidden.shape}; it needs real numbers (n, D)")
    dims = check_labels(function, "dims", dims, "(k,)", high=hidden.shape[1] - 1)
    tau, eps = Number().check(function, "tau", tau), Number(low=0.0).check(function, "eps", eps)
    norm = np.sqrt((hidden.astype(np.float64) ** 2).mean(axis=-1) + eps)
    largest = np.abs(hidden[:, dims]).max(axis=-1, initial=0)
    return np.flatnonzero(largest > tau * norm)
