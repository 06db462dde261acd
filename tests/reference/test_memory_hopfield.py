"""Continuous Hopfield networks: against loops in 50 digits, SymPy, PyTorch, and what the theorems promise."""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from exact import Matrix, Problem, numbers
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(29)
QUERY, KEY, VALUE, GRAD = (RNG.normal(size=shape) for shape in ((3, 2), (4, 2), (4, 3), (3, 3)))
MASK = np.array([[True, False, True, True], [False, False, False, False], [True, True, True, False]])
BIAS = RNG.normal(size=(3, 4))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"beta": 3.0, "steps": 3},
    {"mask": MASK, "steps": 2},
    {"bias": BIAS, "causal": True, "steps": 3, "beta": 0.8},
]
ALPHAS = (1.0, 1.3, 1.5, 2.0, 2.7)
ENOUGH = {"operations": 500, "magnitude": 4.0}


def entmax(scores: dict[int, Any], alpha: float) -> dict[int, Any]:
    """The entmax of a few scores by bisection in 50 digits; `Problem.softmax` is alpha 1."""
    if not scores:
        return {}
    shifted = {j: s - max(scores.values()) for j, s in scores.items()}
    if alpha == 1:
        terms = {j: mp.exp(s) for j, s in shifted.items()}
    else:
        power = 1 / (mp.mpf(alpha) - 1)

        def terms_at(tau: Any) -> dict[int, Any]:
            return {j: max((mp.mpf(alpha) - 1) * s - tau, mp.mpf(0)) ** power for j, s in shifted.items()}

        low, high = mp.mpf(-1), mp.mpf(0)
        for _ in range(180):
            middle = (low + high) / 2
            low, high = (middle, high) if mp.fsum(terms_at(middle).values()) >= 1 else (low, middle)
        terms = terms_at(low)
    total = mp.fsum(terms.values())
    return {j: term / total for j, term in terms.items()}


class Retrieval(Problem):
    """A retrieval as loops over scalars."""

    def walk(self) -> list[Matrix]:
        """The weights of every step."""
        beta = self.options.get("beta")
        self.scale, alpha = 1 / mp.sqrt(self.d) if beta is None else mp.mpf(beta), self.options.get("alpha", 1.0)
        steps, start = [], self.query
        for _ in range(self.options.get("steps", 1)):
            maps = [entmax({j: self.score(i, j) for j in self.visible(i)}, alpha) for i in range(self.m)]
            steps.append([[row.get(j, mp.mpf(0)) for j in range(self.n)] for row in maps])
            self.query = [
                [mp.fsum(row[j] * self.key[j][c] for j in range(self.n)) for c in range(self.d)] for row in steps[-1]
            ]
        self.query = start
        return steps


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_retrieval_is_its_definition(alpha: float, options: dict[str, Any]) -> None:
    options = {**options, "alpha": alpha}
    problem = Retrieval(QUERY, KEY, VALUE, **options)
    weights = problem.walk()[-1]
    output, actual = attlas_ref.hopfield_attention(QUERY, KEY, VALUE, return_weights=True, **options)
    assert_equal_up_to_rounding(actual, np.array(weights, dtype=float), **ENOUGH)
    assert_equal_up_to_rounding(output, np.array(problem.output(weights), dtype=float), **ENOUGH)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_are_central_differences(alpha: float, options: dict[str, Any]) -> None:
    options = {**options, "alpha": alpha}
    step = mp.mpf(10) ** -15  # in 50 digits: an error of 1e-30 from the step, of 1e-35 from rounding

    def loss(arrays: list[Matrix]) -> Any:
        problem = Retrieval(QUERY, KEY, VALUE, **options)
        problem.query, problem.key, problem.value = arrays
        output = problem.output(problem.walk()[-1])
        return mp.fsum(output[i][c] * mp.mpf(float(GRAD[i, c])) for i, c in np.ndindex(GRAD.shape))

    grads = attlas_ref.hopfield_attention_vjp(QUERY, KEY, VALUE, GRAD, **options)
    for which, grad in enumerate(grads):
        for direction in np.random.default_rng(which).normal(size=(2, *grad.shape)):
            sides = []
            for sign in (1, -1):
                arrays = [numbers(array) for array in (QUERY, KEY, VALUE)]
                for i, c in np.ndindex(grad.shape):
                    arrays[which][i][c] += sign * step * mp.mpf(float(direction[i, c]))
                sides.append(loss(arrays))
            slope = float((sides[0] - sides[1]) / (2 * step))
            # Each step multiplies by at most beta D²/4, below 8 here; small weights have large u for alpha above 2.
            magnitude = 100.0 * float(np.abs(GRAD).sum() * np.abs(direction).sum())
            assert_equal_up_to_rounding((grad * direction).sum(), slope, operations=500, magnitude=magnitude)


