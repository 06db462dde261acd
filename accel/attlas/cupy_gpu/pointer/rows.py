"""Softmax of whole rows, of which some entries are hidden."""

import math
from typing import Any


def masked_softmax(xp: Any, scores: Any, visible: Any) -> Any:
    """Return the softmax of each row over what is visible, 0 elsewhere; None shows everything."""
    scores = scores if visible is None else xp.where(visible, scores, -math.inf)
    top = scores.max(axis=-1, keepdims=True)
    # A row without any finite score has no shift; 0 keeps exp(-inf - 0) = 0 where -inf - -inf would be NaN.
    weights = xp.exp(scores - xp.where(top == -math.inf, 0, top))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / xp.where(total == 0, 1, total)
    # A visible NaN makes the total NaN; what is hidden in its row stays 0.
    return weights if visible is None else xp.where(visible, weights, 0)


def masked_log_softmax(xp: Any, scores: Any, visible: Any) -> Any:
    """Return its logarithm, -inf where nothing is possible."""
    scores = scores if visible is None else xp.where(visible, scores, -math.inf)
    top = scores.max(axis=-1, keepdims=True)
    top = xp.where(abs(top) == math.inf, 0, top)
    total = xp.log(xp.exp(scores - top).sum(axis=-1, keepdims=True)) + top
    nothing = total == -math.inf
    logs = xp.where(nothing, -math.inf, scores - xp.where(nothing, 0, total))
    return logs if visible is None else xp.where(visible, logs, -math.inf)
