"""What the CPU engine does with whole rows of scores, and with scores that are coupled across positions or heads."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from peak_memory import peak_of

import attlas
from attlas import threads
from attlas.numba_cpu import band, multi_token, operands, selective
from attlas.numba_cpu.power import powers_of
from attlas.numba_cpu.real import real_of
from attlas_ref.testing import assert_within_budget, high_and_lows

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
alphas = pytest.mark.parametrize("alpha", [1.0, 1.01, 1.3, 1.5, 1.9, 2.0, 2.6, 5.0])


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


def heads(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, **options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


def attend_to(name: str, scores: Any, value: Any, **options: Any) -> Any:
    """Attention whose scores are given exactly: those of one query of width 1."""
    return getattr(attlas, name)(np.ones_like(scores[:1, None]), scores[:, None], value, scale=1.0, **options)


# Logarithm and power


@dtypes
def test_the_logarithm_keeps_its_stated_error(dtype: Any) -> None:
    import numba

    powers = powers_of(real_of(dtype))

    def loop(inputs, results):  # type: ignore[no-untyped-def]
        for i in range(inputs.size):
            results[i] = powers.log(inputs[i])

    def log(numbers: Any) -> Any:
        results = np.empty_like(numbers)
        numba.njit(loop, error_model="numpy")(numbers, results)
        return results

    rng = np.random.default_rng(0)
    lowest = np.log(np.finfo(dtype).smallest_normal)
    x = np.concatenate([np.exp(rng.uniform(lowest, 5, 200_000)), 1 + rng.uniform(-1e-3, 1e-3, 200_000)]).astype(dtype)
    exact = np.log(x.astype(np.longdouble if dtype.itemsize == 8 else np.float64))
    error = np.abs(log(x) - exact) / np.spacing(np.maximum(np.abs(exact), np.finfo(dtype).tiny).astype(dtype))
    assert error.max() <= 2
    np.testing.assert_array_equal(log(np.array([1, np.nan], dtype=dtype)), [0, np.nan])


# Thresholds


@dtypes
@pytest.mark.parametrize("n", [8, 300])
def test_what_stands_exactly_at_the_threshold_gets_nothing(n: int, dtype: Any) -> None:
    """Four best scores share the weight; the others are as far behind as they may be, to the last bit."""
    for alpha, behind in ((2.0, 0.25), (1.5, 1.0)):
        scores = np.full(n, 3 - behind, dtype=dtype)
        scores[[0, 3, 5, n - 1]] = 3
        expected = np.where(scores == 3, 0.25, 0.0)
        np.testing.assert_array_equal(attlas.entmax(scores, alpha=alpha), expected)
        scores[1] = np.nextafter(dtype.type(3 - behind), dtype.type(9))
        assert attlas.entmax(scores, alpha=alpha)[1] > 0


@dtypes
@alphas
def test_a_row_has_the_same_bits_alone_and_among_others(alpha: float, dtype: Any) -> None:
    """A threshold that has been found stays, whatever its neighbors in the vector still need."""
    (scores,) = heads(0, (37, 200), dtype=dtype)
    scores *= np.logspace(-3, 3, 37)[:, None].astype(dtype)
    together = attlas.entmax(scores, alpha=alpha)
    for row in range(37):
        np.testing.assert_array_equal(attlas.entmax(scores[row], alpha=alpha), together[row])


@dtypes
@alphas
def test_rows_that_are_hard_to_project(alpha: float, dtype: Any) -> None:
    n = 700
    rows = [
        np.zeros(n),
        np.linspace(-1, 0, n),
        -np.logspace(-7, 2, n),
        np.where(np.arange(n) == 5, 0.0, -1.0 / n),
        -np.arange(n) / 2.0,
        np.where(np.arange(n) % 2 == 0, 1e30, -1e30),
    ]
    for row in rows:
        in_budget("entmax", row.astype(dtype), alpha=alpha)


@dtypes
@pytest.mark.parametrize("iterations", [1, 3, 20, 40, 60])
@alphas
def test_bisection_stops_where_the_reference_stops(alpha: float, iterations: int, dtype: Any) -> None:
    (scores,) = heads(0, (20, 50), dtype=dtype)
    in_budget("entmax", 3 * scores, alpha=alpha, method="bisect", iterations=iterations)


# The best few


@dtypes
def test_scores_that_tie_with_the_last_one_kept_are_kept(dtype: Any) -> None:
    scores = np.repeat(np.array([1, 7, 3, 7, 2, 3, 3, 0], dtype=dtype), 40)
    for top_k, least in ((1, 7), (80, 7), (81, 3), (200, 3), (201, 2), (319, 0)):
        kept = scores >= least
        weights = attend_to(
            "topk_softmax_attention", scores, np.ones((320, 1), dtype), top_k=top_k, return_weights=True
        )
        np.testing.assert_array_equal(weights.weights[0] > 0, kept)


@dtypes
def test_the_best_few_of_scores_of_very_unlike_sizes(dtype: Any) -> None:
    sizes = np.exp(np.linspace(np.log(np.finfo(dtype).tiny), np.log(np.finfo(dtype).max) - 1, 200))
    rng = np.random.default_rng(0)
    for scores in (-sizes, sizes, np.concatenate([sizes, -sizes]), np.append(sizes, [np.inf, np.inf])):
        scores = rng.permutation(scores).astype(dtype)
        value = rng.normal(size=(len(scores), 2)).astype(dtype)
        for top_k in (1, 2, 57, len(scores) - 1):
            high, lows = high_and_lows(
                "topk_softmax_attention",
                (np.ones((1, 1), dtype), scores[:, None], value),
                {"top_k": top_k, "scale": 1.0, "return_weights": True},
            )
            actual = attend_to("topk_softmax_attention", scores, value, top_k=top_k, return_weights=True)
            assert_within_budget(actual, high, lows)


def test_a_value_that_is_not_kept_cannot_be_felt() -> None:
    scores = np.array([1.0, 5.0, 4.0, 2.0, -1.0])
    value = np.array([[np.nan], [1.0], [2.0], [np.inf], [3.0]])
    assert np.isfinite(attend_to("topk_softmax_attention", scores, value, top_k=2)).all()
    key = np.array([[-1.0], [2.0], [-3.0]])
    value = np.array([[np.nan], [1.0], [2.0]])
    output = attlas.threshold_relative_attention(np.ones((3, 1)), key, value, forget=np.zeros(3))
    np.testing.assert_array_equal(output, [[0.0], [1.0], [1.0]])


# The band


BAND = ("sparsemax_attention", "entmax_attention", "topk_softmax_attention")


def own_options(name: str) -> dict[str, Any]:
    return {"top_k": 9} if name == "topk_softmax_attention" else {}


@dtypes
@pytest.mark.parametrize("name", BAND)
@pytest.mark.parametrize(("m", "n"), [(1, 129), (17, 127), (95, 257), (97, 64), (200, 129)])
def test_sizes_around_the_edges_of_blocks(m: int, n: int, name: str, dtype: Any) -> None:
    arrays = heads(m * n, (m, 8), (n, 8), (n, 5), dtype=dtype)
    rng = np.random.default_rng(m + n)
    mask, bias = rng.random((m, n)) < 0.7, rng.normal(size=(m, n)).astype(dtype)
    mask[:, : n // 2] &= rng.random((m, 1)) < 0.1  # whole blocks that are hidden
    for causal in (False, True):
        in_budget(name, *arrays, causal=causal, return_weights=True, **own_options(name))
        in_budget(name, *arrays, causal=causal, mask=mask, bias=bias, return_weights=True, **own_options(name))


@dtypes
@pytest.mark.parametrize("n", [95, 97, 257])
def test_rows_of_tokens_around_the_edges_of_blocks(n: int, dtype: Any) -> None:
    arrays = heads(n, (2, n, 8), (2, n, 8), (2, n, 5), dtype=dtype)
    in_budget("threshold_relative_attention", *arrays, forget=np.ones((2, n), dtype), return_weights=True)
    in_budget("selective_attention", *arrays, select_head=1, return_weights=True)


@dtypes
@pytest.mark.parametrize("name", BAND)
def test_long_rows_shrink_the_block_and_change_no_bit(name: str, dtype: Any, monkeypatch: Any) -> None:
    arrays = heads(0, (150, 8), (500, 8), (500, 5), dtype=dtype)
    mask = np.random.default_rng(0).random((150, 500)) < 0.8
    wide = getattr(attlas, name)(*arrays, mask=mask, causal=True, **own_options(name))
    width = 64 // dtype.itemsize
    for lanes in (1, 2 * width):
        monkeypatch.setattr(band, "BAND", lanes * 500 * dtype.itemsize)
        assert band.band_lanes(500, dtype) <= max(lanes, width)
        np.testing.assert_array_equal(getattr(attlas, name)(*arrays, mask=mask, causal=True, **own_options(name)), wide)


def test_rows_may_run_along_any_axis() -> None:
    (scores, gradient) = heads(0, (3, 70, 4, 5), (3, 70, 4, 5))
    mask = np.random.default_rng(0).random((70, 1, 5)) < 0.7
    for axis in range(-4, 4):
        for array in (scores, scores.T.copy().T, scores[::-1, ::2, :, ::-1]):
            hide = mask[::2] if array.shape[1] == 35 else mask
            given = gradient if array.shape == gradient.shape else gradient[:, ::2]
            in_budget("sparsemax", array, axis=axis, mask=hide)
            in_budget("entmax_vjp", array, given, axis=axis, mask=hide, alpha=1.3)


# Coupled scores


def selective_call(n: int, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    return heads(n, *[(*shape, n, size) for size in (8, 8, 5)], dtype=dtype)


@pytest.mark.parametrize("chunks", [1, 2, 64])
@pytest.mark.parametrize("keep_first", [False, True])
def test_selections_are_carried_from_chunk_to_chunk(chunks: int, keep_first: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(selective, "CHUNKS", chunks)
    arrays = selective_call(500, (2, 3))
    in_budget("selective_attention", *arrays, keep_first=keep_first, select_head=2, return_weights=True)


@pytest.mark.parametrize("shape", [(2, 3, 300, 300), (3, 300, 300), (2, 1, 300, 300), (300, 1), (300,)], ids=str)
def test_a_selecting_bias_of_another_precision_is_that_bias(shape: tuple[int, ...]) -> None:
    query, key, value = selective_call(300, (2, 3))
    bias = np.random.default_rng(0).normal(size=shape).astype(np.float16).astype(np.float64)
    for batch in (slice(None), slice(0, 1)):
        np.testing.assert_array_equal(
            attlas.selective_attention(query[batch], key[batch], value, bias=bias),
            attlas.selective_attention(query[batch], key[batch], value, bias=bias.astype(np.float32)),
        )


def kernels(h: int, dtype: Any, reach: int = 6) -> dict[str, Any]:
    names = "key_query_kernel", "post_kernel", "pre_head_mixing", "head_kernel"
    return dict(
        zip(names, heads(1, (h, reach, 11), (h, 3, 5), (h, h), (h // 2, 2, 2), dtype=dtype), strict=True),
    )


@dtypes
@pytest.mark.parametrize("pad_key", ["both", "left", "right"])
@pytest.mark.parametrize("n", [63, 65, 89, 200])
def test_convolutions_reach_across_blocks(n: int, pad_key: str, dtype: Any) -> None:
    arrays = selective_call(n, (2, 4), dtype)
    given = kernels(4, dtype)
    in_budget("multi_token_attention", *arrays, **given, pad_key=pad_key, return_weights=True)
    for name in given:
        in_budget("multi_token_attention", *arrays, pad_key=pad_key, **{name: given[name]})


def test_a_kernel_may_reach_further_than_a_block() -> None:
    arrays = selective_call(300, (2,))
    in_budget("multi_token_attention", *arrays, key_query_kernel=heads(0, (2, 130, 1))[0] / 10)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["query", "key", "value"])
@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_earlier_tokens_cannot_see_changes_none_of_their_bits(which: int, strange: float) -> None:
    arrays, given = selective_call(250, (4,)), kernels(4, np.float32)
    before = attlas.multi_token_attention(*arrays, **given), attlas.selective_attention(*arrays)
    arrays[which][1, 130, 0] = strange
    after = attlas.multi_token_attention(*arrays, **given), attlas.selective_attention(*arrays)
    for clean, fouled in zip(before, after, strict=True):
        np.testing.assert_array_equal(fouled[:, :130], clean[:, :130])
        assert not np.isfinite(fouled[:, 130:]).all()


# Threads and memory


def calls(n: int, d: int) -> list[Callable[[], Any]]:
    query, key, value = heads(0, *[(2, n, d)] * 3)
    forget, given = np.zeros((2, n), np.float32), kernels(2, np.float32)
    arrays = query, key, value
    return [
        lambda: attlas.entmax_attention(*arrays),
        lambda: attlas.topk_softmax_attention(*arrays, top_k=5),
        lambda: attlas.threshold_relative_attention(*arrays, forget=forget),
        lambda: attlas.selective_attention(*arrays),
        lambda: attlas.multi_token_attention(*arrays, **given),
    ]


def test_the_number_of_threads_changes_no_bit(num_threads: Any, monkeypatch: Any) -> None:
    for module in (operands, selective, multi_token):
        monkeypatch.setattr(module, "WORTH_A_THREAD", 0)
    results = []
    for count in (1, 2, 5):
        num_threads(count)
        results.append([call() for call in calls(300, 4)])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_memory_does_not_grow_with_the_square_of_the_length(num_threads: Any) -> None:
    num_threads(2)
    n = 6000
    for call in calls(n, 1):
        assert peak_of(call) < n * n * 4 / 4  # a quarter of the scores of one head
