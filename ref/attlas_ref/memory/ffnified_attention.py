r"""FFNified attention: convolutions in the place of the two products.

A feed-forward layer compares its input with learned keys and adds up learned values (`ffn_memory`). MetaMixer keeps
this frame, query, key and value, and makes both steps local: large depth-wise kernels take the part of keys and values.
Each channel of an image is convolved with its key kernel, bent by an activation, and convolved with its value kernel,

$$\mathrm{out} = \mathrm{act}(\mathrm{query} \star K + b_K) \star V + b_V.$$

The star is the cross-correlation of deep-learning libraries (the kernel is not flipped), per channel, with zeros around
the image so that its size stays. A kernel that is trained as a pair, a large and a small one, fuses into one before it
comes here, and the 1 × 1 convolution that makes the query is outside.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals
from .ffn_memory import activated


@reference
def ffnified_attention(
    query: Reals,
    kernel_key: Reals,
    kernel_value: Reals,
    *,
    bias_key: Reals | None = None,
    bias_value: Reals | None = None,
    activation: str = "gelu",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""A depth-wise convolution, an activation, another depth-wise convolution.

    $$w_{yxc} = \mathrm{act}\Bigl(\sum_{a,b} q_{y+a,\,x+b,\,c}\, K_{abc} + (b_K)_c\Bigr), \qquad
      \mathrm{out}_{yxc} = \sum_{a,b} w_{y+a,\,x+b,\,c}\, V_{abc} + (b_V)_c$$

    with a and b running from minus to plus half the kernel, and zeros outside the image.

    Parameters
    ----------
    query : (..., H, W, C) real array
        An image, channels last.
    kernel_key : (..., p, q, C) real array
        Odd height and width.
    kernel_value : (..., r, s, C) real array
        Odd height and width; usually those of `kernel_key`.
    bias_key, bias_value : (C,) real arrays, optional
        Added after each convolution; zeros if not given.
    activation : {"gelu", "relu", "silu", "identity"}, default "gelu"
        Between the convolutions.
    return_weights : bool, default False
        Return the coefficients too.

    Returns
    -------
    output : (..., H, W, C) array
    weights : (..., H, W, C) array
        With `return_weights` only: the coefficients between the convolutions.

    Raises
    ------
    ValueError, TypeError
        If the channels disagree, a kernel has an even size or `activation` is unknown.

    Notes
    -----
    Cost: H W C multiplications per entry of both kernels. Channels do not mix. With 1 × 1 kernels it is `ffn_memory`
    per channel with one slot, with kernels of a single 1 in the middle the activation alone.

    References
    ----------
    Yun, Lee & Ro, "MetaMixer Is All You Need", 2024, arXiv 2406.02021.

    Examples
    --------
    The key kernel finds a step from left to right, the value kernel spreads what was found:

    >>> import numpy as np
    >>> step = np.array([[[0.0], [0.0], [1.0], [1.0], [1.0], [1.0], [1.0]]])  # one row, one channel
    >>> find, spread = np.array([[[-1.0], [1.0], [0.0]]]), np.ones((1, 3, 1))
    >>> ffnified_attention(step, find, spread, activation="relu").ravel()
    array([0., 1., 1., 1., 0., 0., 0.])
    """
    scores = depthwise(query, kernel_key, bias_key)  # (..., H, W, C)
    weights = activated(scores, activation)
    output = depthwise(weights, kernel_value, bias_value)
    return AttentionResult(output, weights) if return_weights else output


def depthwise(x: Reals, kernel: Reals, bias: Reals | None) -> Reals:
    """Return the cross-correlation of each channel with its kernel, zeros outside."""
    height, width = x.shape[-3:-1]
    rows, columns = kernel.shape[-3:-1]
    around = [(rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 3) + around)
    taps = [
        padded[..., a : a + height, b : b + width, :] * kernel[..., a, b, None, None, :]
        for a, b in np.ndindex(rows, columns)
    ]
    total = np.sum(np.stack(taps), axis=0)
    return total if bias is None else total + bias
