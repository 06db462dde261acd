r"""Self-attention guidance (SAG): blur the picture where the model looks.

Guidance needs a worse prediction to move away from (`attention_guidance`). SAG gets one by taking information from the
input: it asks the self-attention of the model which places the others look at, and blurs exactly these.

How much a place is looked at is a column sum of its weights, averaged over the heads,

$$\mathrm{mass}_j = \sum_i \frac1h \sum_{\mathrm{head}} A_{\mathrm{head}, ij} .$$

The rows sum to 1, so the masses have mean 1, and a place above 1 (`threshold`) gets more than its share. The attention
map is coarser than the picture; each pixel belongs to the cell that it falls into.

This is the step of the official pipeline that has to do with attention. The pipeline then adds the noise of the current
step to the blurred picture and asks the model again.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Reals
from .gaussian_blur_2d import gaussian_blur_2d


@reference
def sag_degrade(
    latents: Reals,
    attention_weights: Reals,
    *,
    map_height: int,
    map_width: int,
    kernel_size: int = 9,
    sigma: float = 1.0,
    threshold: float = 1.0,
) -> Reals:
    r"""Blur a picture where self-attention gathers more than a threshold.

    $$\mathrm{out} = M \odot (G_\sigma * x) + (1 - M) \odot x, \qquad
      M = [\mathrm{mass} > \mathrm{threshold}], \qquad
      \mathrm{mass}_j = \frac1h \sum_{\mathrm{head}, i} A_{\mathrm{head}, ij}$$

    Parameters
    ----------
    latents : (..., c, H, W) real array
        x, a picture of c channels.
    attention_weights : (..., h, n, n) real array
        A, the self-attention of a layer, one map per head.
    map_height, map_width : int
        The grid of the layer, row by row; map_height · map_width = n.
    kernel_size : int, default 9
        Taps of the blur, odd; see `gaussian_blur_2d`.
    sigma : float, default 1
        Width of the blur, in pixels of the picture; above 0.
    threshold : float, default 1
        The mass above which a place is blurred.

    Returns
    -------
    (..., c, H, W) array
        The numbers that came, bit by bit, where the mass is at most the threshold. NaN where the mass is NaN.

    Raises
    ------
    ValueError
        If shapes disagree, `map_height` times `map_width` is not n, there is no head, or the blur does not fit the
        picture.
    TypeError
        If an array is complex, an object or text, or a size is not whole.

    Notes
    -----
    Cost: h n² additions, and 2 c H W K multiplications for K taps.

    Neighbors: `attention_guidance` combines the two predictions; `smoothed_energy_attention` and `identity_attention`
    disturb the attention instead of the input.

    References
    ----------
    Hong et al., "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance", 2022, arXiv 2210.00939.

    Examples
    --------
    Everybody looks at the right half, so the edge in it is blurred and the one in the left half is not:

    >>> import numpy as np
    >>> picture = np.array([[[0.0, 4.0, 0.0, 0.0, 4.0, 0.0]] * 2])
    >>> looks = np.array([[[0.2, 0.8], [0.2, 0.8]]])
    >>> sag_degrade(picture, looks, map_height=1, map_width=2, kernel_size=3)[0, 0].round(1)
    array([0. , 4. , 0. , 1.1, 1.8, 2.2])
    """
    mass = attention_weights.mean(axis=-3).sum(axis=-2)  # (..., n)
    mass = mass.reshape(*mass.shape[:-1], map_height, map_width)
    rows, columns = (
        np.arange(size) * cells // size for size, cells in zip(latents.shape[-2:], (map_height, map_width), strict=True)
    )
    mass = mass[..., None, rows[:, None], columns]  # (..., 1, H, W): floor(pixel · cells / pixels)
    blurred = formula(gaussian_blur_2d)(latents, kernel_size=kernel_size, sigma=sigma)
    return np.where(np.isnan(mass), mass, np.where(mass > threshold, blurred, latents))
