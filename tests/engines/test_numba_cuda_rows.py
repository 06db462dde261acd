"""What the engine `numba-cuda` does with whole rows of scores: bands, rows, thresholds, coupled scores; simulated."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.records import find
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import bands, operands, target, unit_rms
from attlas.numba_cuda.blocks import Block
from attlas.numba_cuda.rows import RowBlock

DENSE = ("sparsemax_attention", "entmax_attention", "topk_softmax_attention")
TOKENS = ("threshold_relative_attention", "selective_attention", "multi_token_attention")
ROW_BLOCKS = [RowBlock(1, 1), RowBlock(1, 3), RowBlock(2, 2), RowBlock(3, 2)]
row_blocks = pytest.mark.parametrize("block", ROW_BLOCKS, ids=lambda b: f"{b.across}x{b.down}")
alphas = pytest.mark.parametrize("alpha", [1.0, 1.01, 1.3, 1.5, 1.9, 2.0, 2.6, 5.0])


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def assert_right(name: str, arrays: Any, options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(computed(name, *arrays, **options), high, lows, name)


def use_row_block(monkeypatch: Any, block: RowBlock) -> None:
    for module in (bands, unit_rms):
        monkeypatch.setattr(module, "default_row_block", lambda: block)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def call_of(name: str, m: int, n: int, batch: tuple[int, ...] = (2,), taps: int = 2) -> tuple[Any, Any]:
    """Arrays and options; values have a leading axis of their own, and those of tokens have n queries."""
    m = n if name in TOKENS else m
    arrays = normal(m * n, (*batch, m, 3), (*batch, n, 3), (2, *batch, n, 2))
    rng = np.random.default_rng(n)
    options: dict[str, Any] = {"return_weights": True}
    if name in DENSE:
        options |= {"mask": rng.random((m, n)) < 0.8, "bias": rng.normal(size=(m, 1)), "causal": True}
    if "top_k" in find(name).options:
        options["top_k"] = 3
    if "forget" in find(name).options:
        options["forget"] = rng.normal(size=(*batch, n)).astype(np.float32)
    if name == "multi_token_attention":
        heads = batch[-1]
        shapes = [(heads, taps, 3), (heads, 2, 1), (heads, heads), (1, heads, heads), (2,)]
        names = ("key_query_kernel", "post_kernel", "pre_head_mixing", "head_kernel", "norm_weight")
        options |= dict(zip(names, normal(n, *shapes), strict=True))
    return arrays, options


def bits(result: Any) -> list[bytes]:
    return [part.tobytes() for part in (result if isinstance(result, tuple) else (result,))]


# Rows and their threads


@row_blocks
@pytest.mark.parametrize("name", [*DENSE, *TOKENS])
def test_rows_that_do_not_fit_their_threads(name: str, block: RowBlock, monkeypatch: Any) -> None:
    use_row_block(monkeypatch, block)
    for n in (block.count, 2 * block.count + 1):
        assert_right(name, *call_of(name, 2, n))


@row_blocks
@alphas
def test_rows_that_are_hard_to_project(alpha: float, block: RowBlock, monkeypatch: Any) -> None:
    use_row_block(monkeypatch, block)
    n = 40
    rows = [
        np.zeros(n),
        np.linspace(-1, 0, n),
        -np.logspace(-7, 2, n),
        np.where(np.arange(n) == 5, 0.0, -1.0 / n),
        -np.arange(n) / 2.0,
        np.where(np.arange(n) % 2 == 0, 1e30, -1e30),
    ]
    for dtype in (np.float32, np.float64):
        scores = np.stack(rows).astype(dtype)
        for row in scores:
            assert_right("entmax", [row], {"alpha": alpha})
        assert_right("entmax_vjp", [scores, *normal(0, scores.shape, dtype=dtype)], {"alpha": alpha})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_stands_exactly_at_the_threshold_gets_nothing(dtype: Any) -> None:
    for alpha, behind in ((2.0, 0.25), (1.5, 1.0)):
        scores = np.full(12, 3 - behind, dtype=dtype)
        scores[[0, 3, 5, 11]] = 3
        np.testing.assert_array_equal(computed("entmax", scores, alpha=alpha), np.where(scores == 3, 0.25, 0.0))
        scores[1] = np.nextafter(dtype(3 - behind), dtype(9))
        assert computed("entmax", scores, alpha=alpha)[1] > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_rows_lose_little_to_rounding(dtype: Any) -> None:
    for row in (np.zeros(1000), np.random.default_rng(0).normal(size=1000) / 1000):
        for alpha in (1.5, 2.0):
            assert_right("entmax", [row.astype(dtype)], {"alpha": alpha})


@pytest.mark.parametrize("iterations", [1, 3, 20, 60])
@alphas
def test_bisection_stops_where_the_reference_stops(alpha: float, iterations: int) -> None:
    (scores,) = normal(0, (4, 15))
    assert_right("entmax", [3 * scores], {"alpha": alpha, "method": "bisect", "iterations": iterations})


@pytest.mark.parametrize("axis", range(-4, 4))
def test_rows_may_run_along_any_axis(axis: int) -> None:
    scores, gradient = normal(0, (2, 5, 3, 2), (2, 5, 3, 2))
    mask = np.random.default_rng(0).random((5, 1, 2)) < 0.7
    for array in (scores, scores.T.copy().T, scores[::-1, :, :, ::-1]):
        assert_right("sparsemax", [array], {"axis": axis, "mask": mask})
        assert_right("entmax_vjp", [array, gradient], {"axis": axis, "mask": mask, "alpha": 1.3})


def test_scores_that_tie_with_the_last_one_kept_are_kept() -> None:
    scores = np.repeat(np.array([1, 7, 3, 7, 2, 3, 3, 0], dtype=np.float32), 3)[:, None]
    value = np.ones((24, 1), np.float32)
    for top_k, least in ((1, 7), (6, 7), (7, 3), (15, 3), (16, 2), (23, 0)):
        options = {"top_k": top_k, "scale": 1.0, "return_weights": True}
        weights = computed("topk_softmax_attention", np.ones((1, 1), np.float32), scores, value, **options).weights
        np.testing.assert_array_equal(weights[0] > 0, scores[:, 0] >= least)


@row_blocks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_few_of_scores_of_very_unlike_sizes(dtype: Any, block: RowBlock, monkeypatch: Any) -> None:
    use_row_block(monkeypatch, block)
    sizes = np.exp(np.linspace(np.log(np.finfo(dtype).tiny), np.log(np.finfo(dtype).max) - 1, 30))
    rng = np.random.default_rng(0)
    for scores in (-sizes, sizes, np.concatenate([sizes, -sizes]), np.append(sizes, [np.inf, np.inf])):
        scores = rng.permutation(scores).astype(dtype)
        arrays = [np.ones((1, 1), dtype), scores[:, None], rng.normal(size=(len(scores), 2)).astype(dtype)]
        for top_k in (1, 2, 17, len(scores) - 1):
            assert_right("topk_softmax_attention", arrays, {"top_k": top_k, "scale": 1.0, "return_weights": True})


@pytest.mark.parametrize("strange", [(2,), (0, 2), (0, 2, 3)], ids=len)
def test_scores_that_are_nan_count_as_the_best(strange: tuple[int, ...]) -> None:
    scores = np.array([1.0, 5.0, 4.0, 2.0, -1.0])
    scores[list(strange)] = np.nan
    value, mask = np.ones((5, 1)), np.array([True, True, True, True, False])
    options = {"top_k": 2, "scale": 1.0, "return_weights": True, "mask": mask}
    weights = computed("topk_softmax_attention", np.ones((1, 1)), scores[:, None], value, **options).weights[0]
    kept = mask if len(strange) > 1 else np.isnan(scores) | (scores == 5)
    np.testing.assert_array_equal(np.isnan(weights), kept)
    assert not weights[~kept].any()


def test_a_value_that_is_not_kept_cannot_be_felt() -> None:
    scores = np.array([[1.0], [5.0], [4.0], [2.0], [-1.0]])
    value = np.array([[np.nan], [1.0], [2.0], [np.inf], [3.0]])
    assert np.isfinite(computed("topk_softmax_attention", np.ones((1, 1)), scores, value, scale=1.0, top_k=2)).all()
    key, value = np.array([[-1.0], [2.0], [-3.0]]), np.array([[np.nan], [1.0], [2.0]])
    output = computed("threshold_relative_attention", np.ones((3, 1)), key, value, forget=np.zeros(3))
    np.testing.assert_array_equal(output, [[0.0], [1.0], [1.0]])


@row_blocks
def test_distances_count_the_kept_keys_between(block: RowBlock, monkeypatch: Any) -> None:
    use_row_block(monkeypatch, block)
    query, key, value = normal(1, (11, 2), (11, 2), (11, 3))
    for forget in (-5.0, 0.0, 40.0, -np.inf, np.nan):
        options = {"forget": np.full(11, forget, np.float32), "return_weights": True, "threshold": -0.1}
        assert_right("threshold_relative_attention", [query, key, value], options)


@row_blocks
def test_a_score_at_the_threshold_is_not_kept(block: RowBlock, monkeypatch: Any) -> None:
    use_row_block(monkeypatch, block)
    key = np.array([[2.0], [0.0], [1.0], [0.0], [0.0], [1.0], [0.0]])
    options = {"forget": np.zeros(7), "qk_norm": False, "scale": 1.0, "return_weights": True}
    result = computed("threshold_relative_attention", np.ones((7, 1)), key, np.ones((7, 1)), **options)
    np.testing.assert_array_equal(result.weights > 0, np.tri(7, dtype=bool) & (key[:, 0] > 0))
    # Those at the threshold are not counted either.
    assert_right("threshold_relative_attention", [np.ones((7, 1)), key, np.ones((7, 1))], options)


# Bands


@pytest.mark.parametrize("name", [*DENSE, *TOKENS])
def test_no_bit_depends_on_where_bands_are_cut(name: str, monkeypatch: Any) -> None:
    """Sums over queries are the exception: those that select are cut with the bands, which n alone decides."""
    arrays, options = call_of(name, 9, 10)
    whole = computed(name, *arrays, **options)
    for band in (1, 4 * 10, 5 * 10 * 9, 2 * 2 * 10 * 10):
        monkeypatch.setattr(bands, "BAND", band)
        if name == "selective_attention":
            assert_right(name, arrays, options)
        else:
            assert bits(computed(name, *arrays, **options)) == bits(whole)


@pytest.mark.parametrize("members", [0, 1, 6])
@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("halo", [0, 1, 7])
def test_bands_cover_every_row_once(members: int, together: int, halo: int, monkeypatch: Any) -> None:
    if members % together:
        members *= together
    for m, n, budget in product((0, 1, 5), (0, 1, 4), (1, 8, 40, 10**6)):
        monkeypatch.setattr(bands, "BAND", budget)
        results = np.zeros((members, m), int)
        for band in bands.bands(members, m, n, 2, together, halo):
            stop = band.first_query + band.query_count
            assert band.first_query == max(0, band.first_result - halo) or band.first_query == band.first_result == 0
            assert band.first_member % together == band.member_count % together == 0
            results[band.first_member : band.first_member + band.member_count, band.first_result : stop] += 1
            assert band.rows * n <= budget or stop - band.first_result <= 2
        assert (results == 1).all()


BLOCKS = [Block(1, 1, 2, 3, 3, 1), Block(2, 1, 3, 1, 2, 5), Block(1, 3, 1, 4, 3, 3)]


@pytest.mark.parametrize("tile", BLOCKS, ids=lambda b: f"{b.across}x{b.down}threads-{b.own}x{b.other}tile")
@pytest.mark.parametrize("name", [*DENSE, *TOKENS])
def test_tiles_that_do_not_fit_give_what_the_reference_gives(name: str, tile: Block, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "default_block", lambda dtype: tile)
    for beyond in (-1, 0, 1):
        assert_right(name, *call_of(name, 2 * tile.own + beyond, 2 * tile.other - beyond, batch=(1, 2)))


@pytest.mark.parametrize("name", [*DENSE, *TOKENS])
def test_launches_may_be_split_or_padded(name: str, monkeypatch: Any) -> None:
    arrays, options = call_of(name, 4, 5)
    plain = computed(name, *arrays, **options)
    monkeypatch.setattr(target, "QUIET_GRID", 40)
    assert bits(computed(name, *arrays, **options)) == bits(plain)
    monkeypatch.setattr(target, "QUIET_GRID", 1)
    monkeypatch.setattr(target, "LARGEST_GRID", 3)
    assert bits(computed(name, *arrays, **options)) == bits(plain)


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_hidden_changes_no_bit(name: str, strange: float) -> None:
    (query, key, value), options = call_of(name, 6, 7)
    options["mask"][:, 2] = False
    clean = computed(name, query, key, value, **options)
    key, value = key.copy(), value.copy()
    key[..., 2, :] = value[..., 2, :] = strange
    assert bits(computed(name, query, key, value, **options)) == bits(clean)


# Coupled scores


@pytest.mark.parametrize("which", [0, 1, 2], ids=["query", "key", "value"])
@pytest.mark.parametrize("strange", [np.nan, np.inf])
@pytest.mark.parametrize("name", TOKENS)
def test_what_earlier_tokens_cannot_see_changes_none_of_their_bits(name: str, which: int, strange: float) -> None:
    arrays, options = call_of(name, 9, 9, batch=(2,))
    clean = computed(name, *arrays, **options)
    arrays[which] = arrays[which].copy()
    arrays[which][..., 1, 6, 0] = strange
    fouled = computed(name, *arrays, **options)
    for one, other in zip(clean, fouled, strict=True):
        np.testing.assert_array_equal(other[..., :6, :], one[..., :6, :])
    # A key whose score is a NaN is not above the threshold.
    assert name == "threshold_relative_attention" or not np.isfinite(fouled.output[..., 6:, :]).all()


@pytest.mark.parametrize("rows", [1, 4, 9, 100])
@pytest.mark.parametrize("keep_first", [False, True])
def test_selections_are_carried_from_band_to_band(rows: int, keep_first: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(bands, "BAND", rows * 2 * 13)
    arrays = normal(0, (2, 2, 13, 4), (2, 2, 13, 4), (2, 2, 13, 1))
    options = {"keep_first": keep_first, "select_head": 1, "return_weights": True, "scale": 2.0}
    assert_right("selective_attention", arrays, options)


def test_the_rest_of_the_batch_does_not_change_what_is_selected(monkeypatch: Any) -> None:
    monkeypatch.setattr(bands, "BAND", 3 * 2 * 9 * 9)
    arrays = normal(0, (3, 2, 9, 4), (3, 2, 9, 4), (3, 2, 9, 1))
    whole = computed("selective_attention", *arrays)
    for index in range(3):
        assert bits(computed("selective_attention", *(array[index] for array in arrays))) == bits(whole[index])


@pytest.mark.parametrize("pad_key", ["both", "left", "right"])
def test_convolutions_reach_across_bands(pad_key: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(bands, "BAND", 1)
    arrays, options = call_of("multi_token_attention", 10, 10, taps=3)
    for name, given in options.items():
        chosen = {name: given, "pad_key": pad_key} if name != "return_weights" else options | {"pad_key": pad_key}
        assert_right("multi_token_attention", arrays, chosen)


def test_a_kernel_may_reach_further_than_a_band(monkeypatch: Any) -> None:
    monkeypatch.setattr(bands, "BAND", 1)
    arrays, _ = call_of("multi_token_attention", 9, 9, batch=(1,))
    (kernel,) = normal(0, (1, 12, 5))
    assert_right("multi_token_attention", arrays, {"key_query_kernel": kernel / 10})


@pytest.mark.parametrize(("groups", "size"), [(3, 1), (1, 3), (2, 3)])
def test_heads_are_mixed_within_their_group(groups: int, size: int) -> None:
    heads = groups * size
    arrays = normal(0, (heads, 4, 2), (heads, 4, 2), (heads, 4, 2))
    (mixing,) = normal(1, (groups, size, size))
    assert_right("multi_token_attention", arrays, {"head_kernel": mixing, "return_weights": True})
