"""The gradients that the references claim: derived by SymPy, and taken by a complex step through the formulas.

A complex step has no cancellation: f(x + ih) = f(x) + ih f'(x) + O(h²) with h = 1e-100 gives f' to full precision.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp
from rounding import assert_equal_up_to_rounding

import attlas_ref

STEP = 1e-100


def complex_step(function: Callable[..., Any], arrays: list[np.ndarray], which: int, weight: np.ndarray) -> np.ndarray:
    """The gradient of sum(function(arrays) * weight) with respect to one of the arrays."""
    gradient = np.zeros(arrays[which].shape)
    for index in np.ndindex(gradient.shape):
        moved = [array.astype(complex) for array in arrays]
        moved[which][index] += 1j * STEP
        gradient[index] = (function(*moved) * weight).sum().imag / STEP
    return gradient


def problem(m: int = 3, n: int = 4, d: int = 2, e: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng([m, n, d, e])
    return [rng.normal(size=shape) for shape in ((m, d), (n, d), (n, e), (m, e))]


MASK = np.array([[True, False, True, True], [False, False, False, False], [True, True, False, True]])
BIAS = np.random.default_rng(5).normal(size=(3, 4))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"mask": MASK},
        {"temperature": 0.5, "scale": -0.8},
        {"bias": BIAS, "mask": MASK, "causal": True, "temperature": 3.0},
    ],
    ids=str,
)
def test_vjp_of_softmax_attention_is_its_complex_step_derivative(options: dict[str, Any]) -> None:
    *arrays, grad_output = problem()
    grads = attlas_ref.softmax_attention_vjp(*arrays, grad_output, return_grad_bias=True, **options)
    bias = options.get("bias", np.zeros((3, 4)))
    rest = {name: option for name, option in options.items() if name != "bias"}

    def formula(query: Any, key: Any, value: Any, bias: Any) -> Any:
        return attlas_ref.softmax_attention.__wrapped__(query, key, value, bias=bias, **rest)

    for which, grad in enumerate(grads):
        expected = complex_step(formula, [*arrays, bias], which, grad_output)
        assert_equal_up_to_rounding(grad, expected, operations=200, magnitude=np.abs(grad_output).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_minus_the_slope_of_the_energy_is_scaled_attention_to_the_keys(temperature: float) -> None:
    query, key, _, _ = problem()
    scale = 0.9

    def energy(query: Any) -> Any:
        return attlas_ref.attention_energy.__wrapped__(query, key, scale=scale, temperature=temperature)

    slope = complex_step(energy, [query], 0, np.ones(len(query)))
    attention = attlas_ref.softmax_attention(query, key, key, scale=scale, temperature=temperature)
    assert_equal_up_to_rounding(-slope, scale * attention, operations=100, magnitude=np.abs(key).sum())


def test_the_gradient_of_log_sum_exp_is_the_softmax() -> None:
    scores = sp.symbols("s0:4", real=True)
    log_partition = sp.log(sum(sp.exp(s) for s in scores))
    point = dict(zip(scores, [0.3, -1.2, 2.0, 0.7], strict=True))
    derived = [float(sp.diff(log_partition, s).evalf(30, subs=point)) for s in scores]
    weights = attlas_ref.softmax_attention(
        np.ones((1, 1)), np.array(list(point.values()))[:, None], np.eye(4), scale=1.0
    )
    assert_equal_up_to_rounding(weights[0], derived, operations=50)


def test_the_jacobian_of_the_softmax_is_diagonal_minus_outer_product() -> None:
    scores = sp.symbols("s0:3", real=True)
    total = sum(sp.exp(s) for s in scores)
    weights = [sp.exp(s) / total for s in scores]
    for j, w in enumerate(weights):
        for l, s in enumerate(scores):  # noqa: E741 (the letter of the formula)
            claimed = w * ((1 if j == l else 0) - weights[l])
            assert sp.simplify(sp.diff(w, s) - claimed) == 0


def test_vjp_matches_the_symbolic_gradient_of_a_two_by_two_problem() -> None:
    names = [sp.symbols(f"{letter}:2:2", real=True) for letter in "qkvg"]
    query, key, value, grad = (sp.Matrix(2, 2, group) for group in names)
    scores = query * key.T / sp.sqrt(2)
    exps = scores.applyfunc(sp.exp)
    output = sp.Matrix(2, 2, lambda i, c: sum(exps[i, j] * value[j, c] for j in range(2)) / sum(exps[i, :]))
    loss = sum(output[i, c] * grad[i, c] for i in range(2) for c in range(2))
    numbers = problem(2, 2, 2, 2)
    point = {s: x for group, array in zip(names, numbers, strict=True) for s, x in zip(group, array.flat, strict=True)}
    grads = attlas_ref.softmax_attention_vjp(*numbers)
    for group, actual in zip(names[:3], grads, strict=True):
        derived = [float(sp.diff(loss, s).evalf(30, subs=point)) for s in group]
        assert_equal_up_to_rounding(actual.ravel(), derived, operations=100, magnitude=np.abs(numbers[3]).sum())


def test_the_energy_is_concave_with_the_covariance_of_the_keys_as_its_curvature() -> None:
    q = sp.symbols("q0:2", real=True)
    key = np.array([[0.4, -1.0], [1.1, 0.3], [-0.6, 0.8]])
    scale, temperature = sp.Rational(7, 10), sp.Rational(3, 2)
    exact_key = [[sp.nsimplify(x) for x in row] for row in key]
    scores = [scale * (row[0] * q[0] + row[1] * q[1]) for row in exact_key]
    energy = -temperature * sp.log(sum(sp.exp(s / temperature) for s in scores))
    point = {q[0]: 0.2, q[1]: -0.5}
    hessian = np.array([[float(sp.diff(energy, a, b).evalf(30, subs=point)) for a in q] for b in q])
    query = np.array([list(point.values())])
    weights = attlas_ref.softmax_attention(query, key, np.eye(3), scale=float(scale), temperature=float(temperature))[0]
    centered = key - weights @ key
    covariance = np.einsum("j,jc,jd->cd", weights, centered, centered)
    assert_equal_up_to_rounding(-float(scale**2 / temperature) * covariance, hessian, operations=100)
    assert (np.linalg.eigvalsh(hessian) <= 0).all()


def test_the_square_expands_into_the_score_that_distance_attention_uses() -> None:
    q, k = sp.symbols("q0:3", real=True), sp.symbols("k0:3", real=True)
    square = sum((a - b) ** 2 for a, b in zip(q, k, strict=True))
    expanded = sum(a**2 for a in q) - 2 * sum(a * b for a, b in zip(q, k, strict=True)) + sum(b**2 for b in k)
    assert sp.expand(square - expanded) == 0


def test_merging_partials_is_associative_in_exact_arithmetic() -> None:
    tops = sp.symbols("m0:3", real=True)
    sums = sp.symbols("s0:3", positive=True)

    def merge(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
        top = sp.Max(first[0], second[0])
        return top, sp.exp(first[0] - top) * first[1] + sp.exp(second[0] - top) * second[1]

    a, b, c = zip(tops, sums, strict=True)
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    absolute = [top_and_sum[1] * sp.exp(top_and_sum[0]) for top_and_sum in (left, right)]
    assert sp.simplify(sp.expand(absolute[0]) - sp.expand(absolute[1])) == 0
