r"""Visual attention redistribution: from sinks to what is in the picture.

In models that read images, too, some tokens are sinks: they get weight and carry nothing. Heads that look at the image
without being lost in its sinks give part of all their sinks' weight to the rest of the image.
"""

from typing import Any

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def redistribute_visual_attention(
    weights: Reals,
    *,
    sinks: Any,
    image_start: int,
    image_length: int,
    keep: float = 0.6,
    rho: float = 0.5,
    threshold: float = 0.2,
    first_query: int | None = None,
) -> Reals:
    r"""Move weight from the sinks to the other image tokens, in the rows that look at the image.

    With I the image columns and $S_v$ the sinks among them, a row is treated if it comes after the image,
    $\sum_{S_v} w \le \mathrm{rho} \sum_I (w + 10^{-6})$ and $\sum_I w \ge \mathrm{threshold}$. Then

    $$w'_j = \mathrm{keep}\; w_j\ (j \in \mathrm{sinks}), \qquad
      w'_j \mathrel{+}= (1 - \mathrm{keep}) \sum_{\mathrm{sinks}} w \; \frac{r_j}{\sum_I r}\ (j \in I), \qquad
      r_j = w_j [j \notin S_v]$$

    Parameters
    ----------
    weights : (..., h, m, n) real array
        Attention weights.
    sinks : integer array
        Positions of all sink keys, in the text and in the image.
    image_start, image_length : int
        The image is [image_start, image_start + image_length).
    keep : float, default 0.6
        Between 0 and 1: what a sink keeps.
    rho : float, default 0.5
        The largest share of the image's weight that its sinks may hold in a row that is treated.
    threshold : float, default 0.2
        The least weight on the image in a row that is treated.
    first_query : int, optional
        The first row that may be treated; the one after the image if not given.

    Returns
    -------
    (..., h, m, n) array
        Row sums are as before.

    Raises
    ------
    ValueError, TypeError
        If `keep` lies outside 0 to 1, or a sink or the image lies outside the keys.

    Notes
    -----
    Cost: O(h m n). Without sinks in the image nothing changes.

    References
    ----------
    Kang et al., "See What You Are Told: Visual Attention Sink in Large Multimodal Models", 2025, arXiv 2503.03321.

    Examples
    --------
    Key 0 is a sink; half of its weight goes to the image (keys 1 and 2), of which key 1 is a sink too:

    >>> import numpy as np
    >>> weights = np.array([[[0.4, 0.1, 0.3, 0.2]]])
    >>> redistribute_visual_attention(
    ...     weights, sinks=[0, 1], image_start=1, image_length=2, keep=0.5, first_query=0
    ... ).round(3)
    array([[[0.2 , 0.05, 0.55, 0.2 ]]])
    """
    m, n = weights.shape[-2:]
    position = np.arange(n)
    image = (image_start <= position) & (position < image_start + image_length)
    sink = np.isin(position, sinks)
    on_image = np.where(image, weights, 0).sum(axis=-1, keepdims=True)  # (..., h, m, 1)
    on_image_sinks = np.where(image & sink, weights, 0).sum(axis=-1, keepdims=True)
    padded = np.where(image, weights + 1e-6, 0).sum(axis=-1, keepdims=True)
    late = np.arange(m)[:, None] >= (image_start + image_length if first_query is None else first_query)
    treated = late & (image & sink).any() & (on_image_sinks <= rho * padded) & (on_image >= threshold)

    rest = np.where(image & ~sink, weights, 0)
    total = rest.sum(axis=-1, keepdims=True)
    budget = (1 - keep) * np.where(sink, weights, 0).sum(axis=-1, keepdims=True)
    moved = np.where(sink, keep * weights, weights) + budget * rest / np.where(total == 0, 1, total)
    return np.where(treated & (total != 0), moved, weights)
