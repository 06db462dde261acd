"""What attention obeys that knows where it looked last.

| in the specification | law, or test in `tests/reference/test_monotonic_location.py`, `..._forward.py` |
| --- | --- |
| all: streaming | `steps_one_at_a_time_are_all_steps`, here and for those of `positions` |
| all: weights times values; hidden keys | `what_is_read_is_the_weighted_sum`, `keys_behind_the_mask_are_not_felt` |
| location-sensitive: w_location = 0 | `without_its_features_location_sensitive_attention_is_additive` |
| shifted keys, mask and initial weights | `keys_in_front_shift_the_weights` |
| scale to infinity | `test_a_large_scale_makes_it_hard` |
| rows sum to 1 | `rows_of_convolved_attention_sum_to_one` |
| DCA: v = 0 | `without_filters_the_prior_moves_the_weights` |
| DCA: reach of a step; mean of the prior | `test_a_step_reaches_no_further_than_the_prior`, |
| | `test_the_usual_prior_moves_one_key_per_step` |
| beta-binomial: sum, mean, uniform, SciPy | `test_beta_binomial_prior_is_that_of_scipy`, |
| | `test_a_flat_prior_is_uniform` |
| GMM: means do not decrease | `mixtures_never_go_back` |
| GMM: the sum of a row | `test_rows_of_wide_bells_sum_to_one`, `normalized_mixtures_are_divided_by_their_sum` |
| GMM: narrow bells exceed 1 | `test_narrow_bells_exceed_one` |
| GMM: from anywhere | `a_mixture_may_start_anywhere` |
| forward: nothing beyond the next key | `forward_attention_never_skips_a_key` |
| forward: sum over paths | `test_forward_weights_are_sums_over_paths` |
| forward: u = 1 | `a_sure_agent_moves_one_key_per_step` |
| forward: u = 1/2; the convention of ESPnet | `an_undecided_agent_is_no_agent`, `staying_is_not_moving` |
| window: contains last, wide ones | `test_windows_are_those_of_the_loop` |
"""

from typing import Any

import numpy as np

from ...records import find
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

SENSITIVE, DYNAMIC = "location_sensitive_attention", "dynamic_convolution_attention"
GMM, FORWARD = "gmm_attention", "forward_attention"
MOVING, ATTENDER = "monotonic_location_attention", "location_attender"
CONVOLVED = (SENSITIVE, DYNAMIC)
STREAMS = (*CONVOLVED, GMM, FORWARD, MOVING, ATTENDER)
WEIGHTED = (*STREAMS, "relative_position_cross_attention")
BY_STEP = {FORWARD: ("previous_output",), MOVING: ("content_query",)}
"""Options with one row per step."""
KEYED = ("initial", "previous", "cumulative")
"""Options with one entry per key, where they are arrays with the axis of the keys."""


def whole_mask(call: Call) -> Any:
    """The mask of a call, (..., m, n)."""
    m, n = call.arrays[0].shape[-2], call.arrays[-1].shape[-2]
    mask = call.options.get("mask")
    mask = np.ones((m, n), dtype=bool) if mask is None else mask
    return np.broadcast_to(mask, (*mask.shape[:-2], m, n))


def roomy(call: Call) -> Call:
    """The call with queries that have the leading axes of the mask, where others that had them may be left out."""
    mask, (query, *others) = call.options.get("mask"), call.arrays
    leading = np.broadcast_shapes(query.shape[:-2], () if mask is None else mask.shape[:-2])
    return call.given(np.broadcast_to(query, (*leading, *query.shape[-2:])), *others)


def _step(call: Call, i: int, state: dict[str, Any]) -> Call:
    """The call of step i alone."""
    query, *others = call.arrays
    rows = {
        name: call.options[name][..., i : i + 1, :]
        for name in BY_STEP.get(call.name, ())
        if call.options.get(name) is not None
    }
    mask = whole_mask(call)[..., i : i + 1, :]
    return call.given(query[..., i : i + 1, :], *others, mask=mask, **rows, **state, **_asked(call))


def _asked(call: Call) -> dict[str, bool]:
    """Everything that a call can return."""
    return {name: True for name in find(call.name).options if name.startswith("return_")}


def _next_state(call: Call, result: Any, state: dict[str, Any]) -> dict[str, Any]:
    """What a stream hands on after a step."""
    if call.name == GMM:
        return {"initial_mean": result.means[..., -1, :]}
    if call.name in (MOVING, ATTENDER):
        return {"previous": result.position[..., -1]}
    last = {"previous": result.weights[..., -1, :]}
    if call.name == FORWARD:
        # The noise of a probability of 1 may pass 1.
        return last | {"previous_agent": np.clip(result.next_agent, 0, 1)}
    if call.name == SENSITIVE:
        before = state.get("cumulative", call.options.get("cumulative"))
        return last | {"cumulative": last["previous"] if before is None else before + last["previous"]}
    return last


