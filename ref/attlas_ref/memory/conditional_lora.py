r"""Conditional LoRA: an adapter that only the memory tokens feel.

A model that is to write its own memory tokens must be trained for it, but should stay what it is everywhere else. So
its weights are frozen, and a correction of low rank is added at the memory tokens alone:

$$y_j = x_j W + [\,j \text{ is a memory token}\,]\; \mathrm{scaling} \cdot (x_j A)\, B.$$
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def conditional_lora(
    x: Reals, weight: Reals, lora_a: Reals, lora_b: Reals, *, is_memory: Booleans, scaling: float = 1.0
) -> Reals:
    r"""A linear layer with a low-rank correction at some tokens.

    $$y_j = x_j W + \mathbb 1_j\, \mathrm{scaling}\, (x_j A) B$$

    Parameters
    ----------
    x : (..., n, d) real array
        One row per token.
    weight : (..., d, o) real array
        W, the frozen layer.
    lora_a : (..., d, r) real array
        A, down to rank r.
    lora_b : (..., r, o) real array
        B, up again.
    is_memory : (n,) boolean array
        Which tokens are corrected.
    scaling : float, default 1
        Factor of the correction; alpha / r in most libraries.

    Returns
    -------
    (..., n, o) array

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `is_memory` is not boolean.

    Notes
    -----
    Cost: n d o + n r (d + o) multiplications. Projects the tokens of `compressed_memory_attention`.

    References
    ----------
    Kim, Yeom, Yun & Song, "Compressed Context Memory for Online Language Model Interaction", 2023, arXiv 2312.03414.
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv 2106.09685.

    Examples
    --------
    Two equal tokens; the second is a memory token:

    >>> import numpy as np
    >>> x, a, b = np.ones((2, 2)), np.array([[1.0], [0.0]]), np.array([[0.0, 5.0]])
    >>> conditional_lora(x, np.eye(2), a, b, is_memory=np.array([False, True]))
    array([[1., 1.],
           [1., 6.]])
    """
    frozen = x @ weight  # (..., n, o)
    correction = scaling * ((x @ lora_a) @ lora_b)
    return np.where(is_memory[:, None], frozen + correction, frozen)
