"""Slots that compete for inputs, step after step, with a gated unit and a network between the steps."""

from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..pointwise import sigmoid

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["conditional_slot_attention", "slot_attention"]


def slot_attention(
    here: "Place",
    inputs: Any,
    slots: Any,
    *,
    w_key: Any,
    b_key: Any,
    w_value: Any,
    b_value: Any,
    norm_input_gain: Any,
    norm_input_bias: Any,
    mask: Any,
    **options: Any,
) -> Any:
    """Project the inputs once, and let the slots compete for them."""
    x = _layer_norm(here.xp, inputs, norm_input_gain, norm_input_bias)  # (..., n, D)
    seen = None if mask is None else mask[..., None, :]
    return _refined(here, x @ w_key + b_key, x @ w_value + b_value, slots, mask=seen, rectified=False, **options)


def conditional_slot_attention(
    here: "Place", key: Any, value: Any, slots: Any, *, mlp_output_relu: bool, **options: Any
) -> Any:
    """Give every draw the same keys and values."""
    draws = key[..., None, :, :], value[..., None, :, :]
    return _refined(here, *draws, slots, mask=None, rectified=mlp_output_relu, return_weights=False, **options)


def _refined(
    here: "Place",
    key: Any,
    value: Any,
    slots: Any,
    *,
    w_query: Any,
    b_query: Any,
    gru_w_input: Any,
    gru_w_hidden: Any,
    gru_b_input: Any,
    gru_b_hidden: Any,
    mlp_w1: Any,
    mlp_b1: Any,
    mlp_w2: Any,
    mlp_b2: Any,
    norm_slots_gain: Any,
    norm_slots_bias: Any,
    norm_mlp_gain: Any,
    norm_mlp_bias: Any,
    steps: int,
    eps: float,
    mask: Any,
    rectified: bool,
    return_weights: bool,
) -> Any:
    """Return slots (..., k, d) after some steps; `rectified`: a ReLU behind the network too."""
    xp = here.xp

    def read(slots: Any, with_weights: bool) -> Any:
        query = _layer_norm(xp, slots, norm_slots_gain, norm_slots_bias) @ w_query + b_query  # (..., k, d)
        return here.competitive_attention(
            query, key, value, eps=eps, scale=None, mask=mask, bias=None, return_weights=with_weights
        )

    leading = np.broadcast_shapes(key.shape[:-2], value.shape[:-2], slots.shape[:-2])
    slots = xp.broadcast_to(slots, (*leading, *slots.shape[-2:])).copy()
    weights = read(slots, True).weights if steps == 0 and return_weights else None
    for step in range(steps):
        kept = return_weights and step == steps - 1
        update = read(slots, kept)
        if kept:
            update, weights = update
        slots = _gated(xp, update @ gru_w_input + gru_b_input, slots @ gru_w_hidden + gru_b_hidden, slots)
        hidden = xp.maximum(_layer_norm(xp, slots, norm_mlp_gain, norm_mlp_bias) @ mlp_w1 + mlp_b1, 0)
        change = hidden @ mlp_w2 + mlp_b2
        slots = slots + (xp.maximum(change, 0) if rectified else change)
    return AttentionResult(slots, weights) if return_weights else slots


def _layer_norm(xp: Any, x: Any, gain: Any, bias: Any) -> Any:
    width = max(x.shape[-1], 1)
    centered = x - x.sum(axis=-1)[..., None] / width
    variance = (centered * centered).sum(axis=-1)[..., None] / width
    return gain * centered / xp.sqrt(variance + 1e-5) + bias


def _gated(xp: Any, from_input: Any, from_hidden: Any, hidden: Any) -> Any:
    """Return the next state of a gated recurrent unit from what its two maps say, (..., k, 3d)."""
    d = hidden.shape[-1]
    i_n, h_n = from_input[..., 2 * d :], from_hidden[..., 2 * d :]
    gates = sigmoid(xp, from_input[..., : 2 * d] + from_hidden[..., : 2 * d])
    r, z = gates[..., :d], gates[..., d:]
    return (1 - z) * xp.tanh(i_n + r * h_n) + z * hidden
