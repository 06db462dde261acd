"""Attention that scores its own last weights: location-sensitive, dynamic convolution and forward attention.

What depends on a query or a key alone is projected once. A step convolves the past weights by a product with their
windows, (..., n, h k), bends the hidden layer of all keys, (..., n, a), and sums it by another product.

Bound by the host, which begins some thirty launches for each step, as long as there are few members and keys; else by
memory traffic, the hidden layer being written and read a few times per step.
Differs from the reference by rounding.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult, with_extras

from ...priors import moving_prior
from ..tile import logistic
from .steps import Steps, convolved, divided, largest, shifted, softmax, starting_weights

__all__ = ["dynamic_convolution_attention", "forward_attention", "location_sensitive_attention"]


def _with_weights(steps: Steps) -> Any:
    return steps.output if steps.weights is None else AttentionResult(steps.output, steps.weights)


def _leading(*matrices: Any, rows: tuple[Any, ...] = ()) -> tuple[int, ...]:
    """Return the leading axes of matrices, and of rows (..., n)."""
    return np.broadcast_shapes(
        *(array.shape[:-2] for array in matrices if array is not None),
        *(row.shape[:-1] for row in rows if hasattr(row, "shape")),
    )


def location_sensitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any,
    conv: Any,
    b_conv: Any,
    w_location: Any,
    v: Any,
    b_v: float,
    scale: float,
    feedback: str,
    initial: Any,
    previous: Any,
    cumulative: Any,
    normalize: str,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Return additive attention whose scores see the weights of the last step, of all steps before, or both."""
    begin = initial if previous is None else previous
    steps = Steps(query, value, mask, _leading(query, key, mask, rows=(begin, cumulative)), return_weights)
    xp = steps.xp
    asked, known = query @ w_query, key @ w_key
    known = known if b_key is None else known + b_key
    last = starting_weights(steps, begin)
    total = xp.zeros_like(last) if cumulative is None else cumulative
    for i in range(steps.m):
        seen = steps.seen(i)
        channels = {"previous": (last,), "cumulative": (total,), "both": (last, total)}[feedback]
        channels = tuple(xp.broadcast_to(steps.select(seen, x), (*steps.leading, steps.n)) for x in channels)
        features = convolved(xp, xp.stack(channels, axis=-2), conv)  # (..., n, c)
        features = features if b_conv is None else features + b_conv
        scores = xp.tanh((asked[..., i, None, :] + known) + features @ w_location) @ v + b_v
        if normalize == "softmax":
            last = softmax(steps, scale * scores, seen)
        else:
            last = softmax(steps, -xp.logaddexp(xp.zeros_like(scores), -scores), seen)
        total = total + last
        steps.put(i, last)
    return _with_weights(steps)