def test_hidden_pairs_and_empty_rows_have_no_gradient() -> None:
    mask = MASK & (np.arange(4) != 2)
    grads = attlas_ref.hopfield_attention_vjp(QUERY, KEY, VALUE, GRAD, mask=mask, steps=3, alpha=1.5)
    np.testing.assert_array_equal(grads.grad_query[1], 0)
    np.testing.assert_array_equal([grads.grad_key[2].any(), grads.grad_value[2].any()], False)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_gradients_are_autograd_through_the_expression_of_hopfield_layers(alpha: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the optional extra 'peers'")
    entmax_package = pytest.importorskip("entmax")
    maps: dict[float, Callable[..., Any]] = {
        1.0: torch.softmax,
        1.5: entmax_package.entmax15,
        2.0: entmax_package.sparsemax,
    }
    query, key, value = (torch.tensor(x, requires_grad=True) for x in (QUERY, KEY, VALUE))
    state = query
    for _ in range(3):
        weights = maps[alpha](0.9 * state @ key.T, dim=-1)
        state = weights @ key
    output = weights @ value
    expected = torch.autograd.grad((output * torch.tensor(GRAD)).sum(), (query, key, value))
    options = {"beta": 0.9, "steps": 3, "alpha": alpha}
    assert_equal_up_to_rounding(
        attlas_ref.hopfield_attention(QUERY, KEY, VALUE, **options), output.detach().numpy(), **ENOUGH
    )
    actual = attlas_ref.hopfield_attention_vjp(QUERY, KEY, VALUE, GRAD, **options)
    for ours, theirs in zip(actual, expected, strict=True):
        assert_equal_up_to_rounding(ours, theirs.numpy(), operations=500, magnitude=10.0 * np.abs(GRAD).sum())


def test_the_gradient_at_a_fixed_point_solves_an_implicit_equation() -> None:
    beta, gradient = 0.4, RNG.normal(size=(1, 2))
    options = {"beta": beta, "steps": 120}
    point = attlas_ref.hopfield_attention(QUERY[:1], KEY, **options)
    weights = attlas_ref.hopfield_attention(point, KEY, np.eye(4), beta=beta)[0]
    jacobian = beta * KEY.T @ (np.diag(weights) - np.outer(weights, weights)) @ KEY
    assert np.linalg.eigvalsh(jacobian).max() < 0.7  # so that 120 steps are all of the series
    adjoint = np.linalg.solve(np.eye(2) - jacobian, gradient[0])
    step = attlas_ref.hopfield_attention_vjp(point, KEY, None, adjoint[None], beta=beta)
    whole = attlas_ref.hopfield_attention_vjp(QUERY[:1], KEY, None, gradient, **options)
    assert_equal_up_to_rounding(whole.grad_key, step.grad_key, operations=2000, magnitude=10.0)
    assert_equal_up_to_rounding(whole.grad_query, np.zeros((1, 2)), operations=2000, magnitude=10.0)


def test_the_jacobian_of_the_update_is_beta_times_the_covariance_of_the_patterns() -> None:
    xi, beta = sp.symbols("xi0:2", real=True), sp.Rational(6, 5)
    key = [[sp.Rational(round(1000 * x), 1000) for x in row] for row in KEY]
    exps = [sp.exp(beta * (row[0] * xi[0] + row[1] * xi[1])) for row in key]
    update = [sum(e * row[c] for e, row in zip(exps, key, strict=True)) / sum(exps) for c in range(2)]
    point = {xi[0]: sp.Rational(3, 10), xi[1]: sp.Rational(-4, 10)}
    derived = np.array([[float(sp.diff(u, x).subs(point).evalf(30)) for x in xi] for u in update])
    rows = np.array(key, dtype=float)
    weights = attlas_ref.hopfield_attention(np.array([[0.3, -0.4]]), rows, np.eye(4), beta=1.2)[0]
    covariance = 1.2 * rows.T @ (np.diag(weights) - np.outer(weights, weights)) @ rows
    assert_equal_up_to_rounding(covariance, derived, **ENOUGH)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_the_slope_of_the_energy_is_the_state_less_its_update(alpha: float) -> None:
    step = 1e-100
    slope = np.zeros(QUERY.shape)
    for index in np.ndindex(QUERY.shape):
        moved = QUERY.astype(complex)
        moved[index] += 1j * step
        energy = attlas_ref.hopfield_energy.__wrapped__(moved, KEY, beta=0.7, alpha=alpha)
        slope[index] = energy.sum().imag / step
    update = attlas_ref.hopfield_attention(QUERY, KEY, beta=0.7, alpha=alpha)
    assert_equal_up_to_rounding(slope, QUERY - update, **ENOUGH)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_energy_is_its_definition(alpha: float) -> None:
    beta = mp.mpf("1.75")
    problem = Retrieval(QUERY, KEY, VALUE, beta=1.75, alpha=alpha, mask=MASK)
    weights = problem.walk()[0]

    def entropy(p: list[Any]) -> Any:
        a = mp.mpf(alpha)
        if alpha == 1:
            return -mp.fsum(x * mp.log(x) for x in p if x)
        return mp.fsum(x - x**a for x in p) / (a * (a - 1))

    expected = []
    for i, row in enumerate(weights):
        seen = problem.visible(i)
        if not seen:
            expected.append(np.inf)
            continue
        reached = mp.fsum(row[j] * problem.score(i, j) for j in seen) / beta + entropy(row) / beta
        largest = entropy([mp.mpf(1) / len(seen)] * len(seen)) / beta
        longest = max(mp.fsum(x * x for x in problem.key[j]) for j in seen)
        expected.append(float(largest - reached + (mp.fsum(x * x for x in problem.query[i]) + longest) / 2))
    energy = attlas_ref.hopfield_energy(QUERY, KEY, beta=1.75, alpha=alpha, mask=MASK)
    np.testing.assert_array_equal(np.isinf(energy), np.isinf(expected))
    assert_equal_up_to_rounding(energy[[0, 2]], np.array(expected)[[0, 2]], **ENOUGH)


def test_the_energy_feels_a_shift_of_queries_and_keys() -> None:
    there = attlas_ref.hopfield_energy(QUERY + 1, KEY + 1, beta=1.0)
    assert (np.abs(there - attlas_ref.hopfield_energy(QUERY, KEY, beta=1.0)) > 0.1).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_small_beta_reads_the_mean_for_every_alpha(alpha: float) -> None:
    output = attlas_ref.hopfield_attention(QUERY, KEY, VALUE, beta=1e-17, alpha=alpha, steps=3)
    assert_equal_up_to_rounding(output, np.broadcast_to(VALUE.mean(axis=0), (3, 3)), **ENOUGH)


def test_patterns_that_are_close_have_one_fixed_point_and_retrieval_converges_linearly() -> None:
    spread = max(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(KEY, 2))
    rate = 0.8
    beta = 4 * rate / spread**2
    starts = 10 * RNG.normal(size=(6, 2))
    states = [starts, *(attlas_ref.hopfield_attention(starts, KEY, beta=beta, steps=s) for s in range(1, 200))]
    fixed = states[-1].mean(axis=0)
    distances = np.array([np.linalg.norm(state - fixed, axis=-1) for state in states])  # (steps, starts)
    bound = rate ** np.arange(200)[:, None] * distances[0]
    excess = np.maximum(distances - bound, 0)
    assert_equal_up_to_rounding(excess, np.zeros_like(excess), operations=500, magnitude=float(np.abs(KEY).max()))


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_a_well_separated_pattern_has_a_fixed_point_beside_it(alpha: float) -> None:
    patterns = np.random.default_rng(2).choice([-1.0, 1.0], size=(30, 64)) / 8  # of length 1
    beta, n = 30.0, len(patterns)
    longest = np.linalg.norm(patterns, axis=-1).max()
    gram = patterns @ patterns.T
    separation = (gram.diagonal()[:, None] - gram + 9 * np.eye(n)).min(axis=-1)
    needed = 2 / (beta * n) + np.log(2 * (n - 1) * n * beta * longest**2) / beta
    chosen = separation >= needed
    assert chosen.sum() >= n // 2
    fixed = attlas_ref.hopfield_attention(patterns, patterns, beta=beta, steps=50, alpha=alpha)
    moved = attlas_ref.hopfield_attention(fixed, patterns, beta=beta, alpha=alpha)
    assert_equal_up_to_rounding(moved[chosen], fixed[chosen], operations=200)
    assert (np.linalg.norm(fixed - patterns, axis=-1)[chosen] <= 1 / (beta * n * longest)).all()


def test_the_tolerance_stops_each_query_by_itself() -> None:
    query = np.concatenate([QUERY, KEY, 5 * QUERY])
    options = {"beta": 2.0, "steps": 40, "tol": 1e-3, "return_weights": True, "return_steps": True}
    together = attlas_ref.hopfield_attention(query, KEY, VALUE, **options)
    assert together.steps.min() < together.steps.max() < 40
    for row in range(len(query)):
        alone = attlas_ref.hopfield_attention(query[row : row + 1], KEY, VALUE, **options)
        assert alone.steps[0] == together.steps[row]
        assert_equal_up_to_rounding(alone.output[0], together.output[row], **ENOUGH)
        # It stopped at the first step, from the second on, that changed the weights by no more than that.
        walk = [attlas_ref.hopfield_attention(query[row : row + 1], KEY, np.eye(4), beta=2.0, steps=s)[0]
                for s in range(1, alone.steps[0] + 1)]  # fmt: skip
        changes = [float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(walk)]
        assert changes[-1] <= 1e-3 < min([*changes[:-1], 1.0])
        assert_equal_up_to_rounding(alone.weights[0], walk[-1], **ENOUGH)


def test_without_a_tolerance_every_query_takes_all_steps() -> None:
    result = attlas_ref.hopfield_attention(KEY, KEY, beta=50.0, steps=7, return_steps=True)
    np.testing.assert_array_equal(result.steps, np.full(4, 7))
