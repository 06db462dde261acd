"""What the CPU engine does with memories: blocks, chunks and groups that drawn calls are too small for."""

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from peak_memory import peak_of

import attlas
import attlas_ref
from attlas import threads
from attlas.numba_cpu.normal import normal_of
from attlas.numba_cpu.real import real_of
from attlas_ref.testing import assert_within_budget, high_and_lows

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, **options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    actual = getattr(attlas, name)(*arrays, **options)
    assert_within_budget(actual, high, lows, what=name)
    return actual


def closing(n: int, *lengths: int) -> Any:
    """Landmarks such that the blocks have these lengths, landmark included, again and again."""
    flags, at = np.zeros(n, dtype=bool), -1
    for length in lengths * n:
        at += length
        if at >= n:
            break
        flags[at] = True
    return flags


# The normal distribution


@dtypes
def test_the_normal_distribution_keeps_its_stated_error(dtype: Any) -> None:
    import numba

    both = normal_of(real_of(dtype))

    def loop(inputs, below, density):  # type: ignore[no-untyped-def]
        for i in range(inputs.size):
            below[i], density[i] = both(inputs[i])

    limit = 13 if dtype.itemsize == 4 else 37
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-limit, limit, 1000), rng.uniform(-1, 1, 500)]).astype(dtype)
    below, density = np.empty_like(x), np.empty_like(x)
    numba.njit(loop, error_model="numpy")(x, below, density)
    with mpmath.workdps(30):
        for results, function in ((below, mpmath.ncdf), (density, mpmath.npdf)):
            for number, result in zip(x.tolist(), results, strict=True):
                exact = function(number)
                assert abs(float(result) - exact) <= 5 * np.spacing(dtype.type(float(exact)))
    ends = np.array([np.nan, np.inf, -np.inf, 50, -50], dtype=dtype)
    below, density = np.empty_like(ends), np.empty_like(ends)
    numba.njit(loop, error_model="numpy")(ends, below, density)
    np.testing.assert_array_equal(below, [np.nan, 1, 0, 1, 0])
    np.testing.assert_array_equal(density, [np.nan, 0, 0, 0, 0])


# Feed-forward layers


@dtypes
@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "identity", "softmax"])
def test_a_layer_with_more_slots_than_a_block(activation: str, dtype: Any) -> None:
    query, key, value = normal(0, (2, 101, 8), (1, 300, 8), (300, 17), dtype=dtype)
    in_budget("ffn_memory", query / 3, key, value, activation=activation, return_weights=True)


@dtypes
@pytest.mark.parametrize("shape", [(130, 9, 18), (3, 37, 5), (65, 1, 1)])
@pytest.mark.parametrize("kernels", [(5, 3, 3, 7), (1, 9, 5, 1)])
def test_images_of_several_strips_and_kernels_larger_than_the_image(
    shape: tuple[int, ...], kernels: tuple[int, ...], dtype: Any
) -> None:
    p, q, r, s = kernels
    c = shape[-1]
    image, key, value, first, second = normal(1, (2, *shape), (p, q, c), (r, s, c), (c,), (c,), dtype=dtype)
    in_budget("ffnified_attention", image, key, value, return_weights=True)
    turned = image[:, ::-1, ::-1, ::-1]
    in_budget("ffnified_attention", turned, key, value, bias_key=first, bias_value=second, activation="silu")


def test_coefficients_have_no_axes_of_the_second_kernel() -> None:
    image, key, value = normal(2, (3, 1, 6, 5, 4), (3, 3, 4), (2, 3, 3, 4))
    result = attlas.ffnified_attention(image, key, value, return_weights=True)
    expected = attlas_ref.ffnified_attention(image, key, value, return_weights=True)
    assert result.output.shape == expected.output.shape == (3, 2, 6, 5, 4)
    assert result.weights.shape == expected.weights.shape == (3, 1, 6, 5, 4)


# Landmarks


CUTS = [(50,), (17, 1, 2, 128, 129, 3), (270, 40), (700,)]


@dtypes
@pytest.mark.parametrize("lengths", CUTS)
@pytest.mark.parametrize("top_k", [None, 0, 3])
def test_blocks_of_any_length(lengths: tuple[int, ...], top_k: int | None, dtype: Any) -> None:
    query, key, value = normal(3, (331, 8), (331, 8), (331, 5), dtype=dtype)
    flags = closing(331, *lengths)
    result = in_budget("landmark_attention", query, key, value, is_landmark=flags, top_k=top_k, return_weights=True)
    alone = attlas.landmark_attention(query, key, value, is_landmark=flags, top_k=top_k)
    np.testing.assert_array_equal(alone, result.output)