def dynamic_convolution_attention(
    query: Any,
    value: Any,
    *,
    w_query: Any,
    b_query: Any,
    w_dynamic: Any,
    conv: Any,
    w_static: Any,
    w_feature: Any,
    b_feature: Any,
    v: Any,
    prior: Any,
    prior_length: int,
    prior_alpha: float,
    prior_beta: float,
    prior_floor: float,
    initial: Any,
    previous: Any,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Return attention that is computed from its own last weights by static, dynamic and prior filters."""
    begin = initial if previous is None else previous
    steps = Steps(query, value, mask, _leading(query, mask, rows=(begin,)), return_weights)
    xp, channels = steps.xp, w_feature.shape[0]
    kernels = xp.tanh(query @ w_query + b_query) @ w_dynamic
    kernels = kernels.reshape(*kernels.shape[:-1], channels, 1, kernels.shape[-1] // channels)
    if prior is None:
        prior = xp.asarray(moving_prior(prior_length, prior_alpha, prior_beta).tolist()).astype(steps.dtype)
    backward = prior[::-1]  # the farthest key first
    reach = prior.shape[-1] - 1
    last = starting_weights(steps, begin)
    for i in range(steps.m):
        seen = steps.seen(i)
        past = xp.broadcast_to(steps.select(seen, last), (*steps.leading, steps.n))[..., None, :]
        static = convolved(xp, past, conv)
        dynamic = convolved(xp, past, kernels[..., i, :, :, :])
        front = xp.zeros((*past.shape[:-1], reach), dtype=steps.dtype)
        padded = xp.concatenate([front, past], axis=-1)[..., 0, :]
        moved = padded[..., xp.arange(steps.n)[:, None] + xp.arange(reach + 1)] @ backward  # (..., n)
        scores = xp.tanh(static @ w_static + dynamic @ w_feature + b_feature) @ v
        last = softmax(steps, scores + xp.log(xp.maximum(moved, prior_floor)), seen)
        steps.put(i, last)
    return _with_weights(steps)


def forward_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any,
    v: Any,
    b_v: float,
    conv: Any,
    w_location: Any,
    scale: float,
    agent: bool,
    w_agent: Any,
    b_agent: float,
    previous_output: Any,
    agent_moves: bool,
    smooth: float,
    floor: float,
    initial_rest: float,
    previous: Any,
    previous_agent: Any,
    mask: Any,
    return_weights: bool,
    return_agent: bool,
    return_next_agent: bool,
) -> Any:
    """Return additive attention that stays at a key or moves to the next one, with or without an agent."""
    xp = array_namespace(query)
    move = xp.zeros((), dtype=query.dtype) + 0.5 if previous_agent is None else previous_agent
    read = (value, previous_output) if agent else ()
    leading = np.broadcast_shapes(_leading(query, key, mask, *read, rows=(previous,)), move.shape)
    steps = Steps(query, value, mask, leading, return_weights)
    asked, known = query @ w_query, key @ w_key
    known = known if b_key is None else known + b_key
    last = previous
    if last is None:
        first = starting_weights(steps, "first")
        last = first + initial_rest * (1 - first)
    move = xp.broadcast_to(move, leading)
    moves = xp.zeros((*leading, steps.m), dtype=query.dtype)
    least = math.log(floor) if floor > 0 else -math.inf
    e = value.shape[-1]
    for i in range(steps.m):
        seen = steps.seen(i)
        past = xp.broadcast_to(steps.select(seen, last), (*leading, steps.n))
        hidden = asked[..., i, None, :] + known  # (..., n, a)
        if conv is not None and w_location is not None:
            hidden = hidden + convolved(xp, past[..., None, :], conv) @ w_location
        scores = steps.select(seen, scale * (xp.tanh(hidden) @ v + b_v), -math.inf)
        top = largest(xp, scores)
        logs = scores - (xp.log(xp.exp(scores - top).sum(axis=-1, keepdims=True)) + top)
        go, stay = (move, 1 - move) if agent_moves else (1 - move, move)
        reached = stay[..., None] * past + go[..., None] * shifted(xp, past)
        if not agent:
            reached = (past + shifted(xp, past)) * (0.5 if smooth > 0 else 1.0)
        logs = xp.maximum(xp.log(reached + smooth) + logs, least)
        logs = steps.select(seen, logs, -math.inf)
        last = divided(steps, xp.exp(logs - largest(xp, logs)), seen)
        moves[..., i] = move
        if agent:
            told = steps.read(seen, last) @ w_agent[:e] + b_agent
            if previous_output is not None:
                told = told + previous_output[..., i, :] @ w_agent[e : e + previous_output.shape[-1]]
            move = xp.broadcast_to(
                logistic(xp, told + query[..., i, :] @ w_agent[w_agent.shape[0] - query.shape[-1] :]), leading
            )
        steps.put(i, last)
    return with_extras(
        steps.output,
        weights=steps.weights,
        agent=moves if return_agent else None,
        next_agent=move.copy() if return_next_agent else None,
    )
