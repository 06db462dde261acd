r"""How far attention travels: the sum of its moves from step to step.

A reasoning that jumps around is hard to follow, even if it ends well. The total transition length measures it: the
distance between the attentions of neighboring steps, summed over all steps. The distance is the divergence of Jensen
and Shannon in bits, from 0 (the gaze rests) to 1 (it moves to entirely different places),

$$\mathrm{TLT} = \sum_{s \ge 1} \mathrm{JS}_2(\alpha_s, \alpha_{s-1}), \qquad
  \mathrm{JS}_2(p, q) = \frac{1}{2 \ln 2} \sum_j \Bigl(p_j \ln \frac{p_j}{m_j} + q_j \ln \frac{q_j}{m_j}\Bigr),
  \qquad m = \frac{p + q}{2} .$$

Weights are first clamped to [`clamp`, 1 - `clamp`], as the official code does, so that no logarithm is infinite; the
sums then differ from 1 by n clamps at most, and so may a move. The official code prepares a uniform attention before
the first step, too, but does not use it.
"""

import math

import numpy as np

from ..contract import LengthSteps, reference
from ..visibility import Reals


@reference
def total_transition_length(weights: Reals, *, clamp: float = 1e-10, return_steps: bool = False) -> Reals | LengthSteps:
    r"""Sum the Jensen–Shannon divergences between the attentions of neighboring steps.

    $$\sum_{s \ge 1} \mathrm{JS}(\alpha_s, \alpha_{s-1}) / \ln 2$$

    Parameters
    ----------
    weights : (..., S, n) real array
        The attention of each step over the same n positions.
    clamp : float, default 1e-10
        Weights below it are raised to it, and those above 1 less it are lowered; between 0 and 1/2.
    return_steps : bool, default False
        Return the length of each move too.

    Returns
    -------
    length : (...) array
        In bits: 0 if attention rests, at most S - 1 up to the clamp; 0 for one step or none.
    steps : (..., S-1) array
        With `return_steps` only: how far each step moves.

    Raises
    ------
    ValueError
        If `clamp` is not between 0 and 1/2.
    TypeError
        If `weights` is complex, an object or text.

    Notes
    -----
    Cost: 3 S n logarithms. Gradients: of a move by p, $\frac12 \ln(p / m) / \ln 2$ per position.

    It is the measure by which `daft_attention` is judged.

    References
    ----------
    Kim et al., "Learning Dynamics of Attention: Human Prior for Interpretable Machine Reasoning", 2019, arXiv
    1905.11666.

    Examples
    --------
    A jump, a rest, half a jump:

    >>> import numpy as np
    >>> gaze = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    >>> total_transition_length(gaze, return_steps=True).steps.round(3)
    array([1.   , 0.   , 0.311])
    """
    weights = np.clip(weights, clamp, 1 - clamp)
    before, after = weights[..., :-1, :], weights[..., 1:, :]  # (..., S-1, n)
    middle = (before + after) / 2
    moved = before * np.log(before / middle) + after * np.log(after / middle)
    steps = moved.sum(axis=-1) / (2 * math.log(2))
    return LengthSteps(steps.sum(axis=-1), steps) if return_steps else steps.sum(axis=-1)
