"""What attention by place obeys.

| in the specification | law, or test in `tests/reference/test_monotonic_positions.py` |
| --- | --- |
| streaming | `steps_one_at_a_time_are_all_steps` (`location`) |
| steps forward, narrow bells | `test_narrow_bells_never_go_back` |
| r to infinity: the diagonal | `test_sure_steps_walk_along_the_diagonal` |
| nearly independent of L | `test_steps_are_counted_in_keys`, `keys_behind_the_mask_are_not_felt` (`location`) |
| the mixture | `without_contents_the_mixture_is_the_bell`, `contents_alone_are_softmax_attention` |
| controlled relu between both | `controlled_steps_lie_between_their_limits` |
| feedback of the mean place | `the_place_is_the_mean_of_the_weights` |
| location attender: rows sum to 1 | `bells_never_sum_to_more_than_one`, `test_moderate_bells_sum_to_one` |
| its place in the family | `a_located_step_is_a_monotonic_step` |
| the clamp | `test_the_clamp_leaks_a_hundredth` |
| relative: w_position = 0 | `without_distances_relative_attention_is_softmax` |
| positions through j - i only | `only_the_distance_matters` |
| Transformer-XL | `test_relative_scores_are_those_of_transformer_xl` |
| encoding: g = 1, twice g = 0, g = 1/2 | `a_whole_gate_changes_nothing`, `turning_twice_changes_nothing`, |
| | `an_even_gate_knows_no_direction` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same
from .location import ATTENDER, MOVING, roomy, whole_mask

RELATIVE, BIDIRECTIONAL = "relative_position_cross_attention", "bidirectional_encoding"
WEIGHTS = {"return_weights": True}


def _mixed(call: Call, rng: np.random.Generator, logit: float) -> Call:
    """A call with contents and a constant gate."""
    query, value = call.arrays
    d = call.options["b_state"].shape[-1]
    content, key = (rng.standard_normal((x.shape[-2], d)).astype(query.dtype) for x in (query, value))
    gate = np.zeros(query.shape[-1], dtype=query.dtype)
    return call.given(content_query=content, key=key, w_mix=gate, b_mix=logit)


@law(MOVING, statement="γ = 1: α = λ")
def without_contents_the_mixture_is_the_bell(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(_mixed(call, rng, 1e4).by(f), call.given(w_mix=None).by(f))


@law(MOVING, ties=("softmax_attention",), statement="γ = 0: softmax_attention of the contents")
def contents_alone_are_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _mixed(call, rng, -1e4)
    content, key = call.options["content_query"], call.options["key"]
    leading = roomy(call).arrays[0].shape[:-2]
    contents = np.broadcast_to(content, (*leading, *content.shape)), key
    plain = f("softmax_attention", *contents, call.arrays[1], mask=call.options.get("mask"))
    located = call.by(f)
    return equal(located, np.broadcast_to(plain, located.shape))


@law(MOVING, statement="controlled relu, b = 1: relu; b = 0: sigmoid")
def controlled_steps_lie_between_their_limits(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    free, held = (call.given(step="controlled_relu", step_bias=bias).by(f) for bias in (1e4, -1e4))
    return equal(free, call.given(step="relu").by(f)), equal(held, call.given(step="sigmoid").by(f))


@law((MOVING, ATTENDER), statement="x̄_i = Σ_j α_ij x_j",
     fixed={"return_weights": True, "return_position": True, "position_past": False})  # fmt: skip
def the_place_is_the_mean_of_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, weights, position = call.by(f)
    count = whole_mask(call).sum(axis=-1)
    places = np.arange(weights.shape[-1]) / np.maximum(count - 1, 1)[..., None]
    return equal(position, (weights * places.astype(weights.dtype)).sum(axis=-1))


@law((MOVING, ATTENDER), statement="Σ_j α_ij <= 1", fixed=WEIGHTS)
def bells_never_sum_to_more_than_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    total = call.by(f).weights.sum(axis=-1)
    return at_most(total, np.ones_like(total))


@law(ATTENDER, ties=(MOVING,), statement="at most one key on, means within the keys: monotonic_location_attention",
     fixed={"simplified": True, "steps": "sigmoid5", "mask": None, **WEIGHTS}, least={"n": 1})  # fmt: skip
def a_located_step_is_a_monotonic_step(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    given = call.options
    start = np.asarray(rng.integers(0, 3) / 4, dtype=call.arrays[0].dtype)
    locator = {name: given[name] for name in ("w_state", "b_state", "w_sigma")}
    walk = f(MOVING, *call.arrays, **locator, w_rho=given["w_rho"][..., 0], previous=start, return_weights=True,
             return_position=True)  # fmt: skip
    first = np.broadcast_to(start, walk.position[..., :1].shape)
    before = np.concatenate([first, walk.position], axis=-1)[..., :-1]
    spacing = 1 / max(walk.weights.shape[-1] - 1, 1)
    inside = np.logical_and.accumulate(before + spacing <= 1, axis=-1)[..., None]
    located = call.given(previous=start).by(f).weights
    return equal(np.where(inside, located, 0), np.where(inside, walk.weights, 0))


@law(RELATIVE, ties=("softmax_attention",), statement="W = u = v = 0: softmax_attention")
def without_distances_relative_attention_is_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    learned = ("w_position", "content_bias", "position_bias")
    call, silent = roomy(call), {name: np.zeros_like(call.options[name]) for name in learned}
    plain = f("softmax_attention", *call.arrays, mask=call.options.get("mask"))
    relative = call.given(**silent).by(f)
    return equal(relative, np.broadcast_to(plain, relative.shape))


@law(RELATIVE, statement="without the first query: offset + 1; without the first key: offset − 1", fixed={"mask": None},
     least={"m": 2, "n": 2})  # fmt: skip
def only_the_distance_matters(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    offset = call.options.get("query_offset", 0)
    fewer_queries = call.given(query[..., 1:, :], key, value, query_offset=offset + 1).by(f)
    fewer_keys = call.given(query, key[..., 1:, :], value[..., 1:, :], query_offset=offset - 1).by(f)
    seen = np.arange(key.shape[-2]) > 0
    return equal(fewer_queries, call.by(f)[..., 1:, :]), equal(fewer_keys, call.given(mask=seen).by(f))


def _lengths(call: Call) -> tuple[Any, Any]:
    """Which rows belong to the sequences, (..., n, 1), and the leading axes of the result."""
    encoded, gate = call.arrays
    n, lengths = encoded.shape[-2], call.options.get("lengths")
    lengths = np.asarray(n if lengths is None else lengths)
    leading = np.broadcast_shapes(encoded.shape[:-2], gate.shape, lengths.shape)
    return (np.arange(n) < lengths[..., None])[..., None], leading


@law(BIDIRECTIONAL, statement="g = 1: x")
def a_whole_gate_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    encoded, gate = call.arrays
    output = call.given(encoded, np.ones_like(gate)).by(f)
    return same(output, np.broadcast_to(encoded, output.shape))


@law(BIDIRECTIONAL, statement="g = 0, twice: x on the first L rows, 0 behind")
def turning_twice_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    encoded, gate = call.arrays
    turned = call.given(encoded, np.zeros_like(gate))
    twice = turned.given(turned.by(f), np.zeros_like(gate)).by(f)
    inside, leading = _lengths(call)
    return same(twice, np.broadcast_to(np.where(inside, encoded, 0), (*leading, *encoded.shape[-2:])))


@law(BIDIRECTIONAL, statement="g = 1/2: f(x) = f(x reversed), on the first L rows")
def an_even_gate_knows_no_direction(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    encoded, gate = call.arrays
    even = np.full_like(gate, 0.5)
    turned = call.given(encoded, np.zeros_like(gate)).by(f)
    inside, _ = _lengths(call)
    forward, backward = (np.where(inside, call.given(x, even).by(f), 0) for x in (encoded, turned))
    return equal(forward, backward)
