"""Transport plans against linear programs, enumeration, loops, stationarity, POT and PyTorch."""

import warnings
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding
from scipy.optimize import linear_sum_assignment

import attlas_ref

RNG = np.random.default_rng(53)
ENOUGH = {"operations": 4000}
"""Some hundred steps of sums of at most ten terms, each contracting the error of the last."""


@pytest.fixture
def pot() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("ot", reason="POT is in the optional extra 'peers'")


def masses(size: int, total: float = 1.0) -> np.ndarray:
    drawn = RNG.uniform(0.2, 1, size)
    return total * drawn / drawn.sum()


def column_error(plan: np.ndarray, b: Any) -> float:
    return float(np.abs(plan.sum(axis=-2) - b).max())


# The exact plan


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_distance_is_the_best_assignment(n: int) -> None:
    cost = RNG.normal(size=(n, n))
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in permutations(range(n)))
    rows, columns = linear_sum_assignment(cost)
    distance, plan = attlas_ref.optimal_transport_distance(cost, return_plan=True)
    assert_equal_up_to_rounding(n * distance, best, **ENOUGH)
    assert_equal_up_to_rounding(n * distance, cost[rows, columns].sum(), **ENOUGH)
    assert_equal_up_to_rounding(n * plan[rows, columns], np.ones(n), **ENOUGH)


def test_whole_masses_are_an_assignment_of_copies() -> None:
    cost, a, b = RNG.normal(size=(2, 3)), [1, 3], [2, 1, 1]
    copies = np.repeat(np.repeat(cost, a, axis=0), b, axis=1)
    best = min(copies[range(4), list(order)].sum() for order in permutations(range(4)))
    distance, plan = attlas_ref.optimal_transport_distance(cost, row_marginal=a, column_marginal=b, return_plan=True)
    assert_equal_up_to_rounding(distance, best, **ENOUGH)
    assert_equal_up_to_rounding(plan.sum(axis=1), a, **ENOUGH)
    assert_equal_up_to_rounding(plan.sum(axis=0), b, **ENOUGH)


def test_no_plan_beats_the_linear_program() -> None:
    for _ in range(20):
        m, n = RNG.integers(1, 7, 2)
        cost, a, b = RNG.normal(size=(m, n)), masses(m), masses(n)
        least = attlas_ref.optimal_transport_distance(cost, row_marginal=a, column_marginal=b)
        bound = least - 1e3 * np.finfo(float).eps
        assert (np.outer(a, b) * cost).sum() >= bound
        for epsilon in (0.1, 1.0):
            plan = attlas_ref.sinkhorn_plan(cost, epsilon=epsilon, row_marginal=a, column_marginal=b, steps=400)
            short = np.ptp(cost) * np.abs(plan.sum(axis=0) - b).sum()
            assert (plan * cost).sum() >= bound - short


def test_forbidden_pairs_are_not_used() -> None:
    cost = np.array([[0.0, np.inf], [np.inf, 3.0]])
    assert attlas_ref.optimal_transport_distance(cost) == 1.5
    assert attlas_ref.optimal_transport_distance(np.array([[0.0, np.inf], [0.0, np.inf]])) == np.inf
    assert attlas_ref.optimal_transport_distance(np.full((2, 2), np.inf)) == np.inf
    assert attlas_ref.optimal_transport_distance(np.zeros((0, 3))) == 0


@pytest.mark.parametrize(
    ("error", "message", "cost", "options"),
    [
        (ValueError, "cost", [1.0, 2.0], {}),
        (ValueError, "cost", [[np.nan]], {}),
        (TypeError, "cost", [["a"]], {}),
        (ValueError, "row_marginal", [[1.0, 2.0]], {"row_marginal": [-1.0]}),
        (ValueError, "row_marginal", [[1.0, 2.0]], {"row_marginal": [1.0, 1.0]}),
        (ValueError, "row_marginal adds up", [[1.0, 2.0]], {"row_marginal": [1.0], "column_marginal": [1.0, 1.0]}),
        (TypeError, "return_plan", [[1.0]], {"return_plan": 1}),
    ],
)
def test_bad_programs_are_refused(error: type[Exception], message: str, cost: Any, options: dict[str, Any]) -> None:
    with pytest.raises(error, match=f"optimal_transport_distance: {message}"):
        attlas_ref.optimal_transport_distance(cost, **options)


