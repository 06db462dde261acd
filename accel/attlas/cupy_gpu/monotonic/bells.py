"""Bells that move: mixtures over the keys, and one bell on the unit interval whose place is fed back.

The means of a mixture do not depend on its weights: all steps are computed at once, tile by tile, one component after
the other. A bell on the unit interval starts from where the last weights had their mean: one step after another, each
some twenty launches over all members and keys.

Bound by memory traffic, or by the host where there are few members and keys. Differs from the reference by rounding.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import with_extras

from ..streams import nonzero, rows_attended, summed_attended
from ..tile import Tile, Tiles, logistic
from .steps import Steps, largest, softmax

__all__ = ["gmm_attention", "location_attender", "monotonic_location_attention"]

LOGISTIC_FLOOR = 1e-5
"""What is added to weights and widths of the logistic variant."""
LOGISTIC_LEAST = 1e-8
"""What takes the place of its weights that are exactly 0."""
LEAST_WIDTH = 0.27
"""Of a bell on the unit interval, in keys."""
GUARD = 1e-20
"""Keeps the sum over such a bell above 0."""
LEAK = 0.01
"""What is left of a mean beyond the ends."""


def _shares(xp: Any, logs: Any) -> Any:
    parts = xp.exp(logs - largest(xp, logs))
    total = parts.sum(axis=-1, keepdims=True)
    return parts / xp.where(total == 0, 1, total)


def gmm_attention(
    query: Any,
    value: Any,
    *,
    w_hidden: Any,
    b_hidden: Any,
    w_params: Any,
    b_params: Any,
    version: int | str,
    sigma_floor: float,
    initial_mean: Any,
    mask: Any,
    normalize: bool,
    return_weights: bool,
    return_means: bool,
) -> Any:
    """Return attention by a mixture whose components move forward."""
    xp, dtype = array_namespace(query), query.dtype
    hidden = query @ w_hidden + b_hidden
    hidden = xp.maximum(hidden, 0) if version == "logistic" else xp.tanh(hidden)
    numbers = hidden @ w_params + b_params
    k = numbers.shape[-1] // 3
    first, second, third = numbers[..., :k], numbers[..., k : 2 * k], numbers[..., 2 * k :]

    def softplus(x: Any) -> Any:
        return xp.logaddexp(xp.zeros_like(x), x)

    if version == "logistic":
        share, width, step = _shares(xp, first) + LOGISTIC_FLOOR, softplus(second) + LOGISTIC_FLOOR, softplus(third)
    elif version == 0:
        share, step, width = xp.exp(first), xp.exp(second), xp.sqrt(xp.exp(-third) / 2) + sigma_floor
    elif version == 1:
        share, step, width = _shares(xp, first), xp.exp(second), xp.sqrt(xp.exp(third)) + sigma_floor
    else:
        share, step, width = _shares(xp, first), softplus(second), softplus(third) + sigma_floor
    means = xp.cumsum(step, axis=-2)
    means = means if initial_mean is None else initial_mean[..., None, :] + means
    peak = share if version in (0, "logistic") else share / xp.sqrt(2 * math.pi * width**2)

    places = xp.zeros((value.shape[-2], 1), dtype=dtype)  # keys have no say but by their places
    tiles = Tiles(means, places, value, mask=mask, bias=None, causal=False, whole_rows=normalize)

    def weight(tile: Tile) -> Any:
        mean, high, wide = (tile.of_queries(x) for x in (means, peak, width))
        j = xp.arange(tile.columns.start, tile.columns.stop).astype(dtype)
        above = below = xp.zeros((*mean.shape[:-1], j.shape[0]), dtype=dtype)
        for c in range(k):
            offset, scale, factor = j - mean[..., c, None], wide[..., c, None], high[..., c, None]
            if version == "logistic":
                above = above + factor * logistic(xp, (offset + 1.5) / scale)
                below = below + factor * logistic(xp, (offset + 0.5) / scale)
            else:
                above = above + factor * xp.exp(-(offset**2) / (2 * scale**2))
        weights = above - below
        return xp.where(weights == 0, LOGISTIC_LEAST, weights) if version == "logistic" else weights

    def share_of_row(tile: Tile, visible: Any) -> tuple[Any, Any]:
        # Where all bells are far off, only shares are normal numbers again.
        weights = tiles.select(visible, weight(tile), 0)
        return weights / nonzero(tiles, weights.sum(axis=-1, keepdims=True)), visible

    if normalize:
        found = rows_attended(tiles, share_of_row, value, return_weights)
    else:
        found = summed_attended(tiles, weight, value, return_weights)
    output, weights = found if return_weights else (found, None)
    return with_extras(output, weights=weights, means=means if return_means else None)


class _Bells:
    """One bell per step on the unit interval, which starts from the mean place of the last weights."""

    def __init__(self, steps: Steps, state: Any, w_sigma: Any) -> None:
        xp, n = steps.xp, steps.n
        self.steps, mask = steps, steps.mask
        if mask is None:
            count = xp.zeros((1,), dtype="int64") + n
        else:
            count = xp.broadcast_to(mask, (*mask.shape[:-1], n)).sum(axis=-1)
        count = xp.maximum(count, 1)  # (..., m or 1)
        self.spacing = (1 / xp.maximum(count - 1, 1)).astype(steps.dtype)
        self.width = (xp.maximum(along(state, w_sigma), 0) + LEAST_WIDTH) / count.astype(steps.dtype)
        self.places = xp.arange(n).astype(steps.dtype)

    def spacing_of(self, i: int) -> Any:
        """Return the distance of two keys at a step, (...)."""
        return self.spacing[..., i if self.spacing.shape[-1] > 1 else 0]

    def at(self, i: int, mean: Any) -> tuple[Any, Any]:
        """Return where the keys stand at a step and the weights of its bell, (..., n)."""
        steps, xp, seen = self.steps, self.steps.xp, self.steps.seen(i)
        positions = self.places * self.spacing_of(i)[..., None]
        distance = (positions - mean[..., None]) / self.width[..., i, None]
        height = steps.select(seen, xp.exp(-(distance**2) / 2))
        total = steps.select(seen, height + GUARD).sum(axis=-1, keepdims=True)
        return positions, steps.select(seen, height / xp.where(total == 0, 1, total))


def along(state: Any, w: Any) -> Any:
    """Return the dot products of states (..., m, d) with one vector (..., d)."""
    return (state @ w[..., None])[..., 0]


def _softstair(xp: Any, r: Any, temperature: float) -> Any:
    whole = xp.floor(r)
    return whole + logistic(xp, temperature * (r - whole - 0.5))


def _leading(mask: Any, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the leading axes of numbers per step, (..., m), and of a mask."""
    rows = () if mask is None or mask.ndim < 2 else (mask.shape[:-1],)
    return np.broadcast_shapes(*shapes, *rows)[:-1]


