r"""The best alignment in place of all of them.

A sum over alignments needs a decoder that forgets how it came where it is. With a recurrent decoder one settles for the
best alignment: it is what a trained system reports, and what the paper trains with, since
$\max_t p(y, t) \le \sum_t p(y, t)$ and raising the one raises the other. By how much can they differ? There are at most
$T^N$ alignments, so

$$\mathrm{score} \;\le\; \log p(y \mid x) \;\le\; \mathrm{score} + N \log T.$$

The recursion is that of `latent_monotonic_log_prob` with the maximum in place of the logarithm of the sum,

$$a_i(t) = \mathrm{em}_i(t) + \max_s \bigl(a_{i-1}(s) + \mathrm{tr}_{i-1}(s, t)\bigr),$$

and remembers in which $s$ the maximum was found; the path is read from its end. **Ties** go to the lowest position, at
the end first and then at each step back.

**Numerics.** Each $a_i$ is shifted to have the maximum 0, so that after 10,000 steps positions are still compared with
all their digits.
"""

import numpy as np

from ..contract import PathScore, reference
from ..log_space import finite_or_zero
from ..visibility import Reals
from .latent_monotonic_log_prob import with_start


@reference
def latent_monotonic_viterbi(log_emission: Reals, log_transition: Reals, log_initial: Reals | None = None) -> PathScore:
    r"""Best alignment of an output, and its score.

    $$\mathrm{path} = \arg\max_{t_0 \dots t_{N-1}} \mathrm{init}(t_0) + \sum_i \mathrm{em}_i(t_i)
      + \sum_{i \ge 1} \mathrm{tr}_{i-1}(t_{i-1}, t_i)$$

    Parameters
    ----------
    log_emission : (..., N, T) real array
        em: the logarithm of the probability of output i at each position; $-\infty$ is impossible.
    log_transition : (..., N-1, T, T) real array
        tr: of the step from position s (row) to position t (column).
    log_initial : (..., T) real array, optional
        init: of the first position; 0 if not given.

    Returns
    -------
    path : (..., N) integer array
        The position of each step; -1 everywhere if no alignment is possible.
    score : (...) array
        The sum along the path; $-\infty$ if there is none, 0 for an output of length 0.

    Raises
    ------
    ValueError
        If shapes disagree, or a number is NaN or $+\infty$.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: N T² additions and comparisons in N steps. There is no gradient but the path itself.

    Neighbors: `latent_monotonic_log_prob` sums; `linear_chain_argmax` is the same search over labels;
    `monotonic_alignment_search` may only stay or go on by one.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710.

    Examples
    --------
    Each output by itself would take positions 0, 2, 1. Where nothing can go back, the second gives in:

    >>> import numpy as np
    >>> emission = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 1.5], [0.0, 3.0, 1.0]])
    >>> forward = np.broadcast_to(np.where(np.triu(np.ones((3, 3))) > 0, 0.0, -np.inf), (2, 3, 3))
    >>> path, score = latent_monotonic_viterbi(emission, forward)
    >>> path.tolist(), float(score)
    ([0, 1, 1], 7.0)
    """
    emission, transition = with_start(log_emission, log_transition, log_initial)
    steps, positions = emission.shape[-2:]
    if not steps or not positions:
        score = np.full(emission.shape[:-2], -np.inf if steps else 0, dtype=emission.dtype)
        return PathScore(np.full(emission.shape[:-1], -1), score)

    best, sources, shifts = emission[..., 0, :], [], []
    for i in range(1, steps):
        shifts.append(best.max(axis=-1))
        best = best - finite_or_zero(shifts[-1])[..., None]
        candidates = best[..., :, None] + transition[..., i - 1, :, :]  # (..., s, t)
        sources.append(candidates.argmax(axis=-2))
        best = emission[..., i, :] + candidates.max(axis=-2)
    shifts.append(best.max(axis=-1))
    score = np.stack(shifts, axis=-1).sum(axis=-1)

    path = [best.argmax(axis=-1)]
    for source in reversed(sources):
        path.append(np.take_along_axis(source, path[-1][..., None], axis=-1)[..., 0])
    return PathScore(np.where(score[..., None] == -np.inf, -1, np.stack(path[::-1], axis=-1)), score)
