# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: differentiable_average_lagging
#   options: [source_length]
#   lines: 4
#   minutes: 10
#   points: 1
#   mistakes:
#     lost_time_made_up_for: >-
#       The plain lags are averaged. A word may not come sooner than one pause after the word before, so a lag that was
#       once incurred stays.
#     counted_from_one: >-
#       The ideal translator writes word i after i pauses, counted from 0.
#     pace_turned_around: >-
#       The pause between two words is m / X. It is X / m: so much of the source goes by for every word that is written.
# ---

# %% [markdown]
# # The latency of a simultaneous translation
#
# A simultaneous translator writes while it reads. Word i is written after $g_i$ words of the source (`delays`). How far
# does it lag behind an ideal one that writes its m words at an even pace over the X words of the source
# (`source_length`), one after every pause of $X / m$?
#
# The plain lag of word i is $g_i - i\, X / m$, with i from 0. Its mean could be cheated: hold everything back, and then
# write all at once. Differentiable average lagging lets words at the end pay, since writing takes time too. No word may
# come sooner than one pause after the word before:
#
# $$g'_0 = g_0, \qquad g'_i = \max\Bigl(g_i,\ g'_{i-1} + \frac Xm\Bigr), \qquad
#   \mathrm{DAL} = \frac1m \sum_i \Bigl(g'_i - i\, \frac Xm\Bigr) .$$
#
# Put $\ell_i = g'_i - i\, X/m$ into the recursion, and see what it says about the lags: there is a NumPy function for
# it.
#
# **Write** `differentiable_average_lagging(delays, *, source_length)`: `delays` is `(..., m)` with m at least 1,
# `source_length` a number or an array `(...)`, above 0. The result is `(...)`. Leading axes broadcast, and it has the
# dtype of `delays`. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: the lags</summary>
#
# Subtract $i X/m$ on both sides: $\ell_i = \max(g_i - i X/m,\ \ell_{i-1})$.
#
# </details>
#
# <details><summary>Hint 2: no loop</summary>
#
# A maximum of all so far is `np.maximum.accumulate`.
#
# </details>
#
# <details><summary>Hint 3: shapes</summary>
#
# `np.asarray(source_length)[..., None]` broadcasts against (..., m), be it a number or an array. Give it the dtype of
# the delays, and the counter too.
#
# </details>

# %%
import numpy as np


def differentiable_average_lagging(delays, *, source_length):
    """Return the mean lag when lost time is never made up for, (...)."""
    ### BEGIN SOLUTION
    m = delays.shape[-1]
    pause = np.asarray(source_length, dtype=delays.dtype)[..., None] / m
    lag = np.maximum.accumulate(delays - np.arange(m, dtype=delays.dtype) * pause, axis=-1)
    return lag.mean(axis=-1)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def lost_time_made_up_for(delays, *, source_length):
    pause = np.asarray(source_length)[..., None] / delays.shape[-1]
    return (delays - np.arange(delays.shape[-1]) * pause).mean(axis=-1)


def counted_from_one(delays, *, source_length):
    pause = np.asarray(source_length) / delays.shape[-1]
    return differentiable_average_lagging(delays, source_length=source_length) - pause


def pace_turned_around(delays, *, source_length):
    m = delays.shape[-1]
    return differentiable_average_lagging(delays, source_length=m**2 / np.asarray(source_length))


### END HIDDEN TESTS
