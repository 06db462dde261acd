r"""Forced alignment: which frame holds which letter of a known text.

`ctc_log_likelihood` sums over all alignments of a text with the frames; to cut a recording into letters one wants the
best of them. It is found in the same lattice, $y' = (b, y_1, b, \dots, y_S, b)$, with the maximum in place of the sum:

$$m_t(s) = \log p_t(y'_s) + \max\bigl(m_{t-1}(s),\; m_{t-1}(s-1),\;
  [y'_s \ne b,\ y'_s \ne y'_{s-2}]\; m_{t-1}(s-2)\bigr) .$$

Each state remembers from where it was entered. At the end the better of the last letter and the blank behind it is
chosen, and the pointers are followed back. Each $m_t$ is shifted to have the maximum 0, so that long inputs keep their
digits; the score is added up along the alignment.

**Ties** prefer to stay in a state, then to come from the one before, then from two before; the last blank is preferred
to the last letter.
"""

import numpy as np

from ..contract import AlignmentScore, reference
from ..log_space import continued
from ..visibility import Reals
from .ctc import Whole, arrivals, lattice_of, level, start_of


@reference
def ctc_viterbi(
    log_probs: Reals,
    target: Whole,
    *,
    blank: int = 0,
    input_lengths: Whole | None = None,
    target_lengths: Whole | None = None,
) -> AlignmentScore:
    r"""Find the best alignment of a target with the frames of an input.

    $$\hat a = \arg\max_{a \,:\, \mathrm{collapse}(a) = y} \sum_t \mathrm{log\_probs}_{t, a_t}$$

    Parameters
    ----------
    log_probs : (..., T, V) real array
        Log probability of each symbol in each frame; need not be normalized.
    target : (..., S) integer array
        The symbols of the text, without blanks.
    blank : int, default 0
        The symbol that is not read.
    input_lengths, target_lengths : (...) integer arrays, optional
        How many frames and symbols count.

    Returns
    -------
    alignment : (..., T) integer array
        A symbol per frame; -1 past the length, and everywhere if no alignment fits or a NaN leaves none the best.
    score : (...) array
        The sum of its log probabilities; -inf if no alignment fits.

    Raises
    ------
    ValueError, TypeError
        As `ctc_log_likelihood`.

    Notes
    -----
    Cost: O(T S) time and pointers, in T steps of 2S + 1 states.

    The score is at most `ctc_log_likelihood`, and close to it where one alignment outweighs the rest. `ctc_collapse`
    reads the alignment back. Gradients: of the score, 1 at the alignment.

    References
    ----------
    Graves, Fernández, Gomez & Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", 2006.

    Examples
    --------
    The frames prefer 1 1 1 2. To read the letter 1 twice a blank must come between:

    >>> import numpy as np
    >>> log_probs = np.log([[0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    >>> ctc_viterbi(log_probs, [1, 2]).alignment, ctc_viterbi(log_probs, [1, 1, 2]).alignment
    (array([1, 1, 1, 2]), array([1, 0, 1, 2]))
    """
    lattice = lattice_of(log_probs, target, blank, input_lengths, target_lengths)
    frames = lattice.frames

    best = start_of(lattice)
    pointers = []
    for t in range(frames.shape[-1]):
        entered = arrivals(best, lattice.skips)  # (..., 3, 2S+1)
        pointers.append(entered.argmax(axis=-2))
        score = continued(entered.max(axis=-2), lattice.emissions[..., t, :])
        best = np.where(frames[..., t, None], score - level(score), best)

    # The blank behind the last symbol comes first in a tie: read from the end.
    ending = np.where(lattice.ends, best, -np.inf)[..., ::-1]
    state = best.shape[-1] - 1 - ending.argmax(axis=-1)[..., None]  # (..., 1)
    end = ending.max(axis=-1, keepdims=True)
    alignment = np.full(frames.shape, -1)
    for t in range(frames.shape[-1] - 1, -1, -1):
        inside = frames[..., t, None]
        symbol = np.take_along_axis(lattice.symbols, state, axis=-1)
        alignment[..., t, None] = np.where(inside & (end > -np.inf), symbol, -1)
        state = np.where(inside, state - np.take_along_axis(pointers[t], state, axis=-1), state)

    log_probs = np.broadcast_to(log_probs, (*frames.shape, log_probs.shape[-1]))
    chosen = np.take_along_axis(log_probs, np.maximum(alignment, 0)[..., None], axis=-1)[..., 0]
    total = np.where(alignment >= 0, chosen, 0).sum(axis=-1)
    return AlignmentScore(alignment, np.where(end[..., 0] > -np.inf, total, end[..., 0]))
