r"""A window around the last peak: a brake for attention that should move forward.

A trained synthesizer sometimes skips a word or starts to stutter, because attention jumps. Deep Voice 3 allows it only
a few keys around the one that it attended to most in the last step. With `last` as that key,

$$\mathrm{visible}_j \iff \mathrm{last} - \mathrm{backward} \le j < \mathrm{last} + \mathrm{forward}.$$

The end to the right is exclusive, as in ESPnet: `forward=1` stands still or goes back. Deep Voice 3 itself looks at
last, last + 1, last + 2, which is `backward=0, forward=3`.
"""

from typing import Any

import numpy as np

from ..contract.options import Integer
from ..contract.utilities import check_labels
from ..visibility import Booleans


def attention_window_mask(n: int, *, last: Any, backward: int = 1, forward: int = 3) -> Booleans:
    r"""Let each query see the keys near the one that was attended to last.

    $$\mathrm{visible}_j \iff \mathrm{last} - \mathrm{backward} \le j < \mathrm{last} + \mathrm{forward}$$

    Parameters
    ----------
    n : int
        Number of keys, at least 0.
    last : int or (...) integer array
        The last peak, below n: usually the argmax of the previous weights.
    backward : int, default 1
        How many keys before `last` are visible, at least 0.
    forward : int, default 3
        How many keys from `last` on are visible, `last` itself included, at least 1.

    Returns
    -------
    (n,) boolean array, or (..., n) for an array of peaks
        Always True at `last`.

    Raises
    ------
    ValueError, TypeError
        If a number is out of range or not whole.

    Notes
    -----
    Cost: n booleans per peak. Hand it over as `mask` of any attention, one step at a time; a wide window
    (`backward`, `forward` of at least n) hides nothing.

    References
    ----------
    Ping et al., "Deep Voice 3: Scaling Text-to-Speech with Convolutional Sequence Learning", 2017, arXiv 1710.07654,
    section 3.5.

    Examples
    --------
    >>> attention_window_mask(8, last=4).astype(int)
    array([0, 0, 0, 1, 1, 1, 1, 0])
    >>> attention_window_mask(5, last=np.array([0, 4]), backward=0, forward=2).astype(int)
    array([[1, 1, 0, 0, 0],
           [0, 0, 0, 0, 1]])
    """
    function = "attention_window_mask"
    n = Integer(low=0).check(function, "n", n)
    backward = Integer(low=0).check(function, "backward", backward)
    forward = Integer(low=1).check(function, "forward", forward)
    peaks = check_labels(function, "last", last, "(...)", high=n - 1, rank=np.ndim(last))[..., None]
    ahead = np.arange(n) - peaks  # (..., n)
    return (-backward <= ahead) & (ahead < forward)
