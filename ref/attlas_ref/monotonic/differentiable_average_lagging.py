r"""Average lagging that can be trained.

`average_lagging` stops counting at the first word that is written after the end of the source. Whatever a translator
does from there on costs nothing, so it is cheap to hold everything back and then write it all at once; and the stopping
point jumps, which leaves no gradient. Arivazhagan et al. count every word, and make words at the end pay instead:
writing takes time. With $X$ = `source_length`, m words and the ideal pace of $\gamma = m / X$ target words per source
word, no word may come sooner than $1/\gamma$ after the one before:

$$g'_0 = g_0, \qquad g'_i = \max\bigl(g_i,\; g'_{i-1} + 1/\gamma\bigr), \qquad
  \mathrm{DAL} = \frac1m \sum_i \Bigl(g'_i - \frac{i}{\gamma}\Bigr).$$

A lag that was once incurred is thus never made up for. Read in lags, $\ell_i = g'_i - i/\gamma$, the recursion says
just that: $\ell_i = \max(g_i - i/\gamma,\ \ell_{i-1})$, the running maximum of the plain lags. So DAL is the mean of a
running maximum: it grows with every delay, is piecewise linear, and for whoever waits k words and then goes in step it
is k, as AL is.

**What to watch for.** The pace is set by the number of words written, not by the reference; `target_length` is accepted
so that the metrics can be called alike, and is ignored.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def differentiable_average_lagging(delays: Reals, *, source_length: Reals, target_length: Reals | None = None) -> Reals:
    r"""Differentiable average lagging: the mean lag when lost time is never made up for.

    $$\mathrm{DAL} = \frac1m \sum_i \Bigl(g'_i - \frac{i}{\gamma}\Bigr), \qquad
      g'_i = \max\bigl(g_i,\, g'_{i-1} + 1/\gamma\bigr), \qquad \gamma = m / X$$

    Parameters
    ----------
    delays : (..., m) real array
        $g_i$: how much of the source had been read before word i was written, counted from 1.
    source_length : number or (...) real array
        X, above 0, in the unit of the delays.
    target_length : number or (...) real array, optional
        Above 0; accepted and ignored.

    Returns
    -------
    lagging : (...) array
        In the unit of the delays.

    Raises
    ------
    ValueError
        If there are no delays, a length is not above 0 or shapes disagree.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: O(m). Gradients: a delay gets 1/m for each word whose largest lag so far is its own.

    Neighbors: `average_lagging` lets the words after the end of the source go free. `latency_loss` trains with it.

    References
    ----------
    Arivazhagan et al., "Monotonic Infinite Lookback Attention for Simultaneous Machine Translation", 2019,
    arXiv 1906.05218, eqs. (10) and (11).
    Cherry & Foster, "Thinking Slow about Latency Evaluation for Simultaneous Machine Translation", 2019,
    arXiv 1906.00048.

    Examples
    --------
    Both start with one word, and one of them then waits for the end. Average lagging hardly sees it:

    >>> import numpy as np
    >>> from attlas_ref import average_lagging
    >>> delays = np.array([[1, 2, 3, 4, 5, 6], [1, 6, 6, 6, 6, 6]])
    >>> differentiable_average_lagging(delays, source_length=6).round(2)
    array([1.  , 4.33])
    >>> average_lagging(delays, source_length=6)
    array([1., 3.])
    """
    m = delays.shape[-1]
    pause = np.asarray(source_length) / m  # 1/γ
    held = [np.broadcast_arrays(delays[..., 0], pause)[0]]  # g'_0
    for i in range(1, m):
        held.append(np.maximum(delays[..., i], held[-1] + pause))
    lag = np.stack(held, axis=-1) - np.arange(m) * pause[..., None]
    return lag.mean(axis=-1)
