"""Gradients of attention to tuples and by polynomials: complex steps, SymPy, and what must be exactly 0.

| in the specification | here, beside the laws of `tensor`, `simplicial` and `polynomial` |
| --- | --- |
| central differences | `test_..._is_the_complex_step_derivative`: the same without cancellation |
| masked tuples send exactly 0 | `test_a_tuple_that_nobody_sees_sends_exactly_nothing` |
| p = 1 equals softmax_attention_vjp; p = 2 equals simplicial_attention_vjp | `test_gradients_of_one_set_...`, |
| | `test_gradients_of_two_sets_...` |
| the cross products of the determinant | `test_the_slopes_of_a_determinant_are_cross_products` |
| rows of dS sum to 0, the determinant too | `test_slopes_of_a_query_sum_to_zero_for_the_determinant` |
| order 0: dq = dk = 0; order to infinity | `test_order_zero_...`, `test_a_high_order_has_the_gradients_of_softmax` |
"""

from typing import Any

import numpy as np
import pytest
import sympy as sp
from rounding import assert_equal_up_to_rounding
from test_derivatives import complex_step

import attlas_ref

RNG = np.random.default_rng(67)
Arrays = list[np.ndarray]
CUBE = RNG.random((3, 4, 2)) < 0.6
CUBE[1] = False
VISIBILITIES: list[dict[str, Any]] = [
    {},
    {"causal": True, "scale": -0.8},
    {"mask": CUBE},
    {"windows": (2, 1)},
    {"mask": CUBE, "windows": (3, 2), "scale": 1.5},
]


def problem(m: int, sizes: tuple[int, ...], d: int, e: int) -> Arrays:
    """Query, keys, values and the gradient of the output in line."""
    shapes = [(m, d), *((n, d) for n in sizes), *((n, e) for n in sizes), (m, e)]
    return [RNG.normal(size=shape) for shape in shapes]


def limits(arrays: Arrays, terms: int) -> dict[str, Any]:
    """A bound for sums of `terms` products of one entry of every array, and for what is subtracted from them."""
    largest = [max(1.0, float(np.abs(array).max())) for array in arrays]
    return {"operations": 40 + 4 * terms, "magnitude": float(2 * terms * np.prod(largest))}


def in_line(grads: Any) -> Arrays:
    return [grads.grad_query, *grads.grad_keys, *grads.grad_values]


@pytest.mark.parametrize("sizes", [(3,), (4, 2), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("options", VISIBILITIES, ids=str)
def test_tensor_attention_vjp_is_the_complex_step_derivative(options: dict[str, Any], sizes: tuple[int, ...]) -> None:
    p = len(sizes)
    if p != 2:
        if "mask" in options:
            options = options | {"mask": RNG.random((3, *sizes)) < 0.6}
        if "windows" in options:
            options = options | {"windows": tuple(range(2, 2 + p))}
    *arrays, gradient = problem(3, sizes, d=2, e=2)

    def formula(query: Any, *rest: Any) -> Any:
        return attlas_ref.tensor_attention.__wrapped__(query, rest[:p], rest[p:], **options)

    keys, values = tuple(arrays[1 : p + 1]), tuple(arrays[p + 1 :])
    grads = in_line(attlas_ref.tensor_attention_vjp(arrays[0], keys, values, gradient, **options))
    for which, grad in enumerate(grads):
        expected = complex_step(formula, arrays, which, gradient)
        assert_equal_up_to_rounding(grad, expected, **limits([*arrays, gradient], 3 * int(np.prod(sizes)) * 2))


@pytest.mark.parametrize("score", ["product", "determinant"])
@pytest.mark.parametrize("options", VISIBILITIES, ids=str)
def test_simplicial_attention_vjp_is_the_complex_step_derivative(options: dict[str, Any], score: str) -> None:
    options = options | {"score": score, "key2_bias": 0.5, "value2_bias": -0.25}
    *arrays, gradient = problem(3, (4, 2), d=6, e=2)

    def formula(*arrays: Any) -> Any:
        return attlas_ref.simplicial_attention.__wrapped__(*arrays, **options)

    grads = attlas_ref.simplicial_attention_vjp(*arrays, gradient, **options)
    for which, grad in enumerate(grads):
        expected = complex_step(formula, arrays, which, gradient)
        assert_equal_up_to_rounding(grad, expected, **limits([*arrays, gradient], 3 * 8 * 6))


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"key_mask": np.array([True, False, True, True])}, {"scale": -0.3, "causal": True}],
    ids=str,
)
def test_fastmax_attention_vjp_is_the_complex_step_derivative(options: dict[str, Any], order: int) -> None:
    options = options | {"order": order}
    *arrays, gradient = problem(3, (4,), d=2, e=2)
    arrays[0] = arrays[0].clip(-1, 1)  # small scores: odd orders stay away from a sum of 0
    arrays[1] = arrays[1].clip(-0.5, 0.5)

    def formula(*arrays: Any) -> Any:
        return attlas_ref.fastmax_attention.__wrapped__(*arrays, **options)

    grads = attlas_ref.fastmax_attention_vjp(*arrays, gradient, **options)
    for which, grad in enumerate(grads):
        expected = complex_step(formula, arrays, which, gradient)
        assert_equal_up_to_rounding(grad, expected, **limits([*arrays, gradient], 3 * 4 * 2))


