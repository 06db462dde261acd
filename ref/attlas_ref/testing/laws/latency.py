"""What the metrics of latency obey.

| in the specification | law, or test in `tests/reference/test_monotonic_latency.py` |
| --- | --- |
| AL, DAL: wait-k lags by k | `whoever_waits_for_k_words_lags_by_k` |
| AL, DAL: full sentence | `whoever_waits_for_all_lags_by_the_source` |
| AL = LAAL when m <= Y | `a_short_output_needs_no_adaption` |
| LAAL >= AL when m > Y | `adaption_never_lowers_the_lag` |
| AL: a first delay above X | `a_first_delay_beyond_the_source_is_the_lag` |
| AP: full sentence m / Y, linear | `proportion_is_linear`, `whoever_waits_for_all_has_read_it_for_each_word` |
| DAL grows with every delay | `reading_more_never_lowers_differentiable_lagging` |
| AL does not | `test_reading_more_can_lower_average_lagging` |
| DAL ignores the target length | `differentiable_lagging_knows_no_target_length` |
| worked examples | `test_worked_examples`, `test_metrics_are_those_of_plain_loops` |
| expected delay: one-hot, linear | `a_sure_pointer_has_read_up_to_itself`, `delays_are_linear_in_the_alignment` |
| expected delay: does not decrease | `delays_of_forward_pointers_never_decrease` |
| loss: equal heads | `heads_that_agree_are_one` |
| loss: max >= weighted >= average | `gathering_is_between_the_mean_and_the_largest` |
| loss: H = 1 | `one_head_has_the_latency_of_its_delays` |
| variance: equal heads, head order | `heads_that_agree_have_no_variance`, `heads_may_be_permuted` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law

AL, LAAL, AP = "average_lagging", "length_adaptive_average_lagging", "average_proportion"
DAL = "differentiable_average_lagging"
DELAY, LOSS, VARIANCE = "expected_delay", "latency_loss", "latency_variance"
LAGS = (AL, LAAL, DAL)
GATHERS = ("average", "weighted_average", "max", "paper")
ONE = {"m": 1, "n": 1}


@law(LAGS, statement="g_i = min(k + i, X), X = Y = m: f(g) = k", least=ONE)
def whoever_waits_for_k_words_lags_by_k(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    m = delays.shape[-1]
    k = int(rng.integers(1, m + 1))
    waiting = np.minimum(np.arange(m) + k, m).astype(delays.dtype)
    lag = call.given(waiting, source_length=m, target_length=m).by(f)
    return equal(lag, np.asarray(k, dtype=lag.dtype))


@law(LAGS, statement="g_i = X: f(g) = X", least=ONE)
def whoever_waits_for_all_lags_by_the_source(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    lag = call.given(np.full_like(delays, 7), source_length=7).by(f)
    return equal(lag, np.full_like(lag, 7))


@law(AP, statement="g_i = X: f(g) = m / Y", least=ONE)
def whoever_waits_for_all_has_read_it_for_each_word(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    share = call.given(np.full_like(delays, 7), source_length=7, target_length=5).by(f)
    return equal(share, np.full_like(share, delays.shape[-1]) / 5)


@law(AL, ties=(LAAL,), statement="m <= Y: AL = LAAL", least=ONE)
def a_short_output_needs_no_adaption(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = call.given(target_length=call.arrays[0].shape[-1] + int(rng.integers(4)))
    return equal(call.by(f), f(LAAL, *call.arrays, **call.options))


@law(AL, ties=(LAAL,), statement="AL <= LAAL", least=ONE)
def adaption_never_lowers_the_lag(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return at_most(call.by(f), f(LAAL, *call.arrays, **call.options))


@law(AL, ties=(DAL,), statement="Y = m: AL <= DAL", least=ONE)
def words_after_the_end_only_add_to_the_lag(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = call.given(target_length=None)
    return at_most(call.by(f), f(DAL, *call.arrays, **call.options))


@law((AL, LAAL), statement="g_0 > X: f(g) = g_0", least=ONE)
def a_first_delay_beyond_the_source_is_the_lag(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    late = delays + 20
    lag = call.given(late, source_length=10).by(f)
    return equal(lag, np.broadcast_to(late[..., 0], lag.shape))


@law((*LAGS, AP), statement="f(2 g, 2 X) = 2 f(g, X) for lags, = f(g, X) for proportions", least=ONE)
def lags_have_the_unit_of_the_delays(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    before = call.by(f)
    after = call.given(2 * delays, source_length=2 * call.options["source_length"]).by(f)
    return equal(after, before if call.name == AP else 2 * before)


@law(AP, statement="f(a g + b h) = a f(g) + b f(h)", least=ONE)
def proportion_is_linear(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    other = rng.uniform(0, 9, delays.shape).astype(delays.dtype)
    return equal(call.given(2 * delays - other).by(f), 2 * call.by(f) - call.given(other).by(f))


@law(DAL, statement="g <= h: f(g) <= f(h)", least=ONE)
def reading_more_never_lowers_differentiable_lagging(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    more = delays + np.maximum(rng.uniform(-2, 2, delays.shape), 0).astype(delays.dtype)
    return at_most(call.by(f), call.given(more).by(f))


@law(DAL, statement="f(g) = mean_i max_(l <= i) (g_l − l X / m)", least=ONE)
def differentiable_lagging_is_a_mean_of_running_maxima(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (delays,) = call.arrays
    m = delays.shape[-1]
    pace = np.asarray(call.options["source_length"])[..., None] / m
    lag = delays - np.arange(m, dtype=delays.dtype) * pace
    largest = np.stack([lag[..., : i + 1].max(axis=-1) for i in range(m)], axis=-1)
    return equal(call.by(f), largest.mean(axis=-1).astype(delays.dtype))


@law(DAL, statement="f(g, Y) = f(g)", least=ONE)
def differentiable_lagging_knows_no_target_length(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(target_length=3.0).by(f), call.given(target_length=None).by(f))


@law(DELAY, statement="α_i = [j = t_i]: f(α)_i = t_i + 1", least=ONE)
def a_sure_pointer_has_read_up_to_itself(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    m, n = alignment.shape[-2:]
    places = rng.integers(0, n, m)
    delays = call.given(np.eye(n, dtype=alignment.dtype)[places]).by(f)
    return equal(delays, (places + 1).astype(delays.dtype))


@law(DELAY, statement="f(a α + b β) = a f(α) + b f(β)", least=ONE)
def delays_are_linear_in_the_alignment(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    other = rng.standard_normal(alignment.shape).astype(alignment.dtype)
    return equal(call.given(2 * alignment - other).by(f), 2 * call.by(f) - call.given(other).by(f))


@law(DELAY, statement="α = Σ_p c_p [j = t^p_i], t^p_0 <= t^p_1 <= …, c >= 0: f(α)_i <= f(α)_(i + 1)", least=ONE)
def delays_of_forward_pointers_never_decrease(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    m, n = alignment.shape[-2:]
    paths = np.sort(rng.integers(0, n, (5, m)), axis=-1)
    mixed = (rng.dirichlet(np.ones(5))[:, None, None] * np.eye(n)[paths]).sum(axis=0)
    delays = call.given(mixed.astype(alignment.dtype)).by(f)
    return at_most(delays[..., :-1], delays[..., 1:])


def _gathered(f: Evaluate, call: Call) -> list[Any]:
    return [call.given(gather=gather).by(f) for gather in GATHERS]


@law(LOSS, statement="α^1 = … = α^H: every gather gives the same", least={**ONE, "h": 1})
def heads_that_agree_are_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (alignment,) = call.arrays
    agreeing = np.broadcast_to(np.abs(alignment[..., :1, :, :]), alignment.shape)
    mean, *others = _gathered(f, call.given(agreeing))
    return tuple(equal(other, mean) for other in others)


@law(LOSS, statement="average <= weighted average <= max", least={**ONE, "h": 1})
def gathering_is_between_the_mean_and_the_largest(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    mean, weighted, largest, _ = _gathered(f, call)
    return at_most(mean, weighted), at_most(weighted, largest)


@law(LOSS, ties=(DELAY, DAL, AL, AP), statement="H = 1: f(α) = weight · metric(expected_delay(α))",
     least={**ONE, "h": 1})  # fmt: skip
def one_head_has_the_latency_of_its_delays(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    metric = {"dal": DAL, "al": AL, "ap": AP}[call.options.get("metric", "dal")]
    delays = f(DELAY, alignment[..., 0, :, :])
    latency = f(metric, delays, source_length=call.options["source_length"])
    return equal(call.given(alignment[..., :1, :, :]).by(f), call.options.get("weight", 1.0) * latency)


@law((LOSS, VARIANCE), statement="f(α[P]) = f(α) for every permutation P of the heads", least={**ONE, "h": 1})
def heads_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    order = rng.permutation(alignment.shape[-3])
    return equal(call.given(alignment[..., order, :, :]).by(f), call.by(f))


@law(VARIANCE, statement="α^1 = … = α^H: f(α) = 0", least={**ONE, "h": 1})
def heads_that_agree_have_no_variance(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    variance = call.given(np.broadcast_to(alignment[..., :1, :, :], alignment.shape)).by(f)
    return equal(variance, np.zeros_like(variance))


@law(VARIANCE, statement="H f(α, ddof = 0) = (H − 1) f(α, ddof = 1)", least={**ONE, "h": 1})
def both_divisors_tell_the_same(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    heads = call.arrays[0].shape[-3]
    return equal(heads * call.given(ddof=0).by(f), (heads - 1) * call.given(ddof=1).by(f))


@law(VARIANCE, statement="f(α + β) = f(α) where β is the same for all heads", least={**ONE, "h": 1})
def delays_common_to_all_heads_do_not_spread_them(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (alignment,) = call.arrays
    common = rng.standard_normal(alignment.shape[-2:]).astype(alignment.dtype)
    return equal(call.given(alignment + common).by(f), call.by(f))
