r"""Where the alignment is, after all has been said.

`latent_monotonic_log_prob` sums over all alignments of an output. How much of that sum goes through position $t$ at
step $i$? That share is the posterior probability of being there, and it takes the whole output into account, what
came before and what comes after:

$$p(t_i = t \mid y) = \exp\bigl(a_i(t) + b_i(t) - \log p(y \mid x)\bigr),$$

with the beginnings $a$ of the forward pass, and with $b_i(s)$ the logarithm of what all continuations from $s$ weigh,

$$b_{N-1} = 0, \qquad b_i(s) = \log \sum_t e^{\mathrm{tr}_i(s, t) + \mathrm{em}_{i+1}(t) + b_{i+1}(t)}.$$

Raising $\mathrm{em}_i(t)$ a little raises $\log p$ by the share of the alignments that pass there, so the posterior is
also the gradient of `latent_monotonic_log_prob` by the emissions: forward–backward is backpropagation.

**Going forward.** If no alignment can go back, the mean position $\sum_t t\, p(t_i = t \mid y)$ never decreases with
$i$, since every single alignment's does not. An attention matrix has no such duty.

**Numerics.** $a$ and $b$ are known up to constants per step, which drop out when a row is normalized; so rows sum to 1
also after 10,000 steps. Where no alignment is possible they are zeros.
"""

from ..contract import reference
from ..log_space import shares
from ..visibility import Reals
from .latent_monotonic_log_prob import backward, forward, with_start


@reference
def latent_monotonic_posterior(log_emission: Reals, log_transition: Reals, log_initial: Reals | None = None) -> Reals:
    r"""Probability of each position at each step, given the whole output.

    $$p(t_i = t \mid y) = \exp\bigl(a_i(t) + b_i(t) - \log p(y \mid x)\bigr)$$

    Parameters
    ----------
    log_emission : (..., N, T) real array
        The logarithm of the probability of output i at each position; $-\infty$ is impossible.
    log_transition : (..., N-1, T, T) real array
        Of the step from position s (row) to position t (column).
    log_initial : (..., T) real array, optional
        Of the first position; 0 if not given.

    Returns
    -------
    posterior : (..., N, T) array
        Rows sum to 1, or to 0 where no alignment is possible.

    Raises
    ------
    ValueError
        If shapes disagree, or a number is NaN or $+\infty$.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: 2 N T² exponentials in 2 N steps. `latent_monotonic_log_prob` returns it beside the likelihood;
    `latent_monotonic_viterbi` is the best single alignment; `linear_chain_marginals` has the pairs too.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710.

    Examples
    --------
    Three outputs over three positions. Only the last output knows where it is, at the first position; as nothing can go
    back, so were the others:

    >>> import numpy as np
    >>> forward = np.broadcast_to(np.where(np.triu(np.ones((3, 3))) > 0, 0.0, -np.inf), (2, 3, 3))
    >>> emission = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    >>> latent_monotonic_posterior(emission, forward).round(2)
    array([[1., 0., 0.],
           [1., 0., 0.],
           [1., 0., 0.]])
    """
    emission, transition = with_start(log_emission, log_transition, log_initial)
    alpha, _ = forward(emission, transition)
    return shares(alpha + backward(emission, transition))
