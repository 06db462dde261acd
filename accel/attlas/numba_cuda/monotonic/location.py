"""Attention that scores its own last weights, on Numba-CUDA: location-sensitive, dynamic convolution, forward.

What depends on a query or a key alone is projected first; `scored_steps` takes the steps, and says what bounds it and
how it differs from the reference.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, with_extras

from ...no_values import also_without_values
from ...priors import moving_prior
from ..assemble import Assembly, product
from ..learned import projected
from ..operands import dtype_of, lay_out, shape_of
from ..probabilistic.teams import in_turns, most_at_once
from ..target import allocate, launch, shaped
from ..variational.captions import bent_sum
from ..views import as_cell, as_row, once, viewed
from . import scored_steps as scored
from .scored_steps import build_scored_steps
from .steps import TEAM, first_weights, leading_of, owners, unfilled


@dataclass
class Call:
    """What a step reads: matrices, vectors as matrices of one row, None for what is not there."""

    m: int
    asked: Any
    known: Any
    conv: Any
    """(c, h k)"""
    into: Any
    v: Any
    start: Any
    value: Any
    mask: Any
    leading: tuple[int, ...]
    """Of the weights."""
    numbers: tuple[float, ...]
    method: int
    channels: int = 1
    fixed: int = 0
    before: Any = None
    shift: Any = None
    feedback: int = 0
    dynamic: Any = None
    taps: int = 0
    prior: Any = None
    query: Any = None
    last: Any = None
    agent: Any = None
    move: Any = None
    moves: bool = True
    halves: bool = False

    def run(self, wanted: bool) -> tuple[Any, Any, Any, Any]:
        """Take all steps: output, weights if wanted, the agent's numbers before each step, and the last of them."""
        dtype, (n, e), m = dtype_of(self.value), shape_of(self.value)[-2:], self.m
        real: Any = dtype.type
        batch = np.broadcast_shapes(self.leading, shape_of(self.value)[:-2])
        nothing = np.zeros((1, 1), dtype)
        c, a = shape_of(self.into)[-2:]
        given = [
            self.asked, self.known, self.conv, self.into, self.v, self.start, self.before, self.shift, self.value,
            self.dynamic, self.prior, self.query, self.last, self.agent, self.move, np.array([self.numbers], dtype),
        ]  # fmt: skip
        given = [nothing if array is None else array for array in given]
        given.append(np.ones((1, 1), bool) if self.mask is None else viewed(self.mask, np.atleast_2d))
        memories, layout = lay_out(given, batch)
        numbers, problems = (self.channels + c + 3) * n, math.prod(batch)
        output = allocate((*batch, m, e), dtype)
        weights = allocate((*self.leading, m, n) if wanted else (1,), dtype)
        agents, following = allocate((*self.leading, m), dtype), allocate(self.leading, dtype)
        field = allocate((most_at_once(problems, numbers), numbers), dtype)
        widths = [0 if array is None else shape_of(array)[-1] for array in (self.prior, self.query, self.last)]
        dynamic = 0 if self.dynamic is None else shape_of(self.dynamic)[-1] // self.taps
        members = owners(self.leading, batch)
        for first, count in in_turns(problems, numbers):
            launch(
                build_scored_steps(TEAM, real), TEAM.blocks(count), TEAM.block.threads,
                first, m, n, e, a, c, self.channels, self.fixed, dynamic, self.taps, self.method, self.feedback,
                *widths, int(self.agent is not None), int(self.moves), int(self.halves), int(wanted),
                *memories, layout, members, field, output, weights, agents, following,
            )  # fmt: skip
        return (
            shaped(output, (*batch, m, e)),
            shaped(weights, (*self.leading, m, n)) if wanted else None,
            shaped(agents, (*self.leading, m)),
            shaped(following, self.leading),
        )


def _with_weights(output: Any, weights: Any) -> Any:
    return output if weights is None else AttentionResult(output, weights)


def _channel(channel: int, conv: Any) -> Any:
    return conv[:, channel]


def _flat_kernels(conv: Any) -> Any:
    """View kernels (c, h, k) as (c, h k); copied on the host if they lie oddly."""
    c, h, k = shape_of(conv)
    if h == 1:
        return viewed(conv, lambda array: array[:, 0])
    flat = Assembly((), c, h * k, dtype_of(conv))
    for channel in range(h):
        flat.put(product, viewed(conv, partial(_channel, channel)), column=channel * k)
    return flat.matrix


