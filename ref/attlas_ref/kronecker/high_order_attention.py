r"""High-order attention: a gate that sees products of features.

The usual gates of vision networks look at each feature by itself. To tell two people apart one may need to know that
*this and that and those* go together: a product of r features is large only if all r are. Chen, Deng and Hu compute, at
every position, a few such products for every order r = 1, ..., R, and let each order vote on how much of every channel
passes.

In the letters below x = `x` is positions by channels, $P_{rs}$ = `proj`[r − 1, s − 1], $U_r$ = `output_proj`[r − 1]:

$$z_r = \mathrm{relu}\Bigl(\prod_{s=1}^{r} x P_{rs}\Bigr), \qquad
  A = \frac1R \sum_{r=1}^{R} \sigma(z_r U_r), \qquad \mathrm{out} = x \odot A.$$

The product of r linear forms is a polynomial of degree r in the channels: a tensor of order r in factored form, with
$\mathrm{width}^r$ entries that are never made.

**Watch out.** Nothing here looks at another position: it is attention over channels, not over tokens. Projections are
1×1 convolutions without a bias. The entries of `proj` with s > r are not used, whatever they hold.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals


@reference
def high_order_attention(
    x: Reals, proj: Reals, output_proj: Reals, *, return_weights: bool = False
) -> Reals | AttentionResult:
    r"""Gate every channel by polynomials of the channels at its position.

    $$\mathrm{out} = x \odot \frac1R \sum_{r=1}^{R} \sigma\Bigl(
      \mathrm{relu}\Bigl(\prod_{s=1}^{r} x P_{rs}\Bigr) U_r\Bigr)$$

    Parameters
    ----------
    x : (..., n, w) real array
        Features: n positions, w channels.
    proj : (..., R, R, w, c) real array
        P: `proj[..., r - 1, s - 1, :, :]` for 1 <= s <= r <= R. R is at least 1.
    output_proj : (..., R, c, w) real array
        U: from the products of each order back to the channels.
    return_weights : bool, default False
        Return the gate too.

    Returns
    -------
    output : (..., n, w) array
    weights : (..., n, w) array
        With `return_weights` only: the gate A, between 0 and 1.

    Raises
    ------
    ValueError
        If `proj` is not square in its first two axes, shapes disagree, or R is 0.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n w c (R (R + 1) / 2 + R) multiplications.

    With R = 1 it is a gated feed-forward layer. Multiplying `proj` by t > 0 multiplies $z_r$ by $t^r$. Projections of
    zeros give the gate 1/2. The authors use c = 2 (w // 8) and one module for each R from 1 to 4.

    References
    ----------
    Chen, Deng & Hu, "Mixed High-Order Attention Network for Person Re-Identification", 2019, arXiv 1908.05819.

    Examples
    --------
    A gate for "both": the product of the two channels is large only where both are:

    >>> import numpy as np
    >>> x = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]])
    >>> proj = np.zeros((2, 2, 2, 1))
    >>> proj[1, 0, 0, 0] = proj[1, 1, 1, 0] = 1.0  # order 2: first channel times second
    >>> output_proj = np.array([[[0.0, 0.0]], [[9.0, 9.0]]])
    >>> high_order_attention(x, proj, output_proj, return_weights=True).weights[:, 0].round(2)
    array([0.5 , 0.5 , 0.5 , 0.75])
    """
    orders = proj.shape[-4]
    gate: Reals = np.zeros((), dtype=x.dtype)
    for r in range(1, orders + 1):
        product: Reals = np.ones((), dtype=x.dtype)
        for s in range(1, r + 1):
            product = product * (x @ proj[..., r - 1, s - 1, :, :])  # (..., n, c)
        z = np.maximum(product, 0)
        gate = gate + _sigmoid(z @ output_proj[..., r - 1, :, :]) / orders  # (..., n, w)
    output = x * gate
    return AttentionResult(output, gate) if return_weights else output


def _sigmoid(x: Reals) -> Reals:
    """Return 1 / (1 + exp(-x)); exp overflows to infinity below -709, which gives 0 as it should."""
    return 1 / (1 + np.exp(-x))
