"""Attention to tuples against loops over scalars in 50 digits, and closed forms that the specification states.

| in the specification | here, beside the laws of `tensor`, `products` and `simplicial` |
| --- | --- |
| the definitions, with masks, causal, windows and scores | `test_..._is_that_of_the_loops` |
| p = 1 equals softmax attention | `test_one_set_of_keys_is_softmax_attention` |
| windows imply causal; w positions, that of the query included | `test_windows_...` |
| n2 = 1, k2 = 1, v2 = 1 | `test_a_second_member_of_ones_leaves_softmax_attention` |
| all ones give ones | `test_a_product_of_ones_is_ones` |
| Meta's biases | `test_the_biases_of_the_kernel_start_as_softmax_attention` |
| bad input | `test_..._is_refused` |
"""

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from rounding import assert_equal_up_to_rounding
from tuple_loops import Tuples

import attlas_ref

SIZES = [(2, (3,)), (3, (2, 3)), (2, (4, 1)), (1, (2, 2, 3))]
"""m and the sizes of the key sets."""
RNG = np.random.default_rng(61)
CLOSE: dict[str, Any] = {"operations": 400, "magnitude": 4.0}
"""Products of width 4, sums of at most 12 tuples, scores and values below about 4."""


def problem(m: int, sizes: tuple[int, ...], d: int = 3, e: int = 2) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng([m, *sizes])
    keys, values = (tuple(rng.normal(size=(n, width)) for n in sizes) for width in (d, e))
    return rng.normal(size=(m, d)), keys, values


