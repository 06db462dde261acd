r"""Align with Purpose: prefer the alignments that have a property.

All alignments of a text count alike for `ctc_log_likelihood`, and training settles for any of them: letters may come
late, which a listener who waits for them notices. *Align with Purpose* adds a hinge beside the loss. It draws
alignments $a$ from the model, improves each a little to $\bar a$ by a rule that the user chooses, and asks that the
improved one be the likelier:

$$L = \frac1A \sum_{a} \max\bigl(0,\; P(a \mid x) - P(\bar a \mid x) + \mathrm{margin}\bigr), \qquad
  \log P(a \mid x) = \sum_t \mathrm{log\_probs}_{t, a_t} .$$

The rule is all that has to be written for a new property. For low latency it is `shift_alignment`: leave out a frame
that is not needed, so that all later letters come one frame earlier, and add a blank at the end.

**Unverified.** Whether the paper compares probabilities or their logarithms was not to be found; `space` offers both.
Probabilities of alignments are tiny, so with `space="probability"` the hinge is felt for short inputs alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import reference
from ..contract.options import Integer
from ..contract.utilities import check_labels
from ..visibility import Reals
from .ctc_collapse import ctc_collapse

Whole = NDArray[np.int64]
_NUMBER = Integer(low=0)


@reference
def align_with_purpose_loss(
    log_probs: Reals, alignments: Whole, improved: Whole, *, margin: float = 0.0, space: str = "probability"
) -> Reals:
    r"""Charge for alignments that are likelier than their improved forms.

    $$\frac1A \sum_{a=1}^A \max\bigl(0,\; P(a) - P(\bar a) + \mathrm{margin}\bigr), \qquad
      P(a) = \prod_t e^{\mathrm{log\_probs}_{t, a_t}}$$

    Parameters
    ----------
    log_probs : (..., T, V) real array
        Log probability of each symbol in each frame.
    alignments : (..., A, T) integer array
        A symbol per frame, for each of A alignments.
    improved : (..., A, T) integer array
        The same with the property that is wanted.
    margin : float, default 0
        By how much the improved ones have to be likelier, at least 0.
    space : {"probability", "log"}, default "probability"
        Whether probabilities are compared or their logarithms.

    Returns
    -------
    loss : (...) array
        The mean over the alignments, 0 where there are none; to be added to the CTC loss with a weight.

    Raises
    ------
    ValueError
        If shapes disagree, a symbol leaves 0 .. V - 1, `margin` is below 0 or `space` is unknown.
    TypeError
        If an array is complex, an object or text, or alignments are not whole numbers.

    Notes
    -----
    Cost: O(A T). Gradients: of a term above 0, $P(a)$ at the symbols of $a$ and $-P(\bar a)$ at those of $\bar a$; 1
    and -1 in log space.

    `ctc_viterbi` gives the best alignment to improve, `linear_chain_sample` draws some where neighbors do not matter.

    References
    ----------
    Segev et al., "Align With Purpose: Optimize Desired Properties in CTC Models with a General Plug-and-Play
    Framework", 2023, arXiv 2307.01715.

    Examples
    --------
    The letter could have come one frame earlier, but the model holds that half as likely:

    >>> import numpy as np
    >>> log_probs = np.log([[0.5, 0.5], [0.5, 0.5], [1 / 3, 2 / 3]])
    >>> late = np.array([[0, 0, 1]])
    >>> early = shift_alignment(late[0], position=0)[None]
    >>> early, align_with_purpose_loss(log_probs, late, early, space="log").round(3) == np.log(2).round(3)
    (array([[0, 1, 0]]), np.True_)
    """
    before, after = _log_probability(log_probs, alignments), _log_probability(log_probs, improved)  # (..., A)
    if space == "probability":
        before, after = np.exp(before), np.exp(after)
    # Equal ones differ by 0, also where both are impossible: -inf less -inf would be NaN.
    difference = np.where(before == after, 0, before - after)
    hinge = np.maximum(difference + margin, 0)
    return hinge.sum(axis=-1) / max(hinge.shape[-1], 1)


def shift_alignment(alignment: Any, *, position: int, blank: int = 0) -> Whole:
    r"""Leave out a frame that is not needed, so that what follows comes one frame earlier.

    $$\bar a = (a_1, \dots, a_{p-1}, a_{p+1}, \dots, a_T, \mathrm{blank}), \qquad p = \mathrm{position}$$

    Parameters
    ----------
    alignment : (T,) integer array
        A symbol per frame, at least 0.
    position : int
        The frame to leave out: a symbol that repeats its neighbor, or a blank that does not part equal letters.
    blank : int, default 0
        The symbol that is not read.

    Returns
    -------
    improved : (T,) integer array
        Read as the same text.

    Raises
    ------
    ValueError, TypeError
        If `alignment` is no sequence of whole numbers of at least 0, `position` is not in it, or the text would change.

    Notes
    -----
    Cost: O(T). `align_with_purpose_loss` compares the two; `ctc_collapse` reads them alike.

    References
    ----------
    Segev et al., "Align With Purpose: Optimize Desired Properties in CTC Models with a General Plug-and-Play
    Framework", 2023, arXiv 2307.01715.

    Examples
    --------
    >>> shift_alignment([0, 3, 3, 0, 5], position=2)
    array([0, 3, 0, 5, 0])
    """
    function = "shift_alignment"
    alignment = check_labels(function, "alignment", alignment, "(T,)")
    position, blank = _NUMBER.check(function, "position", position), _NUMBER.check(function, "blank", blank)
    if position >= len(alignment):
        raise ValueError(f"{function}: position is {position}; it needs a number below T = {len(alignment)}")
    shifted = np.append(np.delete(alignment, position), blank)
    if not np.array_equal(ctc_collapse(shifted, blank=blank), ctc_collapse(alignment, blank=blank)):
        raise ValueError(
            f"{function}: position is {position}, and the text needs its symbol {alignment[position]}; it needs a "
            "symbol that repeats its neighbor, or a blank that does not part equal letters"
        )
    return shifted


def _log_probability(log_probs: Reals, alignments: Whole) -> Reals:
    r"""Return $\sum_t \mathrm{log\_probs}_{t, a_t}$, (..., A)."""
    batch = np.broadcast_shapes(log_probs.shape[:-2], alignments.shape[:-2])
    log_probs = np.broadcast_to(log_probs, (*batch, *log_probs.shape[-2:]))[..., None, :, :]  # (..., 1, T, V)
    alignments = np.broadcast_to(alignments, (*batch, *alignments.shape[-2:]))[..., None]  # (..., A, T, 1)
    return np.take_along_axis(log_probs, alignments, axis=-1)[..., 0].sum(axis=-1)
