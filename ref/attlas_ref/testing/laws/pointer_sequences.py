"""What sequences of pointers obey: their likelihood, and the search for good ones.

| in the specification | law, or test in `tests/reference/test_pointer_networks.py` |
| --- | --- |
| Σ over all permutations (sequences) of exp(log_prob) = 1 | `continuations_share_the_probability`, |
| | `test_all_orders_have_probability_one`, `test_all_sequences_have_probability_one` |
| result Σ_t log p_t[sequence_t] | `the_likelihood_is_the_sum_of_its_steps` |
| a forbidden target gives −∞ | `a_repetition_is_impossible`, `a_hidden_target_is_impossible` |
| the last step of a full permutation has log p = 0 | `the_last_position_is_sure` |
| T = 0 gives 0 | `saying_nothing_is_certain` |
| masked positions | `hidden_positions_might_as_well_be_absent`, |
| | `a_decoder_does_not_feel_what_it_may_not_see` |
| greedy = beam of width 1 | `a_beam_of_one_is_greedy` |
| an exhaustive beam is the exact argmax | `a_beam_that_forgets_nothing_finds_the_best`, |
| | `test_an_exhaustive_beam_is_the_best_of_all_sequences` |
| score not monotone in width | `test_a_wider_beam_may_do_worse` |
| the result is a permutation | `decoded_positions_are_all_different` |
| log_prob = `pointer_network_log_prob(sequence)` | `decoded_sequences_have_their_likelihood`, |
| | `the_better_of_two_beams_has_its_likelihood` |
| sample = inverse CDF with u_t | `each_draw_falls_into_its_stretch`, `test_samples_occur_as_often_as_they_are_likely` |
| decoding stops on end_index | `behind_the_end_stands_nothing` |
| against the public code | `test_the_likelihood_is_that_of_torch` |
"""

from typing import Any

import numpy as np

from ...records import find
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

LIKELIHOOD, DECODE = "pointer_network_log_prob", "pointer_network_decode"
NETWORKS = (LIKELIHOOD, DECODE)
ONE = {"n": 1}
WHOLE: dict[str, Any] = {"length": None, "end_index": None, "mask": None, "forbid_repeats": True}


def _batch(call: Call) -> tuple[int, ...]:
    """The leading axes of everything that the decoder is given."""
    options = (call.options.get(name) for name in ("h0", "c0", "mask", "uniform"))
    flat = [x for x in (*call.arrays[2:], *options) if x is not None]
    return np.broadcast_shapes(*(x.shape[:-2] for x in call.arrays[:2]), *(x.shape[:-1] for x in flat))


def _visible(call: Call) -> Any:
    mask = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, (*_batch(call), call.arrays[0].shape[-2]))


def _likelihood(f: Evaluate, call: Call, sequence: Any, **options: Any) -> Any:
    """The log likelihood of sequences under the network of a call."""
    known = find(LIKELIHOOD).options
    network = {name: value for name, value in call.options.items() if name in known}
    return f(LIKELIHOOD, *call.arrays[:2], sequence, **{**network, **options})


