r"""Head-specific amplification: some heads look more at some tokens.

Multiply the weights of chosen keys by a factor per head and normalize again. Since $c\, e^s = e^{s + \log c}$, this is
the same as adding the logarithm of the factor to those scores before the softmax.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def amplify_heads(weights: Reals, *, tokens: Booleans, gains: Reals, renormalize: bool = True) -> Reals:
    r"""Multiply the weights of chosen keys by 1 + gain, head by head.

    $$w'_{ij} = w_{ij} (1 + \mathrm{gain}_h [j \in \mathrm{tokens}]), \qquad
      w'_{ij} \leftarrow w'_{ij} / \textstyle\sum_l w'_{il}$$

    Parameters
    ----------
    weights : (..., h, m, n) real array
        Weights of h heads.
    tokens : (n,) boolean array
        Which keys to amplify. How the paper chooses them could not be verified; it is left to the caller.
    gains : (h,) real array
        One per head, above -1.
    renormalize : bool, default True
        Divide by the row sums.

    Returns
    -------
    (..., h, m, n) array
        With `renormalize`, rows sum to 1, or to 0 where they did.

    Raises
    ------
    ValueError, TypeError
        If a gain is not above -1 or `tokens` is not boolean.

    Notes
    -----
    Cost: O(size). Gains of 0 change nothing but the row sums.

    References
    ----------
    Arif et al., "Fixing Imbalanced Attention to Mitigate In-Context Hallucination of Large Vision-Language Model",
    2025, arXiv 2501.12206.

    Examples
    --------
    >>> import numpy as np
    >>> amplify_heads(np.array([[[0.5, 0.5]]]), tokens=np.array([True, False]), gains=np.array([2.0]))
    array([[[0.75, 0.25]]])
    """
    factor = np.where(tokens, 1 + gains[:, None], 1)[:, None, :]  # (h, 1, n)
    amplified = weights * factor
    if not renormalize:
        return amplified
    total = amplified.sum(axis=-1, keepdims=True)
    return amplified / np.where(total == 0, 1, total)
