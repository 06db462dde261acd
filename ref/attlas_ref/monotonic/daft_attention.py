r"""DAFT: attention that flows from one step of a reasoning to the next.

A model that answers a question about a picture looks around in S steps, and usually decides at each step anew where to
look. People do not: their gaze moves on from where it is. DAFT makes the logits $a_j$ of attention move by a
differential equation. During step s, while time t runs from 0 to 1, the logit of position j with the content
`context` $c_j$ changes as

$$\frac{d a_j}{dt} = w_s \cdot \bigl(([t;\, q]\, W_s + b_s) \odot c_j\bigr) + \lambda_s a_j + \beta_s,$$

with q = `question`, $W_s$ = `w_question`, $b_s$ = `b_question`, $(w_s, \lambda_s)$ = `w_logit`, $\beta_s$ = `b_logit`.
At the end of the step $\alpha = \mathrm{softmax}(a(1))$ reads $\sum_j \alpha_j c_j$, and the logits stay: the next
step starts from them.

The equation is linear in the logit, so there is no need for a solver. Row 0 of $W_s$ belongs to the time t; sorted by
it the right side is $A_j + B_j t + \lambda a_j$ with

$$A_j = w \cdot \bigl((q\, W_{1:} + b) \odot c_j\bigr) + \beta, \qquad B_j = w \cdot (W_0 \odot c_j),$$

$$a_j(1) = e^\lambda a_j(0) + \varphi_1(\lambda) A_j + \varphi_2(\lambda) B_j, \qquad
  \varphi_1 = \frac{e^\lambda - 1}{\lambda}, \quad \varphi_2 = \frac{e^\lambda - 1 - \lambda}{\lambda^2} .$$

Near $\lambda = 0$ both are differences of almost equal numbers; there they are summed as series,
$\varphi_k = \sum_l \lambda^l / (l + k)!$. The paper integrates numerically; `method` offers Euler's steps and the
classical ones of Runge and Kutta beside the exact solution.

`total_transition_length` measures how far such an attention moves.
"""

import math
from typing import Any

import numpy as np

from ..contract import reference, with_extras
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, weighted_sum

TERMS = 18
"""Of the series for |λ| < 1: the next is below 1/19!, far below rounding."""