# The entropic plan


def scaled(cost: Any, a: Any, b: Any, epsilon: float, steps: int, mask: Any) -> np.ndarray:
    """Sinkhorn's iteration with lists, as it is first written down."""
    m, n = len(a), len(b)
    kernel = [[np.exp(-cost[i][j] / epsilon) * mask[i][j] for j in range(n)] for i in range(m)]
    u, v = [1.0] * m, [0.0] * n
    for _ in range(steps):
        v = [b[j] / sum(kernel[i][j] * u[i] for i in range(m)) for j in range(n)]
        u = [a[i] / sum(kernel[i][j] * v[j] for j in range(n)) for i in range(m)]
    return np.array([[u[i] * kernel[i][j] * v[j] for j in range(n)] for i in range(m)])


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("epsilon", [0.3, 2.0])
def test_a_plan_is_the_loop_of_its_definition(steps: int, epsilon: float) -> None:
    cost, a, b = RNG.normal(size=(4, 3)), masses(4, 2.0), masses(3, 2.0)
    mask = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=bool)
    plan = attlas_ref.sinkhorn_plan(cost, epsilon=epsilon, row_marginal=a, column_marginal=b, steps=steps, mask=mask)
    assert_equal_up_to_rounding(plan, scaled(cost, a, b, epsilon, steps, mask), **ENOUGH)


def test_default_masses_are_uniform_over_what_is_open() -> None:
    cost, mask = RNG.normal(size=(4, 3)), np.ones((4, 3), dtype=bool)
    mask[1], mask[:, 2] = False, False
    plan = attlas_ref.sinkhorn_plan(cost, mask=mask)
    assert_equal_up_to_rounding(plan.sum(axis=1), [1 / 3, 0, 1 / 3, 1 / 3], **ENOUGH)
    assert_equal_up_to_rounding(plan.sum(axis=0), [1 / 2, 1 / 2, 0], **ENOUGH)
    b = np.array([5.0, 1.0, 0.0])
    plan = attlas_ref.sinkhorn_plan(cost, column_marginal=b)
    assert_equal_up_to_rounding(plan.sum(axis=1), [1.5] * 4, **ENOUGH)
    assert not plan[:, 2].any()


def test_columns_converge() -> None:
    cost, a, b = RNG.normal(size=(5, 4)), masses(5), masses(4)
    options = {"row_marginal": a, "column_marginal": b}
    assert column_error(attlas_ref.sinkhorn_plan(cost, **options, steps=400), b) < 1e2 * np.finfo(float).eps


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_a_member_of_the_batch_stops_at_the_first_step_within_the_tolerance(tolerance: float) -> None:
    cost, b = RNG.normal(size=(3, 5, 4)) * np.array([0.1, 1.0, 2.0])[:, None, None], masses(4)
    together = attlas_ref.sinkhorn_plan(cost, column_marginal=b, tolerance=tolerance, steps=500)
    for one, plan in zip(cost, together, strict=True):
        walk = [attlas_ref.sinkhorn_plan(one, column_marginal=b, steps=t) for t in range(1, 60)]
        first = next(p for p in walk if column_error(p, b) <= tolerance)
        assert_equal_up_to_rounding(plan, first, **ENOUGH)


def test_the_limit_is_symmetric() -> None:
    cost, a, b = RNG.normal(size=(5, 4)), masses(5), masses(4)
    one = attlas_ref.sinkhorn_plan(cost, row_marginal=a, column_marginal=b, steps=400)
    other = attlas_ref.sinkhorn_plan(cost.T, row_marginal=b, column_marginal=a, steps=400)
    assert_equal_up_to_rounding(one, other.T, **ENOUGH)


