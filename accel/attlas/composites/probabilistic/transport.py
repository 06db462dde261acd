"""Costs between sets, and what it costs them to attend to each other.

No plan is kept unless it is asked for: conditional transport has some rows of it at a time, Sinkhorn's steps are sums
over keys, or over queries, that stream and compute the scores anew.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attlas_ref.contract import TransportPlansResult, TransportResult

from ..pointwise import unit_length
from ..shapes import held, row_blocks, side_by_side, spread, turned

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["conditional_transport", "cosine_cost", "sinkhorn_attention"]


def cosine_cost(here: "Place", x: Any, y: Any, *, eps: float) -> Any:
    """Take the cosines from one."""
    return 1 - unit_length(here.xp, x, eps) @ unit_length(here.xp, y, eps).swapaxes(-1, -2)


def conditional_transport(
    here: "Place",
    cost: Any,
    navigator_scores: Any,
    *,
    forward_weight: float,
    row_weights: Any,
    column_weights: Any,
    row_mask: Any,
    column_mask: Any,
    return_plans: bool,
) -> Any:
    """Let rows attend to columns, and columns to rows."""
    xp, (m, n) = here.xp, cost.shape[-2:]
    a = _normalized(xp, row_weights, row_mask, m, cost.dtype)  # (..., m)
    b = _normalized(xp, column_weights, column_mask, n, cost.dtype)  # (..., n)
    forward, forward_plan = _one_way(here, cost, navigator_scores, a, b, return_plans)
    backward, backward_plan = _one_way(here, turned(cost), turned(navigator_scores), b, a, return_plans)
    total = forward_weight * forward + (1 - forward_weight) * backward
    if return_plans:
        return TransportPlansResult(total, forward, backward, forward_plan, turned(backward_plan))
    return TransportResult(total, forward, backward)


def _normalized(xp: Any, weights: Any, mask: Any, size: int, dtype: Any) -> Any:
    """Return weights that sum to 1 over what takes part, and are 0 elsewhere."""
    weights = xp.ones((size,), dtype=dtype) if weights is None else weights
    weights = weights if mask is None else xp.where(mask, weights, 0)
    total = weights.sum(axis=-1)[..., None]
    return weights / xp.where(total == 0, 1, total)


def _one_way(here: "Place", cost: Any, scores: Any, mass: Any, prior: Any, keep: bool) -> tuple[Any, Any]:
    """Return what rows of a mass pay to attend to columns with a prior, and the plan.

    It is softmax attention whose scores are given as a bias; the prior comes in as the one feature of the keys, so
    that no sum of both is formed.
    """
    xp, (m, n) = here.xp, cost.shape[-2:]
    seen = prior > 0
    key = xp.log(xp.where(seen, prior, 1))[..., None]  # (..., n, 1)
    paying = mass > 0
    of_scores = (cost if scores is None else scores).shape[:-2]
    leading = np.broadcast_shapes(mass.shape[:-1], prior.shape[:-1], of_scores)
    paid, plans = [], []
    for rows in row_blocks(m, n * math.prod(leading)):
        some = cost[..., rows, :]
        plan = here.softmax_attention(
            spread(xp, xp.ones((some.shape[-2], 1), dtype=cost.dtype), leading),
            key,
            key[..., :0],
            temperature=1.0,
            scale=1.0,
            mask=seen[..., None, :],
            bias=-some if scores is None else scores[..., rows, :],
            causal=False,
            return_weights=True,
        ).weights
        plan = xp.where(paying[..., rows, None], plan, 0)
        moved = mass[..., rows, None] * plan
        # A pair that nothing moves along costs nothing, whatever stands there.
        paid.append(xp.where(moved == 0, 0, some * moved).sum(axis=-1))
        if keep:
            plans.append(plan)
    return xp.concat(paid, axis=-1).sum(axis=-1), xp.concat(plans, axis=-2) if keep else None


class _Pairs(NamedTuple):
    """Who meets whom: what softmax attention takes beside queries and keys."""

    mask: Any
    bias: Any
    causal: bool


def sinkhorn_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    epsilon: float,
    query_marginal: Any,
    key_marginal: Any,
    steps: int,
    tolerance: float | None,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Find the price of each key, and attend with the prices among the scores.

    The two potentials come in as one more feature: f beside the queries and 1 beside the keys, or 1 and g.
    """
    xp = here.xp
    query = query * ((1 / math.sqrt(query.shape[-1]) if scale is None else scale) / epsilon)
    if bias is not None:
        bias = held(bias).astype(query.dtype) / epsilon
        # An impossible pair takes no part, as if it were hidden.
        mask = _both(mask, bias != -math.inf) if bool((bias == -math.inf).any()) else mask
    pairs = _Pairs(mask, bias, causal)
    plain_query, plain_key = (side_by_side(xp, rows, xp.ones_like(rows[..., :1])) for rows in (query, key))
    a, b, pairs = _masses(here, plain_query, plain_key, query_marginal, key_marginal, pairs)
    leading = np.broadcast_shapes(
        query.shape[:-2], key.shape[:-2], a.shape[:-1], b.shape[:-1],
        *(() if array is None else array.shape[:-2] for array in (pairs.mask, bias)),
    )  # fmt: skip
    f = xp.zeros((*leading, query.shape[-2]), dtype=query.dtype)
    g = xp.zeros((*leading, key.shape[-2]), dtype=query.dtype)
    moving = xp.ones(leading, dtype=xp.bool)
    log_a, log_b = xp.log(a), xp.log(b)
    reached = _over_queries(here, side_by_side(xp, query, f[..., None]), plain_key, pairs)
    for step in range(steps):
        g = xp.where(moving[..., None], _log_ratio(xp, log_b, reached), g)
        f = _log_ratio(xp, log_a, _over_keys(here, plain_query, side_by_side(xp, key, g[..., None]), pairs))
        if step == steps - 1:
            break
        reached = _over_queries(here, side_by_side(xp, query, f[..., None]), plain_key, pairs)
        if tolerance is not None and b.shape[-1]:
            error = xp.abs(xp.exp(g + reached) - b).max(axis=-1)
            moving = moving & ~(error <= tolerance)  # a NaN never comes to rest
            if not bool(moving.any()):
                break
    return here.softmax_attention(
        plain_query,
        side_by_side(xp, key, g[..., None]),
        value,
        temperature=1.0,
        scale=1.0,
        mask=pairs.mask,
        bias=bias,
        causal=causal,
        return_weights=return_weights,
    )