@law(LIKELIHOOD, statement="Σ_j p(C, j) = p(C), as long as something may be pointed at", least=ONE)
def continuations_share_the_probability(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sequence, n = np.broadcast_to(call.arrays[2], (*_batch(call), call.arrays[2].shape[-1])), call.arrays[0].shape[-2]
    free = _visible(call)
    if call.options.get("forbid_repeats", True):
        free = free & ~(sequence[..., None] == np.arange(n)).any(axis=-2)
    one_more = np.broadcast_to(np.arange(n).reshape(n, *(1 for _ in sequence.shape)), (n, *sequence.shape[:-1], 1))
    before = np.broadcast_to(sequence, (n, *sequence.shape)).astype(np.int64)
    each = np.exp(_likelihood(f, call, np.concatenate([before, one_more], axis=-1)))
    return equal(each.sum(axis=0), np.where(free.any(axis=-1), np.exp(call.by(f)), 0))


@law(LIKELIHOOD, statement="f = Σ_t log p_t(C_t), and Σ_j p_t(j) = 1 where something is left", least=ONE)
def the_likelihood_is_the_sum_of_its_steps(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_prob, steps = call.given(return_steps=True).by(f)
    places = np.broadcast_to(call.arrays[2].astype(np.int64), (*_batch(call), call.arrays[2].shape[-1]))
    each = np.take_along_axis(steps, places[..., None], axis=-1)[..., 0]
    left = (steps > -np.inf).any(axis=-1)
    return equal(log_prob, each.sum(axis=-1)), equal(np.exp(steps).sum(axis=-1), left.astype(steps.dtype))


@law(LIKELIHOOD, statement="C_s = C_t for some s < t: f = −∞", fixed={"forbid_repeats": True},
     least={"n": 1, "T": 1})  # fmt: skip
def a_repetition_is_impossible(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sequence = np.concatenate([call.arrays[2], call.arrays[2][..., :1]], axis=-1)
    log_prob = call.given(*call.arrays[:2], sequence).by(f)
    return same(log_prob, np.full_like(log_prob, -np.inf))


@law(LIKELIHOOD, statement="mask[C_t] false for some t: f = −∞", least={"n": 1, "T": 1})
def a_hidden_target_is_impossible(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n, sequence = call.arrays[0].shape[-2], call.arrays[2]
    named = sequence[..., int(rng.integers(sequence.shape[-1])), None]
    log_prob = call.given(mask=np.arange(n) != named).by(f)
    return same(log_prob, np.full_like(log_prob, -np.inf))


@law(LIKELIHOOD, statement="C an order of all n: log p_n(C_n) = 0", least=ONE,
     fixed={"forbid_repeats": True, "mask": None})  # fmt: skip
def the_last_position_is_sure(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    order = rng.permutation(call.arrays[0].shape[-2])
    steps = call.given(*call.arrays[:2], order, return_steps=True).by(f).step_log_probs
    last = steps[..., -1, order[-1]]
    return equal(last, np.zeros_like(last))


@law(LIKELIHOOD, statement="T = 0: f = 0")
def saying_nothing_is_certain(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_prob = call.given(*call.arrays[:2], call.arrays[2][..., :0]).by(f)
    return same(log_prob, np.zeros_like(log_prob))


@law(DECODE, statement="f(mask) = f(what the mask shows), renumbered", least={"n": 1},
     fixed={"mask": None, "end_index": None, "forbid_repeats": True, "method": "greedy", "uniform": None})  # fmt: skip
def hidden_positions_might_as_well_be_absent(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    n = call.arrays[0].shape[-2]
    kept = np.sort(rng.permutation(n)[: int(rng.integers(1, n + 1))])
    few = call.given(*(x[..., kept, :] for x in call.arrays), length=len(kept), uniform=None).by(f)
    hidden = call.given(mask=np.isin(np.arange(n), kept), length=len(kept), uniform=None).by(f)
    return equal(hidden.sequence, kept[few.sequence]), equal(hidden.log_prob, few.log_prob)


@law(NETWORKS, statement="f does not change with what stands at hidden positions, NaN included", least=ONE)
def a_decoder_does_not_feel_what_it_may_not_see(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    embedded, key, *rest = call.arrays
    seen = rng.random(key.shape[-2]) < 0.5
    hidden = call.given(mask=_visible(call) & seen)
    if call.name == LIKELIHOOD:
        hidden = hidden.given(return_steps=True)
    other = rng.choice([np.nan, np.inf, 7.0]).astype(key.dtype)
    spoiled = hidden.given(*(np.where(seen[:, None], x, other) for x in (embedded, key)), *rest)
    return tuple(equal(a, b) for a, b in zip(spoiled.by(f), hidden.by(f), strict=True))


@law(DECODE, statement="beam_width = 1: beam = greedy", least=ONE)
def a_beam_of_one_is_greedy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    beam = call.given(method="beam", beam_width=1).by(f)
    greedy = call.given(method="greedy").by(f)
    return same(beam.sequence, greedy.sequence), same(beam.log_prob, greedy.log_prob)


@law(DECODE, statement="beam_width >= n!: log p(C) <= f for every order C", fixed={**WHOLE, "uniform": None}, least=ONE)
def a_beam_that_forgets_nothing_finds_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    few = call.given(*(x[..., :4, :] for x in call.arrays), method="beam", beam_width=24, uniform=None)
    order = rng.permutation(few.arrays[0].shape[-2])
    return at_most(_likelihood(f, few, order), few.by(f).log_prob)


@law(DECODE, statement="C is an order of all n positions", fixed=WHOLE)
def decoded_positions_are_all_different(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sequence = call.by(f).sequence
    return same(np.sort(sequence, axis=-1), np.broadcast_to(np.arange(sequence.shape[-1]), sequence.shape))


@law(DECODE, ties=(LIKELIHOOD,), statement="log_prob = log p(sequence)", fixed={"end_index": None})
def decoded_sequences_have_their_likelihood(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return _has_its_likelihood(f, call)


@law(DECODE, ties=(LIKELIHOOD,), statement="beam_width = 2: log_prob = log p(sequence)",
     fixed={"end_index": None, "method": "beam", "beam_width": 2, "uniform": None}, least={"n": 2})  # fmt: skip
def the_better_of_two_beams_has_its_likelihood(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return _has_its_likelihood(f, call)


def _has_its_likelihood(f: Evaluate, call: Call) -> Relation:
    sequence, log_prob = call.by(f)
    found = _likelihood(f, call, np.maximum(sequence, 0))
    return equal(log_prob, np.where((sequence < 0).any(axis=-1), -np.inf, found).astype(log_prob.dtype))


@law(DECODE, ties=(LIKELIHOOD,), statement="Σ_(j < C_t) p_t(j) <= u_t <= Σ_(j <= C_t) p_t(j)",
     fixed={**WHOLE, "method": "sample"}, least=ONE)  # fmt: skip
def each_draw_falls_into_its_stretch(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    sequence, uniform = call.by(f).sequence, call.options["uniform"]
    p = np.exp(_likelihood(f, call, sequence, return_steps=True).step_log_probs)  # (..., T, n)
    places = np.arange(p.shape[-1])
    below = np.where(places < sequence[..., None], p, 0).sum(axis=-1)
    upto = np.where(places <= sequence[..., None], p, 0).sum(axis=-1)
    # Rounding may leave the whole a little below 1 and u beyond it: the last position then is the one.
    last = sequence == np.where(p > 0, places, -1).max(axis=-1)
    return at_most(below, uniform), at_most(np.where(last, 0, uniform), upto)


@law(DECODE, ties=(LIKELIHOOD,), statement="C_t = end: C_s = −1 for s > t, and log_prob = log p(C_1, ..., C_t)",
     fixed={"mask": None, "length": None, "uniform": None, "method": "greedy"}, least=ONE)  # fmt: skip
def behind_the_end_stands_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    n = call.arrays[0].shape[-2]
    ends = call.given(uniform=None, end_index=int(rng.integers(n)))
    sequence, log_prob = ends.by(f)
    steps = _likelihood(f, ends, np.maximum(sequence, 0), return_steps=True).step_log_probs
    each = np.take_along_axis(steps, np.maximum(sequence, 0)[..., None], axis=-1)[..., 0]
    over = np.cumsum(sequence == ends.options["end_index"], axis=-1) - (sequence == ends.options["end_index"]) > 0
    return same(sequence < 0, over), equal(log_prob, np.where(sequence < 0, 0, each).sum(axis=-1))
