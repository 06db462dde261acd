"""Attention that scores its own last weights, on the CPU: location-sensitive, dynamic convolution, forward attention.

What depends on a query or a key alone is projected first; `scored_steps` takes the steps.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult, with_extras

from ...no_values import also_without_values
from ...priors import moving_prior
from ..attention import kernels_of
from ..launch import launch
from ..operands import Array, lay, lean
from ..product import multiplied
from ..vector import lanes_of
from . import scored_steps as scored
from .scored_steps import Shape, build_scored_steps, scratch_of
from .steps import lay_mask, lay_result, values_of

__all__ = ["dynamic_convolution_attention", "forward_attention", "location_sensitive_attention"]

TANGENT = 10
"""What a hyperbolic tangent costs, in multiply-adds."""


class Call(NamedTuple):
    """What a step reads; vectors as matrices of one row, None for what is not there."""

    asked: Array
    known: Array
    """(..., a, n), in whole vectors"""
    conv: Array | None
    """(c, h k)"""
    into: Array
    v: Array
    start: Array
    """(..., n)"""
    value: Array
    mask: Array | None
    leading: tuple[int, ...]
    """Of the weights."""
    m: int
    fixed: int
    numbers: tuple[float, ...]
    method: int
    channels: int = 1
    before: Array | None = None
    shift: Array | None = None
    feedback: int = 0
    dynamic: Array | None = None
    taps: int = 0
    prior: Array | None = None
    heard: Array | None = None
    """(..., n): what an agent hears of each value"""
    spoken: Array | None = None
    """(..., m): what it hears of each query"""
    move: Array | None = None
    moves: bool = True
    halves: bool = False


def _first_weights(initial: str | Array, m: int, n: int, mask: Array | None, dtype: np.dtype[Any]) -> Array:
    """Return the weights before the first step, (..., n)."""
    if not isinstance(initial, str):
        return initial
    if initial != "uniform":
        return ((np.arange(n) == 0) & (initial == "first")).astype(dtype)
    if m == 0:
        return np.zeros(n, dtype=dtype)
    seen = np.ones(n, dtype=bool) if mask is None else np.atleast_2d(mask)[..., 0, :]
    seen = np.broadcast_to(seen, (*seen.shape[:-1], n))
    return (seen / np.maximum(seen.sum(axis=-1, keepdims=True), 1)).astype(dtype)


def _turned(key: Array, weight: Array, bias: Array | None) -> Array:
    """Return projected keys, hidden units first and zeros behind the last key: (..., a, n) in whole vectors."""
    key = lean(key)
    *leading, n, _ = key.shape
    turned = np.zeros((*leading, weight.shape[-1], _whole(n, key.dtype)), dtype=key.dtype)
    turned[..., :n] = multiplied(key, weight).mT
    if bias is not None:
        turned[..., :n] += bias[:, None]
    return turned


def _whole(n: int, dtype: np.dtype[Any]) -> int:
    """Return so many keys in whole vectors."""
    width = lanes_of(dtype)
    return -(-n // width) * width


def _folded(call: Call) -> Call:
    """Multiply the kernels with the matrix of the hidden layer, if one product is then less work than two."""
    if call.conv is None or call.dynamic is not None:
        return call
    (c, taps), a = call.conv.shape, call.v.size
    if taps * a > c * (taps + a):
        return call
    asked = call.asked if call.shift is None else call.asked + call.shift @ call.into
    return call._replace(asked=asked, into=call.conv.T @ call.into, conv=None, shift=None)


def _leading(*arrays: Array | None, rows: tuple[Array, ...] = ()) -> tuple[int, ...]:
    """Return the leading axes of matrices and of rows, (..., n)."""
    return np.broadcast_shapes(
        *(array.shape[:-2] for array in arrays if array is not None), *(row.shape[:-1] for row in rows)
    )


def _run(call: Call, wanted: bool) -> tuple[Array, Array | None, Array, Array]:
    """Take all steps: output, weights if they are wanted, and the agent's numbers before each step and at the end."""
    call, folded = _folded(call), call.conv is not None
    folded &= call.conv is None
    value, dtype = call.value, call.value.dtype
    values = values_of(value, call.mask)
    batch = np.broadcast_shapes(call.leading, value.shape[:-2])
    m, n, e = call.m, values.n, values.e
    output = np.empty((*batch, m, e), dtype=dtype)
    weights = np.empty((*call.leading, m, n), dtype=dtype) if wanted else None
    agents, following = np.empty((*call.leading, m, 1), dtype=dtype), np.empty((*call.leading, 1, 1), dtype=dtype)
    none, empty = np.zeros((1, 1), dtype=dtype), np.zeros((0, 0), dtype=dtype)
    features = 0 if folded else call.into.shape[0]
    dynamic = 0 if call.dynamic is None else call.dynamic.shape[-1] // call.taps
    start = call.start[..., None, :]
    shape = Shape(
        m, *values,
        a=call.v.size, c=features, h=call.channels, k=max(call.fixed, call.taps), fixed=call.fixed, dynamic=dynamic,
        taps=call.taps, method=call.method, feedback=call.feedback,
        prior=0 if call.prior is None else call.prior.size, agent=int(call.heard is not None),
        moves=int(call.moves), halves=int(call.halves), folded=int(folded), wanted=int(wanted),
    )  # fmt: skip
    matrices = (
        call.asked, call.known, call.conv, call.into, call.v[None], start,
        none if call.before is None else call.before[..., None, :],
        none if call.shift is None else call.shift[None], value, call.dynamic,
        None if call.prior is None else call.prior[None], None if call.heard is None else call.heard[..., None, :],
        None if call.spoken is None else call.spoken[..., None],
        none if call.move is None else call.move[..., None, None],
        np.array([call.numbers], dtype=dtype),
    )  # fmt: skip
    operands = [lay(empty if matrix is None else matrix, batch) for matrix in matrices]
    operands += [lay_result(result, batch, dtype) for result in (weights, agents, following)]
    operands.append(lay_mask(call.mask, batch))
    members = int(np.prod(batch))
    if members:
        launch(
            kernels_of(build_scored_steps, dtype),
            members,
            operands,
            (output, *shape),
            scratch_of(shape),
            dtype,
            members * m * n * (shape.a * (TANGENT + call.into.shape[0]) + features * shape.h * shape.k + e),
        )
    return output, weights, agents[..., 0], following[..., 0, 0]


