"""Attention by polynomials: loops in 50 digits, what SymPy says of a truncated exponential, and the bound beside the
error that is measured.

| in the specification | here, beside the laws of `polynomial` |
| --- | --- |
| lowrank: the dense formula with T_g | `test_the_low_rank_form_is_that_of_the_loops` |
| degree to infinity | `test_a_growing_degree_converges_to_tensor_attention` |
| p = 1 is fastmax | `test_one_set_is_fastmax` |
| the error bound | `test_the_measured_error_lies_below_its_bound`, `test_kernel_values_err_by_their_remainder` |
| g even: T_g > 0; f_2 >= 1/2 | `test_even_truncations_of_exp_are_positive`, `test_odd_truncations_are_not` |
| degree 0 | `test_degree_zero_is_the_product_of_the_means` |
| bad input, the warning | `test_a_mistake_is_refused`, `test_a_bound_that_says_nothing_is_told` and the next |
| fastmax: dense equals factorized | `test_fastmax_is_that_of_the_loops`, `test_the_explicit_form_of_order_two` |
| order 2 is linear attention with Taylor features | `test_order_two_is_linear_attention_with_taylor_features` |
| normalizations | `test_normalized_tokens_are_those_of_the_loops`, |
| | `test_normalizing_does_not_let_out_what_a_mask_hides` |
| odd orders may give negative weights | `test_an_odd_order_may_give_negative_weights` |
| high order attention: A, relu, powers of t | `test_high_order_attention_is_that_of_the_loops` and the next |
"""

import itertools
import math
import warnings
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from exact import numbers
from rounding import assert_equal_up_to_rounding
from tuple_loops import Tuples

import attlas_ref

RNG = np.random.default_rng(71)
S = sp.symbols("s", real=True)


def truncated(s: Any, order: int) -> Any:
    return sum((s**l / math.factorial(l) for l in range(order + 1)), mp.mpf(0))  # noqa: E741


def small(n: int, width: int, bound: float = 1.0) -> np.ndarray:
    return RNG.uniform(-bound, bound, size=(n, width))


def bounded(m: int, sizes: tuple[int, ...], d: int, e: int, bound: float) -> tuple[Any, Any, Any]:
    return small(m, d, bound), tuple(small(n, d, bound) for n in sizes), tuple(small(n, e) for n in sizes)


def roundings(kernels: Any, monomials: int, rows: int) -> dict[str, Any]:
    """Sums over rows and monomials, of kernel values that cancel as far as their sizes exceed their sum.

    Values are below 1, and |s| below 3/2: the sizes of all monomials add up to at most e³ times a kernel value.
    """
    sizes = [sum(map(abs, row)) / abs(sum(row)) for row in kernels]
    return {"operations": 8 * (monomials + rows + 8), "magnitude": float(max(1, *sizes)) * math.e**3}


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("sizes", [(4,), (2, 3), (2, 1, 3)], ids=str)
def test_the_low_rank_form_is_that_of_the_loops(sizes: tuple[int, ...], degree: int) -> None:
    query, keys, values = bounded(3, sizes, 3, 2, 0.9)
    problem = Tuples(query, keys, values, scale=0.6)
    every = problem.tuples()
    kernels = [[truncated(problem.score(i, members), degree) for members in every] for i in range(3)]
    expected = [
        [mp.fsum(f * problem.value(members)[c] for f, members in zip(row, every, strict=True)) / mp.fsum(row)
         for c in range(2)]
        for row in kernels
    ]  # fmt: skip
    actual = attlas_ref.tensor_attention_lowrank(query, keys, values, degree=degree, scale=0.6)
    assert_equal_up_to_rounding(actual, expected, **roundings(kernels, math.comb(3 + degree, degree), len(every)))


def error_bound(query: Any, keys: Any, values: Any, degree: int, scale: float) -> float:
    """2 delta / (1 - delta) times the largest product of values, from the largest score itself; infinite if empty."""
    largest = float(np.abs(scale * np.einsum("ic,jc,kc->ijk", query, *keys)).max())
    delta = math.exp(largest) * largest ** (degree + 1) / math.factorial(degree + 1)
    return 2 * delta / (1 - delta) * float(np.prod([np.abs(v).max() for v in values])) if delta < 1 else math.inf


