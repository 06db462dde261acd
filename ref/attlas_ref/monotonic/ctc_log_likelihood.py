r"""CTC: the likelihood of a text when nobody says which frame holds which letter.

A recognizer hears T frames of speech and gives for each the probabilities of V symbols. The text has fewer letters than
there are frames, and nobody has marked where each begins. Connectionist temporal classification adds a *blank* to the
symbols and reads a sequence of T symbols, an *alignment*, as text by a simple rule: equal neighbors are one, then
blanks vanish (`ctc_collapse`). `-hh-e-ll-lo` is read as `hello`; the blank in the middle keeps the two l apart. The
likelihood of a text is the sum over all alignments that are read as it:

$$p(y \mid x) = \sum_{a \,:\, \mathrm{collapse}(a) = y} \; \prod_{t} p_t(a_t), \qquad
  \log p_t(k) = \mathrm{log\_probs}_{tk} .$$

There are exponentially many, but they are the paths of a small lattice. Put blanks around the letters,
$y' = (b, y_1, b, \dots, y_S, b)$. From one frame to the next a path stays in its state s, or moves on by one, or by two
if that passes over a blank between different letters. With $\alpha_t(s)$ the logarithm of what all beginnings that end
in state s weigh together, and $\beta_t(s)$ that of all continuations,

$$\alpha_t(s) = \log p_t(y'_s) + \log \bigl(e^{\alpha_{t-1}(s)} + e^{\alpha_{t-1}(s-1)}
  + [y'_s \ne b,\ y'_s \ne y'_{s-2}]\; e^{\alpha_{t-1}(s-2)}\bigr), \qquad
  \log p = \log \bigl(e^{\alpha_T(2S)} + e^{\alpha_T(2S-1)}\bigr),$$

starting before the first frame with everything in the first blank. The *posterior*, the probability that frame t holds
symbol k given that the text is right,

$$\gamma_t(k) = \sum_{s \,:\, y'_s = k} e^{\alpha_t(s) + \beta_t(s) - \log p} = \frac{\partial \log p}{\partial
  \log p_t(k)},$$

is the gradient of the log likelihood; through a softmax it is $\gamma - \mathrm{softmax}$. It is attention that moves
forward only: each row sums to 1, and its symbols come in the order of the text.

**Numerics.** Along 10,000 frames $\alpha$ falls to millions below 0, where few digits are left for the differences
between states. So $\alpha_t$ and $\beta_t$ are shifted to have the maximum 0, the shifts of $\alpha$ are collected in
$\log p$, and the posterior is normalized at its frame, where every constant drops out.

**Conventions.** Libraries differ in the number of the blank (0 here, the last symbol elsewhere) and in the sign: losses
are $-\log p$, some divided by S. A text that needs more frames than there are (S, and one more for each repeated
letter) has $\log p = -\infty$ and a posterior of zeros, never NaN.
"""

import numpy as np

from ..contract import LikelihoodResult, reference
from ..log_space import continued, log_sum_exp, shares
from ..visibility import Reals
from .ctc import Lattice, Whole, arrivals, lattice_of, level, start_of


@reference
def ctc_log_likelihood(
    log_probs: Reals,
    target: Whole,
    *,
    blank: int = 0,
    input_lengths: Whole | None = None,
    target_lengths: Whole | None = None,
    return_posterior: bool = False,
) -> Reals | LikelihoodResult:
    r"""Sum over all alignments of a target with the frames of an input.

    $$\log p(y \mid x) = \log \sum_{a \,:\, \mathrm{collapse}(a) = y} \exp \sum_t \mathrm{log\_probs}_{t, a_t}$$

    Parameters
    ----------
    log_probs : (..., T, V) real array
        Log probability of each symbol in each frame; need not be normalized.
    target : (..., S) integer array
        The symbols of the text, without blanks.
    blank : int, default 0
        The symbol that is not read.
    input_lengths : (...) integer array, optional
        How many frames count, at most T; what stands behind takes no part.
    target_lengths : (...) integer array, optional
        How many symbols count, at most S; what stands behind takes no part.
    return_posterior : bool, default False
        Return the posterior too.

    Returns
    -------
    log_likelihood : (...) array
        log p; -inf where no alignment fits, and 0 for an empty text without frames.
    posterior : (..., T, V) array
        With `return_posterior` only: as `ctc_posterior`.

    Raises
    ------
    ValueError
        If shapes disagree, a label or `blank` leaves 0 .. V - 1, the target contains the blank, or a length is larger
        than its axis.
    TypeError
        If an array is complex, an object or text, or labels or lengths are not whole numbers.

    Notes
    -----
    Cost: O(T S) time, in T steps of 2S + 1 states; O(T S) memory with the posterior, O(S) without.

    `ctc_viterbi` is the best alignment alone, `ctc_greedy` reads without a target. `linear_chain_marginals` is the
    same sum over labelings of any order. Gradients: the posterior.

    References
    ----------
    Graves, Fernández, Gomez & Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", 2006.

    Examples
    --------
    Three frames, each a fair coin between blank (0) and letter (1). One letter is read from 6 of the 8 alignments, two
    from `1 0 1` alone:

    >>> import numpy as np
    >>> coins = np.log(np.full((3, 2), 0.5))
    >>> [round(8 * float(np.exp(ctc_log_likelihood(coins, text)))) for text in ([], [1], [1, 1])]
    [1, 6, 1]
    """
    lattice = lattice_of(log_probs, target, blank, input_lengths, target_lengths)
    alpha, log_likelihood = _forward(lattice)
    if not return_posterior:
        return log_likelihood
    return LikelihoodResult(log_likelihood, _occupancy(lattice, alpha, log_probs.shape[-1]))