@dtypes
@pytest.mark.parametrize("lengths", CUTS)
def test_gradients_of_blocks_of_any_length(lengths: tuple[int, ...], dtype: Any) -> None:
    arrays = normal(4, (331, 8), (331, 8), (331, 5), (331, 5), dtype=dtype)
    grads = in_budget("landmark_attention_vjp", *arrays, is_landmark=closing(331, *lengths))
    assert not grads.grad_value[closing(331, *lengths)].any()


@pytest.mark.parametrize("place", [0, 45, 130, 198, 199, 249, 310])
def test_a_nan_reaches_exactly_the_rows_that_see_it(place: int) -> None:
    flags = closing(331, 50, 150)
    query, key, value = normal(5, (331, 8), (331, 8), (331, 3), dtype=np.float64)
    weights = attlas_ref.landmark_attention(query, key, value, is_landmark=flags, return_weights=True).weights
    for which in range(3):
        arrays = [query.copy(), key.copy(), value.copy()]
        arrays[which][place, 1] = np.nan
        output = np.isnan(attlas.landmark_attention(*arrays, is_landmark=flags))
        expected = np.isnan(attlas_ref.landmark_attention(*arrays, is_landmark=flags))
        np.testing.assert_array_equal(output, expected)
        if which == 2:
            np.testing.assert_array_equal(output[:, 1], weights[:, place] != 0)
            assert not output[:, [0, 2]].any()


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_gradients_are_blind_to_what_nobody_reads(strange: float) -> None:
    """The values of landmarks, and a query whose gradient is not asked for."""
    flags = closing(331, 50, 150)
    query, key, value, gradient = normal(6, (331, 8), (331, 8), (331, 3), (331, 3), dtype=np.float64)
    plain = attlas.landmark_attention_vjp(query, key, value, gradient, is_landmark=flags)
    fouled = attlas.landmark_attention_vjp(
        query, key, np.where(flags[:, None], strange, value), gradient, is_landmark=flags
    )
    for one, other in zip(plain, fouled, strict=True):
        np.testing.assert_array_equal(one, other)
    key[310] = strange
    reached = attlas.landmark_attention_vjp(query, key, value, gradient, is_landmark=flags)
    assert np.isfinite(reached.grad_query[:309]).all()
    np.testing.assert_array_equal(plain.grad_query[:309], reached.grad_query[:309])


@pytest.mark.parametrize("which", [0, 3])
def test_gradients_of_later_keys_do_not_feel_an_earlier_query(which: int) -> None:
    """Neither the query nor its gradient, in the middle of a block."""
    flags = closing(331, 50, 150)
    arrays = normal(6, (331, 8), (331, 8), (331, 3), (331, 3), dtype=np.float64)
    plain = attlas.landmark_attention_vjp(*arrays, is_landmark=flags)
    arrays[which][130] = np.nan
    fouled = attlas.landmark_attention_vjp(*arrays, is_landmark=flags)
    for one, other in ((plain.grad_key, fouled.grad_key), (plain.grad_value, fouled.grad_value)):
        np.testing.assert_array_equal(one[131:], other[131:])
    assert np.isnan(fouled.grad_key[:49]).all()


def test_landmarks_that_tie_are_kept_together() -> None:
    n, flags = 200, closing(200, 10)
    key, value = np.zeros((n, 2)), np.random.default_rng(0).normal(size=(n, 3))
    key[flags, 0] = np.arange(flags.sum()) // 3  # three of each
    for top_k, kept in ((1, 3), (3, 3), (4, 6), (7, 9)):
        weights = attlas.landmark_attention(
            np.ones((n, 2)), key, value, is_landmark=flags, top_k=top_k, return_weights=True
        ).weights
        read = (weights[189] != 0).reshape(20, 10).any(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(read[:18]), np.arange(18 - kept, 18))


def test_no_array_of_pairs_is_formed() -> None:
    n = 6000
    query, key, value = normal(7, (n, 8), (n, 8), (n, 8))
    landmarks = closing(n, 64)
    for call in (
        lambda: attlas.landmark_attention(query, key, value, is_landmark=landmarks, top_k=4),
        lambda: attlas.landmark_attention_vjp(query, key, value, value, is_landmark=landmarks),
    ):
        assert peak_of(call) < 40 * n * 8 * 4


def test_the_number_of_threads_changes_no_bit(num_threads: Callable[[int | None], None]) -> None:
    n = 700
    arrays = normal(8, (2, n, 40), (2, n, 40), (2, n, 150), (2, n, 150))
    rates = rates_of(n, np.float32)
    found = []
    for count in (1, 2, 5):
        num_threads(count)
        flags = closing(n, 33)
        found.append(
            [
                attlas.landmark_attention(*arrays[:3], is_landmark=flags),
                *attlas.landmark_attention_vjp(*arrays, is_landmark=flags),
                attlas.titans_memory(*arrays[:3], **rates),
                attlas.titans_memory(*arrays[:3], **rates, chunk_size=50),
            ]
        )
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