def _with_weights(output: Array, weights: Array | None) -> Any:
    return output if weights is None else AttentionResult(output, weights)


@also_without_values(np.empty)
def location_sensitive_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    w_query: Array,
    w_key: Array,
    b_key: Array | None,
    conv: Array,
    b_conv: Array | None,
    w_location: Array,
    v: Array,
    b_v: float,
    scale: float,
    feedback: str,
    initial: str | Array,
    previous: Array | None,
    cumulative: Array | None,
    normalize: str,
    mask: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.monotonic.location_sensitive_attention`."""
    m, n = query.shape[-2], key.shape[-2]
    start = _first_weights(initial, m, n, mask, query.dtype) if previous is None else previous
    c, channels, taps = conv.shape
    call = Call(
        asked=multiplied(lean(query), w_query),
        known=_turned(key, w_key, b_key),
        conv=conv.reshape(c, channels * taps),
        into=w_location,
        v=v,
        start=start,
        value=value,
        mask=mask,
        leading=_leading(query, key, mask, rows=(start,) if cumulative is None else (start, cumulative)),
        m=m,
        fixed=taps,
        numbers=(b_v, scale, 0, 0),
        method=scored.SOFTMAX if normalize == "softmax" else scored.SIGMOID,
        channels=channels,
        before=cumulative,
        shift=b_conv,
        feedback={"previous": scored.PREVIOUS, "cumulative": scored.CUMULATIVE, "both": scored.BOTH}[feedback],
    )
    output, weights, _, _ = _run(call, return_weights)
    return _with_weights(output, weights)


@also_without_values(np.empty)
def dynamic_convolution_attention(
    query: Array,
    value: Array,
    *,
    w_query: Array,
    b_query: Array,
    w_dynamic: Array,
    conv: Array,
    w_static: Array,
    w_feature: Array,
    b_feature: Array,
    v: Array,
    prior: Array | None,
    prior_length: int,
    prior_alpha: float,
    prior_beta: float,
    prior_floor: float,
    initial: str | Array,
    previous: Array | None,
    mask: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.monotonic.dynamic_convolution_attention`."""
    m, n, dtype = query.shape[-2], value.shape[-2], query.dtype
    start = _first_weights(initial, m, n, mask, dtype) if previous is None else previous
    if prior is None:
        prior = moving_prior(prior_length, prior_alpha, prior_beta).astype(dtype)
    kernels = multiplied(np.tanh(multiplied(lean(query), w_query) + b_query), w_dynamic)
    call = Call(
        asked=b_feature[None],
        known=np.broadcast_to(np.zeros(_whole(n, dtype), dtype=dtype), (v.size, _whole(n, dtype))),
        conv=conv[:, 0],
        into=np.concatenate([w_static, w_feature]),
        v=v,
        start=start,
        value=value,
        mask=mask,
        leading=_leading(query, mask, rows=(start,)),
        m=m,
        fixed=conv.shape[-1],
        numbers=(0, 1, prior_floor, 0),
        method=scored.PRIOR_TIMES,
        dynamic=kernels,
        taps=w_dynamic.shape[-1] // w_feature.shape[0],
        prior=prior,
    )
    output, weights, _, _ = _run(call, return_weights)
    return _with_weights(output, weights)


@also_without_values(np.empty, steered_by="agent")
def forward_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    w_query: Array,
    w_key: Array,
    b_key: Array | None,
    v: Array,
    b_v: float,
    conv: Array | None,
    w_location: Array | None,
    scale: float,
    agent: bool,
    w_agent: Array | None,
    b_agent: float,
    previous_output: Array | None,
    agent_moves: bool,
    smooth: float,
    floor: float,
    initial_rest: float,
    previous: Array | None,
    previous_agent: Array | None,
    mask: Array | None,
    return_weights: bool,
    return_agent: bool,
    return_next_agent: bool,
) -> Any:
    """See `attlas_ref.monotonic.forward_attention`."""
    m, n, dtype = query.shape[-2], key.shape[-2], query.dtype
    start = previous
    if start is None:
        first = _first_weights("first", m, n, None, dtype)
        start = first + dtype.type(initial_rest) * (1 - first)
    move = np.asarray(0.5, dtype=dtype) if previous_agent is None else previous_agent
    heard, spoken = None, None
    read: tuple[Array | None, ...] = ()
    if agent and w_agent is not None:
        e, p = value.shape[-1], query.shape[-1]
        heard = lean(value) @ w_agent[:e]
        spoken = query @ w_agent[w_agent.size - p :] + dtype.type(b_agent)
        if previous_output is not None:
            spoken = spoken + previous_output @ w_agent[e : w_agent.size - p]
        read = value, previous_output
    call = Call(
        asked=multiplied(lean(query), w_query),
        known=_turned(key, w_key, b_key),
        conv=None if conv is None else conv[:, 0],
        into=np.zeros((0, v.size), dtype=dtype) if conv is None or w_location is None else w_location,
        v=v,
        start=start,
        value=value,
        mask=mask,
        leading=np.broadcast_shapes(_leading(query, key, mask, *read, rows=(start,)), move.shape),
        m=m,
        fixed=0 if conv is None else conv.shape[-1],
        numbers=(b_v, scale, floor, smooth),
        method=scored.FORWARD,
        heard=heard,
        spoken=spoken,
        move=move,
        moves=agent_moves,
        halves=smooth > 0,
    )
    output, weights, agents, following = _run(call, return_weights)
    return with_extras(
        output,
        weights=weights,
        agent=agents if return_agent else None,
        next_agent=following if return_next_agent else None,
    )