def visibilities(m: int, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    rng = np.random.default_rng([m, *sizes, 1])
    mask = rng.random((m, *sizes)) < 0.6
    mask[0] = False
    windows = tuple(range(1, len(sizes) + 1))
    return [
        {},
        {"causal": True},
        {"mask": mask, "scale": -0.7},
        {"windows": windows},
        {"mask": mask, "causal": True, "windows": windows[::-1], "scale": 1.5},
    ]


def scores_for(sizes: tuple[int, ...]) -> list[str]:
    return ["product", "sum", *(["strassen"] if len(sizes) == 2 else [])]


@pytest.mark.parametrize(("m", "sizes"), SIZES, ids=str)
def test_tensor_attention_is_that_of_the_loops(m: int, sizes: tuple[int, ...]) -> None:
    arrays = problem(m, sizes)
    for options, score in itertools.product(visibilities(m, sizes), scores_for(sizes)):
        exact = Tuples(*arrays, **options, score=score)
        output, weights = attlas_ref.tensor_attention(*arrays, **options, score=score, return_weights=True)
        assert_equal_up_to_rounding(output, exact.output(), **exact.bound())
        assert_equal_up_to_rounding(weights, exact.weight_array(), **exact.bound())
        hidden = [(i, *members) for i in range(m) for members in exact.tuples() if not exact.sees(i, members)]
        assert not any(weights[place] for place in hidden)


@pytest.mark.parametrize("score", ["product", "determinant"])
@pytest.mark.parametrize("biases", [(0.0, 0.0), (0.5, -0.25)])
def test_simplicial_attention_is_that_of_the_loops(score: str, biases: tuple[float, float]) -> None:
    m, sizes = 3, (2, 4)
    query, keys, values = problem(m, sizes, d=6)
    for options in visibilities(m, sizes):
        exact = Tuples(
            query, (keys[0], keys[1] + biases[0]), (values[0], values[1] + biases[1]), **options, score=score
        )
        output, weights = attlas_ref.simplicial_attention(
            query, *keys, *values, **options, score=score, return_weights=True, key2_bias=biases[0],
            value2_bias=biases[1],
        )  # fmt: skip
        assert_equal_up_to_rounding(output, exact.output(), **exact.bound())
        assert_equal_up_to_rounding(weights, exact.weight_array(), **exact.bound())


def test_tri_directional_attention_is_that_of_the_loops() -> None:
    keys = [RNG.normal(size=(n, 3)) for n in (2, 3, 4)]
    values = [RNG.normal(size=(n, 2)) for n in (2, 3, 4)]
    result = attlas_ref.tri_directional_attention(*(x for pair in zip(keys, values, strict=True) for x in pair))
    for r in range(3):
        others = [s for s in range(3) if s != r]
        exact = Tuples(keys[r], [keys[s] for s in others], [values[s] for s in others])
        assert_equal_up_to_rounding(result[r], exact.output(), **exact.bound())


def test_one_set_of_keys_is_softmax_attention() -> None:
    query, (key,), (value,) = problem(3, (5,))
    for score in ("product", "sum"):
        for options in ({}, {"causal": True}, {"mask": RNG.random((3, 5)) < 0.5}):
            actual = attlas_ref.tensor_attention(query, (key,), (value,), score=score, **options)
            assert_equal_up_to_rounding(actual, attlas_ref.softmax_attention(query, key, value, **options), **CLOSE)


def test_a_second_member_of_ones_leaves_softmax_attention() -> None:
    query, (key,), (value,) = problem(3, (5,))
    actual = attlas_ref.tensor_attention(query, (key, np.ones((1, 3))), (value, np.ones((1, 2))))
    assert_equal_up_to_rounding(actual, attlas_ref.softmax_attention(query, key, value), **CLOSE)


@pytest.mark.parametrize(("m", "n"), [(4, 4), (2, 5), (5, 3)])
def test_windows_hold_their_own_position_and_those_before(m: int, n: int) -> None:
    zeros, ones = np.zeros((m, 1)), (np.zeros((n, 1)), np.zeros((n, 1)))
    weights = attlas_ref.tensor_attention(zeros, ones, ones, windows=(3, 1), return_weights=True).weights
    for i, j, k in np.ndindex(m, n, n):
        at = i + n - m  # the last query stands at the last key
        assert (weights[i, j, k] > 0) == (at - 3 < j <= at and at - 1 < k <= at)


def test_windows_imply_the_causal_rule() -> None:
    arrays = problem(4, (4, 4))
    for windows in ((2, 3), (9, 9)):
        plain, causal = (attlas_ref.tensor_attention(*arrays, windows=windows, causal=c) for c in (False, True))
        np.testing.assert_array_equal(plain, causal)
    wide = attlas_ref.tensor_attention(*arrays, windows=(2**70, 2**70))
    np.testing.assert_array_equal(wide, attlas_ref.tensor_attention(*arrays, causal=True))


def test_a_nan_is_felt_by_those_who_see_its_tuple_alone() -> None:
    query, (key1, key2), values = problem(3, (3, 3))
    key2 = key2.copy()
    key2[2, 0] = np.nan
    output = attlas_ref.tensor_attention(query, (key1, key2), values, causal=True)
    np.testing.assert_array_equal(np.isnan(output).all(axis=-1), [False, False, True])
    clean = attlas_ref.tensor_attention(query, (key1, np.nan_to_num(key2)), values, causal=True)
    np.testing.assert_array_equal(output[:2], clean[:2])


def test_khatri_rao_is_that_of_the_loops() -> None:
    arrays = tuple(RNG.normal(size=(n, 3)) for n in (2, 3, 4))
    for p in (1, 2, 3):
        rows = [np.prod([a[j] for a, j in zip(arrays[:p], members, strict=True)], axis=0)
                for members in itertools.product(*(range(len(a)) for a in arrays[:p]))]  # fmt: skip
        assert_equal_up_to_rounding(attlas_ref.khatri_rao(arrays[:p]), rows, operations=p, magnitude=np.abs(rows).max())


def test_khatri_rao_of_two_is_scipys() -> None:
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
    np.testing.assert_array_equal(attlas_ref.khatri_rao((a, b)), scipy.linalg.khatri_rao(a, b))


def test_a_product_of_ones_is_ones() -> None:
    np.testing.assert_array_equal(attlas_ref.khatri_rao((np.ones((2, 3)), np.ones((4, 3)))), np.ones((8, 3)))


def test_the_biases_of_the_kernel_start_as_softmax_attention() -> None:
    query, (key, other), (value, _) = problem(3, (4, 2))
    silent = np.zeros_like(other), np.zeros((2, 2))
    actual = attlas_ref.simplicial_attention(query, key, silent[0], value, silent[1], key2_bias=1 / 3, value2_bias=1.0)
    expected = attlas_ref.softmax_attention(query, key, value, scale=1 / 3 / np.sqrt(3))
    assert_equal_up_to_rounding(actual, expected, **CLOSE)


TWO = (np.ones((3, 6)), np.ones((3, 6)))
MISTAKES: list[tuple[str, str, tuple[Any, ...], dict[str, Any], str]] = [
    ("as many keys as values", "tensor_attention", (TWO[0], TWO, TWO[:1]), {}, "values"),
    ("no keys", "tensor_attention", (TWO[0], (), ()), {}, "keys"),
    ("keys of one width", "tensor_attention", (TWO[0], (TWO[0], np.ones((3, 4))), TWO), {}, "keys"),
    ("values of one width", "tensor_attention", (TWO[0], TWO, (TWO[0], np.ones((3, 4)))), {}, "values"),
    ("the rank of a mask", "tensor_attention", (TWO[0], TWO, TWO), {"mask": np.ones((2, 3, 3, 4), bool)}, "mask"),
    ("windows of at least 1", "tensor_attention", (TWO[0], TWO, TWO), {"windows": (2, 0)}, "windows"),
    ("a window per set", "tensor_attention", (TWO[0], TWO, TWO), {"windows": (2,)}, "windows"),
    ("triangles of two sets", "tensor_attention", (TWO[0], TWO[:1], TWO[:1]), {"score": "strassen"}, "score"),
    ("a known score", "tensor_attention", (TWO[0], TWO, TWO), {"score": "max"}, "score"),
    ("triples of channels", "simplicial_attention", (np.ones((2, 4)),) * 5, {"score": "determinant"}, "score"),
    ("two windows", "simplicial_attention", (*TWO, *TWO, TWO[0]), {"windows": (1, 2, 3)}, "windows"),
    ("the gradient's shape", "tensor_attention_vjp", (TWO[0], TWO, TWO, np.ones((2, 6))), {}, "grad_output"),
    ("some arrays", "khatri_rao", ((),), {}, "arrays"),
    ("rows of one width", "khatri_rao", ((TWO[0], np.ones((3, 4))),), {}, "arrays"),
    ("sets of one width", "tri_directional_attention", (*TWO, *TWO, np.ones((3, 4)), TWO[0]), {}, "key3"),
]


@pytest.mark.parametrize(
    ("name", "arrays", "options", "argument"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_is_refused(name: str, arrays: tuple[Any, ...], options: dict[str, Any], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*{argument}"):
        getattr(attlas_ref, name)(*arrays, **options)


def test_a_cube_of_weights_beyond_memory_is_refused() -> None:
    rows = np.broadcast_to(0.0, (2**17, 1))
    for name, arrays in (
        ("tensor_attention", (rows, (rows, rows), (rows, rows))),
        ("simplicial_attention", (rows,) * 5),
    ):
        with pytest.raises(ValueError, match=r"\(131072, 131072, 131072\) take 1.68e\+07 GiB"):
            getattr(attlas_ref, name)(*arrays, return_weights=True)