def test_gradients_of_one_set_are_those_of_softmax_attention() -> None:
    query, key, value, gradient = arrays = problem(3, (4,), d=2, e=2)
    actual = attlas_ref.tensor_attention_vjp(query, (key,), (value,), gradient, causal=True)
    expected = attlas_ref.softmax_attention_vjp(query, key, value, gradient, causal=True)
    for one, other in zip(in_line(actual), expected, strict=True):
        assert_equal_up_to_rounding(one, other, **limits(arrays, 24))


def test_gradients_of_two_sets_are_those_of_simplicial_attention() -> None:
    query, key1, key2, value1, value2, gradient = arrays = problem(3, (4, 2), d=2, e=2)
    for options in VISIBILITIES:
        actual = attlas_ref.tensor_attention_vjp(query, (key1, key2), (value1, value2), gradient, **options)
        expected = attlas_ref.simplicial_attention_vjp(*arrays, **options)
        for one, other in zip(in_line(actual), expected, strict=True):
            assert_equal_up_to_rounding(one, other, **limits(arrays, 48))


def test_a_tuple_that_nobody_sees_sends_exactly_nothing() -> None:
    query, key1, key2, value1, value2, gradient = problem(3, (4, 2), d=2, e=2)
    mask = np.ones((3, 4, 2), dtype=bool)
    mask[:, 1, :] = False  # every pair with this first member
    mask[0] = False
    for foul in (0.0, np.nan, np.inf):
        key1[1], value1[1] = foul, foul
        query[0] = foul
        grads = attlas_ref.tensor_attention_vjp(query, (key1, key2), (value1, value2), gradient, mask=mask)
        for hidden in (grads.grad_query[0], grads.grad_keys[0][1], grads.grad_values[0][1]):
            np.testing.assert_array_equal(hidden, 0.0)
        assert all(np.isfinite(grad).all() for grad in in_line(grads))


def test_slopes_of_a_query_sum_to_zero_for_the_determinant() -> None:
    # Keys whose cross products all have a first channel of 1: the gradient of that channel is the sum of the slopes.
    query, gradient = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 2))
    key1 = np.stack([RNG.normal(size=4), np.ones(4), np.zeros(4)], axis=-1)
    key2 = np.stack([RNG.normal(size=5), np.zeros(5), np.ones(5)], axis=-1)
    values = RNG.normal(size=(4, 2)), RNG.normal(size=(5, 2))
    grads = attlas_ref.simplicial_attention_vjp(query, key1, key2, *values, gradient, score="determinant", scale=1.0)
    bound = limits([query, key1, key2, *values, gradient], 20 * 2)
    assert_equal_up_to_rounding(grads.grad_query[:, 0], np.zeros(3), **bound)


