r"""Give what ran off the end to the last key.

A pointer that moves forward may find no key to stop at (`monotonic_alignment`). The row of its expected alignment then
sums to less than 1, and the output is a mixture with nothing. A translator that has to write a word at every step
cannot use nothing. So what is missing goes to the last key, as if the pointer stopped there for want of others:

$$\alpha_{i,\mathrm{last}} \leftarrow 1 - \mathrm{clip}\Bigl(\sum_{j \ne \mathrm{last}} \alpha_{ij},\, 0,\, 1\Bigr) .$$

**What to watch for.** Last is the last key that the row may take. What stood there is not read, and a sum of the others
above 1 stays as it is. Rows that may take nothing stay empty.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by


@reference
def mass_preservation(alignment: Reals, *, mask: Booleans | None = None) -> Reals:
    r"""Let the last visible key of each row take what the others leave of 1.

    $$\alpha_{i,\mathrm{last}} = 1 - \mathrm{clip}\Bigl(\sum_{j \ne \mathrm{last}} \alpha_{ij},\, 0,\, 1\Bigr)$$

    Parameters
    ----------
    alignment : (..., m, n) real array
        Weights of each query on each key, as those of `monotonic_alignment`.
    mask : (..., m, n) boolean array, optional
        True = may stop there.

    Returns
    -------
    (..., m, n) array
        Rows sum to 1 if what stands before the last key sums to between 0 and 1; 0 at hidden keys and in empty rows.

    Raises
    ------
    ValueError
        If shapes disagree.
    TypeError
        If the array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n additions.

    `monotonic_hard_alignment` with `stay_on_last` does the same for a pointer in use. Gradients: to each other entry
    minus that of the last one, none to the entry that is replaced.

    References
    ----------
    Arivazhagan et al., "Monotonic Infinite Lookback Attention for Simultaneous Machine Translation", 2019,
    arXiv 1906.05218. Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2019, arXiv 1909.12406.

    Examples
    --------
    >>> import numpy as np
    >>> mass_preservation(np.array([[0.5, 0.25, 0.125], [0.0, 0.0, 0.5]]))
    array([[0.5 , 0.25, 0.25],
           [0.  , 0.  , 1.  ]])
    """
    visible = allowed_by(mask, alignment)
    behind = np.cumsum(visible[..., ::-1], axis=-1)[..., ::-1]  # how many visible keys stand here and behind
    last = visible & (behind == 1)
    others = np.where(visible & ~last, alignment, 0)
    residual = 1 - np.clip(others.sum(axis=-1, keepdims=True), 0, 1)  # (..., m, 1)
    return np.where(last, residual, others)
