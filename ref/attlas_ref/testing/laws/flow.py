"""What attention that flows obeys: the logits of DAFT, and how far attention travels.

| in the specification | law, or test in `tests/reference/test_monotonic_flow.py` |
| --- | --- |
| rk4 with many substeps → exact | `test_small_steps_of_runge_and_kutta_are_exact`, |
| | `without_own_growth_runge_and_kutta_are_exact` |
| λ = 0, B = 0: logits grow linearly | `without_own_growth_logits_grow_evenly` |
| differences of a(0) are scaled by e^λ | `differences_of_logits_grow_by_the_rate` |
| streaming over s | `a_flow_may_be_interrupted` |
| length 0 iff constant | `attention_that_rests_travels_nowhere`, `test_whatever_moves_has_a_length` |
| each term <= 1, = 1 for disjoint one-hots | `no_move_is_longer_than_a_bit`, `test_a_jump_is_one_bit` |
| symmetric under reversing time | `the_way_back_is_as_long` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

FLOW, TRAVEL = "daft_attention", "total_transition_length"
LOGITS = {"return_logits": True}
ONE = {"S": 1, "n": 1, "d": 1}
STEPS = ("w_question", "b_question", "w_logit", "b_logit")
"""What is given per step."""


def _visible(call: Call) -> Any:
    context, mask = call.arrays[0], call.options.get("mask")
    visible = True if mask is None else mask
    return np.broadcast_to(visible, np.broadcast_shapes(context.shape[:-1], np.shape(visible)))


def _cut(call: Call, steps: slice) -> Call:
    """The same flow with some of its steps."""
    return call.given(**{name: call.options[name][steps] for name in STEPS})


def _without_growth(call: Call, *, steady: bool) -> Call:
    """The same flow with λ = 0, and with B = 0 if it is to be steady."""
    w_logit, w_question = call.options["w_logit"].copy(), call.options["w_question"].copy()
    w_logit[:, -1] = 0
    if steady:
        w_question[:, 0] = 0
    return call.given(w_logit=w_logit, w_question=w_question)


@law(FLOW, statement="f(steps 1 .. S) = (f(1 .. r), f(r+1 .. S, initial = the last logits))", fixed=LOGITS,
     least={"S": 2, "n": 1, "d": 1})  # fmt: skip
def a_flow_may_be_interrupted(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    cut = int(rng.integers(1, call.options["b_logit"].shape[0]))
    whole, first = call.by(f), _cut(call, slice(cut)).by(f)
    second = _cut(call, slice(cut, None)).given(initial=first.logits[..., -1, :]).by(f)
    return tuple(equal(np.concatenate([a, b], axis=-2), both) for a, b, both in zip(first, second, whole, strict=True))


@law(FLOW, statement="weights = softmax(logits), out = weights context", least=ONE,
     fixed=LOGITS | {"return_weights": True})  # fmt: skip
def a_flow_reads_by_the_softmax_of_its_logits(f: Evaluate, call: Call, rng: np.random.Generator) -> Any:
    output, weights, logits = call.by(f)
    visible = np.broadcast_to(_visible(call)[..., None, :], logits.shape)
    shown = np.where(visible, logits, -np.inf)
    top = shown.max(axis=-1, keepdims=True)
    part = np.where(visible, np.exp(shown - np.where(np.isfinite(top), top, 0)), 0)
    total = part.sum(axis=-1, keepdims=True)
    hidden = np.where(visible, 0, logits)
    return (
        equal(weights, part / np.where(total == 0, 1, total)),
        equal(output, weights @ call.arrays[0]),
        same(hidden, np.zeros_like(hidden)),
    )


@law(FLOW, statement="a(0) + δ: a(1) grows by e^λ δ, step after step", fixed=LOGITS | {"method": "exact"}, least=ONE)
def differences_of_logits_grow_by_the_rate(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    rates = np.cumsum(call.options["w_logit"][:, -1])  # (S,)
    delta = rng.normal(size=call.arrays[0].shape[-2]).astype(call.arrays[0].dtype)
    before, after = (
        call.given(initial=call.options["initial"] + move).by(f).logits for move in (np.zeros_like(delta), delta)
    )
    grown = np.where(_visible(call)[..., None, :], np.exp(rates)[:, None] * delta, 0)
    return equal(after - before, np.broadcast_to(grown, before.shape))


@law(
    FLOW, statement="λ = 0, B = 0, equal steps: a(s) = a(0) + s (a(1) − a(0)) by every method", fixed=LOGITS, least=ONE
)
def without_own_growth_logits_grow_evenly(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    count = call.options["b_logit"].shape[0]
    call = _without_growth(call, steady=True)
    call = call.given(**{name: np.repeat(call.options[name][:1], count, axis=0) for name in STEPS})
    logits = call.by(f).logits
    start = np.where(_visible(call), call.options["initial"], 0)[..., None, :]
    steps = np.arange(1, count + 1)[:, None]
    return equal(logits, start + steps * (logits[..., :1, :] - start))


@law(FLOW, statement="λ = 0: rk4 = exact", fixed=LOGITS | {"method": "rk4"}, least=ONE)
def without_own_growth_runge_and_kutta_are_exact(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _without_growth(call, steady=False)
    return equal(call.by(f).logits, call.given(method="exact").by(f).logits)


@law(FLOW, statement="f(context with hidden rows) = f(the visible rows alone)", fixed=LOGITS, least=ONE)
def what_a_flow_does_not_see_might_not_be_there(f: Evaluate, call: Call, rng: np.random.Generator) -> Any:
    context, question = call.arrays
    n = context.shape[-2]
    mask = rng.random(n) < 0.6
    fouled = np.where(mask[:, None], context, context.dtype.type(np.nan))
    initial = np.broadcast_to(call.options["initial"], (*np.shape(call.options["initial"])[:-1], n))
    hidden = call.given(fouled, question, mask=mask, initial=initial).by(f)
    rest = call.given(context[..., mask, :], question, mask=None, initial=initial[..., mask]).by(f)
    return equal(hidden.output, rest.output), equal(hidden.logits[..., mask], rest.logits)


@law(TRAVEL, statement="f(steps in reverse order) = f(steps)")
def the_way_back_is_as_long(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    return equal(call.given(weights[..., ::-1, :]).by(f), call.by(f))


@law(TRAVEL, statement="α_s = α_(s−1): f = 0", least={"S": 1})
def attention_that_rests_travels_nowhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    length = call.given(np.repeat(weights[..., :1, :], weights.shape[-2], axis=-2)).by(f)
    return same(length, np.zeros_like(length))


@law(TRAVEL, statement="0 <= each move <= (Σ_j p_j + Σ_j q_j)/2, which is 1 up to the clamp; f = Σ of moves",
     fixed={"return_steps": True})  # fmt: skip
def no_move_is_longer_than_a_bit(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    length, steps = call.by(f)
    clamp = call.options.get("clamp", 1e-10)
    mass = np.clip(call.arrays[0], clamp, 1 - clamp).sum(axis=-1)
    return (
        at_most(np.zeros_like(steps), steps),
        at_most(steps, (mass[..., 1:] + mass[..., :-1]) / 2),
        equal(length, steps.sum(axis=-1)),
    )


@law(TRAVEL, statement="f(steps 1 .. S) = f(1 .. r) + f(r .. S)", least={"S": 1})
def ways_add_up(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    r = int(rng.integers(weights.shape[-2]))
    first, second = call.given(weights[..., : r + 1, :]).by(f), call.given(weights[..., r:, :]).by(f)
    return equal(call.by(f), first + second)


@law(TRAVEL, statement="f(positions permuted) = f", least={"n": 1})
def places_have_no_names_on_the_way(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (weights,) = call.arrays
    return equal(call.given(weights[..., rng.permutation(weights.shape[-1])]).by(f), call.by(f))
