r"""Masks for sequences of several kinds of tokens: text and image, known and unknown, clean and noised.

Each is a causal mask with an exception that a particular model needs. True = may attend.
"""

from typing import Any

import numpy as np

from ..contract.options import Flag, Integer
from ..contract.utilities import check_booleans, check_labels
from ..visibility import Booleans
from .masks import causal_mask


def modality_mutual_mask(valid: Any, *, image_start: int, text_start: int, text_end: int) -> Booleans:
    """Causal, except that image tokens may look ahead at the text of the question.

    True where key j is valid and j <= i, or i is an image token and j a token of the text.

    Parameters
    ----------
    valid : (..., n) boolean array
        False for padding, which nobody sees.
    image_start, text_start, text_end : int
        The image is [image_start, text_start), the text [text_start, text_end).

    Returns
    -------
    (..., n, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If `valid` is not boolean or the positions are out of order.

    Notes
    -----
    Cost: O(n²) booleans. With an empty text and nothing padded it is `causal_mask`.

    References
    ----------
    Wang et al., "AKI: modality-mutual attention", 2025, arXiv 2503.02597.

    Examples
    --------
    Two image tokens that see the question behind them:

    >>> import numpy as np
    >>> modality_mutual_mask(np.ones(4, bool), image_start=0, text_start=2, text_end=3).astype(int)
    array([[1, 0, 1, 0],
           [1, 1, 1, 0],
           [1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    valid = check_booleans("modality_mutual_mask", "valid", valid, "(..., n)", rank=None)
    n = valid.shape[-1]
    size = Integer(low=0)
    image_start = size.check("modality_mutual_mask", "image_start", image_start)
    text_start = size.check("modality_mutual_mask", "text_start", text_start)
    text_end = size.check("modality_mutual_mask", "text_end", text_end)
    if not image_start <= text_start <= text_end <= n:
        raise ValueError(
            f"modality_mutual_mask: image_start, text_start, text_end are {image_start}, {text_start}, {text_end}; "
            f"they need to be in order and at most n = {n}"
        )
    position = np.arange(n)
    image = (image_start <= position) & (position < text_start)
    text = (text_start <= position) & (position < text_end)
    return (causal_mask(n, n) | (image[:, None] & text)) & valid[..., None, :]


def known_token_mask(known: Any) -> Booleans:
    """Known tokens see each other in both directions; unknown ones see those and the past.

    True where key j is known, or j <= i and query i is unknown.

    Parameters
    ----------
    known : (..., n) boolean array
        Which tokens are given and which are to be predicted.

    Returns
    -------
    (..., n, n) boolean array

    Raises
    ------
    TypeError
        If `known` is not boolean.

    Notes
    -----
    Cost: O(n²) booleans. None known: `causal_mask`; all known: everything visible.

    References
    ----------
    Pinyoanuntapong et al., "BAMM: Bidirectional Autoregressive Motion Model", 2024, arXiv 2403.19435.

    Examples
    --------
    >>> import numpy as np
    >>> known_token_mask(np.array([True, False, True])).astype(int)
    array([[1, 0, 1],
           [1, 1, 1],
           [1, 0, 1]])
    """
    known = check_booleans("known_token_mask", "known", known, "(..., n)", rank=None)
    n = known.shape[-1]
    return known[..., None, :] | (causal_mask(n, n) & ~known[..., :, None])


def skip_causal_mask(blocks: Any) -> Booleans:
    """Train a block-wise diffusion model in one pass over clean and noised tokens.

    Rows and columns are the n clean tokens, then their n noised copies. Clean tokens see the clean tokens of their
    own and earlier blocks; noised ones see the clean tokens of earlier blocks and the noised ones of their own.

    Parameters
    ----------
    blocks : (n,) integer array
        The block of each token, in non-decreasing order.

    Returns
    -------
    (2n, 2n) boolean array

    Raises
    ------
    ValueError, TypeError
        If the labels decrease or are not whole numbers.

    Notes
    -----
    Cost: O(n²) booleans. Attention under this mask equals running the blocks one after another with the keys and
    values of the clean ones kept. That the clean tokens come first is our choice.

    References
    ----------
    Hu et al., "ACDiT", 2024, arXiv 2412.07720. Arriola et al., "Block Diffusion", 2025, arXiv 2503.09573.

    Examples
    --------
    Two blocks of one token:

    >>> skip_causal_mask([0, 1]).astype(int)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 0, 1, 0],
           [1, 0, 0, 1]])
    """
    block = check_labels("skip_causal_mask", "blocks", blocks, "(n,)", low=np.iinfo(np.int64).min)
    if (np.diff(block) < 0).any():
        raise ValueError("skip_causal_mask: blocks decreases somewhere; it needs non-decreasing block numbers")
    earlier = block[None, :] < block[:, None]  # (n, n)
    same = block[None, :] == block[:, None]
    return np.block([[earlier | same, np.zeros_like(same)], [earlier, same]])


def composite_mask(visual: Any, *, self_visible: bool = True) -> Booleans:
    """Text tokens are causal over everything; visual tokens do not attend to each other.

    True where query i is text and j <= i, or i is visual, i = j and `self_visible`.

    Parameters
    ----------
    visual : (n,) boolean array
        Which tokens are visual.
    self_visible : bool, default True
        Whether a visual token sees itself.

    Returns
    -------
    (n, n) boolean array

    Raises
    ------
    ValueError, TypeError
        If `visual` is not a boolean vector.

    Notes
    -----
    Cost: O(n²) booleans. EE-MLLM removes the visual queries altogether, which amounts to `self_visible=False`; that a
    visual token may keep itself is our reading.

    References
    ----------
    "EE-MLLM: A Data-Efficient and Compute-Efficient Multimodal Large Language Model", 2024, arXiv 2408.11795.

    Examples
    --------
    >>> import numpy as np
    >>> composite_mask(np.array([True, True, False])).astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [1, 1, 1]])
    """
    visual = check_booleans("composite_mask", "visual", visual, "(n,)")
    self_visible = Flag().check("composite_mask", "self_visible", self_visible)
    n = visual.shape[0]
    return np.where(visual[:, None], np.eye(n, dtype=bool) & self_visible, causal_mask(n, n))
