"""What policies of a pointer obey: one key at a time, and with the help of a language model.

| in the specification | law, or test in `tests/reference/test_monotonic_policies.py` |
| --- | --- |
| stepwise: at most one key per step | `a_step_moves_one_key_at_most` |
| stepwise: mass is lost only at the end | `steps_lose_mass_only_at_the_end` |
| stepwise: absorb_last | `an_absorbing_key_keeps_all_mass` |
| stepwise: constant p is binomial | `test_constant_steps_are_binomial` |
| stepwise: p = 1 stays | `a_pointer_that_stays_does_not_move` |
| stepwise: hard | `hard_steps_are_sure_steps` |
| stepwise: streaming | `rows_may_come_one_by_one` |
| stepwise: linear in the start | `steps_are_linear_in_their_start` |
| wait-k: diagonal, prefix softmax, last key | `test_wait_k_is_a_diagonal`, `test_wait_k_looks_back_at_what_was_read`, |
| | `test_wait_k_stays_on_the_last_key` |
| language model: mix = 0 | `without_a_mix_it_is_the_energy_of_the_query` |
| language model: mix = 1 | `with_all_the_mix_it_is_the_energy_of_the_future` |
| language model: linear in mix | `energies_are_mixed_linearly` |
| future: top = V | `all_tokens_give_the_mean_embedding` |
"""

import numpy as np

from ..plan import Call
from .inputs import filled, options_of
from .law import Evaluate, Relation, equal, law, same
from .walks import start_of, with_start

STEPWISE, MIXED, FUTURE = "stepwise_monotonic_alignment", "lm_augmented_monotonic_energy", "future_representation"
ENERGY = "monotonic_energy"
PLAIN = {"noise": None, "return_probability": False}


@law(STEPWISE, statement="start at key 0: α_ij = 0 for j > i + 1", fixed={"previous": None})
def a_step_moves_one_key_at_most(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment = call.by(f)
    i, j = np.arange(alignment.shape[-2])[:, None], np.arange(alignment.shape[-1])
    return same(np.where(j > i + 1, alignment, 0), np.zeros_like(alignment))


@law(STEPWISE, statement="Σ_j α_ij = Σ_j α_(i−1),j − (1 − p_i,n−1) α_(i−1),n−1",
     fixed={"mask": None, "hard": False, "absorb_last": False}, least={"n": 1})  # fmt: skip
def steps_lose_mass_only_at_the_end(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, (p,) = call.by(f), call.arrays
    before = with_start(call, alignment)[..., :-1, :]
    lost = (1 - p[..., -1]) * before[..., -1]
    return equal(alignment.sum(axis=-1), before.sum(axis=-1) - lost)


@law(STEPWISE, statement="absorb_last: rows keep the sum of α_−1", fixed={"mask": None, "absorb_last": True})
def an_absorbing_key_keeps_all_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment = call.by(f)
    total = start_of(call, alignment).sum(axis=-1)[..., None]
    return equal(alignment.sum(axis=-1), np.broadcast_to(total, alignment.shape[:-1]))


@law(STEPWISE, statement="p = 1: α_i = α_−1", fixed={"mask": None})
def a_pointer_that_stays_does_not_move(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment = call.given(np.ones_like(call.arrays[0])).by(f)
    return equal(alignment, np.broadcast_to(start_of(call, alignment)[..., None, :], alignment.shape))


@law(STEPWISE, statement="hard: f([p >= 1/2])", fixed={"hard": True})
def hard_steps_are_sure_steps(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (p,) = call.arrays
    decided = np.where(p == 0.5, 1, np.rint(p)).astype(p.dtype)
    return equal(call.by(f), call.given(decided, hard=False).by(f))


@law(STEPWISE, statement="f(a α_−1) = a f(α_−1), 0 <= a <= 1")
def steps_are_linear_in_their_start(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment = call.by(f)
    start, share = start_of(call, alignment), float(rng.uniform())
    return equal(call.given(previous=share * start).by(f), share * alignment)


@law(MIXED, ties=(ENERGY,), statement="mix = 0: the scaled-dot energy of the query", fixed={"mix": 0.0})
def without_a_mix_it_is_the_energy_of_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, _ = call.arrays
    energy = f(ENERGY, query, key, score="scaled_dot", **options_of(
        call, "w_query", "w_key", "r", "noise", "mask", "return_probability"
    ))  # fmt: skip
    mixed = call.by(f)
    return equal(mixed, np.broadcast_to(energy, mixed.shape))


@law(MIXED, ties=(ENERGY,), statement="mix = 1: the scaled-dot energy of the future", fixed={"mix": 1.0})
def with_all_the_mix_it_is_the_energy_of_the_future(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    _, key, future = call.arrays
    matrices = {"w_query": call.options["w_future"], "w_key": call.options["w_future_key"]}
    energy = f(ENERGY, future, key, score="scaled_dot", **matrices, **options_of(
        call, "r", "noise", "mask", "return_probability"
    ))  # fmt: skip
    mixed = call.by(f)
    return equal(mixed, np.broadcast_to(energy, mixed.shape))


@law(MIXED, statement="f(mix) = (1 − mix) f(0) + mix f(1)", fixed={**PLAIN, "mask": None})
def energies_are_mixed_linearly(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    mix = float(rng.uniform())
    ends = [call.given(mix=end).by(f) for end in (0.0, 1.0)]
    return equal(call.given(mix=mix).by(f), (1 - mix) * ends[0] + mix * ends[1])


@law(FUTURE, statement="top >= V: the network of the mean embedding", least={"V": 1})
def all_tokens_give_the_mean_embedding(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    prob, embedding = call.arrays
    w1, b1, w2, b2 = (call.options[name] for name in ("w1", "b1", "w2", "b2"))
    total = prob.sum(axis=-1, keepdims=True)
    mean = (prob / np.where(total == 0, 1, total)) @ embedding
    return equal(call.given(top=prob.shape[-1]).by(f), np.maximum(mean @ w1 + b1, 0) @ w2 + b2)
