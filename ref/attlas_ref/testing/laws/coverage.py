"""What attention with coverage obeys.

| in the specification | law |
| --- | --- |
| w_coverage = 0, b_coverage = 0 gives `additive_attention` | `without_coverage_it_is_additive_attention` |
| m calls with m = 1 equal one call | `coverage_may_be_handed_on` |
| the coverage is the running sum | `coverage_is_the_sum_of_all_weights` |
| softmax | `a_constant_in_every_coverage_score_is_forgotten`, `covered_keys_may_be_permuted` |
| what a mask hides cannot leak | `hidden_keys_are_not_covered` |
| a row that sees nothing gets zeros | `a_step_that_sees_nothing_covers_nothing` |
| 0 <= coverage_loss <= m | `a_step_costs_no_more_than_its_weights` |
| the loss is 0 iff supports are disjoint in time | `coming_back_costs_and_nothing_else_does` |
| c the running sum from `initial` | `the_loss_goes_on_from_the_coverage` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

COVERAGE, LOSS, ADDITIVE = "coverage_attention", "coverage_loss", "additive_attention"
ALL = {"return_weights": True, "return_coverage": True}


def _mask_of(call: Call) -> Any:
    """Who sees whom, with the leading axes of the weights, (..., m, n)."""
    query, key, _ = call.arrays
    mask = call.options.get("mask")
    mask = np.ones((1, 1), dtype=bool) if mask is None else np.atleast_2d(mask)
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], mask.shape[:-2])
    return np.broadcast_to(mask, (*leading, query.shape[-2], key.shape[-2]))


@law(COVERAGE, ties=(ADDITIVE,), statement="w_c = 0, b_c = 0: additive attention with the vector scale v",
     fixed={"return_weights": True})  # fmt: skip
def without_coverage_it_is_additive_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    option = call.options
    found = call.given(w_coverage=np.zeros_like(option["w_coverage"]), b_coverage=None, initial="zeros").by(f)
    plain = f(
        ADDITIVE,
        *call.arrays,
        query_weight=option["w_query"],
        key_weight=option["w_key"],
        score_vector=option["v"] * np.asarray(option.get("scale", 1.0), dtype=option["v"].dtype),
        score_bias=option.get("b_key"),
        mask=option.get("mask"),
        return_weights=True,
    )
    return tuple(equal(one, other) for one, other in zip(found, plain, strict=True))


@law(COVERAGE, statement="f(q) = [f(q[:i]), f(q[i:]; initial = coverage of the first)]", fixed=ALL, least={"m": 2})
def coverage_may_be_handed_on(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    mask, at = _mask_of(call), int(rng.integers(1, query.shape[-2]))
    whole = call.by(f)
    first = call.given(query[..., :at, :], key, value, mask=mask[..., :at, :]).by(f)
    rest = call.given(query[..., at:, :], key, value, mask=mask[..., at:, :], initial=np.maximum(first.coverage, 0))
    last = rest.by(f)
    return (
        equal(np.concatenate([first.output, last.output], axis=-2), whole.output),
        equal(np.concatenate([first.weights, last.weights], axis=-2), whole.weights),
        equal(last.coverage, whole.coverage),
    )


@law(COVERAGE, statement="coverage = c_0 + Σ_i a_i;  Σ_j a_ij = 1, or 0 where nothing is visible", fixed=ALL)
def coverage_is_the_sum_of_all_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found, seen = call.by(f), _mask_of(call)
    start, first = call.options.get("initial", "zeros"), seen[..., :1, :].any(axis=-2)
    if isinstance(start, str):
        count = np.maximum(first.sum(axis=-1, keepdims=True), 1)
        start = np.where(first & (start == "uniform"), 1 / count, 0).astype(found.output.dtype)
    total = found.weights.sum(axis=-1)
    return (
        equal(found.coverage, np.broadcast_to(start + found.weights.sum(axis=-2), found.coverage.shape)),
        equal(total, np.broadcast_to(seen.any(axis=-1).astype(total.dtype), total.shape)),
    )


@law(COVERAGE, statement="f(b_v + c) = f(b_v)")
def a_constant_in_every_coverage_score_is_forgotten(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(b_v=float(rng.uniform(-20, 20))).by(f), call.by(f))


@law(COVERAGE, statement="f(k[P], v[P], c_0[P]) = f(k, v, c_0) for every permutation P of the keys, masks with them")
def covered_keys_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    order, start = rng.permutation(key.shape[-2]), call.options.get("initial", "zeros")
    moved = call.given(
        query, key[..., order, :], value[..., order, :], mask=_mask_of(call)[..., order],
        initial=start if isinstance(start, str) else start[..., order],
    )  # fmt: skip
    return equal(moved.by(f), call.by(f))


@law(COVERAGE, statement="f does not depend on keys, values and c_0 that no step sees, NaN included")
def hidden_keys_are_not_covered(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    seen, start = rng.random(key.shape[-2]) < 0.6, call.options.get("initial", "zeros")

    def with_(what: float) -> Any:
        rows = (np.where(seen[:, None], array, array.dtype.type(what)) for array in (key, value))
        begin = start if isinstance(start, str) else np.where(seen, start, start.dtype.type(what))
        return call.given(query, *rows, mask=seen[None], initial=begin).by(f)

    return equal(with_(0), with_(np.nan))


@law(COVERAGE, statement="a step without a visible key: zeros, and the coverage stays as it was", fixed=ALL,
     least={"m": 1})  # fmt: skip
def a_step_that_sees_nothing_covers_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    blind = int(rng.integers(query.shape[-2]))
    mask = _mask_of(call) & (np.arange(query.shape[-2]) != blind)[:, None]
    initial = np.zeros(key.shape[-2], dtype=key.dtype)
    found = call.given(mask=mask, initial=initial).by(f)
    others = np.delete(np.arange(query.shape[-2]), blind)
    without = call.given(query[..., others, :], key, value, mask=mask[..., others, :], initial=initial).by(f)
    return (
        same(found.output[..., blind, :] == 0, np.ones(found.output[..., blind, :].shape, dtype=bool)),
        equal(found.weights[..., others, :], without.weights),
        equal(found.coverage, without.coverage),
    )


@law(LOSS, statement="0 <= f <= Σ_ij a_ij, which is m where rows sum to 1; f grows with c_0")
def a_step_costs_no_more_than_its_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,), found = call.arrays, call.by(f)
    more = np.asarray(call.options.get("initial", 0.0)) + rng.uniform(0, 1, weights.shape[-1]).astype(weights.dtype)
    return (
        same(found >= 0, np.ones(found.shape, dtype=bool)),
        at_most(found, np.broadcast_to(weights.sum(axis=(-2, -1)), found.shape)),
        at_most(found, call.given(initial=more).by(f)),
    )


@law(LOSS, statement="c_0 = 0: f = 0 iff no position has weight at two steps", fixed={"initial": 0.0})
def coming_back_costs_and_nothing_else_does(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (weights,) = call.arrays
    when = rng.integers(0, max(weights.shape[-2], 1), weights.shape[-1])
    once = np.where(np.arange(weights.shape[-2])[:, None] == when, weights, 0)
    found, again = call.given(once).by(f), ((weights > 0).sum(axis=-2) > 1).any(axis=-1)
    return same(found, np.zeros_like(found)), same(call.by(f) > 0, again)


@law(LOSS, statement="f(a) = f(a[:i]) + f(a[i:]; initial = c_0 + Σ a[:i])")
def the_loss_goes_on_from_the_coverage(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,), start = call.arrays, np.asarray(call.options.get("initial", 0.0))
    at = int(rng.integers(weights.shape[-2] + 1))
    first, rest = weights[..., :at, :], weights[..., at:, :]
    so_far = np.broadcast_to(start, (*start.shape[:-1], weights.shape[-1])) + first.sum(axis=-2)
    return equal(call.given(first).by(f) + call.given(rest, initial=so_far.astype(weights.dtype)).by(f), call.by(f))