@also_without_values(unfilled, dtype_of)
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
    """Compute `attlas_ref.location_sensitive_attention`."""
    m, n = shape_of(query)[-2], shape_of(key)[-2]
    start = first_weights(initial if previous is None else previous, m, n, mask, dtype_of(query))
    before = None if cumulative is None else as_row(cumulative)
    call = Call(
        m=m,
        asked=projected(query, w_query),
        known=projected(key, w_key, b_key),
        conv=_flat_kernels(conv),
        into=w_location,
        v=as_row(v),
        start=start,
        value=value,
        mask=mask,
        leading=leading_of(query, key, mask, start, before),
        numbers=(b_v, scale, 0, 0, 0),
        method=scored.SOFTMAX if normalize == "softmax" else scored.SIGMOID,
        channels=shape_of(conv)[-2],
        fixed=shape_of(conv)[-1],
        before=before,
        shift=None if b_conv is None else as_row(b_conv),
        feedback={"previous": scored.PREVIOUS, "cumulative": scored.CUMULATIVE, "both": scored.BOTH}[feedback],
    )
    output, weights, _, _ = call.run(return_weights)
    return _with_weights(output, weights)


@also_without_values(unfilled, dtype_of)
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
    """Compute `attlas_ref.dynamic_convolution_attention`."""
    (m, _), n, dtype = shape_of(query)[-2:], shape_of(value)[-2], dtype_of(query)
    start = first_weights(initial if previous is None else previous, m, n, mask, dtype)
    if prior is None:
        prior = moving_prior(prior_length, prior_alpha, prior_beta).astype(dtype)
    units = once(projected(query, w_query))
    *outer, rows, width = shape_of(units)
    hidden = Assembly(tuple(outer), rows, width, dtype).put(bent_sum, units, as_row(b_query)).matrix
    (static, a), changing = shape_of(w_static), shape_of(w_feature)[-2]
    into = Assembly((), static + changing, a, dtype).put(product, w_static).put(product, w_feature, row=static).matrix
    call = Call(
        m=m,
        asked=as_row(b_feature),
        known=None,
        conv=_flat_kernels(conv),
        into=into,
        v=as_row(v),
        start=start,
        value=value,
        mask=mask,
        leading=leading_of(query, mask, start),
        numbers=(0, 1, prior_floor, 0, 0),
        method=scored.PRIOR_TIMES,
        fixed=shape_of(conv)[-1],
        dynamic=projected(hidden, w_dynamic),
        taps=shape_of(w_dynamic)[-1] // changing,
        prior=as_row(prior),
    )
    output, weights, _, _ = call.run(return_weights)
    return _with_weights(output, weights)


@also_without_values(unfilled, dtype_of, steered_by="agent")
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
    """Compute `attlas_ref.forward_attention`."""
    m, n, dtype = shape_of(query)[-2], shape_of(key)[-2], dtype_of(query)
    start = first_weights("first" if previous is None else previous, m, n, None, dtype)
    if previous is None:
        start[:, 1:] = initial_rest
    move = np.full((1, 1), 0.5, dtype) if previous_agent is None else as_cell(previous_agent)
    read = (value, previous_output) if agent else ()
    call = Call(
        m=m,
        asked=projected(query, w_query),
        known=projected(key, w_key, b_key),
        conv=None if conv is None else _flat_kernels(conv),
        into=np.zeros((0, shape_of(v)[-1]), dtype) if conv is None else w_location,
        v=as_row(v),
        start=start,
        value=value,
        mask=mask,
        leading=leading_of(query, key, mask, start, move, *read),
        numbers=(b_v, scale, floor, smooth, b_agent),
        method=scored.FORWARD,
        fixed=0 if conv is None else shape_of(conv)[-1],
        query=query if agent else None,
        last=previous_output if agent else None,
        agent=as_row(w_agent) if agent else None,
        move=move,
        moves=agent_moves,
        halves=smooth > 0,
    )
    output, weights, agents, following = call.run(return_weights)
    return with_extras(
        output,
        weights=weights,
        agent=agents if return_agent else None,
        next_agent=following if return_next_agent else None,
    )