# Memories that learn


def rates_of(n: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(9)
    return {
        "lr": rng.uniform(0, 0.01, n).astype(dtype),
        "momentum": rng.uniform(0, 1, n).astype(dtype),
        "decay": rng.uniform(0, 0.2, n).astype(dtype),
    }


@dtypes
@pytest.mark.parametrize("chunk_size", [1, 9, 65, 1000])
@pytest.mark.parametrize("e", [1, 110])
def test_chunks_and_groups_of_columns(chunk_size: int, e: int, dtype: Any) -> None:
    query, key, value, memory, surprise = normal(
        10, (2, 130, 20), (1, 130, 20), (130, e), (20, e), (2, 20, e), dtype=dtype
    )
    options = {**rates_of(130, dtype), "chunk_size": chunk_size, "return_state": True}
    in_budget("titans_memory", query, key, value, memory=memory, surprise=surprise, **options)


@dtypes
@pytest.mark.parametrize("chunk_size", [1, 7, 100])
@pytest.mark.parametrize("activation", ["gelu", "identity"])
def test_chunks_of_a_network(chunk_size: int, activation: str, dtype: Any) -> None:
    query, key, value, first, second = normal(
        11, (2, 130, 20), (130, 20), (1, 130, 9), (2, 20, 35), (35, 9), dtype=dtype
    )
    options = {**rates_of(130, dtype), "chunk_size": chunk_size, "activation": activation, "return_state": True}
    in_budget("titans_mlp_memory", query, key / 5, value, first / 5, second / 6, **options)


@pytest.mark.parametrize("name", ["titans_memory", "titans_mlp_memory"])
@pytest.mark.parametrize("chunk_size", [1, 30, 100])
def test_what_comes_later_is_not_felt(name: str, chunk_size: int) -> None:
    n = 150
    query, key, value, first, second = normal(12, (n, 6), (n, 6), (n, 5), (6, 4), (4, 5), dtype=np.float64)
    layers = (first / 4, second / 4) if name == "titans_mlp_memory" else ()
    rates = rates_of(n, np.float64)
    given = {"query": query, "key": key, "value": value, **rates}
    function = getattr(attlas, name)

    def run(arrays: dict[str, Any]) -> Any:
        own = dict(arrays)
        positional = [own.pop(part) for part in ("query", "key", "value")]
        return function(*positional, *layers, **own, chunk_size=chunk_size)

    plain = run(given)
    for place in (17, 99):
        for which in ("query", "key", "value", "lr"):
            fouled = given[which].copy()
            fouled[place] = np.nan
            output = run({**given, which: fouled})
            np.testing.assert_array_equal(output[:place], plain[:place])
            after = output[place + 1 :]
            assert np.isnan(output[place]).all()
            assert np.isfinite(after).all() if which == "query" else np.isnan(after).all()


@pytest.mark.parametrize("chunk_size", [1, 30])
def test_a_product_that_overflows_is_not_felt_before_its_time(chunk_size: int) -> None:
    """A long key that writes nothing, and long queries before it: their products are infinite, and are not needed."""
    query, key, value = normal(14, (40, 4), (40, 4), (40, 3))
    query[:20], key[20] = 1e25, 1e25
    rates = rates_of(40, np.float32)
    rates["lr"][20] = 0
    output = attlas.titans_memory(query, key, value, **rates, chunk_size=chunk_size)
    assert np.isfinite(output[:20]).all()


def test_a_nan_in_a_value_stays_in_its_column() -> None:
    query, key, value = normal(13, (90, 6), (90, 6), (90, 40), dtype=np.float64)
    fouled, rates = value.copy(), rates_of(90, np.float64)
    fouled[30, 35] = np.nan
    for size in (1, 20):
        before, output = (attlas.titans_memory(query, key, v, **rates, chunk_size=size) for v in (value, fouled))
        np.testing.assert_array_equal(np.isnan(output), (np.arange(90) >= 30)[:, None] & (np.arange(40) == 35))
        np.testing.assert_array_equal(np.delete(output, 35, axis=1), np.delete(before, 35, axis=1))


# Memories beside attention


@pytest.mark.parametrize("name", ["memory_as_gate", "memory_as_layer"])
@pytest.mark.parametrize("window", [1, 7, 300])
def test_windows_over_several_blocks_of_rows(name: str, window: int) -> None:
    x, persistent = normal(15, (600, 3), (4, 3), dtype=np.float64)
    heads = [w / 4 for w in normal(16, (2, 3, 2), (2, 3, 2), (2, 3, 2), (2, 2, 3), dtype=np.float64)]
    maps = [w / 4 for w in normal(17, (3, 2), (3, 2), (3, 3), dtype=np.float64)]
    in_budget(name, x, persistent, *heads, *maps, window=window, lr=0.01, momentum=0.5, decay=0.1)