@reference
def daft_attention(
    context: Reals,
    question: Reals,
    *,
    w_question: Reals,
    b_question: Reals,
    w_logit: Reals,
    b_logit: Reals,
    initial: float | Reals = 0.0,
    method: str = "exact",
    substeps: int = 1,
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_logits: bool = False,
) -> Any:
    r"""Read a context in steps, with logits that follow a differential equation.

    $$\frac{d a_j}{dt} = w_s \cdot \bigl(([t;\, q]\, W_s + b_s) \odot c_j\bigr) + \lambda_s a_j + \beta_s, \qquad
      \mathrm{out}_s = \sum_j \mathrm{softmax}(a(1))_j\, c_j$$

    Parameters
    ----------
    context : (..., n, d) real array
        What there is to look at, one row per position.
    question : (..., d) real array
        What is asked.
    w_question : (S, d+1, d) real array
        $W_s$: row 0 multiplies the time, the others the question.
    b_question : (S, d) real array
        $b_s$.
    w_logit : (S, d+1) real array
        $w_s$, and last $\lambda_s$, the rate at which a logit grows by itself.
    b_logit : (S,) real array
        $\beta_s$.
    initial : float or (..., n) real array, default 0
        The logits before the first step.
    method : {"exact", "rk4", "euler"}, default "exact"
        How the equation is solved.
    substeps : int, default 1
        Into how many equal parts "rk4" and "euler" cut a step.
    mask : (..., n) boolean array, optional
        True = may attend.
    return_weights, return_logits : bool, default False
        Return the weights, the logits too.

    Returns
    -------
    output : (..., S, d) array
        What each step reads; zeros where nothing is visible.
    weights : (..., S, n) array
        With `return_weights` only: after each step.
    logits : (..., S, n) array
        With `return_logits` only: a(1) of each step, 0 at hidden positions.

    Raises
    ------
    ValueError
        If shapes disagree, `substeps` is below 1 or `method` is unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 3 S n d multiplications; the equation costs S n for the exact method and 4 S n `substeps` for "rk4".

    Neighbors: with $\lambda = 0$ and one step it is attention with the query $w \odot (q W + b)$ over `context` as key
    and value. To go on later, hand the last logits over as `initial`.

    References
    ----------
    Kim et al., "Learning Dynamics of Attention: Human Prior for Interpretable Machine Reasoning", 2019, arXiv
    1905.11666.

    Examples
    --------
    Three steps without news ($A = B = 0$). With $\lambda < 0$ attention forgets where it was, and spreads:

    >>> import numpy as np
    >>> free = {"w_question": np.zeros((3, 2, 1)), "b_question": np.zeros((3, 1)), "b_logit": np.zeros(3)}
    >>> w_logit = np.tile([0.0, -1.0], (3, 1))
    >>> start = {"initial": np.array([4.0, 0.0]), "return_weights": True}
    >>> daft_attention(np.ones((2, 1)), [1.0], **free, w_logit=w_logit, **start).weights.round(2)
    array([[0.81, 0.19],
           [0.63, 0.37],
           [0.55, 0.45]])
    """
    visible = np.asarray(True) if mask is None else mask
    logits = np.where(visible, initial, np.zeros(context.shape[:-1], dtype=context.dtype))  # (..., n)
    found = []
    for w, b, weight, bias in zip(w_question, b_question, w_logit, b_logit, strict=True):
        readout, rate = weight[:-1], weight[-1]
        asked = readout * ((question[..., None, :] @ w[1:])[..., 0, :] + b)  # (..., d)
        constant = (context @ asked[..., None])[..., 0] + bias  # A
        slope = context @ (readout * w[0])  # B
        # A logit depends on its own row of the context alone: those of hidden ones are dropped.
        logits = np.where(visible, _solved(logits, constant, slope, rate, method, substeps), 0)
        found.append(logits)

    batch = np.broadcast_shapes(context.shape[:-2], question.shape[:-1], logits.shape[:-1])
    whole = (*batch, context.shape[-2])
    steps = np.zeros((*batch, len(found), context.shape[-2]), dtype=context.dtype)
    if found:
        steps = np.stack([np.broadcast_to(each, whole) for each in found], axis=-2)
    visible = np.broadcast_to(visible, whole)[..., None, :]  # (..., 1, n)
    weights = softmax_weights(steps, visible)
    output = weighted_sum(weights, context, visible)  # (..., S, d)
    return with_extras(output, weights=weights if return_weights else None, logits=steps if return_logits else None)


def _solved(start: Reals, constant: Reals, slope: Reals, rate: Reals, method: str, substeps: int) -> Reals:
    r"""Return $a(1)$ of $\dot a = A + B t + \lambda a$."""
    if method == "exact":
        return np.exp(rate) * start + _phi(1, rate) * constant + _phi(2, rate) * slope

    def change(t: float, a: Reals) -> Reals:
        return constant + slope * t + rate * a

    a, h = start, 1 / substeps
    for step in range(substeps):
        t = step * h
        first = change(t, a)
        if method == "euler":
            a = a + h * first
        else:
            second = change(t + h / 2, a + h / 2 * first)
            third = change(t + h / 2, a + h / 2 * second)
            fourth = change(t + h, a + h * third)
            a = a + h / 6 * (first + 2 * second + 2 * third + fourth)
    return a


def _phi(k: int, rate: Reals) -> Reals:
    r"""Return $\varphi_k(\lambda)$ for k = 1 or 2."""
    if abs(rate) < 1:
        total = 0 * rate
        for power in reversed(range(TERMS)):
            total = total * rate + 1 / math.factorial(power + k)
        return total
    first = np.expm1(rate) / rate
    return first if k == 1 else (first - 1) / rate
