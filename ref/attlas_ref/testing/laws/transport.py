"""What transport plans and attention with them obey.

| in the specification | law, or test in `tests/reference/test_probabilistic_transport.py` |
| --- | --- |
| plan: the row marginal is exact after every step | `rows_of_a_plan_are_exact` |
| plan: column sums → b | `columns_of_a_plan_come_no_further_from_their_mass`, `test_columns_converge` |
| plan: transposing cost and swapping marginals | `test_the_limit_is_symmetric` |
| plan: ε → ∞ | `a_blunt_plan_is_the_product_of_its_marginals` |
| plan: ε → 0 | `test_a_sharp_plan_is_the_best_assignment` |
| plan: row and column constants | `a_constant_per_column_changes_no_plan`, `test_row_constants_leave_the_limit` |
| plan: m = 1 | `a_single_row_takes_the_columns_as_they_are` |
| plan: <P, C> >= the exact distance | `test_no_plan_beats_the_linear_program` |
| plan: what a mask hides | `a_hidden_pair_has_no_effect_on_a_plan` |
| attention: all properties of the plan | `sinkhorn_attention_reads_with_a_plan` |
| attention: m = 1 | `a_single_query_reads_the_marginal` |
| attention: the fixed point | `softmax_attention_is_a_plan_between_its_own_marginals` |
| attention: the Sinkformer | `test_the_sinkformer_is_doubly_stochastic` |
| attention: ε rescales the scores | `epsilon_is_a_temperature_of_the_plan` |
| unbalanced: λ → ∞, λ → 0 | `test_a_high_penalty_balances`, `test_a_low_penalty_leaves_the_kernel` |
| unbalanced: totals may differ, non-negative | `a_relaxed_plan_is_never_negative` |
| unbalanced: the limit is the minimizer | `test_the_relaxed_plan_minimizes_its_objective` |
| exact: the assignment value / n | `test_the_distance_is_the_best_assignment` |
| exact: any feasible plan | `test_no_plan_beats_the_linear_program` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

PLAN, ATTENTION, RELAXED = "sinkhorn_plan", "sinkhorn_attention", "unbalanced_sinkhorn_plan"
SOME = {"m": 1, "n": 1}
OPEN: dict[str, Any] = {"mask": None, "tolerance": None}


def _marginals(call: Call) -> tuple[Any, Any]:
    """The marginals of a plan without a mask, (..., m) and (..., n)."""
    m, n = call.arrays[0].shape[-2:]
    a, b = call.options.get("row_marginal"), call.options.get("column_marginal")
    totals = [None if masses is None else masses.sum(axis=-1, keepdims=True) for masses in (a, b)]
    total = next((t for t in totals if t is not None), np.ones(1, dtype=call.arrays[0].dtype))
    spread = [np.broadcast_to(total / size, (*total.shape[:-1], size)) for size in (m, n)]
    return spread[0] if a is None else a, spread[1] if b is None else b


@law(PLAN, statement="Σ_j P_ij = a_i after every step", fixed=OPEN, least=SOME)
def rows_of_a_plan_are_exact(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    plan = call.by(f)
    sums = plan.sum(axis=-1)
    return equal(sums, np.broadcast_to(_marginals(call)[0], sums.shape)), at_most(np.zeros_like(plan), plan)


@law(PLAN, statement="Σ_j |Σ_i P_ij − b_j| does not grow from step to step", fixed=OPEN, least=SOME)
def columns_of_a_plan_come_no_further_from_their_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    # A step is a Markov kernel applied to the error, forth by the columns and back by the rows: neither enlarges it.
    steps, b = int(rng.integers(1, 9)), _marginals(call)[1]
    errors = [np.abs(call.given(steps=t).by(f).sum(axis=-2) - b).sum(axis=-1) for t in (steps, steps + 1)]
    return at_most(errors[1], errors[0])


@law(
    PLAN,
    statement="|P_ij − a_i b_j / Σb| <= (e^{2δ} − 1) a_i b_j / Σb, δ = (max C − min C) / ε; δ → 0 as ε → ∞",
    fixed=OPEN,
    least=SOME,
)
def a_blunt_plan_is_the_product_of_its_marginals(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    (cost,), (a, b) = call.arrays, _marginals(call)
    product = a[..., :, None] * (b / b.sum(axis=-1, keepdims=True))[..., None, :]
    width = cost.max(axis=(-2, -1), keepdims=True) - cost.min(axis=(-2, -1), keepdims=True)
    epsilon = float(10 ** rng.uniform(0, 5) * max(1, width.max(initial=0)))
    width = width / epsilon
    plan, most = call.given(epsilon=epsilon).by(f), np.exp(2 * width)
    return at_most(plan, most * product), at_most((2 - most) * product, plan)


@law(PLAN, statement="sinkhorn(C + 1 cᵀ) = sinkhorn(C), step by step: a factor of the column takes it up",
     fixed={"tolerance": None})  # fmt: skip
def a_constant_per_column_changes_no_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (cost,) = call.arrays
    constants = rng.uniform(-2, 2, cost.shape[-1]).astype(cost.dtype)
    return equal(call.given(cost + constants).by(f), call.by(f))


@law(PLAN, statement="m = 1: P = bᵀ", fixed=OPEN, least=SOME)
def a_single_row_takes_the_columns_as_they_are(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    one = call.given(call.arrays[0][..., :1, :], row_marginal=None)
    plan = one.by(f)
    return equal(plan[..., 0, :], np.broadcast_to(_marginals(one)[1], plan[..., 0, :].shape))


@law(PLAN, statement="P does not depend on the costs of hidden pairs, NaN included, and is 0 there")
def a_hidden_pair_has_no_effect_on_a_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (cost,) = call.arrays
    shown = rng.random(cost.shape[-2:]) < 0.6
    fouled, cleaned = (
        call.given(np.where(shown, cost, what).astype(cost.dtype), mask=shown).by(f) for what in (np.nan, 7.0)
    )
    hidden = np.where(shown, 0, fouled)
    return equal(fouled, cleaned), same(hidden, np.zeros_like(hidden))


def _as_a_plan(call: Call) -> dict[str, Any]:
    """The options of attention as those of its plan."""
    options = options_of(call, "epsilon", "steps", "tolerance")
    for name, here in (("row_marginal", "query_marginal"), ("column_marginal", "key_marginal")):
        options |= {name: call.options[here]} if call.options.get(here) is not None else {}
    return options


@law(
    ATTENTION,
    ties=(PLAN,),
    statement="a_i w_ij = sinkhorn_plan(−s, ε, a, b)_ij",
    fixed={"return_weights": True, "mask": None, "bias": None, "causal": False},
    least=SOME,
)
def sinkhorn_attention_reads_with_a_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, _ = call.arrays
    scale = call.options.get("scale")
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    plan = f(PLAN, -factor * (query @ key.mT), **_as_a_plan(call))
    masses = plan.sum(axis=-1, keepdims=True)
    weights = np.broadcast_to(call.by(f).weights, np.broadcast_shapes(plan.shape, call.by(f).weights.shape))
    return equal(np.where(masses == 0, 0, weights) * masses, np.broadcast_to(plan, weights.shape))


@law(
    ATTENTION,
    statement="m = 1: w = b / Σb",
    fixed={"return_weights": True, "mask": None, "bias": None, "causal": False, "query_marginal": None},
    least=SOME,
)
def a_single_query_reads_the_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    weights = call.given(query[..., :1, :], key, value, query_marginal=None).by(f).weights[..., 0, :]
    b = call.options.get("key_marginal")
    b = np.ones(weights.shape[-1], dtype=weights.dtype) if b is None else b
    return equal(weights, np.broadcast_to(b / b.sum(axis=-1, keepdims=True), weights.shape))


@law(
    ATTENTION,
    ties=("softmax_attention",),
    statement="a = 1/m, b = column means of the softmax weights, ε = 1: softmax_attention",
    fixed={"mask": None, "causal": False, "bias": None, "epsilon": 1.0, "tolerance": None},
    least=SOME,
)
def softmax_attention_is_a_plan_between_its_own_marginals(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    # From u = 1, which is proportional to the factor of the softmax only in the limit: it is a fixed point, so start
    # from it, with the logarithms of its row sums in the scores.
    options = options_of(call, "scale")
    output, weights = f("softmax_attention", *call.arrays, return_weights=True, **options)
    energies = f("attention_energy", *call.arrays[:2], **options)
    query, key, value = call.arrays
    m = query.shape[-2]
    plan = call.given(
        query,
        key,
        value,
        bias=energies[..., :, None],
        query_marginal=np.full(m, 1 / m, dtype=weights.dtype),
        key_marginal=weights.mean(axis=-2),
        **options,
    )
    return equal(plan.by(f), output)


@law(ATTENTION, statement="f(scale, ε) = f(scale / ε, 1)", fixed={"bias": None})
def epsilon_is_a_temperature_of_the_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    epsilon, scale = call.options.get("epsilon", 1.0), call.options.get("scale")
    factor = 1 / float(np.sqrt(call.arrays[0].shape[-1])) if scale is None else scale
    return equal(call.given(epsilon=1.0, scale=factor / epsilon).by(f), call.by(f))


@law(RELAXED, statement="P_ij >= 0, whatever the totals are, and 0 exactly where a_i = 0 or b_j = 0")
def a_relaxed_plan_is_never_negative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    keep = rng.random(call.arrays[0].shape[-2]) < 0.7
    plan = call.given(row_marginal=np.where(keep, call.options["row_marginal"], 0)).by(f)
    empty = np.where(keep[:, None], 0, plan)
    return at_most(np.zeros_like(plan), plan), same(empty, np.zeros_like(empty))
