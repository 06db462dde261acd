"""Energies that look ahead, by what a language model expects."""

import math
from typing import TYPE_CHECKING, Any

from ..pointwise import sigmoid

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["lm_augmented_monotonic_energy"]


def lm_augmented_monotonic_energy(
    here: "Place",
    query: Any,
    key: Any,
    future: Any,
    *,
    w_query: Any,
    w_key: Any,
    w_future: Any,
    w_future_key: Any,
    r: float,
    mix: float,
    noise: Any,
    mask: Any,
    return_probability: bool,
) -> Any:
    """Mix the energies of the decoder's state and of what a language model expects."""
    xp, scale = here.xp, 1 / math.sqrt(w_query.shape[-1])
    present = scale * ((query @ w_query) @ (key @ w_key).swapaxes(-1, -2))  # (..., m, n)
    expected = scale * ((future @ w_future) @ (key @ w_future_key).swapaxes(-1, -2))
    energy = (1 - mix) * present + mix * expected + r
    if noise is not None:
        energy = energy + noise.astype(energy.dtype)
    if mask is not None:
        energy = xp.where(mask, energy, -math.inf)
    return sigmoid(xp, energy) if return_probability else energy