@pytest.mark.parametrize("score", ["product", "determinant"])
def test_heads_with_masks_of_their_own_share_a_set_once(score: str) -> None:
    # Keys and values have no axis of heads, the mask does: a gradient is the sum over the heads.
    query, key1, key2, value1, value2, gradient = problem(3, (4, 2), d=3, e=2)
    query, gradient = np.stack([query, -query]), np.stack([gradient, 2 * gradient])
    mask = RNG.random((2, 3, 4, 2)) < 0.7
    shared = key1, key2, value1, value2
    whole = attlas_ref.simplicial_attention_vjp(query, *shared, gradient, mask=mask, score=score)
    each = [attlas_ref.simplicial_attention_vjp(query[h], *shared, gradient[h], mask=mask[h], score=score)
            for h in range(2)]  # fmt: skip
    bound = limits([query, *shared, gradient], 2 * 48)
    for r in range(1, 5):
        assert_equal_up_to_rounding(whole[r], each[0][r] + each[1][r], **bound)
    if score == "product":
        grads = in_line(attlas_ref.tensor_attention_vjp(query, shared[:2], shared[2:], gradient, mask=mask))
        for one, other in zip(grads, whole, strict=True):
            assert_equal_up_to_rounding(one, other, **bound)


def test_a_gradient_is_summed_over_the_axes_of_a_broadcast_set() -> None:
    query, key1, key2 = RNG.normal(size=(2, 1, 3, 2)), RNG.normal(size=(4, 2)), RNG.normal(size=(3, 2, 2))
    value1, value2 = RNG.normal(size=(2, 1, 4, 2)), RNG.normal(size=(1, 2, 2))
    gradient = RNG.normal(size=(2, 3, 3, 2))
    small = query, (key1, key2), (value1, value2)
    full = [tuple(np.broadcast_to(x, (2, 3, *x.shape[-2:])) for x in part) for part in small[1:]]
    grads = in_line(attlas_ref.tensor_attention_vjp(*small, gradient))
    whole = in_line(attlas_ref.tensor_attention_vjp(np.broadcast_to(query, (2, 3, 3, 2)), *full, gradient))
    sums = whole[0].sum(1, keepdims=True), whole[1].sum((0, 1)), whole[2].sum(0), whole[3].sum(1, keepdims=True)
    bound = limits([query, key1, key2, value1, value2, gradient], 6 * 24)
    for actual, expected in zip(grads, (*sums, whole[4].sum((0, 1))[None]), strict=True):
        assert_equal_up_to_rounding(actual, expected, **bound)


def test_the_slopes_of_a_determinant_are_cross_products() -> None:
    q, a, b = (sp.Matrix(sp.symbols(f"{letter}0:3", real=True)) for letter in "qab")
    determinant = sp.Matrix.hstack(q, a, b).det()
    for x, claimed in ((q, a.cross(b)), (a, b.cross(q)), (b, q.cross(a))):
        assert (sp.Matrix([sp.diff(determinant, entry) for entry in x]) - claimed).expand().is_zero_matrix


def test_order_zero_has_no_gradient_for_queries_and_keys() -> None:
    grads = attlas_ref.fastmax_attention_vjp(*problem(3, (4,), d=2, e=2), order=0)
    np.testing.assert_array_equal(grads.grad_query, 0.0)
    np.testing.assert_array_equal(grads.grad_key, 0.0)


def test_a_high_order_has_the_gradients_of_softmax() -> None:
    # With |s| <= 1/4 the rest of the series after order 14 is below 1e-21 of each kernel value.
    arrays = problem(3, (4,), d=2, e=2)
    arrays[0], arrays[1] = arrays[0].clip(-1, 1), arrays[1].clip(-1, 1)
    actual = attlas_ref.fastmax_attention_vjp(*arrays, order=14, scale=0.125, causal=True)
    expected = attlas_ref.softmax_attention_vjp(*arrays, scale=0.125, causal=True)
    for one, other in zip(actual, expected, strict=True):
        assert_equal_up_to_rounding(one, other, **limits(arrays, 24))


def test_the_slope_of_a_truncated_exponential_is_the_shorter_one() -> None:
    s = sp.symbols("s", real=True)

    def truncated(order: int) -> Any:
        return sum((s**l / sp.factorial(l) for l in range(order + 1)), sp.Integer(0))  # noqa: E741

    for order in range(8):
        assert sp.expand(sp.diff(truncated(order), s) - truncated(order - 1)) == 0
