"""Sums over keys with weights that a composition holds."""

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engines import Place


def weighted_sum(here: "Place", weights: Any, value: Any, visible: Any) -> Any:
    """Return the sum of the values that each row sees; what nobody sees is not felt.

    Keys whose value is no number anywhere are rare, and are added one by one to the rows that see them.
    """
    xp = here.xp
    if bool(xp.isfinite(value.sum())):
        return here.part("product", "multiplied", operator.matmul)(weights, value)
    tame = xp.isfinite(value).all(axis=-1)  # (..., n): another head's value does not change this one's sum
    output = xp.where(tame[..., None, :], weights, 0) @ xp.where(tame[..., None], value, 0)
    for j in (j for j, finite in enumerate(tame.all(axis=tuple(range(tame.ndim - 1))).tolist()) if not finite):
        pair = weights[..., :, j, None] * value[..., None, j, :]
        output = xp.where(visible[..., :, j, None] & ~tame[..., None, j, None], output + pair, output)
    return output
