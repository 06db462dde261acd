r"""Where next? A softmax over what still lies ahead.

A monotonic alignment needs a model of its moves. The simplest gives every position an energy at every step and takes
the softmax, not over all positions but over those that may still come: from position $s$ on, or, if the alignment
must move on every time (`strict`), from $s + 1$ on,

$$p(t_i = t \mid t_{i-1} = s) = \frac{e^{E_i(t)}}{\sum_{t' \ge s + [\mathrm{strict}]} e^{E_i(t')}}
  \quad\text{for } t \ge s + [\mathrm{strict}],$$

with $E$ = `energy`. The numerator is the same for all $s$; only the normalizer changes, and it is a sum over a suffix:
the whole table is made of the T numbers $E_i(t)$ and the T sums.

**At the end** a strict alignment has nowhere to go from the last position. Its row is then impossible, all $-\infty$;
with `allow_last` it may stay, with probability 1, so that outputs longer than the source remain possible. The released
configurations clamp positions in this way.

**At the start** there is no position before. The first step's softmax over all positions is row $s = 0$ of step 0 when
moves are not strict; hand it to `latent_monotonic_log_prob` as `log_initial`, and the steps from 1 on as
`log_transition`. The released configurations weaken the moves against the emissions by a factor of 0.1 on the
logarithm, which is the caller's to multiply.
"""

import numpy as np

from ..contract import reference
from ..log_space import log_sum_exp
from ..visibility import Reals


@reference
def monotonic_position_log_prob(
    energy: Reals, *, strict: bool = False, allow_last: bool = False, log: bool = True
) -> Reals:
    r"""Transition probabilities of a position that only moves forward.

    $$p_i(s, t) = \frac{e^{E_i(t)}}{\sum_{t' \ge s + [\mathrm{strict}]} e^{E_i(t')}}
      \quad\text{for } t \ge s + [\mathrm{strict}], \text{ else } 0$$

    Parameters
    ----------
    energy : (..., N, T) real array
        $E_i(t)$, of each position at each step; $-\infty$ is impossible.
    strict : bool, default False
        Whether the position has to move on at every step.
    allow_last : bool, default False
        Whether a strict position may stay at the last one, where there is nothing ahead.
    log : bool, default True
        Return logarithms instead of probabilities.

    Returns
    -------
    transition : (..., N, T, T) array
        Of the step from position s (row) to position t (column): rows are normalized, or impossible throughout.

    Raises
    ------
    ValueError, TypeError
        If the array has less than two axes or is not real.

    Notes
    -----
    Cost: N T² numbers to write; N T exponentials through running sums over suffixes, if they are not written but used.

    `latent_monotonic_log_prob`, `latent_monotonic_viterbi` and `latent_monotonic_posterior` take it as
    `log_transition`. `monotonic_alignment` makes its moves from a chain of yes and no instead of one softmax.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710, released
    configurations.

    Examples
    --------
    Energies that like the first position twice as much as each of the others. Once it is left, it is out of the game:

    >>> import numpy as np
    >>> monotonic_position_log_prob(np.log([[2.0, 1.0, 1.0]]), log=False)
    array([[[0.5 , 0.25, 0.25],
            [0.  , 0.5 , 0.5 ],
            [0.  , 0.  , 1.  ]]])
    """
    positions = energy.shape[-1]
    ahead = np.arange(positions) >= np.arange(positions)[:, None] + int(strict)  # (s, t)
    scores = np.where(ahead, energy[..., None, :], -np.inf)  # (..., N, s, t)
    total = log_sum_exp(scores, keepdims=True)
    # Select: an infinite or missing energy that does not lie ahead must not be felt.
    transition = np.where(ahead & (scores != -np.inf), scores - total, -np.inf)
    if strict and allow_last:
        end = np.arange(positions) == positions - 1
        transition = np.where(end[:, None] & end, 0, transition)
    return transition if log else np.exp(transition)