def test_the_measured_error_lies_below_its_bound() -> None:
    """At every bound of the entries and every degree for which there is a bound; where rounding is not all, nearly."""
    looseness = []
    for entries, degree in itertools.product((0.25, 0.5, 1.0, 1.5), range(0, 17, 2)):
        query, keys, values = bounded(6, (5, 7), 3, 2, entries)
        bound = error_bound(query, keys, values, degree, 0.5)
        if math.isinf(bound):
            continue
        exact = np.array(Tuples(query, keys, values, scale=0.5).output(), dtype=np.float64)
        actual = attlas_ref.tensor_attention_lowrank(query, keys, values, degree=degree, scale=0.5)
        error = float(np.abs(actual - exact).max())
        monomials = math.comb(3 + degree, degree)
        rounding = 8 * (monomials + 35 + 8) * np.finfo(float).eps * math.e**3  # scores stay below 3
        assert error <= bound + rounding, (entries, degree)
        if error > 100 * rounding:
            looseness.append(bound / error)
    # The bound is not idle: it is for the worst arrays, and gives away two digits or so on random ones.
    assert len(looseness) >= 8
    assert max(looseness) < 1e4


def test_a_growing_degree_converges_to_tensor_attention() -> None:
    query, keys, values = bounded(4, (3, 5), 3, 2, 1.0)
    exact = attlas_ref.tensor_attention(query, keys, values, scale=0.5)
    errors = [np.abs(attlas_ref.tensor_attention_lowrank(query, keys, values, degree=g, scale=0.5) - exact).max()
              for g in (0, 2, 4, 6, 8)]  # fmt: skip
    assert all(after < before for before, after in itertools.pairwise(errors))
    # |s| <= 3/2: the series is below a unit of rounding from order 25 on.
    last = attlas_ref.tensor_attention_lowrank(query, keys, values, degree=25, scale=0.5)
    assert_equal_up_to_rounding(last, exact, operations=8 * math.comb(28, 3), magnitude=math.e**3)


def test_one_set_is_fastmax() -> None:
    query, (key,), (value,) = bounded(3, (5,), 3, 2, 1.0)
    for degree in range(5):
        actual = attlas_ref.tensor_attention_lowrank(query, (key,), (value,), degree=degree)
        expected = attlas_ref.fastmax_attention(query, key, value, order=degree)
        weights = attlas_ref.fastmax_attention(query, key, value, order=degree, return_weights=True).weights
        assert_equal_up_to_rounding(actual, expected, **roundings(weights, math.comb(3 + degree, degree), 5))