def test_row_constants_leave_the_limit() -> None:
    cost, a, b = RNG.normal(size=(5, 4)), masses(5), masses(4)
    options = {"row_marginal": a, "column_marginal": b, "steps": 400}
    moved = attlas_ref.sinkhorn_plan(cost + 3 * RNG.normal(size=(5, 1)), **options)
    assert_equal_up_to_rounding(moved, attlas_ref.sinkhorn_plan(cost, **options), **ENOUGH)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01, 1e-3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_epsilon_vanishes_the_cost_is_that_of_the_linear_program(epsilon: float, dtype: type) -> None:
    # The plan is the smoothed optimum between a and the columns that it has, so its cost exceeds the exact one between
    # those by at most epsilon times the smaller entropy; and moving the columns costs at most the range per mass.
    cost, a, b = RNG.uniform(size=(6, 5)), masses(6), masses(5)
    plan = attlas_ref.sinkhorn_plan(
        cost.astype(dtype),
        epsilon=epsilon,
        row_marginal=a.astype(dtype),
        column_marginal=b.astype(dtype),
        steps=2000,
    )
    exact = attlas_ref.optimal_transport_distance(cost, row_marginal=a, column_marginal=b)
    missed = np.ptp(cost) * np.abs(plan.sum(axis=0) - b).sum() / 2
    rounding = 1e3 * np.finfo(dtype).eps
    assert -missed - rounding <= (plan * cost).sum() - exact <= epsilon * np.log(5) + missed + rounding
    assert missed < 0.05  # the sharper, the slower
    assert np.abs(plan.sum(axis=1) - a).max() <= 8 * np.finfo(dtype).eps


@pytest.mark.parametrize("n", [3, 5, 6])
def test_a_sharp_plan_is_the_best_assignment(n: int) -> None:
    cost = RNG.uniform(size=(n, n))
    rows, columns = linear_sum_assignment(cost)
    best = np.zeros((n, n))
    best[rows, columns] = 1 / n
    plan = attlas_ref.sinkhorn_plan(cost, epsilon=1e-3, steps=3000)
    np.testing.assert_array_equal(plan.argmax(axis=1), columns)
    # What is off the assignment is what the columns are still off by, through chains of at most n pairs.
    assert np.abs(plan - best).max() <= n * column_error(plan, 1 / n) + 1e-9


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_no_epsilon_overflows(dtype: type, scale: float) -> None:
    cost = (scale * RNG.uniform(-1, 1, size=(20, 30))).astype(dtype)
    for epsilon in (1e-3 * scale, 1e-3, 1e4 * scale):
        plan = attlas_ref.sinkhorn_plan(cost, epsilon=epsilon, steps=20)
        assert np.isfinite(plan).all()
        assert np.abs(plan.astype(float).sum(axis=1) - 1 / 20).max() <= 30 * np.finfo(dtype).eps


def test_hidden_pairs_do_not_set_the_scale() -> None:
    cost, mask = RNG.integers(0, 4, (4, 5)).astype(float), RNG.random((4, 5)) < 0.7
    for far in (1e4, -1e4):
        np.testing.assert_array_equal(
            attlas_ref.sinkhorn_plan(cost + far, mask=mask, steps=1) > 0,
            attlas_ref.sinkhorn_plan(cost, mask=mask, steps=1) > 0,
        )
        moved = attlas_ref.sinkhorn_plan(cost + far, mask=mask, steps=3)
        assert_equal_up_to_rounding(
            moved, attlas_ref.sinkhorn_plan(cost, mask=mask, steps=3), operations=10, magnitude=1e4
        )


def test_a_mask_without_any_plan_keeps_its_rows() -> None:
    # Causal and uniform: the first query can only read the first key, so the second query should not, and so on.
    plan = attlas_ref.sinkhorn_plan(np.zeros((3, 4)), mask=np.tri(3, 4, k=1, dtype=bool), steps=500)
    assert np.isfinite(plan).all()
    assert_equal_up_to_rounding(plan.sum(axis=1), [1 / 3] * 3, **ENOUGH)