@law(STREAMS, statement="m calls of one step each, which hand their state on = one call of m steps", least={"m": 1})
def steps_one_at_a_time_are_all_steps(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    together = call.given(**_asked(call)).by(f)
    outputs, weights = [], []
    state: dict[str, Any] = {}
    for i in range(call.arrays[0].shape[-2]):
        result = _step(call, i, state).by(f)
        state = _next_state(call, result, state)
        outputs.append(result.output)
        weights.append(result.weights)
    return (
        equal(np.concatenate(outputs, axis=-2), together.output),
        equal(np.concatenate(np.broadcast_arrays(*weights), axis=-2), together.weights),
    )


@law(WEIGHTED, statement="out_i = Σ_j w_ij v_j, and w_ij >= 0", fixed={"return_weights": True})
def what_is_read_is_the_weighted_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, weights = call.by(f)
    return equal(output, weights @ call.arrays[-1]), at_most(np.zeros_like(weights), weights)


def _padded(call: Call, before: int, after: int) -> Call:
    """The call with strange keys around, which nobody sees."""

    def around(array: Any, axis: int, filler: Any) -> Any:
        if array is None or isinstance(array, str):
            return array
        width = [(0, 0)] * np.ndim(array)
        width[axis] = (before, after)
        return np.pad(array, width, constant_values=filler)

    query, *keys = call.arrays
    options: dict[str, Any] = {}
    if call.name not in (MOVING, ATTENDER):  # their `previous` is a place
        options = {name: around(call.options.get(name), -1, np.nan) for name in KEYED if name in call.options}
    if call.name == MOVING and call.options.get("key") is not None:
        options["key"] = around(call.options["key"], -2, np.nan)
    mask = around(whole_mask(call), -1, False)
    return call.given(query, *(around(key, -2, np.nan) for key in keys), mask=mask, **options)


@law(WEIGHTED, statement="hidden keys behind the others change nothing, NaN or not", fixed={"return_weights": True})
def keys_behind_the_mask_are_not_felt(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    after, n = int(rng.integers(1, 4)), call.arrays[-1].shape[-2]
    plain, padded = call.given(mask=whole_mask(call)).by(f), _padded(call, 0, after).by(f)
    return (
        equal(padded.output, plain.output),
        equal(padded.weights[..., :n], plain.weights),
        same(padded.weights[..., n:], np.zeros_like(padded.weights[..., n:])),
    )


@law((*CONVOLVED, FORWARD), statement="s hidden keys in front, past weights moved along: all weights move by s",
     fixed={"return_weights": True})  # fmt: skip
def keys_in_front_shift_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    before, n = int(rng.integers(1, 4)), call.arrays[-1].shape[-2]
    past = rng.uniform(0, 1, n).astype(call.arrays[0].dtype)
    call = roomy(call).given(previous=past, mask=whole_mask(call))
    return equal(_padded(call, before, 0).by(f).weights[..., before:], call.by(f).weights)


@law(SENSITIVE, ties=("additive_attention",), statement="W_f = 0, scale 1: additive_attention",
     fixed={"normalize": "softmax", "scale": 1.0, "b_v": 0.0})  # fmt: skip
def without_its_features_location_sensitive_attention_is_additive(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    call, given = roomy(call), call.options
    plain = f("additive_attention", *call.arrays, query_weight=given["w_query"], key_weight=given["w_key"],
              score_vector=given["v"], score_bias=given.get("b_key"), mask=given.get("mask"))  # fmt: skip
    silent = {"w_location": np.zeros_like(given["w_location"]), "previous": None, "cumulative": None}
    return equal(call.given(**silent, initial="uniform").by(f), plain)


@law(CONVOLVED, statement="Σ_j α_ij = 1 where some key is visible, else 0", fixed={"return_weights": True})
def rows_of_convolved_attention_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.by(f).weights
    seen = np.broadcast_to(whole_mask(call), weights.shape).any(axis=-1)
    return equal(weights.sum(axis=-1), seen.astype(weights.dtype))


@law(DYNAMIC, statement="v = 0: α_ij = max(Σ_k P_k α_(i−1,j−k), floor) / Σ_j' max(...)",
     fixed={"return_weights": True, "mask": None}, least={"n": 1})  # fmt: skip
def without_filters_the_prior_moves_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n, dtype = call.arrays[1].shape[-2], call.arrays[0].dtype
    prior, past = (rng.uniform(0, 1, size).astype(dtype) for size in (3, n))
    prior, past, floor = prior / prior.sum(), past / past.sum(), call.options.get("prior_floor", 1e-6)
    still = {"v": np.zeros_like(call.options["v"]), "prior": prior, "previous": past}
    weights = call.given(**still).by(f).weights
    before = np.concatenate([np.broadcast_to(past, weights[..., :1, :].shape), weights], axis=-2)[..., :-1, :]
    moved = sum(prior[k] * np.pad(before, [(0, 0)] * (before.ndim - 1) + [(k, 0)])[..., :n] for k in range(3))
    held = np.maximum(moved, dtype.type(floor))
    return equal(weights, held / held.sum(axis=-1, keepdims=True))


@law(GMM, statement="μ_ik <= μ_(i+1,k)", fixed={"return_means": True})
def mixtures_never_go_back(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    means = call.by(f).means
    return at_most(means[..., :-1, :], means[..., 1:, :])


@law(GMM, statement="normalize: α_ij Σ_j' α'_ij' = α'_ij, with α' not normalized", fixed={"return_weights": True})
def normalized_mixtures_are_divided_by_their_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    raw, normalized = (call.given(normalize=flag).by(f).weights for flag in (False, True))
    return equal(normalized * raw.sum(axis=-1, keepdims=True), raw)


@law(GMM, statement="initial means + s, and s keys in front: all weights move by s", fixed={"return_weights": True})
def a_mixture_may_start_anywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    before, components = int(rng.integers(1, 4)), call.options["b_params"].shape[-1] // 3
    start = rng.uniform(0, 2, components).astype(call.arrays[0].dtype)
    call = roomy(call).given(initial_mean=start, normalize=False, mask=whole_mask(call))
    moved = _padded(call, before, 0).given(initial_mean=start + before)
    return equal(moved.by(f).weights[..., before:], call.by(f).weights)


ONE_STEP = {"smooth": 0.0, "floor": 0.0, "initial_rest": 0.0, "return_weights": True}


@law(FORWARD, statement="a_ij = 0 for j > i + 1, from the first key on", fixed=ONE_STEP)
def forward_attention_never_skips_a_key(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = roomy(call).given(previous=None).by(f).weights
    m, n = weights.shape[-2:]
    beyond = weights[..., np.arange(n) > np.arange(m)[:, None] + 1]
    return same(beyond, np.zeros_like(beyond))


def _with_agent(call: Call, first: float, logit: float, **options: Any) -> Call:
    """A call whose agent starts with u and goes on with a constant one."""
    query, _, value = call.arrays
    output = call.options.get("previous_output")
    width = value.shape[-1] + query.shape[-1] + (0 if output is None else output.shape[-1])
    silent, start = np.zeros(width, dtype=query.dtype), np.asarray(first, dtype=query.dtype)
    return call.given(agent=True, w_agent=silent, b_agent=logit, previous_agent=start, **options)


@law(FORWARD, statement="u = 1: all weight is on key i + 1, and nowhere past the end", fixed={**ONE_STEP, "mask": None})
def a_sure_agent_moves_one_key_per_step(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    moving = _with_agent(call, 1.0, 1e4, agent_moves=True, previous=None).by(f).weights
    staying = _with_agent(call, 0.0, -1e4, agent_moves=False, previous=None).by(f).weights
    m, n = moving.shape[-2:]
    expected = np.broadcast_to(np.arange(n) == np.arange(m)[:, None] + 1, moving.shape).astype(moving.dtype)
    return same(moving, expected), same(staying, expected)


@law(FORWARD, statement="u = 1/2 at every step: as without an agent", fixed={**ONE_STEP, "agent": False})
def an_undecided_agent_is_no_agent(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = roomy(call)
    undecided, none = _with_agent(call, 0.5, 0.0).by(f).weights, call.given(previous_agent=None).by(f).weights
    return equal(undecided, np.broadcast_to(none, undecided.shape))


@law(FORWARD, statement="u of staying, with w, b = 1 − u of moving, with −w, −b",
     fixed={"agent": True, "agent_moves": True, "return_agent": True, "return_weights": True})  # fmt: skip
def staying_is_not_moving(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first = np.asarray(rng.integers(0, 5) / 4, dtype=call.arrays[0].dtype)
    call = roomy(call)
    moving = call.given(previous_agent=first).by(f)
    w_agent, b_agent = -call.options["w_agent"], -call.options.get("b_agent", 0.0)
    staying = call.given(previous_agent=1 - first, w_agent=w_agent, b_agent=b_agent, agent_moves=False).by(f)
    both = moving.agent + staying.agent  # 1 − u would round a small u away
    return equal(moving.weights, staying.weights), equal(both, np.ones_like(both))