def test_degree_zero_is_the_product_of_the_means() -> None:
    query, keys, values = bounded(3, (4, 2), 3, 2, 5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        actual = attlas_ref.tensor_attention_lowrank(query, keys, values, degree=0)
    expected = np.broadcast_to(values[0].mean(axis=0) * values[1].mean(axis=0), (3, 2))
    assert_equal_up_to_rounding(actual, expected, operations=20)


def test_kernel_values_err_by_their_remainder() -> None:
    for order, largest in itertools.product(range(6), (0.1, 1.0, 3.0)):
        for s in np.linspace(-largest, largest, 41):
            exact = mp.exp(mp.mpf(s))
            relative = abs(truncated(mp.mpf(s), order) - exact) / exact
            assert relative <= mp.exp(largest) * mp.mpf(largest) ** (order + 1) / math.factorial(order + 1)


@pytest.mark.parametrize("order", range(0, 13, 2))
def test_even_truncations_of_exp_are_positive(order: int) -> None:
    polynomial = sp.Poly(sum(S**l / sp.factorial(l) for l in range(order + 1)), S)  # noqa: E741
    assert polynomial.count_roots() == 0  # by Sturm's theorem
    assert polynomial.eval(0) > 0


@pytest.mark.parametrize("order", range(1, 12, 2))
def test_odd_truncations_are_not(order: int) -> None:
    polynomial = sp.Poly(sum(S**l / sp.factorial(l) for l in range(order + 1)), S)  # noqa: E741
    assert polynomial.count_roots() == 1
    assert polynomial.count_roots(None, 0) == 1


def test_the_second_truncation_is_at_least_one_half() -> None:
    assert sp.expand((1 + S + S**2 / 2) - ((1 + S) ** 2 + 1) / 2) == 0


def test_a_bound_that_says_nothing_is_told() -> None:
    arrays = bounded(3, (4, 4), 3, 2, 6.0)
    with pytest.warns(RuntimeWarning, match=r"^tensor_attention_lowrank: scores reach .* degree 2 ") as caught:
        attlas_ref.tensor_attention_lowrank(*arrays, degree=2)
    assert caught[0].filename == __file__


def test_a_bound_that_holds_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size, degree in ((0.3, 0), (0.8, 2), (1.5, 20)):
            query, keys, values = bounded(3, (4, 4), 3, 2, size)
            assert error_bound(query, keys, values, degree, 1 / math.sqrt(3)) < math.inf
            attlas_ref.tensor_attention_lowrank(query, keys, values, degree=degree)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("tensor_attention_lowrank", {"degree": -1}, ValueError),
        ("tensor_attention_lowrank", {"degree": 1.5}, TypeError),
        ("tensor_attention_lowrank", {"degree": 2, "kernel": "chebyshev"}, ValueError),
        ("fastmax_attention", {"order": -1}, ValueError),
        ("fastmax_attention", {"order": 0.5}, TypeError),
        ("fastmax_attention", {"normalize": "max"}, ValueError),
        ("high_order_attention", {}, ValueError),
    ],
    ids=str,
)
def test_a_mistake_is_refused(name: str, options: dict[str, Any], kind: type[Exception]) -> None:
    rows = np.ones((3, 4))
    arrays: dict[str, tuple[Any, ...]] = {
        "tensor_attention_lowrank": (rows, (rows, rows), (rows, rows)),
        "fastmax_attention": (rows, rows, rows),
        "high_order_attention": (rows, np.ones((2, 3, 4, 2)), np.ones((2, 2, 4))),  # proj is not square
    }
    with pytest.raises(kind, match=rf"^{name}: .*{next(iter(options), 'proj') if len(options) < 2 else 'kernel'}"):
        getattr(attlas_ref, name)(*arrays[name], **options)


@pytest.mark.parametrize("order", range(5))
def test_fastmax_is_that_of_the_loops(order: int) -> None:
    query, key, value = small(3, 2), small(4, 2), small(4, 2)
    keep = np.array([True, False, True, True])
    for options in ({}, {"causal": True}, {"key_mask": keep}, {"scale": -0.4, "causal": True, "key_mask": keep}):
        mask = None if "key_mask" not in options else np.broadcast_to(keep, (3, 4))
        rest = {name: option for name, option in options.items() if name != "key_mask"}
        problem = Tuples(query, (key,), (value,), mask=mask, **rest)
        kernels = [[truncated(problem.score(i, (j,)), order) * problem.sees(i, (j,)) for j in range(4)]
                   for i in range(3)]  # fmt: skip
        weights = [[f / (mp.fsum(row) or 1) for f in row] for row in kernels]
        result = attlas_ref.fastmax_attention(query, key, value, order=order, return_weights=True, **options)
        seen = [row for row in kernels if any(row)]
        bound = roundings(seen, math.comb(2 + order, order), 4)
        assert_equal_up_to_rounding(result.weights, weights, **bound)
        v = numbers(value)
        output = [[mp.fsum(row[j] * v[j][c] for j in range(4)) for c in range(2)] for row in weights]
        assert_equal_up_to_rounding(result.output, output, **bound)


