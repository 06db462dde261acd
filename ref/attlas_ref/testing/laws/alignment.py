"""What proximal plans, cosine costs and conditional transport obey.

| in the specification | law, or test in `tests/reference/test_probabilistic_transport.py` |
| --- | --- |
| ipot: row sums | `rows_of_a_proximal_plan_are_exact` |
| ipot: column sums, <C, P> for any β, constants | `test_proximal_steps_reach_the_exact_distance`, |
| | `test_constants_leave_the_proximal_limit` |
| ipot: steps = 1 | `one_proximal_step_is_a_sinkhorn_plan` |
| ipot: the distance | `the_proximal_distance_is_the_cost_of_the_plan` |
| cosine: from 0 to 2 | `cosine_costs_lie_between_0_and_2` |
| cosine: rescaling | `lengths_do_not_matter_to_a_cosine_cost` |
| cosine: parallel vectors, a zero vector | `a_vector_costs_nothing_to_itself`, `a_zero_vector_costs_1` |
| conditional: forward plan, uniform b | `a_forward_plan_is_softmax_attention` |
| conditional: weights b | `weights_of_columns_are_a_prior` |
| conditional: transposing | `transposing_swaps_forward_and_backward` |
| conditional: lower bounds | `no_way_is_cheaper_than_the_nearest` |
| conditional: identical sets, τ → 0 | `test_a_set_costs_nothing_to_itself` |
| conditional: no coupling | `test_a_forward_plan_is_no_coupling` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

PLAN, PROXIMAL, COSINE, CONDITIONAL = "sinkhorn_plan", "ipot_plan", "cosine_cost", "conditional_transport"
SOME = {"m": 1, "n": 1}


def _live(call: Call) -> tuple[Any, Any]:
    """The masks of rows and columns, all True where there is none."""
    m, n = call.arrays[0].shape[-2:]
    masks = (call.options.get("row_mask"), call.options.get("column_mask"))
    rows, columns = (np.ones(size, dtype=bool) if x is None else x for x, size in zip(masks, (m, n), strict=True))
    return np.broadcast_to(rows, (*rows.shape[:-1], m)), np.broadcast_to(columns, (*columns.shape[:-1], n))


@law(PROXIMAL, statement="Σ_j P_ij = 1/m' in rows that take part, if a column does; 0 elsewhere, exactly",
     fixed={"return_distance": False})  # fmt: skip
def rows_of_a_proximal_plan_are_exact(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    rows, columns = _live(call)
    plan = call.by(f)
    share = np.where(rows & columns.any(axis=-1, keepdims=True), 1 / np.maximum(rows.sum(axis=-1, keepdims=True), 1), 0)
    hidden = np.where(rows[..., :, None] & columns[..., None, :], 0, plan)
    sums = plan.sum(axis=-1)
    return equal(sums, np.broadcast_to(share, sums.shape).astype(sums.dtype)), same(hidden, np.zeros_like(hidden))


@law(
    PROXIMAL,
    ties=(PLAN,),
    statement="steps = 1: sinkhorn_plan(C, ε = β, steps = inner_steps, mask)",
    fixed={"return_distance": False, "steps": 1},
)
def one_proximal_step_is_a_sinkhorn_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    rows, columns = _live(call)
    plan = call.by(f)
    smooth = f(
        PLAN,
        *call.arrays,
        epsilon=call.options.get("beta", 0.5),
        steps=call.options.get("inner_steps", 1),
        mask=rows[..., :, None] & columns[..., None, :],
    )
    return equal(plan, np.broadcast_to(smooth, plan.shape))


@law(PROXIMAL, statement="distance = Σ_ij C_ij P_ij", fixed={"return_distance": True})
def the_proximal_distance_is_the_cost_of_the_plan(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    plan, distance = call.by(f)
    return equal(distance, (plan * call.arrays[0]).sum(axis=(-2, -1)))


@law(COSINE, statement="0 <= C_ij <= 2")
def cosine_costs_lie_between_0_and_2(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    cost = call.by(f)
    return at_most(np.zeros_like(cost), cost), at_most(cost, np.full_like(cost, 2))


@law(COSINE, statement="C(t x, y) = C(x, y), t > 0, where no vector is shorter than eps")
def lengths_do_not_matter_to_a_cosine_cost(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, y = call.arrays
    long = np.where(np.sqrt((x**2).sum(axis=-1, keepdims=True)) < 1, 0, x)  # a vector of zeros costs 1 at any length
    factors = rng.uniform(1, 9, (x.shape[-2], 1)).astype(x.dtype)
    return equal(call.given(factors * long, y).by(f), call.given(long, y).by(f))


@law(COSINE, statement="C(x, x)_ii = 0 where x_i is longer than eps")
def a_vector_costs_nothing_to_itself(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, _ = call.arrays
    diagonal = np.diagonal(call.given(x, x).by(f), axis1=-2, axis2=-1)
    diagonal = np.where(np.sqrt((x**2).sum(axis=-1)) < 1, 0, diagonal)
    # Differences of numbers near 1 are judged beside 1.
    return equal(1 + diagonal, np.ones_like(diagonal))


@law(COSINE, statement="C(0, y) = 1, exactly")
def a_zero_vector_costs_1(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, y = call.arrays
    cost = call.given(np.zeros_like(x), y).by(f)
    return same(cost, np.ones_like(cost))


PLANS = {"return_plans": True, "row_weights": None, "column_weights": None, "row_mask": None}


@law(CONDITIONAL, ties=("softmax_attention",), statement="N = s, uniform b: π(y|x) v = softmax_attention", fixed=PLANS)
def a_forward_plan_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    cost, *_ = call.arrays
    _, columns = _live(call)
    plan = call.given(cost, cost, **_uniform()).by(f).forward_plan
    n = cost.shape[-1]
    eye = np.eye(n, dtype=cost.dtype)
    # Costs as queries and unit vectors as keys: the scores are the costs.
    attention = f("softmax_attention", cost, eye, eye, scale=1.0, mask=columns[..., None, :]) if n else plan
    return equal(plan, np.broadcast_to(attention, plan.shape))


def _uniform() -> dict[str, Any]:
    return {"row_weights": None, "column_weights": None, "row_mask": None}


@law(
    CONDITIONAL,
    ties=("softmax_attention",),
    statement="π(y_j|x_i) = softmax_j(N_ij + log b_j): attention with prior b",
    fixed={**PLANS, "column_mask": None},
)
def weights_of_columns_are_a_prior(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    cost, *_ = call.arrays
    n = cost.shape[-1]
    b = rng.uniform(0.1, 2, n).astype(cost.dtype)
    plan = call.given(cost, cost, **{**_uniform(), "column_weights": b}).by(f).forward_plan
    eye = np.eye(n, dtype=cost.dtype)
    attention = f("softmax_attention", cost, eye, eye, scale=1.0, bias=np.log(b)) if n else plan
    return equal(plan, np.broadcast_to(attention, plan.shape))


@law(CONDITIONAL, statement="f(Cᵀ, Nᵀ, 1 − ρ, b, a): the same total, forward and backward swapped")
def transposing_swaps_forward_and_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    swapped = {"row_weights": "column_weights", "column_weights": "row_weights"}
    swapped |= {"row_mask": "column_mask", "column_mask": "row_mask"}
    options = {swapped.get(name, name): value for name, value in call.options.items()}
    rho = call.options.get("forward_weight", 0.5)
    turned = Call(
        call.name,
        tuple(None if x is None else x.mT for x in call.arrays),
        {**options, "forward_weight": 1 - rho},
        call.plan,
    )
    one, other = call.by(f), turned.by(f)
    return equal(one.total, other.total), equal(one.forward, other.backward), equal(one.backward, other.forward)


@law(CONDITIONAL, statement="forward >= Σ_i a_i min_j C_ij, backward >= Σ_j b_j min_i C_ij", fixed={
    **PLANS, "column_mask": None, "return_plans": False}, least=SOME)  # fmt: skip
def no_way_is_cheaper_than_the_nearest(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    cost, *_ = call.arrays
    result = call.given(**_uniform()).by(f)
    return (
        at_most(np.broadcast_to(cost.min(axis=-1).mean(axis=-1), result.forward.shape), result.forward),
        at_most(np.broadcast_to(cost.min(axis=-2).mean(axis=-1), result.backward.shape), result.backward),
    )