def monotonic_location_attention(
    query: Any,
    value: Any,
    *,
    key: Any,
    content_query: Any,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    step: str,
    step_bias: float,
    softstair_temperature: float,
    w_mix: Any,
    b_mix: float,
    position_past: bool,
    previous: Any,
    mask: Any,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """Return attention by a bell that moves on by a learned number of keys."""
    xp = array_namespace(query)
    state = query @ w_state + b_state[..., None, :]
    r = along(state, w_rho)  # (..., m)
    past = xp.zeros((), dtype=query.dtype) if previous is None else previous
    share = 1 / (1 + math.exp(-abs(step_bias)))
    share = share if step_bias >= 0 else 1 - share
    ahead, at_most_one = xp.maximum(r, 0), logistic(xp, 5 * r)
    if step == "softstair":
        r = _softstair(xp, r, softstair_temperature)
    elif step == "sigmoid":
        r = at_most_one
    elif step == "relu":
        r = ahead
    elif step == "controlled_relu":
        r = share * ahead + (1 - share) * at_most_one
    shapes = [(*past.shape, 1), r.shape, along(state, w_sigma).shape]
    if w_mix is not None:
        gate = logistic(xp, along(query, w_mix) + b_mix)
        shapes += [gate.shape, (*np.broadcast_shapes(content_query.shape[:-2], key.shape[:-2]), query.shape[-2])]
    leading = _leading(mask, *shapes)
    steps = Steps(query, value, mask, leading, return_weights)
    bells = _Bells(steps, state, w_sigma)
    position = xp.zeros((*leading, steps.m), dtype=query.dtype)
    for i in range(steps.m):
        places, weights = bells.at(i, r[..., i] * bells.spacing_of(i) + past)
        located = weights
        if w_mix is not None:
            scores = (content_query[..., i, None, :] @ key.swapaxes(-1, -2))[..., 0, :]
            content = softmax(steps, scores * (1 / math.sqrt(key.shape[-1])), steps.seen(i))
            mixture = gate[..., i, None] * located + (1 - gate[..., i, None]) * content
            weights = steps.select(steps.seen(i), mixture)  # also where the gate is no number
        past = (places * (located if position_past else weights)).sum(axis=-1)
        position[..., i] = past
        steps.put(i, weights)
    return with_extras(steps.output, weights=steps.weights, position=position if return_position else None)


def location_attender(
    query: Any,
    value: Any,
    *,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    simplified: bool,
    steps: str,
    softstair_temperature: float,
    previous: Any,
    mask: Any,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """Return attention by a bell that starts anywhere and moves by nearly whole keys, forward or back."""
    xp = array_namespace(query)
    state = query @ w_state + b_state[..., None, :]
    rho = state @ w_rho
    first = rho[..., 0]
    moved = _softstair(xp, first, softstair_temperature) if steps == "softstair" else logistic(xp, 5 * first)
    past = xp.zeros((), dtype=query.dtype) if previous is None else previous
    leading = _leading(mask, (*past.shape, 1), moved.shape, along(state, w_sigma).shape)
    walk = Steps(query, value, mask, leading, return_weights)
    bells = _Bells(walk, state, w_sigma)
    position = xp.zeros((*leading, walk.m), dtype=query.dtype)
    for i in range(walk.m):
        mean = moved[..., i] * bells.spacing_of(i)
        if simplified:
            mean = mean + past
            mean = mean + logistic(xp, rho[..., i, 1]) if previous is None and i == 0 else mean
        else:
            mean = mean + logistic(xp, rho[..., i, 1]) * past + logistic(xp, rho[..., i, 2])
        mean = xp.maximum(LEAK * mean, xp.minimum(mean, 1 + LEAK * mean))
        places, weights = bells.at(i, mean)
        past = (places * weights).sum(axis=-1)
        position[..., i] = past
        walk.put(i, weights)
    return with_extras(walk.output, weights=walk.weights, position=position if return_position else None)
