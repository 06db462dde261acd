"""Slots that compete for inputs, step after step, with a gated unit and a network between the steps."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..pointwise import sigmoid

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["conditional_slot_attention", "slot_attention"]

FLOOR = 1e-5
"""What is added to the variance of a row."""

Contest = Callable[[Any, bool], tuple[Any, Any]]
"""Of queries (..., k, d) and whether weights are asked for, what each wins (..., k, e) and the weights or None."""


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
    eps: float,
    steps: int,
    **options: Any,
) -> Any:
    """Let the slots compete for the projected inputs.

    K = x M and V = x N, with x the normalized inputs and a column of ones, and M and N the maps with all that the norm
    and the biases add. So a score is (q Mᵀ) · x, and a reading (Σ_j w_ij x_j) N: few slots take less to map than many
    inputs, and K and V are never made. Where there are so many slots that it takes more, the inputs are mapped.
    """
    xp, width, d = here.xp, inputs.shape[-1], slots.shape[-1]
    key_map, value_map = (
        xp.concatenate([norm_input_gain[:, None] * w, (norm_input_bias @ w + b)[None]])  # (D + 1, d)
        for w, b in ((w_key, b_key), (w_value, b_value))
    )
    rules = {"mask": None if mask is None else mask[..., None, :], "eps": eps, "scale": 1 / math.sqrt(d)}
    leading = np.broadcast_shapes(inputs.shape[:-2], slots.shape[:-2])
    readings_of_an_input = steps * math.prod(leading) * slots.shape[-2] / max(math.prod(inputs.shape[:-2]), 1)
    if readings_of_an_input * (width + 1 - d) > width * d:
        x = here.part("probabilistic", "normalized_with_ones", partial(_normalized_with_ones, xp))(inputs)
        contest = _competition(here, x @ key_map, x @ value_map, **rules)
        return _refined(xp, contest, leading, slots, rectified=False, steps=steps, **options)

    for_inputs: Contest = here.part("probabilistic", "competition", partial(_normal_competition, here))(inputs, **rules)

    def mapped_contest(query: Any, with_weights: bool) -> tuple[Any, Any]:
        update, weights = for_inputs(query @ key_map.T, with_weights)
        # A slot that reads nothing reads zeros, also by a map that is not finite.
        return xp.where(update[..., -1:] == 0, xp.zeros_like(update[..., :1]), update @ value_map), weights

    return _refined(xp, mapped_contest, leading, slots, rectified=False, steps=steps, **options)


def conditional_slot_attention(
    here: "Place", key: Any, value: Any, slots: Any, *, eps: float, mlp_output_relu: bool, **options: Any
) -> Any:
    """Give every draw the same keys and values."""
    key, value = key[..., None, :, :], value[..., None, :, :]
    contest = _competition(here, key, value, mask=None, eps=eps, scale=1 / math.sqrt(slots.shape[-1]))
    leading = np.broadcast_shapes(key.shape[:-2], value.shape[:-2], slots.shape[:-2])
    return _refined(here.xp, contest, leading, slots, rectified=mlp_output_relu, return_weights=False, **options)


def _competition(here: "Place", key: Any, value: Any, **rules: Any) -> Contest:
    """Let slots compete for values."""

    def contest(query: Any, with_weights: bool) -> tuple[Any, Any]:
        result = here.competitive_attention(query, key, value, bias=None, return_weights=with_weights, **rules)
        return result if with_weights else (result, None)

    return contest


def _normal_competition(here: "Place", inputs: Any, **rules: Any) -> Contest:
    """Let slots compete for normalized inputs, and a 1 behind each."""
    x = _normalized_with_ones(here.xp, inputs)
    return _competition(here, x, x, **rules)


def _refined(
    xp: Any,
    contest: Contest,
    leading: tuple[int, ...],
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
    rectified: bool,
    return_weights: bool,
) -> Any:
    """Return slots (..., k, d) after some steps; `rectified`: a ReLU behind the network too."""

    def read(slots: Any, with_weights: bool) -> tuple[Any, Any]:
        return contest(_layer_norm(xp, slots, norm_slots_gain, norm_slots_bias) @ w_query + b_query, with_weights)

    slots = xp.broadcast_to(slots, (*leading, *slots.shape[-2:])).copy()
    weights = read(slots, True)[1] if steps == 0 and return_weights else None
    for step in range(steps):
        update, weights = read(slots, return_weights and step == steps - 1)
        slots = _gated(xp, update @ gru_w_input + gru_b_input, slots @ gru_w_hidden + gru_b_hidden, slots)
        hidden = xp.maximum(_layer_norm(xp, slots, norm_mlp_gain, norm_mlp_bias) @ mlp_w1 + mlp_b1, 0)
        change = hidden @ mlp_w2 + mlp_b2
        slots = slots + (xp.maximum(change, 0) if rectified else change)
    return AttentionResult(slots, weights) if return_weights else slots


def _layer_norm(xp: Any, x: Any, gain: Any, bias: Any) -> Any:
    rows = x.copy()
    _normalize(xp, rows)
    return gain * rows + bias


def _normalized_with_ones(xp: Any, x: Any) -> Any:
    """Return rows of mean 0 and variance 1, and a 1 behind each."""
    rows = xp.empty((*x.shape[:-1], x.shape[-1] + 1), dtype=x.dtype)
    rows[..., :-1], rows[..., -1] = x, 1
    _normalize(xp, rows[..., :-1])
    return rows


def _normalize(xp: Any, rows: Any) -> None:
    """Give rows the mean 0 and the variance 1, where they are: there may be many."""
    width = max(rows.shape[-1], 1)
    rows -= rows.sum(axis=-1)[..., None] / width
    rows /= xp.sqrt(xp.vecdot(rows, rows)[..., None] / width + FLOOR)


def _gated(xp: Any, from_input: Any, from_hidden: Any, hidden: Any) -> Any:
    """Return the next state of a gated recurrent unit from what its two maps say, (..., k, 3d)."""
    d = hidden.shape[-1]
    i_n, h_n = from_input[..., 2 * d :], from_hidden[..., 2 * d :]
    gates = sigmoid(xp, from_input[..., : 2 * d] + from_hidden[..., : 2 * d])
    r, z = gates[..., :d], gates[..., d:]
    return (1 - z) * xp.tanh(i_n + r * h_n) + z * hidden
