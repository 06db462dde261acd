"""Attention as a flow: logits that follow a differential equation, and how far attention travels."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import LengthSteps, with_extras

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["daft_attention", "total_transition_length"]

TERMS = 18
"""Of the series of φ for |λ| < 1."""


def daft_attention(
    here: "Place",
    context: Any,
    question: Any,
    *,
    w_question: Any,
    b_question: Any,
    w_logit: Any,
    b_logit: Any,
    initial: Any,
    method: str,
    substeps: int,
    mask: Any,
    return_weights: bool,
    return_logits: bool,
) -> Any:
    """Find what drives the logits of all steps in one product, go along the steps, and attend with all of them.

    Every method makes a(1) = P a(0) + Q A + R B, with factors of the rate alone. A and B are products of the context
    with a row each, for all steps at once. One logit per step and position remains to be carried.
    """
    xp, dtype, steps, d = here.xp, context.dtype, w_question.shape[0], context.shape[-1]
    keep, constant, slope = (x.astype(dtype)[:, None] for x in _factors(xp, w_logit[:, -1], method, substeps))
    readout = w_logit[:, :-1]  # (S, d)
    through = xp.moveaxis(w_question[:, 1:], 0, 1).reshape(d, steps * d)
    asked = (question[..., None, :] @ through).reshape(*question.shape[:-1], steps, d) + b_question
    across = context.swapaxes(-1, -2)
    # Each product by itself, as large as the reference makes it: mixed rows overflow sooner.
    drive = constant * ((readout * asked) @ across + b_logit[:, None])  # (..., S, n)
    drive = drive + slope * ((readout * w_question[:, 0]) @ across)

    leading = np.broadcast_shapes(
        drive.shape[:-2], *(np.shape(x)[:-1] for x in (initial, mask) if x is not None and np.ndim(x))
    )
    logits = xp.zeros((*leading, steps, context.shape[-2]), dtype=dtype)
    before = initial
    for s in range(steps):
        # A logit depends on its own row of the context alone: those of hidden ones are dropped.
        after = keep[s] * before + drive[..., s, :]
        logits[..., s, :] = after if mask is None else xp.where(mask, after, 0)
        before = logits[..., s, :]
    found = here.softmax_attention(
        xp.zeros((*leading, steps, 1), dtype=dtype),
        xp.zeros((context.shape[-2], 1), dtype=dtype),
        context,
        temperature=1.0,
        scale=1.0,
        mask=None if mask is None else (mask[..., None, :] if mask.ndim else mask),
        bias=logits,
        causal=False,
        return_weights=return_weights,
    )
    output, weights = found if return_weights else (found, None)
    return with_extras(output, weights=weights, logits=logits if return_logits else None)


def _factors(xp: Any, rate: Any, method: str, substeps: int) -> Any:
    """Return P, Q and R of every step, (3, S), in double precision: what a(0), A and B alone lead to."""
    rate = rate.astype("float64")
    if method == "exact":
        return xp.exp(rate), _phi(xp, 1, rate), _phi(xp, 2, rate)
    # One column for each of the three, and each of the others 0.
    a, constant, slope = xp.eye(3, dtype="float64")[..., None]
    h = 1 / substeps

    def change(t: float, now: Any) -> Any:
        return constant + slope * t + rate * now

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


def _phi(xp: Any, k: int, rate: Any) -> Any:
    """Return φ_k of rates, k = 1 or 2: the series near 0, where the closed form is a difference of equal numbers."""
    small = xp.abs(rate) < 1
    near, far = xp.where(small, rate, 0), xp.where(small, 1, rate)
    series = 0 * near
    for power in reversed(range(TERMS)):
        series = series * near + 1 / math.factorial(power + k)
    closed = xp.expm1(far) / far
    return xp.where(small, series, closed if k == 1 else (closed - 1) / far)


def total_transition_length(here: "Place", weights: Any, *, clamp: float, return_steps: bool) -> Any:
    """Add the divergences of neighboring rows up."""
    xp = here.xp
    weights = xp.clip(weights, clamp, 1 - clamp)
    before, after = weights[..., :-1, :], weights[..., 1:, :]  # (..., S-1, n)
    middle = (before + after) / 2
    moved = before * xp.log(before / middle) + after * xp.log(after / middle)
    steps = moved.sum(axis=-1) / (2 * math.log(2))
    length = steps.sum(axis=-1)
    return LengthSteps(length, steps) if return_steps else length
