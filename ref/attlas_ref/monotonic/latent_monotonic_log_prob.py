r"""The alignment as a hidden variable: sum over all of them.

Attention mixes source positions because it does not know which one is meant. The other way is to say that exactly one
is meant at every step, that nobody has seen which, and to sum over the possibilities. Output step $i$ is aligned to one
position $t_i$; the alignment moves by one model and each output is emitted by another, and what was said is as likely
as all alignments together make it:

$$p(y \mid x) = \sum_{t_0, \dots, t_{N-1}} p(t_0)\, p(y_0 \mid t_0) \prod_{i \ge 1} p(t_i \mid t_{i-1})\,
  p(y_i \mid t_i).$$

`log_emission` holds $\log p(y_i \mid t_i = t)$, `log_transition` $\log p(t_{i+1} = t \mid t_i = s)$ with row $s$ and
column $t$, `log_initial` $\log p(t_0)$. The alignment is **monotonic** if it cannot go back: transitions to $t < s$ are
$-\infty$ (weakly), or those to $t \le s$ (strictly). `monotonic_position_log_prob` makes such transitions; here any
will do.

There are $T^N$ alignments. The sum is carried along instead: $a_i(t)$ is the logarithm of what all beginnings weigh
that are at $t$ in step $i$,

$$a_0(t) = \log p(t_0 = t) + \log p(y_0 \mid t), \qquad
  a_i(t) = \log p(y_i \mid t) + \log \sum_s e^{a_{i-1}(s) + \log p(t_i = t \mid t_{i-1} = s)},$$

and $\log p(y \mid x) = \log \sum_t e^{a_{N-1}(t)}$. It is the forward pass of a hidden Markov model, and of
`linear_chain_marginals` with labels that are positions. The **posterior** $p(t_i = t \mid y)$ is what soft attention
would have to be, if it were to tell the truth about the alignment (`latent_monotonic_posterior`).

**When it is exact.** Only while the emission of step i depends on the alignment through $t_i$ alone. The paper's
decoder is recurrent, remembers all of $t_0 \dots t_{i-1}$, and cannot be summed; it is trained with the best alignment
in place of the sum (`latent_monotonic_viterbi`), found by beam search.

**Numerics.** Over 10,000 steps $a$ grows into the millions, where few digits are left for the differences between
positions. So each $a_i$ is shifted to sum to 1 (as $\sum e^a$), and the shifts add up to the result.
"""

import numpy as np

from ..contract import LikelihoodResult, reference
from ..log_space import finite_or_zero, log_sum_exp, shares
from ..visibility import Reals


@reference
def latent_monotonic_log_prob(
    log_emission: Reals, log_transition: Reals, log_initial: Reals | None = None, *, return_posterior: bool = False
) -> Reals | LikelihoodResult:
    r"""Log likelihood of an output, summed over all alignments.

    $$\log p(y \mid x) = \log \sum_{t_0 \dots t_{N-1}} \exp\Bigl(\mathrm{init}(t_0) + \sum_i \mathrm{em}_i(t_i)
      + \sum_{i \ge 1} \mathrm{tr}_{i-1}(t_{i-1}, t_i)\Bigr)$$

    Parameters
    ----------
    log_emission : (..., N, T) real array
        em: the logarithm of the probability of output i at each position; $-\infty$ is impossible.
    log_transition : (..., N-1, T, T) real array
        tr: of the step from position s (row) to position t (column). None of the numbers needs to be normalized.
    log_initial : (..., T) real array, optional
        init: of the first position; 0 if not given.
    return_posterior : bool, default False
        Return where the alignment is at each step, too.

    Returns
    -------
    log_prob : (...) array
        $-\infty$ if no alignment is possible, 0 for an output of length 0.
    posterior : (..., N, T) array
        With `return_posterior` only: $p(t_i = t \mid y)$, as `latent_monotonic_posterior` has it.

    Raises
    ------
    ValueError
        If shapes disagree, or a number is NaN or $+\infty$.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: N T² exponentials in N steps. Where the transitions come from `monotonic_position_log_prob` a sum over a
    prefix does it with N T. Gradients: of the emissions the posterior, of the transitions that of pairs.

    Neighbors: `linear_chain_marginals` is the same sum over labels. `ctc_log_likelihood` has fixed transitions,
    `monotonic_alignment` sums over alignments whose moves depend on the position alone.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710.

    Examples
    --------
    Three positions and two outputs that go forward: the alignments 01, 02 and 12 are left of nine.

    >>> import numpy as np
    >>> forward = np.where(np.triu(np.ones((3, 3)), 1) > 0, 0.0, -np.inf)
    >>> log_prob, posterior = latent_monotonic_log_prob(np.zeros((2, 3)), forward[None], return_posterior=True)
    >>> round(float(np.exp(log_prob)), 6)
    3.0
    >>> posterior.round(2)
    array([[0.67, 0.33, 0.  ],
           [0.  , 0.33, 0.67]])
    """
    emission, transition = with_start(log_emission, log_transition, log_initial)
    alpha, log_prob = forward(emission, transition)  # (..., N, T), (...)
    if not return_posterior:
        return log_prob
    return LikelihoodResult(log_prob, shares(alpha + backward(emission, transition)))


def with_start(log_emission: Reals, log_transition: Reals, log_initial: Reals | None) -> tuple[Reals, Reals]:
    """Return emissions, the first of them with the start added, and transitions, with all leading axes."""
    start = np.zeros(log_emission.shape[-1:], dtype=log_emission.dtype) if log_initial is None else log_initial
    batch = np.broadcast_shapes(log_emission.shape[:-2], log_transition.shape[:-3], start.shape[:-1])
    first = log_emission[..., :1, :] + start[..., None, :]
    rest = log_emission[..., 1:, :]
    emission = [np.broadcast_to(part, (*batch, *part.shape[-2:])) for part in (first, rest)]
    return np.concatenate(emission, axis=-2), np.broadcast_to(log_transition, (*batch, *log_transition.shape[-3:]))


def forward(emission: Reals, transition: Reals) -> tuple[Reals, Reals]:
    """Return a, shifted to sum to 1 (as exponentials), (..., N, T), and the log likelihood, (...)."""
    alphas: list[Reals] = []
    shifts: list[Reals] = []
    for i in range(emission.shape[-2]):
        alpha = emission[..., i, :]
        if i:
            alpha = alpha + log_sum_exp(alphas[-1][..., :, None] + transition[..., i - 1, :, :], axis=-2)
        shift = log_sum_exp(alpha, keepdims=True)
        alphas.append(alpha - finite_or_zero(shift))
        shifts.append(shift)
    if not alphas:
        return emission, np.zeros(emission.shape[:-2], dtype=emission.dtype)
    return np.stack(alphas, axis=-2), np.concatenate(shifts, axis=-1).sum(axis=-1)


def backward(emission: Reals, transition: Reals) -> Reals:
    """Return b, the logarithm of what all continuations from each position weigh, up to a constant per step.

    It is 0 at the last step, (..., N, T).
    """
    betas = [np.zeros_like(emission[..., :1, :])[..., 0, :]] if emission.shape[-2] else []
    for i in range(emission.shape[-2] - 2, -1, -1):
        ahead = emission[..., i + 1, :] + betas[-1]
        beta = log_sum_exp(transition[..., i, :, :] + ahead[..., None, :], axis=-1)
        betas.append(beta - finite_or_zero(log_sum_exp(beta, keepdims=True)))
    return np.stack(betas[::-1], axis=-2) if betas else emission