@reference
def ctc_posterior(
    log_probs: Reals,
    target: Whole,
    *,
    blank: int = 0,
    input_lengths: Whole | None = None,
    target_lengths: Whole | None = None,
) -> Reals:
    r"""Tell how often each symbol occurs in each frame among all alignments of a target.

    $$\gamma_t(k) = P(a_t = k \mid \mathrm{collapse}(a) = y) = \partial \log p(y \mid x)\, / \,\partial
      \mathrm{log\_probs}_{tk}$$

    Parameters
    ----------
    log_probs : (..., T, V) real array
        Log probability of each symbol in each frame; need not be normalized.
    target : (..., S) integer array
        The symbols of the text, without blanks.
    blank : int, default 0
        The symbol that is not read.
    input_lengths, target_lengths : (...) integer arrays, optional
        How many frames and symbols count.

    Returns
    -------
    posterior : (..., T, V) array
        Rows sum to 1; zeros past the length, everywhere if no alignment fits, and for symbols that do not occur.

    Raises
    ------
    ValueError, TypeError
        As `ctc_log_likelihood`.

    Notes
    -----
    Cost: O(T S) time and memory, in 2T steps.

    It is the gradient of `ctc_log_likelihood`, which returns it too. With a single alignment left it is that of
    `ctc_viterbi`.

    References
    ----------
    Graves, Fernández, Gomez & Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", 2006.

    Examples
    --------
    Two letters in four frames that say nothing. Of the 15 alignments, how many have a blank (first column) or a letter
    in each frame?

    >>> import numpy as np
    >>> (15 * ctc_posterior(np.zeros((4, 3)), [1, 2])).round()
    array([[ 5., 10.,  0.],
           [ 4.,  8.,  3.],
           [ 4.,  3.,  8.],
           [ 5.,  0., 10.]])
    """
    lattice = lattice_of(log_probs, target, blank, input_lengths, target_lengths)
    return _occupancy(lattice, _forward(lattice)[0], log_probs.shape[-1])


def _forward(lattice: Lattice) -> tuple[Reals, Reals]:
    r"""Return $\alpha$, each up to a constant, (..., T, 2S+1), and $\log p$, (...)."""
    alpha = start_of(lattice)
    alphas, shifts = [], [np.zeros(alpha.shape[:-1], dtype=alpha.dtype)]
    for t in range(lattice.frames.shape[-1]):
        inside = lattice.frames[..., t, None]
        reached = continued(log_sum_exp(arrivals(alpha, lattice.skips), axis=-2), lattice.emissions[..., t, :])
        shift = np.where(inside, level(reached), 0)
        alpha = np.where(inside, reached - shift, alpha)
        alphas.append(alpha)
        shifts.append(shift[..., 0])
    end = log_sum_exp(alpha, where=lattice.ends)
    every = np.stack(alphas, axis=-2) if alphas else lattice.emissions
    return every, end + np.stack(shifts, axis=-1).sum(axis=-1)


def _backward(lattice: Lattice) -> Reals:
    r"""Return $\beta$, each up to a constant, (..., T, 2S+1): 0 in the last two states at the last frame."""
    frames = lattice.frames
    # A path that is read from the end enters its states in the opposite order.
    skips = np.zeros_like(lattice.skips)
    skips[..., 2:] = lattice.skips[..., :1:-1]
    beta = np.where(lattice.ends, 0, -np.inf).astype(lattice.emissions.dtype)
    betas = [beta]
    for t in range(frames.shape[-1] - 1, 0, -1):
        ahead = continued(beta, lattice.emissions[..., t, :])
        reached = log_sum_exp(arrivals(ahead[..., ::-1], skips), axis=-2)[..., ::-1]
        beta = np.where(frames[..., t, None], reached - level(reached), beta)
        betas.append(beta)
    return np.stack(betas[::-1], axis=-2) if frames.shape[-1] else lattice.emissions


def _occupancy(lattice: Lattice, alpha: Reals, v: int) -> Reals:
    """Return how often each of `v` symbols occurs in each frame, (..., T, V): the sum over the states that bear it."""
    beta = _backward(lattice)
    # A state that cannot be reached, or from which the end cannot, has no share, whatever the other side says.
    occupied = shares(np.where((alpha == -np.inf) | (beta == -np.inf), -np.inf, alpha + beta))  # (..., T, 2S+1)
    occupied = np.where(lattice.frames[..., None], occupied, 0)
    posterior = np.zeros((*occupied.shape[:-1], v), dtype=occupied.dtype)
    for state in range(occupied.shape[-1]):
        place = np.broadcast_to(lattice.symbols[..., None, state, None], (*occupied.shape[:-1], 1))
        so_far = np.take_along_axis(posterior, place, axis=-1)
        np.put_along_axis(posterior, place, so_far + occupied[..., state, None], axis=-1)
    return posterior
