# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: ctc_log_likelihood
#   options: []
#   lines: 18
#   minutes: 45
#   points: 4
#   mistakes:
#     skips_repeated_letters: >-
#       A path may pass over the blank between two equal letters. That would be read as one letter, so between equal
#       letters the blank is needed.
#     never_skips: >-
#       A path never passes over a blank. Between different letters it may: "ab" can be read from two frames.
#     must_end_in_blank: >-
#       Only paths that end in the last blank count. They may also end in the last letter.
#     must_begin_with_blank: >-
#       Only paths that begin with a blank count. The first frame may hold the first letter.
# ---

# %% [markdown]
# # CTC: the sum over all ways to hear a text
#
# A recognizer hears T frames of speech and gives, for each, the log probabilities of V symbols. The text has fewer
# letters than there are frames, and nobody has marked where each begins. CTC adds a *blank*, symbol 0, and reads a
# sequence of T symbols as text by a rule: equal neighbors are one, then blanks vanish. `-hh-e-ll-lo` is read as
# `hello`. The likelihood of a text is the sum over all sequences that are read as it.
#
# They are the paths of a small lattice. Put blanks around the letters, $y' = (0, y_1, 0, y_2, \dots, y_S, 0)$, with 2S
# + 1 states. From one frame to the next a path stays in its state s, moves on by one, or by two if that passes over a
# blank between *different* letters. With $\alpha_t(s)$ the logarithm of what all beginnings that end in state s weigh
# together,
#
# $$\alpha_t(s) = \log p_t(y'_s) + \log \bigl(e^{\alpha_{t-1}(s)} + e^{\alpha_{t-1}(s-1)}
#   + [y'_s \ne 0,\ y'_s \ne y'_{s-2}]\; e^{\alpha_{t-1}(s-2)}\bigr) .$$
#
# Before the first frame everything stands in state 0, the first blank, and the same step leads into the first frame:
# from there a path reaches the blank or the first letter. At the end it stands in the last blank or on the last letter,
#
# $$\log p(y \mid x) = \log \bigl(e^{\alpha_T(2S)} + e^{\alpha_T(2S-1)}\bigr) .$$
#
# **Write** `ctc_log_likelihood(log_probs, target)`: `log_probs` is `(..., T, V)` and may hold -inf; `target` is
# `(..., S)`, whole numbers from 1 to V - 1, which may be stored as floating numbers. The result is `(...)`, and -inf
# where no path fits. T and S may be 0 (an empty text without frames has the likelihood 1), the result has the dtype of
# `log_probs`, and the leading axes of both have been broadcast for you. There is no need to check arguments, and none
# to normalize `log_probs`.
#
# Long inputs push $\alpha$ to large negative numbers, where few digits are left for the differences between states. So
# after each frame take the largest entry out of $\alpha$ and add it up elsewhere.

# %% [markdown]
# <details><summary>Hint 1: the lattice</summary>
#
# `states = np.zeros((..., 2 * S + 1), dtype=int)` and `states[..., 1::2] = target`. The emissions of all frames are
# `np.take_along_axis(log_probs, states[..., None, :], axis=-1)`, after broadcasting.
#
# </details>
#
# <details><summary>Hint 2: moving on is a shift</summary>
#
# Put two entries of -inf before alpha; then both shifts are slices of it. For the step of two use -inf wherever it is
# not allowed, with `np.where`.
#
# </details>
#
# <details><summary>Hint 3: adding logarithms</summary>
#
# `np.logaddexp` adds two of them, and takes -inf for 0. The largest entry is -inf where nothing is possible: subtract 0
# there.
#
# </details>

# %%
import numpy as np


def ctc_log_likelihood(log_probs, target):
    """Return the log of the summed likelihood of all paths that are read as the target, (...)."""
    leading = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1])
    log_probs = np.broadcast_to(log_probs, (*leading, *log_probs.shape[-2:]))
    target = np.broadcast_to(target, (*leading, target.shape[-1]))
    ### BEGIN SOLUTION
    states = np.zeros((*leading, 2 * target.shape[-1] + 1), dtype=int)
    states[..., 1::2] = target
    frames = log_probs.shape[-2]
    places = np.broadcast_to(states[..., None, :], (*leading, frames, states.shape[-1]))
    emissions = np.take_along_axis(log_probs, places, axis=-1)  # (..., T, 2S + 1)
    may_skip = np.zeros(states.shape, dtype=bool)
    may_skip[..., 2:] = (states[..., 2:] != 0) & (states[..., 2:] != states[..., :-2])
    border = np.full((*leading, 2), -np.inf, dtype=log_probs.dtype)
    alpha = np.full(states.shape, -np.inf, dtype=log_probs.dtype)
    alpha[..., 0] = total = 0.0
    for t in range(frames):
        padded = np.concatenate([border, alpha], axis=-1)
        by_two = np.where(may_skip, padded[..., :-2], -np.inf)
        alpha = emissions[..., t, :] + np.logaddexp(np.logaddexp(alpha, padded[..., 1:-1]), by_two)
        largest = alpha.max(axis=-1)
        largest = np.where(largest == -np.inf, 0, largest)
        alpha, total = alpha - largest[..., None], total + largest
    return total + np.logaddexp.reduce(alpha[..., -2:], axis=-1)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _forward(log_probs, target, skips="different", ends=2, blank_first=False):
    leading = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1])
    log_probs = np.broadcast_to(log_probs, (*leading, *log_probs.shape[-2:]))
    states = np.zeros((*leading, 2 * target.shape[-1] + 1), dtype=int)
    states[..., 1::2] = target
    may_skip = np.zeros(states.shape, dtype=bool)
    letters, before = states[..., 2:], states[..., :-2]
    allowed = {"different": (letters != 0) & (letters != before), "always": letters != 0, "never": False}
    may_skip[..., 2:] = allowed[skips]
    frames = log_probs.shape[-2]
    places = np.broadcast_to(states[..., None, :], (*leading, frames, states.shape[-1]))
    emissions = np.take_along_axis(log_probs, places, axis=-1)
    border = np.full((*leading, 2), -np.inf)
    alpha = np.where(np.arange(states.shape[-1]) == 0, 0.0, np.full(states.shape, -np.inf))
    for t in range(frames):
        padded = np.concatenate([border, alpha], axis=-1)
        by_one = padded[..., 1:-1]
        if blank_first and t == 0:
            by_one = np.full_like(by_one, -np.inf)
        by_two = np.where(may_skip, padded[..., :-2], -np.inf)
        alpha = emissions[..., t, :] + np.logaddexp(np.logaddexp(alpha, by_one), by_two)
    return np.logaddexp.reduce(alpha[..., -ends:], axis=-1)


def skips_repeated_letters(log_probs, target):
    return _forward(log_probs, target, skips="always")


def never_skips(log_probs, target):
    return _forward(log_probs, target, skips="never")


def must_end_in_blank(log_probs, target):
    return _forward(log_probs, target, ends=1)


def must_begin_with_blank(log_probs, target):
    return _forward(log_probs, target, blank_first=True)


### END HIDDEN TESTS