def test_columns_that_only_empty_rows_reach_stay_empty() -> None:
    mask = np.array([[True, False], [True, True]])
    plan = attlas_ref.sinkhorn_plan(np.zeros((2, 2)), row_marginal=np.array([1.0, 0.0]), mask=mask)
    np.testing.assert_array_equal(plan, [[1.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("name", ["sinkhorn_plan", "sinkhorn_attention"])
def test_marginals_must_be_masses_of_one_total(name: str) -> None:
    arrays = [np.zeros((2, 3))] if name == "sinkhorn_plan" else [np.zeros((2, 1)), np.zeros((3, 1)), np.zeros((3, 1))]
    row, column = ("row", "column") if name == "sinkhorn_plan" else ("query", "key")
    function = getattr(attlas_ref, name)
    with pytest.raises(ValueError, match=f"{name}: {row}_marginal and {column}_marginal have different totals"):
        function(*arrays, **{f"{row}_marginal": np.ones(2), f"{column}_marginal": np.ones(3)})
    with pytest.raises(ValueError, match=f"{name}: {row}_marginal holds a negative number"):
        function(*arrays, **{f"{row}_marginal": np.array([2.0, -1.0])})
    with pytest.raises(ValueError, match=f"{name}: {column}_marginal holds a negative number or NaN"):
        function(*arrays, **{f"{column}_marginal": np.array([2.0, np.nan, 1.0])})


@pytest.mark.parametrize("method", ["sinkhorn", "sinkhorn_log"])
def test_plans_are_those_of_pot(pot: Any, method: str) -> None:
    cost, a, b = RNG.uniform(size=(6, 4)), masses(6), masses(4)
    theirs = pot.sinkhorn(a, b, cost, reg=0.3, method=method, numItermax=2000, stopThr=1e-15, warn=False)
    ours = attlas_ref.sinkhorn_plan(cost, epsilon=0.3, row_marginal=a, column_marginal=b, steps=2000)
    assert_equal_up_to_rounding(ours, theirs, **ENOUGH)
    exact = attlas_ref.optimal_transport_distance(cost, row_marginal=a, column_marginal=b)
    assert_equal_up_to_rounding(exact, pot.emd2(a, b, cost), **ENOUGH)


# Attention


def test_the_sinkformer_is_doubly_stochastic() -> None:
    x = RNG.normal(size=(2, 6, 3))
    weights = attlas_ref.sinkhorn_attention(x, x, x, steps=400, return_weights=True).weights
    for axis in (-1, -2):
        assert_equal_up_to_rounding(weights.sum(axis=axis), np.ones((2, 6)), **ENOUGH)


def test_every_key_is_read_as_much_as_it_should_be() -> None:
    query, key, a, b = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3)), masses(6), masses(4)
    options = {"query_marginal": a, "key_marginal": b, "steps": 400}
    weights = attlas_ref.sinkhorn_attention(query, key, np.eye(4), **options)
    assert_equal_up_to_rounding(weights.sum(axis=1), np.ones(6), **ENOUGH)
    assert_equal_up_to_rounding(a @ weights, b, **ENOUGH)


def test_a_query_without_mass_reads_zeros() -> None:
    query, key, value = RNG.normal(size=(2, 3)), RNG.normal(size=(4, 3)), np.full((4, 1), np.nan)
    mass = np.array([0.0, 1.0])
    output = attlas_ref.sinkhorn_attention(query, key, value, query_marginal=mass)
    np.testing.assert_array_equal(output, [[0.0], [np.nan]])


# Relaxed marginals


def relaxed(**options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    cost, a, b = RNG.uniform(size=(4, 5)), masses(4, 2.0), masses(5, 3.0)
    return cost, a, b, attlas_ref.unbalanced_sinkhorn_plan(cost, row_marginal=a, column_marginal=b, **options)


@pytest.mark.parametrize(("epsilon", "penalty"), [(1.0, 1.0), (0.2, 1.0), (0.5, 0.1)])
def test_the_relaxed_plan_minimizes_its_objective(epsilon: float, penalty: float) -> None:
    # The objective is convex, and its derivative by P_ij is
    # C + epsilon log(P / a b) + penalty (log(P 1 / a) + log(P' 1 / b)).
    cost, a, b, plan = relaxed(epsilon=epsilon, marginal_penalty=penalty)
    slope = cost + epsilon * np.log(plan / np.outer(a, b))
    slope += penalty * (np.log(plan.sum(axis=1) / a)[:, None] + np.log(plan.sum(axis=0) / b))
    assert_equal_up_to_rounding(slope, np.zeros((4, 5)), **ENOUGH)


def test_a_high_penalty_balances() -> None:
    cost, a, b = RNG.uniform(size=(4, 5)), masses(4), masses(5)
    balanced = attlas_ref.sinkhorn_plan(cost, row_marginal=a, column_marginal=b, steps=400)
    for penalty in (1e3, 1e5):
        plan = attlas_ref.unbalanced_sinkhorn_plan(
            cost, row_marginal=a, column_marginal=b, marginal_penalty=penalty, steps=400
        )
        # Potentials of at most the range of the cost are shrunk by 1 / penalty in each of the steps that it takes.
        assert np.abs(plan - balanced).max() <= 10 / penalty


def test_a_low_penalty_leaves_the_kernel() -> None:
    cost, a, b, plan = relaxed(epsilon=0.5, marginal_penalty=1e-9)
    kernel = np.exp(-cost / 0.5) * np.outer(a, b)
    assert np.abs(plan / kernel - 1).max() <= 1e-7


def test_relaxed_plans_are_those_of_pot(pot: Any) -> None:
    cost, a, b, plan = relaxed(epsilon=0.3, marginal_penalty=0.7)
    theirs = pot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, 0.3, 0.7, method="sinkhorn", reg_type="kl", numItermax=1000, stopThr=1e-16
    )
    assert_equal_up_to_rounding(plan, theirs, **ENOUGH)


# Proximal steps


def proximal(cost: Any, beta: float, steps: int, inner: int) -> np.ndarray:
    """The iteration as it is first written down."""
    m, n = cost.shape
    kernel, plan, u = np.exp(-cost / beta), np.ones((m, n)), np.full(m, 1 / m)
    for _ in range(steps):
        q = kernel * plan
        for _ in range(inner):
            v = 1 / (n * (q.T @ u))
            u = 1 / (m * (q @ v))
        plan = np.diag(u) @ q @ np.diag(v)
    return plan


@pytest.mark.parametrize(("steps", "inner"), [(1, 1), (5, 1), (3, 4)])
def test_a_proximal_plan_is_the_loop_of_its_definition(steps: int, inner: int) -> None:
    cost = RNG.uniform(size=(4, 5))
    plan = attlas_ref.ipot_plan(cost, beta=0.4, steps=steps, inner_steps=inner)
    assert_equal_up_to_rounding(plan, proximal(cost, 0.4, steps, inner), **ENOUGH)
    rows, columns = np.array([1, 0, 1, 1, 0, 1], dtype=bool), np.array([0, 1, 1, 1, 1, 1, 0], dtype=bool)
    wide = np.full((6, 7), np.nan)
    wide[np.ix_(rows, columns)] = cost
    options = {"beta": 0.4, "steps": steps, "inner_steps": inner}
    masked, distance = attlas_ref.ipot_plan(wide, row_mask=rows, column_mask=columns, return_distance=True, **options)
    assert_equal_up_to_rounding(masked[np.ix_(rows, columns)], plan, **ENOUGH)
    assert not masked[~rows].any()
    assert not masked[:, ~columns].any()
    assert_equal_up_to_rounding(distance, (cost * plan).sum(), **ENOUGH)


def test_a_mask_of_one_entry_speaks_for_all() -> None:
    cost = np.random.default_rng(3).normal(size=(4, 5))
    plain = attlas_ref.ipot_plan(cost, steps=3)
    for shape in ((), (1,)):
        everybody = np.ones(shape, dtype=bool)
        plan = attlas_ref.ipot_plan(cost, row_mask=everybody, column_mask=everybody, steps=3)
        np.testing.assert_array_equal(plan, plain)


@pytest.mark.parametrize("beta", [0.05, 0.5, 2.0])
def test_proximal_steps_reach_the_exact_distance(beta: float) -> None:
    cost = RNG.uniform(size=(5, 4))
    exact = attlas_ref.optimal_transport_distance(cost)
    gaps = []
    for steps in (10, 100, 1000):
        plan, distance = attlas_ref.ipot_plan(cost, beta=beta, steps=steps, return_distance=True)
        # t steps are an epsilon of beta / t (inexact ones a little behind), whose cost is epsilon log 4 above at most.
        assert abs(distance - exact) <= 2 * beta / steps * np.log(4) + np.abs(plan.sum(axis=0) - 1 / 4).sum()
        gaps.append(np.abs(plan.sum(axis=0) - 1 / 4).max())
    assert gaps[2] <= 0.01
    assert gaps[2] <= gaps[0] + 1e-12


def test_constants_leave_the_proximal_limit() -> None:
    cost = RNG.uniform(size=(5, 5))
    moved = cost + RNG.normal(size=(5, 1)) + RNG.normal(size=5)
    plans = [attlas_ref.ipot_plan(c, steps=2000) for c in (cost, moved)]
    assert np.abs(plans[0] - plans[1]).max() <= 1e-6


# Conditional transport


def test_conditional_transport_is_its_definition() -> None:
    cost, scores, a, b = RNG.uniform(size=(3, 4)), RNG.normal(size=(3, 4)), masses(3, 2.0), masses(4, 5.0)
    rows, columns = np.array([True, False, True]), np.array([True, True, False, True])
    result = attlas_ref.conditional_transport(
        cost, scores, forward_weight=0.3, row_weights=a, column_weights=b, row_mask=rows, column_mask=columns
    )
    i, j = np.flatnonzero(rows), np.flatnonzero(columns)
    forward = sum(
        a[r] / a[i].sum() * sum(b[c] * np.exp(scores[r, c]) * cost[r, c] for c in j)
        / sum(b[c] * np.exp(scores[r, c]) for c in j)
        for r in i
    )  # fmt: skip
    backward = sum(
        b[c] / b[j].sum() * sum(a[r] * np.exp(scores[r, c]) * cost[r, c] for r in i)
        / sum(a[r] * np.exp(scores[r, c]) for r in i)
        for c in j
    )  # fmt: skip
    assert_equal_up_to_rounding(result.forward, forward, **ENOUGH)
    assert_equal_up_to_rounding(result.backward, backward, **ENOUGH)
    assert_equal_up_to_rounding(result.total, 0.3 * forward + 0.7 * backward, **ENOUGH)


def test_what_takes_no_part_in_conditional_transport_is_not_felt() -> None:
    cost = RNG.uniform(size=(3, 4))
    cost[1], cost[:, 2] = np.nan, np.nan
    weights = np.array([1.0, 0.0, 2.0])
    result = attlas_ref.conditional_transport(
        cost, row_weights=weights, column_mask=np.array([True, True, False, True]), return_plans=True
    )
    assert all(np.isfinite(part).all() for part in result)


def test_a_set_costs_nothing_to_itself() -> None:
    points = RNG.normal(size=(5, 3))
    cost = ((points[:, None] - points) ** 2).sum(axis=-1)
    totals = [float(attlas_ref.conditional_transport(cost, -cost / t).total) for t in (1.0, 0.1, 0.001)]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < 1e-9


def test_a_forward_plan_is_no_coupling() -> None:
    cost, b = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([0.5, 0.5])
    plan = attlas_ref.conditional_transport(cost, return_plans=True).forward_plan
    assert column_error(plan / 2, b) > 0.1
    assert column_error(attlas_ref.sinkhorn_plan(cost), b) < 1e-12


def test_cosine_costs_are_those_of_torch(torch: Any) -> None:
    x, y = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 5, 3))
    theirs = 1 - torch.nn.functional.cosine_similarity(torch.tensor(x)[:, :, None], torch.tensor(y)[:, None], dim=-1)
    assert_equal_up_to_rounding(attlas_ref.cosine_cost(x, y), theirs.numpy(), **ENOUGH)


def test_one_mask_for_all_rows_counts_all_of_them() -> None:
    cost = RNG.normal(size=(2, 4, 3))
    shared = attlas_ref.ipot_plan(cost, row_mask=np.array([True]), column_mask=np.array([[True], [False]]))
    assert (shared[0] == attlas_ref.ipot_plan(cost)[0]).all()
    assert (shared[1] == 0).all()