def _both(mask: Any, other: Any) -> Any:
    return other if mask is None else mask & other


def _masses(
    here: "Place", query: Any, key: Any, query_marginal: Any, key_marginal: Any, pairs: _Pairs
) -> tuple[Any, Any, _Pairs]:
    """Return the mass of each query and key, and the pairs along which some may flow.

    A mass that is not given is spread evenly over what has an allowed pair.
    """
    xp, mask = here.xp, pairs.mask
    if query_marginal is None:
        a = _even(xp, key_marginal, _over_keys(here, query, key, pairs))
    else:
        a = query_marginal
        mask = _both(mask, (a > 0)[..., :, None]) if bool((a == 0).any()) else mask
    if key_marginal is None:
        b = _even(xp, query_marginal, _over_queries(here, query, key, pairs))
    else:
        b = key_marginal
        mask = _both(mask, (b > 0)[..., None, :]) if bool((b == 0).any()) else mask
    return a, b, pairs._replace(mask=mask)


def _even(xp: Any, other: Any, log_sums: Any) -> Any:
    """Spread the total of the other marginal over all whose sum has a term."""
    open_ = (log_sums != -math.inf).astype(log_sums.dtype)
    total = xp.ones_like(open_[..., :1]) if other is None else other.sum(axis=-1)[..., None]
    count = open_.sum(axis=-1)[..., None]
    return open_ * (total / xp.where(count < 1, 1, count))


def _log_ratio(xp: Any, log_mass: Any, log_total: Any) -> Any:
    """Return the logarithm of a mass divided by a total: nothing where the total is nothing."""
    nothing = log_total == -math.inf
    return xp.where(nothing, -math.inf, log_mass - xp.where(nothing, 0, log_total))


def _over_keys(here: "Place", query: Any, key: Any, pairs: _Pairs) -> Any:
    """Return the log-sum-exp of the scores of each query, (..., m)."""
    return _log_sums(here, query, key, pairs, key.shape[-2] - query.shape[-2])


def _over_queries(here: "Place", query: Any, key: Any, pairs: _Pairs) -> Any:
    """Return the log-sum-exp of the scores of each key, (..., n).

    Keys that queries may not see yet lie ahead of them; counted from the end, they lie behind.
    """
    mask, bias = turned(pairs.mask), turned(pairs.bias)
    if not pairs.causal:
        return _log_sums(here, key, query, _Pairs(mask, bias, causal=False), 0)
    mask, bias = (None if array is None else array[..., ::-1, ::-1] for array in (mask, bias))
    return _log_sums(here, key[..., ::-1, :], query[..., ::-1, :], _Pairs(mask, bias, causal=True), 0)[..., ::-1]


def _log_sums(here: "Place", query: Any, key: Any, pairs: _Pairs, offset: int) -> Any:
    """Return the log-sum-exp of each row of scores; row i sees column j iff j <= i + offset, if causal."""
    leading = () if pairs.mask is None else pairs.mask.shape[:-2]
    partial = here.attention_partial(
        spread(here.xp, query, leading),
        key,
        key[..., :0],
        scale=1.0,
        query_offset=offset,
        key_offset=0,
        **pairs._asdict(),
    )
    return partial.maximum + here.xp.log(partial.total)
