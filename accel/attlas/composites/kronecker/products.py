"""Products of rows, and gates made of products of features."""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionResult

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["high_order_attention", "khatri_rao"]


def khatri_rao(here: "Place", arrays: tuple[Any, ...]) -> Any:
    """Multiply every row so far with every row of the next array."""
    rows, *others = arrays
    for other in others:
        pairs = rows[..., :, None, :] * other[..., None, :, :]  # (..., rows so far, n_r, d)
        rows = pairs.reshape(*pairs.shape[:-3], math.prod(pairs.shape[-3:-1]), pairs.shape[-1])
    return rows if others else rows.copy()


def high_order_attention(here: "Place", x: Any, proj: Any, output_proj: Any, *, return_weights: bool) -> Any:
    """Let the products of each order vote on every channel."""
    xp, orders = here.xp, proj.shape[-4]
    gate: Any = 0
    for r in range(orders):
        product = x @ proj[..., r, 0, :, :]  # (..., n, c)
        for s in range(1, r + 1):
            product = product * (x @ proj[..., r, s, :, :])
        vote = xp.maximum(product, 0) @ output_proj[..., r, :, :]  # (..., n, w)
        gate = gate + 1 / (1 + xp.exp(-vote)) / orders
    output = x * gate
    return AttentionResult(output, gate) if return_weights else output