def test_the_explicit_form_of_order_two() -> None:
    # F = sum v + q (k^T v) + 1/2 q q : (k k v), and the same with values of 1 below.
    query, key, value = small(3, 3), small(5, 3), small(5, 2)

    def moments(value: np.ndarray) -> np.ndarray:
        third = np.einsum("ja,jb,je->abe", key, key, value)
        return value.sum(axis=0) + query @ (key.T @ value) + np.einsum("ia,ib,abe->ie", query, query, third) / 2

    expected = moments(value) / moments(np.ones((5, 1)))
    actual = attlas_ref.fastmax_attention(query, key, value, order=2, scale=1.0)
    assert_equal_up_to_rounding(actual, expected, operations=8 * (10 + 5), magnitude=2 * math.e**3)


@pytest.mark.parametrize("causal", [False, True])
def test_order_two_is_linear_attention_with_taylor_features(causal: bool) -> None:
    # Linear attention: a running state of features (1, x, x x^T / sqrt 2), and no constant below the line.
    query, key, value = small(4, 3), small(4, 3), small(4, 2)

    def features(x: np.ndarray) -> np.ndarray:
        x = x / 3**0.25  # the scale 1/sqrt d, half of it on each side
        return np.concatenate([[1.0], x, np.outer(x, x).ravel() / math.sqrt(2)])

    state, total, outputs = np.zeros((13, 2)), np.zeros(13), []
    if not causal:
        state, total = sum(np.outer(features(k), v) for k, v in zip(key, value, strict=True)), sum(map(features, key))
    for q, k, v in zip(query, key, value, strict=True):
        if causal:
            state, total = state + np.outer(features(k), v), total + features(k)
        outputs.append(features(q) @ state / (features(q) @ total))
    actual = attlas_ref.fastmax_attention(query, key, value, order=2, causal=causal)
    assert_equal_up_to_rounding(actual, outputs, operations=8 * (13 + 4), magnitude=2 * math.e**2)


@pytest.mark.parametrize("how", ["token_mean_max_norm", "feature_mean_max_norm"])
def test_normalized_tokens_are_those_of_the_loops(how: str) -> None:
    query, key, value, keep = small(3, 2), small(4, 2), small(4, 2), np.array([True, True, False, True])

    def normalized(x: np.ndarray, kept: list[int]) -> np.ndarray:
        rows = numbers(x)
        if how == "token_mean_max_norm":
            mean = [mp.fsum(rows[j][c] for j in kept) / len(kept) for c in range(2)]
            centered = [[row[c] - mean[c] for c in range(2)] for row in rows]
        else:
            centered = [[entry - mp.fsum(row) / 2 for entry in row] for row in rows]
        largest = max(mp.sqrt(mp.fsum(entry**2 for entry in centered[j])) for j in kept)
        return np.array([[float(entry / largest) for entry in row] for row in centered])

    actual = attlas_ref.fastmax_attention(query, key, value, normalize=how, key_mask=keep)
    expected = attlas_ref.fastmax_attention(
        normalized(query, [0, 1, 2]), normalized(key, [0, 1, 3]), value, key_mask=keep
    )
    assert_equal_up_to_rounding(actual, expected, operations=200, magnitude=math.e)


@pytest.mark.parametrize("how", [None, "token_mean_max_norm", "feature_mean_max_norm"])
def test_normalizing_does_not_let_out_what_a_mask_hides(how: str | None) -> None:
    query, key, value, keep = small(3, 2), small(4, 2), small(4, 2), np.array([True, True, False, True])
    clean = attlas_ref.fastmax_attention(query, key, value, normalize=how, key_mask=keep)
    for foul in (np.nan, np.inf):
        key[2], value[2] = foul, foul
        actual = attlas_ref.fastmax_attention(query, key, value, normalize=how, key_mask=keep)
        np.testing.assert_array_equal(actual, clean)


def test_an_odd_order_may_give_negative_weights() -> None:
    weights = attlas_ref.fastmax_attention(
        np.ones((1, 1)), np.array([[-3.0], [5.0]]), np.eye(2), order=1, scale=1.0, return_weights=True
    ).weights
    np.testing.assert_array_equal(weights, [[-0.5, 1.5]])  # 1 - 3 and 1 + 5, over their sum
