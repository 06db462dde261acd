r"""How late is a simultaneous translation? Lagging counted in words.

A simultaneous interpreter writes while the source is still being spoken. Before target word $i$ it has read $g_i$ words
of the source: the *delays*. A translator that waits for the end has $g_i = X$ for all $i$ and is perfectly safe, and
perfectly late. Three numbers sum up a row of delays.

**Average proportion** (AP) is the mean share of the source that had been read. It is simple, and it depends on the
length: waiting for three words is much of a short sentence and little of a long one.

**Average lagging** (AL) compares with an ideal translator, who reads and writes at once and so has read
$i\,X/Y$ words before word $i$, where $X$ = `source_length` and $Y$ = `target_length`:

$$\mathrm{AL} = \frac1\tau \sum_{i < \tau} \Bigl(g_i - \frac{i\,X}{Y}\Bigr), \qquad
  \tau = 1 + \min\{i : g_i \ge X\},$$

counted from 0. It is measured in source words. The sum ends with the first word that is written when the source is
over: what follows is written at no cost, and would only water down the mean. Whoever waits for k words and then goes
in step lags by k, at every length.

**Length-adaptive average lagging** (LAAL). A translator that writes too many words looks fast, even ahead of time: its
delays are compared with an ideal pace of $Y$ words, of which there are fewer than it writes. LAAL lets the ideal pace
follow the longer of the two, $Y \to \max(m, Y)$, where m is the number of words written.

**What to watch for.** $\tau$ jumps when a delay reaches $X$, so AL and LAAL have no useful gradient, and reading *more*
can lower them. `differentiable_average_lagging` mends both. A first delay of $X$ or more ends the sum with its first
term, and is the lag: the special case that SimulEval makes of it is none.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def average_lagging(delays: Reals, *, source_length: Reals, target_length: Reals | None = None) -> Reals:
    r"""Average lagging: how many source words behind an ideal translator a translation is.

    $$\mathrm{AL} = \frac1\tau \sum_{i < \tau} \Bigl(g_i - \frac{i\,X}{Y}\Bigr), \qquad
      \tau = 1 + \min\{i : g_i \ge X\} \text{ or } m$$

    Parameters
    ----------
    delays : (..., m) real array
        $g_i$: how much of the source had been read before word i was written, counted from 1.
    source_length : number or (...) real array
        X, above 0, in the unit of the delays.
    target_length : number or (...) real array, optional
        Y, the length of the reference translation, above 0; m if not given.

    Returns
    -------
    lagging : (...) array
        In the unit of the delays: negative for a translator that is ahead of the ideal.

    Raises
    ------
    ValueError
        If there are no delays, a length is not above 0 or shapes disagree.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: O(m). `length_adaptive_average_lagging` is the same while m <= Y, `differentiable_average_lagging` has a
    gradient, `average_proportion` is relative. Delays come from `expected_delay`.

    References
    ----------
    Ma et al., "STACL: Simultaneous Translation with Implicit Anticipation and Controllable Latency using
    Prefix-to-Prefix Framework", 2018, arXiv 1810.08398, eq. (8).

    Examples
    --------
    Wait for three words, then write a word for every word: three words behind. And whoever waits for all is six behind.

    >>> import numpy as np
    >>> average_lagging(np.array([[3, 4, 5, 6, 6, 6], [6, 6, 6, 6, 6, 6]]), source_length=6)
    array([3., 6.])
    """
    m, source = delays.shape[-1], np.asarray(source_length)[..., None]
    target = m if target_length is None else np.asarray(target_length)[..., None]
    return _lagging(delays, source, target)


@reference
def length_adaptive_average_lagging(
    delays: Reals, *, source_length: Reals, target_length: Reals | None = None
) -> Reals:
    r"""Average lagging that does not reward writing too much.

    $$\mathrm{LAAL} = \frac1\tau \sum_{i < \tau} \Bigl(g_i - \frac{i\,X}{\max(m, Y)}\Bigr), \qquad
      \tau = 1 + \min\{i : g_i \ge X\} \text{ or } m$$

    Parameters
    ----------
    delays : (..., m) real array
        $g_i$: how much of the source had been read before word i was written, counted from 1.
    source_length : number or (...) real array
        X, above 0, in the unit of the delays.
    target_length : number or (...) real array, optional
        Y, the length of the reference translation, above 0; m if not given.

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
    Cost: O(m). It equals `average_lagging` while m <= Y and is never below it.

    References
    ----------
    Papi, Gaido, Negri & Turchi, "Over-Generation Cannot Be Rewarded: Length-Adaptive Average Lagging for Simultaneous
    Speech Translation", 2022, arXiv 2206.05807.

    Examples
    --------
    Eight words written for a reference of four. Average lagging finds the translator nearly on time; in truth it is two
    words behind:

    >>> import numpy as np
    >>> delays = np.array([2.0, 2.5, 3.0, 3.5, 4.0, 4.0, 4.0, 4.0])
    >>> average_lagging(delays, source_length=4, target_length=4)
    array(1.)
    >>> length_adaptive_average_lagging(delays, source_length=4, target_length=4)
    array(2.)
    """
    m, source = delays.shape[-1], np.asarray(source_length)[..., None]
    target = m if target_length is None else np.maximum(m, target_length)[..., None]
    return _lagging(delays, source, target)


@reference
def average_proportion(delays: Reals, *, source_length: Reals, target_length: Reals | None = None) -> Reals:
    r"""Average proportion: the mean share of the source that had been read.

    $$\mathrm{AP} = \frac{1}{X\,Y} \sum_i g_i$$

    Parameters
    ----------
    delays : (..., m) real array
        $g_i$: how much of the source had been read before word i was written, counted from 1.
    source_length : number or (...) real array
        X, above 0, in the unit of the delays.
    target_length : number or (...) real array, optional
        Y, the length of the reference translation, above 0; m if not given.

    Returns
    -------
    proportion : (...) array
        A share: 1 for a translator who waits for the end and writes Y words.

    Raises
    ------
    ValueError
        If there are no delays, a length is not above 0 or shapes disagree.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: O(m). Linear in the delays; the gradient of each is 1 / (X Y). `average_lagging` does not depend on the length
    of the sentence so much.

    References
    ----------
    Cho & Esipova, "Can Neural Machine Translation Do Simultaneous Translation?", 2016, arXiv 1606.02012.

    Examples
    --------
    Three words behind, in a sentence of six and in one of sixty:

    >>> import numpy as np
    >>> [float(average_proportion(np.minimum(np.arange(n) + 3, n), source_length=n).round(2)) for n in (6, 60)]
    [0.83, 0.54]
    """
    target = delays.shape[-1] if target_length is None else target_length
    return delays.sum(axis=-1) / (np.asarray(source_length) * target)


def _lagging(delays: Reals, source: Reals, target: Reals | int) -> Reals:
    """Return the mean of delay minus ideal delay up to the first word that is written after the end of the source."""
    over = delays >= source  # (..., m)
    counted: Booleans = np.cumsum(over, axis=-1) - over == 0  # i < τ: no word before has seen the end
    lag = delays - np.arange(delays.shape[-1]) * source / target
    return np.where(counted, lag, 0).sum(axis=-1) / counted.sum(axis=-1)
