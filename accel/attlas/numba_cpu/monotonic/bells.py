"""One bell on the unit interval whose place is fed back, on the CPU: two formulations.

What a state says (steps, widths, gates) is computed first, some numbers per step; `bell_steps` takes the steps.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from attlas_ref.contract import with_extras

from ...no_values import also_without_values
from ..attention import kernels_of
from ..launch import launch
from ..operands import Array, lay, lean
from ..product import multiplied
from .bell_steps import Sizes, build_bell_steps
from .steps import ROWS, lay_mask, lay_result, room_of_sums, values_of

__all__ = ["location_attender", "monotonic_location_attention"]

LEAST_WIDTH = 0.27
"""Of a bell, in keys."""
EXPONENTIAL = 16
"""What an exponential costs, in multiply-adds."""


class Walk(NamedTuple):
    """What the steps of a call are made of: arrays (..., m), or numbers."""

    ahead: Array
    state: Array
    """(..., m, d)"""
    w_sigma: Array
    factor: Array | float = 1.0
    place: Array | float = 0.0
    clamp: bool = False
    bell_alone: bool = False
    gate: Array | None = None
    asked: Array | None = None
    key: Array | None = None


def _along(state: Array, w: Array) -> Array:
    """Return the dot products of states (..., m, d) with one vector (..., d)."""
    products: Array = (state @ w[..., None])[..., 0]
    return products


def _state(query: Array, w_state: Array, b_state: Array) -> Array:
    """Return the states of the locator, (..., m, d)."""
    return multiplied(lean(query), w_state) + b_state[..., None, :]


def _softstair(r: Array, temperature: float) -> Array:
    whole = np.floor(r)
    return np.asarray(whole + expit(temperature * (r - whole - 0.5)))


def _run(
    query: Array,
    value: Array,
    walk: Walk,
    previous: Array | None,
    mask: Array | None,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """Take all steps."""
    dtype, m, values = query.dtype, query.shape[-2], values_of(value, mask)
    past = np.zeros((), dtype=dtype) if previous is None else previous
    count = np.full((1,), values.n) if mask is None else np.broadcast_to(mask, _columns(mask, values.n)).sum(axis=-1)
    count = np.maximum(np.atleast_1d(count), 1)  # (..., m or 1)
    spacing = (1 / np.maximum(count - 1, 1)).astype(dtype)
    width = (np.maximum(_along(walk.state, walk.w_sigma), 0) + LEAST_WIDTH) / count.astype(dtype)
    asked, key = walk.asked, walk.key
    rows = [(*past.shape, 1), (*query.shape[:-2], m), walk.ahead.shape, width.shape, spacing.shape]
    if asked is not None and key is not None and walk.gate is not None:
        asked = asked * dtype.type(1 / np.sqrt(key.shape[-1]))
        rows += [walk.gate.shape, (*asked.shape[:-2], 1), (*key.shape[:-2], 1)]
    leading = np.broadcast_shapes(*rows)[:-1]
    batch = np.broadcast_shapes(leading, value.shape[:-2])
    output, position = np.empty((*batch, m, values.e), dtype=dtype), np.empty((*leading, m, 1), dtype=dtype)
    weights = np.empty((*leading, m, values.n), dtype=dtype) if return_weights else None
    none = np.zeros((0, 0), dtype=dtype)
    d = 0 if key is None else key.shape[-1]
    sizes = Sizes(
        m, *values, d, int(walk.clamp), int(walk.bell_alone), int(return_weights), int(walk.gate is not None)
    )  # fmt: skip
    numbers = (walk.ahead, spacing, width, walk.factor, walk.place, 0.0 if walk.gate is None else walk.gate)
    operands = [
        *(lay(np.atleast_1d(np.asarray(number, dtype=dtype))[..., None], batch) for number in numbers),
        lay(past[..., None, None], batch),
        *(lay(none if x is None else x, batch) for x in (asked, key)),
        lay(value, batch),
        *(lay_result(x, batch, dtype) for x in (weights, position)),
        lay_mask(mask, batch),
    ]
    across, members = -(-values.n // values.width) * values.width, int(np.prod(batch))
    launch(
        kernels_of(build_bell_steps, dtype),
        members,
        operands,
        (output, *sizes),
        (
            ROWS * values.n, ROWS * across if d else 0, d * across, values.n, values.n, values.n * values.lanes,
            room_of_sums(values.lanes),
        ),
        dtype,
        members * m * values.n * (EXPONENTIAL + d + values.e),
    )  # fmt: skip
    return with_extras(output, weights=weights, position=position[..., 0] if return_position else None)


def _columns(mask: Array, n: int) -> tuple[int, ...]:
    """Return the shape of a mask with an entry for each key."""
    return (*np.atleast_1d(mask).shape[:-1], n)


@also_without_values(np.empty)
def monotonic_location_attention(
    query: Array,
    value: Array,
    *,
    key: Array | None,
    content_query: Array | None,
    w_state: Array,
    b_state: Array,
    w_sigma: Array,
    w_rho: Array,
    step: str,
    step_bias: float,
    softstair_temperature: float,
    w_mix: Array | None,
    b_mix: float,
    position_past: bool,
    previous: Array | None,
    mask: Array | None,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """See `attlas_ref.monotonic.monotonic_location_attention`."""
    state = _state(query, w_state, b_state)
    r = _along(state, w_rho)
    share = float(expit(step_bias))
    if step == "softstair":
        r = _softstair(r, softstair_temperature)
    elif step == "sigmoid":
        r = expit(5 * r)
    elif step == "relu":
        r = np.maximum(r, 0)
    elif step == "controlled_relu":
        r = share * np.maximum(r, 0) + (1 - share) * expit(5 * r)
    walk = Walk(r, state, w_sigma, bell_alone=position_past)
    if w_mix is not None:
        walk = walk._replace(gate=expit(_along(lean(query), w_mix) + b_mix), asked=content_query, key=key)
    return _run(query, value, walk, previous, mask, return_weights, return_position)


@also_without_values(np.empty)
def location_attender(
    query: Array,
    value: Array,
    *,
    w_state: Array,
    b_state: Array,
    w_sigma: Array,
    w_rho: Array,
    simplified: bool,
    steps: str,
    softstair_temperature: float,
    previous: Array | None,
    mask: Array | None,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """See `attlas_ref.monotonic.location_attender`."""
    state = _state(query, w_state, b_state)
    rho = state @ w_rho
    ahead = _softstair(rho[..., 0], softstair_temperature) if steps == "softstair" else expit(5 * rho[..., 0])
    walk = Walk(ahead, state, w_sigma, clamp=True)
    if not simplified:
        walk = walk._replace(factor=expit(rho[..., 1]), place=expit(rho[..., 2]))
    elif previous is None:  # the first step of a sequence
        walk = walk._replace(place=np.where(np.arange(query.shape[-2]) == 0, expit(rho[..., 1]), 0))
    return _run(query, value, walk, previous, mask, return_weights, return_position)
