r"""Generate or copy: the gate of the pointer-generator.

Before each word a pointer-generator asks itself whether to say it from its own vocabulary or to point at the source.
The answer is a probability, and it is learned: a logistic regression on what the decoder knows at this moment, which is
what it has just read, what it remembers, and the word that it said last.

In the paper's letters: $h^*_t$ is the context vector (`context`), $s_t$ the decoder's state (`state`), $x_t$ its input
(`embedded`), and $p_{\mathrm{gen}} = \sigma(w_{h^*} \cdot h^*_t + w_s \cdot s_t + w_x \cdot x_t + b)$. The result is
the gate of `copy_mixture`.
"""

from scipy.special import expit

from ..contract import reference
from ..visibility import Reals


@reference
def copy_gate(
    context: Reals,
    state: Reals,
    embedded: Reals,
    *,
    w_context: Reals,
    w_state: Reals,
    w_embedded: Reals,
    b: float = 0.0,
) -> Reals:
    r"""Return the probability to generate a word rather than copy one.

    $$p_{\mathrm{gen}, i} = \sigma(h_i \cdot w_h + s_i \cdot w_s + x_i \cdot w_x + b)$$

    Parameters
    ----------
    context : (..., m, c) real array
        h: what attention has read for each step.
    state : (..., m, s) real array
        s: the state of the decoder.
    embedded : (..., m, x) real array
        x: the input of the decoder, the word before.
    w_context : (c,) real array
        $w_h$.
    w_state : (s,) real array
        $w_s$.
    w_embedded : (x,) real array
        $w_x$.
    b : float, default 0
        b: the larger, the less is copied.

    Returns
    -------
    (..., m) array
        Between 0 and 1.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or an array is not real.

    Notes
    -----
    Cost: m (c + s + x) multiplications. Gradients: g (1 - g) times those of the linear form.

    References
    ----------
    See, Liu & Manning, "Get To The Point: Summarization with Pointer-Generator Networks", 2017, arXiv 1704.04368,
    eq. (8).

    Examples
    --------
    A state that has learned to ask for a name turns the gate down:

    >>> import numpy as np
    >>> nothing, states = np.zeros((2, 1)), np.array([[0.0], [1.0]])
    >>> weights = {"w_context": np.ones(1), "w_state": np.array([-3.0]), "w_embedded": np.ones(1)}
    >>> copy_gate(nothing, states, nothing, **weights, b=1.0).round(2)
    array([0.73, 0.12])
    """
    return expit(context @ w_context + state @ w_state + embedded @ w_embedded + b)
