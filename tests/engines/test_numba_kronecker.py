"""What the CPU engine does with tuples and monomials: gathered blocks, windows, chunks, and which form a call takes."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from calls_of_polynomials import (
    BACKWARD,
    check_hidden_keys_are_not_felt,
    check_infinite_values_are_summed_pair_by_pair,
    check_many_chunks,
)
from peak_memory import peak_of

import attlas
from attlas import polynomials
from attlas.numba_cpu.kronecker import causal as chunked
from attlas.numba_cpu.kronecker import factorized, fastmax
from attlas_ref.testing import assert_within_budget, high_and_lows

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def in_budget(name: str, *arrays: Any, **options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


def sets(seed: int, m: int, sizes: tuple[int, ...], d: int = 6, e: int = 5, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(seed)
    keys = tuple(rng.normal(size=(n, d)).astype(dtype) for n in sizes)
    values = tuple(rng.normal(size=(n, e)).astype(dtype) for n in sizes)
    return rng.normal(size=(m, d)).astype(dtype), keys, values


# Blocks: up to 96 queries and 128 gathered tuples; backwards up to 96 tuples and 128 queries.


@dtypes
@pytest.mark.parametrize(
    ("m", "sizes"),
    [(1, (129,)), (97, (1, 128)), (96, (128, 1)), (17, (3, 43)), (49, (13, 10)), (130, (2, 50)), (9, (5, 3, 9))],
)
def test_sizes_around_the_edges_of_blocks(m: int, sizes: tuple[int, ...], dtype: Any) -> None:
    arrays = sets(m, m, sizes, dtype=dtype)
    rng = np.random.default_rng(m + 1)
    mask, gradient = rng.random((m, *sizes)) < 0.7, rng.normal(size=(m, 5)).astype(dtype)
    windows = tuple(2 + 3 * n // 4 for n in sizes)
    for options in ({}, {"mask": mask}, {"causal": True}, {"windows": windows, "mask": mask}):
        in_budget("tensor_attention", *arrays, return_weights=True, **options)
        in_budget("tensor_attention_vjp", *arrays, gradient, **options)


@dtypes
@pytest.mark.parametrize(("m", "sizes"), [(33, (40, 60)), (3, (2, 600)), (100, (9, 13, 21))])
def test_pieces_of_many_tuples_are_merged(m: int, sizes: tuple[int, ...], dtype: Any) -> None:
    query, keys, values = sets(m, m, sizes, dtype=dtype)
    louder = keys[0] * np.linspace(0.1, 3, sizes[0], dtype=dtype)[:, None]  # so that the maxima differ
    mask = np.random.default_rng(m).random((m, *sizes)) < 0.5
    mask[:2, : sizes[0] // 2] = False  # whole pieces that a query does not see
    mask[2] = False
    in_budget("tensor_attention", query, (louder, *keys[1:]), values, mask=mask, return_weights=True)


@pytest.mark.parametrize("windows", [(40, 3), (33, 64), (1, 1), (300, 10)])
def test_windows_of_long_sequences(windows: tuple[int, int]) -> None:
    query, keys, values = sets(2, 140, (140, 133), d=3, e=2)
    gradient = np.random.default_rng(3).normal(size=(140, 2)).astype(np.float32)
    in_budget("tensor_attention", query, keys, values, windows=windows)
    in_budget("tensor_attention_vjp", query, keys, values, gradient, windows=windows)


@pytest.mark.parametrize("score", ["sum", "strassen"])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"windows": (4, 30)}], ids=str)
def test_scores_that_are_sums(score: str, options: dict[str, Any]) -> None:
    query, keys, values = sets(4, 30, (21, 40))
    mask = np.random.default_rng(5).random((30, 21, 40)) < 0.5
    for more in ({}, {"mask": mask}, {"return_weights": True}):
        in_budget("tensor_attention", query, keys, values, score=score, **options, **more)


@pytest.mark.parametrize("score", ["product", "determinant"])
def test_biases_and_determinants_in_many_blocks(score: str) -> None:
    query, keys, values = sets(6, 100, (30, 12))
    gradient = np.random.default_rng(7).normal(size=(100, 5)).astype(np.float32)
    options = {"score": score, "key2_bias": 0.5, "value2_bias": -1.0}
    for more in ({}, {"windows": (20, 9)}):
        in_budget("simplicial_attention", query, *keys, *values, return_weights=True, **options, **more)
        in_budget("simplicial_attention_vjp", query, *keys, *values, gradient, **options, **more)


def test_any_strides_and_broadcast_sets() -> None:
    rng = np.random.default_rng(8)
    query = rng.normal(size=(3, 6, 20)).astype(np.float32).mT[..., ::-1, :]
    keys = rng.normal(size=(2, 1, 30, 6)).astype(np.float32)[..., ::2, :], np.broadcast_to(np.float32(0.5), (3, 9, 6))
    values = rng.normal(size=(30, 10)).astype(np.float32)[::-2, 1::2], rng.normal(size=(3, 9, 5)).astype(np.float32)
    mask = (rng.random((2, 3, 9, 15, 20)) < 0.6).transpose(0, 1, 4, 3, 2)
    gradient = rng.normal(size=(2, 3, 20, 5)).astype(np.float32)
    for seen in (mask, mask[..., :1, :], mask[0, 0, 7]):
        in_budget("tensor_attention", query, keys, values, mask=seen, return_weights=True)
        in_budget("tensor_attention_vjp", query, keys, values, gradient, mask=seen)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_hidden_tuples_cannot_leak_beside_visible_ones(strange: float) -> None:
    # The tuple is hidden from one query and seen by its neighbors, all in one tile.
    query, keys, values = sets(9, 20, (6, 25))
    mask = np.ones((20, 6, 25), dtype=bool)
    mask[4, 2] = mask[11] = False
    clean = attlas.tensor_attention(query, keys, values, mask=mask)
    fouled = values[0].copy()
    fouled[2] = strange
    output = attlas.tensor_attention(query, keys, (fouled, values[1]), mask=mask)
    hidden = [4, 11]
    np.testing.assert_array_equal(output[hidden], clean[hidden])
    assert not np.isfinite(np.delete(output, hidden, axis=0)).any()
    key = keys[0].copy()
    key[2] = strange
    output = attlas.tensor_attention(query, (key, keys[1]), values, mask=mask)
    np.testing.assert_array_equal(output[hidden], clean[hidden])


def test_no_cube_stands_in_memory() -> None:
    query, keys, values = sets(10, 160, (160, 160), d=4, e=4)
    gradient = np.ones((160, 4), dtype=np.float32)
    for call in (
        lambda: attlas.tensor_attention(query, keys, values),
        lambda: attlas.tensor_attention_vjp(query, keys, values, gradient),
    ):
        assert peak_of(call) < 160**3  # a quarter of the cube


# Monomials


def test_monomials_are_all_of_them_with_their_factorials() -> None:
    for width, degree in itertools.product((1, 2, 4), (0, 1, 3, 4)):
        table = polynomials.monomials_of(width, degree)
        made = [tuple(row[1 : 1 + row[0]].tolist()) for row in table.powers]
        lengths = range(degree + 1)
        expected = [a for length in lengths for a in itertools.combinations_with_replacement(range(width), length)]
        assert sorted(made) == sorted(expected)
        assert len(made) == polynomials.count_monomials(width, degree) == table.number
        factorials = [np.prod([float(np.prod(range(1, n + 1))) for n in Counter(a).values()]) for a in made]
        np.testing.assert_allclose(1 / table.shares, factorials, rtol=1e-15)


def tokens(seed: int, m: int, n: int, d: int = 2, e: int = 3, dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in ((m, d), (n, d), (n, e))]


@dtypes
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("m", "n"), [(400, 400), (193, 600), (600, 193), (192, 192), (97, 900), (1, 5000), (577, 385)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_factorized_form_in_many_blocks(m: int, n: int, order: int, causal: bool, dtype: Any) -> None:
    query, key, value = tokens(m + n, m, n, dtype=dtype)
    query += 1  # so that no denominator of odd order is near 0
    key += 1
    keep = np.random.default_rng(1).random(n) < 0.8
    keep[: n // 4] = False
    for key_mask in (None, keep):
        sums, seen = factorized.factorized_sums(query, key, value, order, 0.5, causal, key_mask)
        options = {"order": order, "scale": 0.5, "causal": causal, "key_mask": key_mask}
        high, lows = high_and_lows("fastmax_attention", (query, key, value), options)
        assert_within_budget(fastmax._divided(sums, seen), high, lows)


@pytest.mark.parametrize("causal", [False, True])
def test_groups_of_monomials_are_added_up(causal: bool) -> None:
    query, key, value = tokens(17, 250, 300, d=7)  # 330 monomials of degree 4
    sums, seen = factorized.factorized_sums(query, key, value, 4, 0.4, causal, None)
    high, lows = high_and_lows("fastmax_attention", (query, key, value), {"order": 4, "scale": 0.4, "causal": causal})
    assert_within_budget(fastmax._divided(sums, seen), high, lows)


def test_each_call_takes_the_form_that_is_faster() -> None:
    def pays(m: int, n: int, d: int, order: int, causal: bool = False) -> bool:
        query, key, value = (np.broadcast_to(np.float32(1), shape) for shape in ((m, d), (n, d), (n, d)))
        return fastmax.factorized_pays(query, key, value, order, causal)

    assert pays(4096, 4096, 16, 2)
    assert pays(4096, 4096, 16, 2, causal=True)
    assert not pays(1024, 1024, 64, 2)  # 2145 monomials
    assert not pays(4096, 4096, 64, 4)
    assert not pays(1, 4096, 16, 2)
    assert not pays(4096, 4096, 1, 10**6)


@pytest.mark.parametrize("causal", [False, True])
def test_what_a_key_mask_hides_does_not_change_the_form(causal: bool) -> None:
    query, key, value = tokens(11, 500, 500)
    keep = np.random.default_rng(12).random(500) < 0.5
    clean = attlas.fastmax_attention(query, key, value, key_mask=keep, causal=causal)
    key[~keep], value[~keep] = np.nan, np.inf
    np.testing.assert_array_equal(attlas.fastmax_attention(query, key, value, key_mask=keep, causal=causal), clean)


@pytest.mark.parametrize("causal", [False, True])
def test_infinite_values_are_summed_pair_by_pair(causal: bool) -> None:
    query, key, value = tokens(13, 500, 500)
    value[300, 1] = np.inf
    assert fastmax.factorized_pays(query, key, value, 2, causal)
    output = attlas.fastmax_attention(query, key, value, causal=causal)
    expected = np.zeros(output.shape, dtype=bool)
    expected[300 if causal else 0 :, 1] = True
    np.testing.assert_array_equal(output == np.inf, expected)
    assert np.isfinite(output[~expected]).all()


def test_weights_of_odd_order_that_add_up_to_nothing() -> None:
    # f_1(1) + f_1(-3) = 2 - 2: the quotient has no value, in the reference neither.
    one = np.ones((1, 1))
    options: dict[str, Any] = {"order": 1, "return_weights": True, "key_mask": np.array([True, True, False])}
    key, value = np.array([[1.0], [-3.0], [np.nan]]), np.array([[1.0], [2.0], [np.nan]])
    result = attlas.fastmax_attention(one, key, value, **options)
    np.testing.assert_array_equal(result.weights, [[np.inf, -np.inf, 0]])
    assert not np.isfinite(result.output).any()


@dtypes
@pytest.mark.parametrize(("m", "n"), [(97, 129), (200, 96), (1, 300), (130, 257)])
def test_gradients_of_polynomials_in_many_blocks(m: int, n: int, dtype: Any) -> None:
    arrays = [x + 1 for x in tokens(m * n, m, n, dtype=dtype)]
    gradient = np.random.default_rng(n).normal(size=(m, 3)).astype(dtype)
    keep = np.random.default_rng(1).random(n) < 0.8
    for order, causal in ((0, False), (1, True), (2, False), (3, True)):
        in_budget("fastmax_attention_vjp", *arrays, gradient, order=order, causal=causal, key_mask=keep)


@dtypes
@pytest.mark.parametrize(("m", "n", "d"), [(200, 300, 2), (97, 129, 2), (50, 700, 3), (400, 30, 1)])
@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_factorized_gradients_in_many_blocks(m: int, n: int, d: int, order: int, dtype: Any) -> None:
    arrays = [x + 1 for x in tokens(m * n, m, n, d, dtype=dtype)]
    gradient = np.random.default_rng(n).normal(size=(m, 3)).astype(dtype)
    keep = np.random.default_rng(1).random(n) < 0.8
    for key_mask in (None, keep):
        grads = fastmax._factorized_gradients(*arrays, gradient, order, 0.5, key_mask)
        options = {"order": order, "scale": 0.5, "key_mask": key_mask}
        high, lows = high_and_lows("fastmax_attention_vjp", (*arrays, gradient), options)
        assert_within_budget(grads, high, lows)


def test_factorized_gradients_of_hidden_keys_are_exactly_zero() -> None:
    arrays = tokens(15, 400, 400)
    gradient, keep = np.ones((400, 3), dtype=np.float32), np.random.default_rng(16).random(400) < 0.5
    clean = attlas.fastmax_attention_vjp(*arrays, gradient, key_mask=keep)
    arrays[1][~keep], arrays[2][~keep] = np.nan, np.inf
    assert fastmax.factorized_pays(*arrays, 2, False)
    for before, after in zip(clean, attlas.fastmax_attention_vjp(*arrays, gradient, key_mask=keep), strict=True):
        np.testing.assert_array_equal(before, after)
    assert not clean.grad_key[~keep].any()
    assert not clean.grad_value[~keep].any()


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return getattr(attlas, name)(*arrays, **options)


@dtypes
@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize(("m", "n"), [(40, 40), (19, 60), (60, 19), (12, 12), (1, 50)])
def test_causal_gradients_in_many_chunks(m: int, n: int, order: int, dtype: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(fastmax, "factorized_pays", lambda *call, **more: True)
    monkeypatch.setattr(chunked, "CHUNK", 5)
    check_many_chunks(computed, BACKWARD, m, n, order, causal=True, dtype=dtype)


def test_what_is_hidden_or_infinite_in_causal_gradients(monkeypatch: Any) -> None:
    monkeypatch.setattr(fastmax, "factorized_pays", lambda *call, **more: True)
    monkeypatch.setattr(chunked, "CHUNK", 5)
    check_hidden_keys_are_not_felt(computed, 30, causal=True)
    check_infinite_values_are_summed_pair_by_pair(computed, 30, causal=True)


@pytest.mark.parametrize(("degree", "d"), [(0, 3), (3, 4), (4, 7)])
def test_moments_of_several_sets(degree: int, d: int) -> None:
    query, keys, values = sets(14, 100, (200, 130, 3), d=d)
    shrunk = tuple(0.3 * key for key in keys)
    in_budget("tensor_attention_lowrank", 0.3 * query, shrunk, values, degree=degree)


def test_an_approximation_whose_bound_says_nothing_is_told() -> None:
    query, key = np.full((2, 4), 3.0), np.full((5, 4), 3.0)
    with pytest.warns(RuntimeWarning, match=r"^tensor_attention_lowrank: scores reach .* degree 2 "):
        attlas.tensor_attention_lowrank(query, (key, key), (key, key), degree=2)
