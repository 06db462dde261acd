r"""The gradient of the expected alignment.

A path of the pointer passes each pair (i, j) at most once, and there it either stops, with the factor $p_{ij}$, or
moves on, with $1 - p_{ij}$. So $\alpha$ is a straight line in each single $p_{ij}$: the gradient tells what happens for
steps of any size, which is how it is tested.

With $G$ = `grad_output` let $\bar g_{ij}$ be the gradient with respect to $\alpha_{ij}$, through the row itself and
through all later rows, and $\bar q_{ij}$ that with respect to $q_{ij}$, the probability to arrive at (i, j). Reading
the recursion of `monotonic_alignment` backward,

$$\bar q_{ij} = p_{ij}\, \bar g_{ij} + (1 - p_{ij})\, \bar q_{i,j+1}, \qquad
  \bar p_{ij} = q_{ij}\, (\bar g_{ij} - \bar q_{i,j+1}), \qquad
  \bar g_{i-1,j} = G_{i-1,j} + \bar q_{ij} .$$

In words: $\bar q_{ij}$ is what a pointer that stands at (i, j) may still expect to collect. Stopping earns
$\bar g_{ij}$, moving on earns $\bar q_{i,j+1}$, and the gradient of the probability to stop is the difference, as often
as the pointer comes by.

A hidden key has no gradient, and behind the last key there is nothing to earn.
"""

import numpy as np

from ..contract import AlignmentVJP, reference
from ..dotproduct.softmax_attention_vjp import sum_to_shape
from ..visibility import Booleans, Reals
from .monotonic_alignment import allowed_by, arrivals, steps_of


@reference
def monotonic_alignment_vjp(
    p_choose: Reals, grad_output: Reals, *, previous: Reals | None = None, mask: Booleans | None = None
) -> AlignmentVJP:
    r"""Gradients of the expected alignment with respect to the probabilities and the start.

    $$\bar p_{ij} = q_{ij} (\bar g_{ij} - \bar q_{i,j+1}), \qquad
      \bar q_{ij} = p_{ij} \bar g_{ij} + (1 - p_{ij}) \bar q_{i,j+1}, \qquad
      \bar g_{ij} = G_{ij} + \bar q_{i+1,j}$$

    Parameters
    ----------
    p_choose : (..., m, n) real array
        The probability to stop at a key when the pointer is there; between 0 and 1.
    grad_output : (..., m, n) real array
        G: the gradient of a loss with respect to each entry of the alignment.
    previous : (..., n) real array, optional
        Where the pointer is before the first row. Key 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may stop there.

    Returns
    -------
    grad_p_choose : array of the shape of `p_choose`
        Exactly 0 at hidden keys.
    grad_previous : array of the shape of `previous`, or (..., n)
        Also if `previous` is not given: of the start at key 0.

    Raises
    ------
    ValueError
        If a visible probability is not between 0 and 1, or `previous` is negative or sums to more than 1.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 6 m n operations in 2 m n steps, and memory for the m n probabilities to arrive. Both directions are chains of
    affine maps and may be scanned.

    Neighbors: `monotonic_alignment` is what it differentiates; `linear_chain_marginals` is the same idea for chains of
    labels.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
    arXiv 1704.00784.

    Examples
    --------
    A loss that wants the first output at key 1. Key 0 should let it pass, key 1 should stop it, and what comes after
    does not matter:

    >>> import numpy as np
    >>> p, wanted = np.full((1, 3), 0.5), np.array([[0.0, 1.0, 0.0]])
    >>> monotonic_alignment_vjp(p, wanted).grad_p_choose
    array([[-0.5,  0.5,  0. ]])
    """
    p, alpha = steps_of(p_choose, previous, mask)
    visible = allowed_by(mask, p)
    arriving = []
    for i in range(p.shape[-2]):
        arriving.append(arrivals(p[..., i, :], alpha))
        alpha = p[..., i, :] * arriving[-1]

    # What is hidden earns nothing: a NaN there must not be felt.
    earned = np.where(visible, grad_output, 0)  # (..., m, n)
    standing = np.zeros((*earned.shape[:-2], p.shape[-1]), dtype=p.dtype)
    rows = []
    for i in range(p.shape[-2] - 1, -1, -1):
        gain = earned[..., i, :] + standing  # of a stop here, in this row and all below: (..., n)
        standing = _gains(p[..., i, :], gain)
        ahead = np.concatenate([standing[..., 1:], np.zeros_like(standing[..., :1])], axis=-1)
        rows.append(arriving[i] * (gain - ahead))
    grad_p = np.where(visible, np.stack(rows[::-1], axis=-2), 0) if rows else np.zeros_like(earned)
    grad_start = standing if previous is None else sum_to_shape(standing, previous.shape)
    return AlignmentVJP(sum_to_shape(grad_p, p_choose.shape), grad_start)


def _gains(chance: Reals, gain: Reals) -> Reals:
    """Return what a pointer that stands at each key may expect to earn in one row, (..., n)."""
    standing: list[Reals] = []
    for j in range(gain.shape[-1] - 1, -1, -1):
        moved_on = (1 - chance[..., j]) * standing[-1] if standing else 0
        standing.append(chance[..., j] * gain[..., j] + moved_on)
    return np.stack(standing[::-1], axis=-1) if standing else gain
