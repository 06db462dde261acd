r"""Reading an alignment: drop repeats, then blanks.

The rule by which a symbol per frame becomes text. A letter may last several frames, so equal neighbors are one letter;
a blank says "no letter here", so it is dropped. The order matters: blanks go last, and a blank between two equal
letters keeps both.

$$\mathrm{collapse}(a\,a\,b\,a) = a\,a, \qquad \mathrm{collapse}(a\,a\,a\,a) = a \qquad (b = \text{blank})$$

`ctc_greedy` reads the likeliest symbol of each frame in this way, the fastest decoder there is. It finds the text of
the best alignment, which need not be the best text: that is a sum over alignments (`ctc_log_likelihood`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.options import Integer
from ..contract.utilities import check_labels, check_reals

Whole = NDArray[np.int64]
_SYMBOL = Integer(low=0)


def ctc_collapse(alignment: Any, *, blank: int = 0) -> Whole:
    r"""Merge equal neighbors, then drop blanks.

    $$\mathrm{collapse}(a) = \bigl(a_t : a_t \ne a_{t-1},\ a_t \ne \mathrm{blank}\bigr)$$

    Parameters
    ----------
    alignment : (T,) integer array
        A symbol per frame, at least 0.
    blank : int, default 0
        The symbol that is not read.

    Returns
    -------
    text : (S,) integer array
        What is read, S <= T.

    Raises
    ------
    ValueError, TypeError
        If `alignment` is no sequence of whole numbers of at least 0, or `blank` is below 0.

    Notes
    -----
    Cost: O(T). `ctc_log_likelihood` sums over all alignments that are read alike, `shift_alignment` changes one
    without changing what is read. Frames past the length, which `ctc_viterbi` marks by -1, have to be cut off before.

    References
    ----------
    Graves, Fernández, Gomez & Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", 2006.

    Examples
    --------
    >>> spoken = "-hh-e-ll-lo"
    >>> "".join(map(chr, ctc_collapse([ord(letter) for letter in spoken], blank=ord("-"))))
    'hello'
    """
    function = "ctc_collapse"
    alignment = check_labels(function, "alignment", alignment, "(T,)")
    blank = _SYMBOL.check(function, "blank", blank)
    begins = np.ones(alignment.shape, dtype=bool)
    begins[1:] = alignment[1:] != alignment[:-1]
    return alignment[begins & (alignment != blank)]


def ctc_greedy(log_probs: Any, *, blank: int = 0) -> Whole:
    r"""Read the likeliest symbol of each frame.

    $$\mathrm{collapse}\bigl(\arg\max_k \mathrm{log\_probs}_{1k}, \dots, \arg\max_k \mathrm{log\_probs}_{Tk}\bigr)$$

    Parameters
    ----------
    log_probs : (T, V) real array
        Log probability of each symbol in each frame, or any scores that rise with it.
    blank : int, default 0
        The symbol that is not read.

    Returns
    -------
    text : (S,) integer array
        What is read, S <= T; of equal scores the lowest symbol.

    Raises
    ------
    ValueError, TypeError
        If `log_probs` is no matrix of real numbers, or `blank` leaves 0 .. V - 1.

    Notes
    -----
    Cost: O(T V). The score of `ctc_viterbi` for the result is the sum of the largest entries; no text has a better
    alignment, but another may have the larger `ctc_log_likelihood`.

    References
    ----------
    Graves, Fernández, Gomez & Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", 2006.

    Examples
    --------
    Blank is the likeliest symbol of both frames, at 0.6. Yet "a letter" is likelier than silence, 0.64 to 0.36:

    >>> import numpy as np
    >>> from attlas_ref import ctc_log_likelihood
    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> ctc_greedy(log_probs), np.exp(ctc_log_likelihood(log_probs, [1])).round(2)
    (array([], dtype=int64), np.float64(0.64))
    """
    function = "ctc_greedy"
    log_probs = check_reals(function, "log_probs", log_probs, "(T, V)", 2, exact=True)
    blank = _SYMBOL.check(function, "blank", blank)
    v = log_probs.shape[-1]
    if blank >= v:
        raise ValueError(f"{function}: blank is {blank}; it needs a number below V = {v}")
    return ctc_collapse(log_probs.argmax(axis=-1), blank=blank)
