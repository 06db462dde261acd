r"""The visual sentinel: what the decoder knows without looking.

An LSTM carries what it has read so far in its memory cell. Lu et al. give it a second output beside the state, made in
the same way but with a gate of its own: the part of the memory that helps to say the next word when the image does not.
`visual_sentinel_attention` then weighs this *sentinel* against the regions of the image.

In the paper's letters: $g_t = \sigma(W_x x_t + W_h h_{t-1})$ and $s_t = g_t \odot \tanh(m_t)$, with the memory cell
$m_t$ (`cell`) after the step and the state $h_{t-1}$ (`hidden_previous`) before it. Here matrices stand on the right.
"""

import numpy as np
from scipy.special import expit

from ..contract import reference
from ..visibility import Reals


@reference
def sentinel_gate(x: Reals, hidden_previous: Reals, cell: Reals, *, w_input: Reals, w_hidden: Reals) -> Reals:
    r"""Gate the memory cell of an LSTM into a sentinel.

    $$s_t = \sigma(x_t W_x + h_{t-1} W_h) \odot \tanh(m_t)$$

    Parameters
    ----------
    x : (..., T, i) real array
        Inputs of the LSTM, one per word.
    hidden_previous : (..., T, h) real array
        States before each step: $h_{t-1}$.
    cell : (..., T, h) real array
        Memory cells after each step: $m_t$.
    w_input : (i, h) real array
        $W_x$.
    w_hidden : (h, h) real array
        $W_h$.

    Returns
    -------
    (..., T, h) array
        $s_t$, between -1 and 1.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or an array is not real.

    Notes
    -----
    Cost: T (i + h) h multiplications.

    References
    ----------
    Lu, Xiong, Parikh & Socher, "Knowing When to Look: Adaptive Attention via a Visual Sentinel for Image Captioning",
    2016, arXiv 1612.01887, eq. (9) and (10).

    Examples
    --------
    Without weights the gate is half open:

    >>> import numpy as np
    >>> none = {"w_input": np.zeros((1, 2)), "w_hidden": np.zeros((2, 2))}
    >>> sentinel_gate(np.ones((1, 1)), np.ones((1, 2)), np.array([[-9.0, 0.5]]), **none).round(3)
    array([[-0.5  ,  0.231]])
    """
    gate = expit(x @ w_input + hidden_previous @ w_hidden)  # (..., T, h)
    return gate * np.tanh(cell)
