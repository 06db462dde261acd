"""Sums over keys with weights that a composition holds."""

from typing import Any


def weighted_sum(xp: Any, weights: Any, value: Any, visible: Any) -> Any:
    """Return the sum of the values that each row sees; what nobody sees is not felt.

    Keys whose value is no number anywhere are rare, and are added one by one to the rows that see them.
    """
    if bool(xp.isfinite(value.sum())):
        return weights @ value
    tame = xp.isfinite(value).all(axis=(*range(value.ndim - 2), value.ndim - 1))  # (n,)
    output = weights @ xp.where(tame[:, None], value, 0)
    for j in (j for j, finite in enumerate(tame.tolist()) if not finite):
        pair = weights[..., :, j, None] * value[..., None, j, :]
        output = output + xp.where(visible[..., :, j, None], pair, 0)
    return output
