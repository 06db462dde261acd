"""Memories on `numba-cuda`, in the simulator: tiles, bands, chunks, words of bits, tables.

That the results are right for every call is tested for all engines at once. Here blocks, bands and tiles of tokens are
smaller than the arrays in every way they can be, and calls take the paths that few draws take.
"""

from typing import Any

import numpy as np
import pytest
from views_on_a_gpu import assert_views_are_read

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.memory.sdm_cap_intersection import sdm_cap_intersection
from attlas_ref.memory.sdm_circle_intersection import sdm_circle_intersection
from attlas_ref.records import find
from attlas_ref.testing.budget import assert_within_budget, error_in_budgets, high_and_lows, monte_carlo, unit

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import assemble, bands, operands, target
from attlas.numba_cuda.blocks import Block
from attlas.numba_cuda.memory import (
    associative,
    feed_forward,
    hopfield,
    hopfield_gradient,
    landmark,
    packed,
    sdm,
    sphere,
    tables,
    titans,
    titans_network,
)
from attlas.numba_cuda.rows import RowBlock

NAMES = (
    "hopfield_attention",
    "hopfield_attention_vjp",
    "classical_hopfield",
    "dense_associative_memory",
    "sdm_attention",
    "sdm_neuron_attention",
    "sdm_continuous_attention",
    "landmark_attention",
    "landmark_attention_vjp",
    "titans_memory",
    "titans_mlp_memory",
    "ffn_memory",
    "ffnified_attention",
)
BANDED = (
    "hopfield_attention",
    "hopfield_attention_vjp",
    "dense_associative_memory",
    "sdm_attention",
    "sdm_neuron_attention",
    "sdm_continuous_attention",
    "landmark_attention",
    "landmark_attention_vjp",
)
BLOCKS = [
    (Block(across=1, down=1, rows=2, columns=3, outputs=3, depth=1), RowBlock(1, 1)),
    (Block(across=2, down=2, rows=2, columns=1, outputs=1, depth=2), RowBlock(2, 2)),
    (Block(across=3, down=1, rows=3, columns=1, outputs=2, depth=5), RowBlock(3, 1)),
    (Block(across=1, down=3, rows=1, columns=4, outputs=3, depth=3), RowBlock(1, 3)),
]


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def assert_right(name: str, arrays: Any, options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(computed(name, *arrays, **options), high, lows, name)


def bits(result: Any) -> list[bytes]:
    return [part.tobytes() for part in flat(result)]


def flat(result: Any) -> list[Any]:
    return [array for part in result for array in flat(part)] if isinstance(result, tuple) else [result]


def call_of(name: str, m: int, n: int, seed: int = 0, dtype: Any = np.float32) -> tuple[Any, Any]:
    """Arrays and options of a call: two heads that share their keys, three batch members in the values alone."""
    rng = np.random.default_rng(seed)
    d, e, h = 3, 4, 5

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(dtype)

    arrays: tuple[Any, ...] = draw(2, m, d), draw(n, d), draw(3, 1, n, e)
    options: dict[str, Any] = {}
    if name.startswith("hopfield"):
        options |= {"mask": rng.random((2, m, n)) < 0.7, "bias": draw(m, 1), "causal": True, "alpha": 1.5, "steps": 3}
        if name.endswith("vjp"):
            arrays = (*arrays, draw(3, 2, m, e))
        else:
            options |= {"tol": 0.2, "return_weights": True, "return_steps": True}
    elif name in ("classical_hopfield", "dense_associative_memory"):
        arrays, options = (draw(2, m, 5), draw(n, 5)), {"steps": 2, "return_field": True}
        if name.startswith("dense"):
            options |= {"update": "async", "order": [3, 1, 0, 4, 2], "degree": 3}
    elif name.startswith("sdm"):
        if name != "sdm_continuous_attention":
            query, key = ((x > 0).astype(dtype) for x in (draw(2, m, 40), draw(n, 40)))
            arrays = query, key, arrays[2]
            options["radius"] = 16
        if name == "sdm_neuron_attention":
            arrays, options = (*arrays, (draw(h, 40) > 0).astype(dtype)), options | {"return_counters": True}
        else:
            options["return_weights"] = True
        if name == "sdm_continuous_attention":
            options["cap_cosine"] = 0.6
    elif name.startswith("landmark"):
        arrays = draw(2, n, d), draw(n, d), draw(3, 1, n, e)
        options["is_landmark"] = rng.random(n) < 0.3
        if name.endswith("vjp"):
            arrays = (*arrays, draw(3, 2, n, e))
        else:
            options |= {"return_weights": True, "top_k": 2}
    elif name.startswith("titans"):
        arrays = draw(2, n, d), draw(n, d), draw(3, 1, n, e)
        rates = 0.1 * rng.random((2, n)), rng.random(n), 0.5 * rng.random((3, 1, n))
        options = dict(zip(("lr", "momentum", "decay"), (x.astype(dtype) for x in rates), strict=True))
        options |= {"return_state": True, "chunk_size": 3}
        if name == "titans_mlp_memory":
            arrays = (*arrays, 0.5 * draw(d, h), 0.5 * draw(2, h, e))
    elif name == "ffn_memory":
        options = {"return_weights": True}
    else:
        arrays, options = (draw(3, m, n, 2), draw(5, 3, 2), draw(2, 1, 1, 3, 2)), {"bias_key": draw(2)}
        options |= {"bias_value": draw(2), "return_weights": True, "activation": "silu"}
    return arrays, options


def use_blocks(block: Block, row_block: RowBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (operands, assemble, associative, feed_forward, packed):
        monkeypatch.setattr(module, "default_block", lambda dtype: block)
    for module in (bands, associative, hopfield, hopfield_gradient, landmark, sdm, sphere, titans, titans_network):
        monkeypatch.setattr(module, "default_row_block", lambda: row_block)


# Blocks, bands and launches


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", BLOCKS, ids=lambda b: f"{b[0].own}x{b[0].other}tile-{b[1].across}x{b[1].down}row")
@pytest.mark.parametrize("beyond", [-1, 1])
def test_tiles_that_do_not_fit_give_what_the_reference_gives(
    name: str, blocks: Any, beyond: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(*blocks, monkeypatch)
    block, _ = blocks
    assert_right(name, *call_of(name, max(1, 2 * block.own + beyond), max(1, 2 * block.other - beyond)))


@pytest.mark.parametrize("name", BANDED)
def test_bands_may_be_cut_anywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, options = call_of(name, 17, 5)
    if name.startswith("landmark"):
        arrays, options = call_of(name, 1, 17)
    plain = bits(computed(name, *arrays, **options))
    for band in (1, 2 * 17 * 17):
        for module in (bands, associative):
            monkeypatch.setattr(module, "BAND", band)
        assert bits(computed(name, *arrays, **options)) == plain


@pytest.mark.parametrize("name", NAMES)
def test_launches_may_be_split_and_padded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, options = call_of(name, 5, 7)
    plain = bits(computed(name, *arrays, **options))
    for limit, value in (("LARGEST_GRID", 3), ("QUIET_GRID", 40)):
        with monkeypatch.context() as patch:
            patch.setattr(target, limit, value)
            assert bits(computed(name, *arrays, **options)) == plain


@pytest.mark.parametrize("name", NAMES)
def test_rows_from_the_last_to_the_first_and_columns_apart(name: str) -> None:
    arrays, options = call_of(name, 5, 7)
    plain = bits(computed(name, *arrays, **options))
    turned = [np.repeat(array[..., ::-1, :], 2, axis=-1)[..., ::-1, ::2] for array in arrays]
    assert bits(computed(name, *turned, **options)) == plain


@pytest.mark.parametrize("name", NAMES)
def test_views_of_arrays_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, given = call_of(name, 5, 7)
    arrays = tuple(np.asfortranarray(array)[..., ::-1, :] for array in arrays)
    assert_views_are_read(name, arrays, given, computed(name, *arrays, **given), monkeypatch)


# Hopfield networks


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0, 3.0])
def test_each_query_comes_to_rest_by_itself(alpha: float) -> None:
    rng = np.random.default_rng(0)
    key = rng.normal(size=(6, 4))
    query = np.stack([key[0], key[1] + 0.3, key.mean(axis=0), 5 * rng.normal(size=4)])
    options = {
        "beta": 2.0 if alpha < 2 else 0.5,
        "alpha": alpha,
        "steps": 20,
        "tol": 1e-3,
        "return_steps": True,
        "return_weights": True,
    }
    found = computed("hopfield_attention", query, key, **options)
    assert len(set(found.steps.tolist())) > 1
    assert_right("hopfield_attention", (query, key), options)


@pytest.mark.parametrize("alpha", [1.0, 1.3, 2.0, 2.5])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("with_value", [True, False])
def test_gradients_go_back_through_every_step(alpha: float, steps: int, with_value: bool) -> None:
    (query, key, value, grad), options = call_of("hopfield_attention_vjp", 6, 5, dtype=np.float64)
    options |= {"alpha": alpha, "steps": steps}
    arrays = (query, key, value, grad) if with_value else (query, key, None, grad[0, ..., :3])
    high, lows = high_and_lows_with_none("hopfield_attention_vjp", arrays, options)
    found = computed("hopfield_attention_vjp", *arrays, **options)
    assert (found.grad_value is None) == (not with_value)
    count = 3 if with_value else 2
    assert_within_budget(tuple(found)[:count], tuple(high)[:count], [tuple(low)[:count] for low in lows])


def high_and_lows_with_none(name: str, arrays: Any, options: Any) -> Any:
    """As `high_and_lows`, for a call without one of its arrays, which has one result fewer."""
    record, rng = find(name), np.random.default_rng(0)
    reference = record.reference(*arrays, **options)
    return reference, [reference, *(monte_carlo(record, arrays, options, rng) for _ in range(7))]


@pytest.mark.parametrize("steps", [2, 3])
def test_a_hidden_nan_is_not_felt_in_any_step(steps: int) -> None:
    for name in ("hopfield_attention", "hopfield_attention_vjp"):
        for alpha in (1.0, 1.5):
            arrays, options = call_of(name, 6, 7)
            options |= {"alpha": alpha, "steps": steps}
            options["mask"][..., 2] = False
            clean = computed(name, *arrays, **options)
            arrays[1][2], arrays[2][..., 2, :] = np.nan, np.inf
            assert bits(computed(name, *arrays, **options)) == bits(clean)


@pytest.mark.parametrize("update", ["sync", "async"])
@pytest.mark.parametrize("patterns", [2, 9])
def test_bits_are_recalled_exactly(update: str, patterns: int) -> None:
    rng = np.random.default_rng(patterns)
    key, query = (np.where(rng.random(shape) < 0.5, -1.0, 1.0) for shape in ((patterns, 7), (2, 5, 7)))
    for options in ({}, {"zero_diagonal": False}, {"steps": 0}, {"steps": 3}):
        options = {**options, "update": update, "return_field": True, "order": rng.permutation(7)}
        found = computed("classical_hopfield", query.astype(np.float32), key.astype(np.float32), **options)
        expected = call_on_reference("classical_hopfield", query, key, **options)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def call_on_reference(name: str, *arrays: Any, **options: Any) -> Any:

    return find(name).reference(*arrays, **options)


def test_a_bit_without_others_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5):
        query, key = rng.normal(size=(4, 1)), rng.normal(size=(n, 1))
        for update in ("sync", "async"):
            output, field = computed("classical_hopfield", query, key, update=update, return_field=True)
            np.testing.assert_array_equal(output, query)
            assert not field.any()


@pytest.mark.parametrize("memory", [{"degree": 1}, {"degree": 4}, {"degree": 3, "rectified": True}, {"energy": "exp"}])
@pytest.mark.parametrize("update", ["sync", "async"])
def test_dense_memories_turn_bits_by_either_energy(memory: Any, update: str) -> None:
    arrays, options = call_of("dense_associative_memory", 5, 7, dtype=np.float64)
    assert_right("dense_associative_memory", arrays, {**options, "degree": 2, **memory, "update": update})


def test_exponential_memories_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    key = np.where(rng.random((4, 100)) < 0.5, -1.0, 1.0).astype(np.float32)
    options = {"energy": "exp", "return_field": True}
    for update in ("sync", "async"):
        output, field = computed("dense_associative_memory", key[:1], key, update=update, **options)
        np.testing.assert_array_equal(output, key[:1])
        assert np.isfinite(field).all()


# Sparse distributed memory


@pytest.mark.parametrize("width", [0, 1, 31, 32, 33, 64, 97])
def test_bits_fill_words_and_parts_of_words(width: int) -> None:
    rng = np.random.default_rng(width)
    query, key, neurons = ((rng.random((rows, width)) < 0.5).astype(float) for rows in (4, 6, 9))
    value = rng.normal(size=(6, 2))
    for radius in {0, width // 3, width // 2, width}:
        assert_right("sdm_attention", (query, key, value), {"radius": radius, "return_weights": True})
        assert_right("sdm_neuron_attention", (query, key, value, neurons), {"radius": radius})
        bipolar = [2 * x - 1 for x in (query, key, neurons)]
        options = {"radius": radius, "bipolar": True, "normalize": False, "threshold": True, "return_counters": True}
        assert_right("sdm_neuron_attention", (bipolar[0], bipolar[1], value, bipolar[2]), options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_far_patterns_keep_their_digits(dtype: Any) -> None:
    """The counts of all patterns are far below that of the address itself, in single precision too."""
    key = np.tri(9, 600, 297, dtype=dtype)  # 298 .. 306 bits away
    value = np.random.default_rng(0).normal(size=(9, 3)).astype(dtype)
    assert_right("sdm_attention", (np.zeros((1, 600), dtype), key, value), {"radius": 160, "return_weights": True})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finitely_many_neurons_are_rounded_as_the_draws_say(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    query, key = np.zeros((8, 40), dtype), np.tri(9, 40, 7, dtype=dtype)  # 8 .. 16 bits apart
    value = rng.normal(size=(9, 3)).astype(dtype)
    expected = sdm_circle_intersection(np.arange(8, 17), dim=40, radius=16, neurons=50000) % 1
    # Draws as close to the fractions as can be, on either side.
    near = expected.astype(dtype)
    draws = np.stack([near, *(np.nextafter(near, dtype(side)) for side in (0, 1))])
    uniforms = np.take_along_axis(draws, rng.integers(0, 3, (8, 9)), axis=0)
    options = {"radius": 16, "neurons": 50000, "uniforms": uniforms, "return_weights": True}
    high, lows = high_and_lows("sdm_attention", (query, key, value), options)
    # Noisy arithmetic would decide otherwise now and then; the plain one is the first.
    assert_within_budget(computed("sdm_attention", query, key, value, **options), high, lows[:1])


@pytest.mark.parametrize("dim", [2, 3, 8, 65, 500])
@pytest.mark.parametrize("cap_cosine", [0.0, 1e-4, 0.1, 0.6, 0.99])
def test_areas_from_the_table_are_those_of_the_quadrature(dim: int, cap_cosine: float) -> None:
    table = tables.log_areas(dim, cap_cosine, np.dtype(np.float64))
    area = sphere.build_log_area(np.float64)
    theta, power = np.arccos(cap_cosine), tables.area_power(dim, cap_cosine)
    for angle in 2 * theta * np.array([0.0, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]):
        cosine = np.cos(angle)
        found = area(np.float64(cosine), theta, power, table)
        expected = sdm_cap_intersection([cosine, 1.0], dim=dim, cap_cosine=cap_cosine, log=True)
        # Each of some hundred operations errs by a unit of the largest logarithm, and a cosine by one of its own.
        slope = max(1, abs(power) / max(theta - angle / 2, 1e-3))
        bound = 100 * unit(np.float64) * (1 + np.abs(expected).max() + slope * (1 + 1 / max(np.sin(angle), 1e-3)))
        assert abs(found - (expected[0] - expected[1])) <= bound
    assert area(np.float64(np.cos(min(2 * theta + 1e-6, np.pi))), theta, power, table) < -10


def test_what_has_no_direction_sees_nothing_and_is_not_seen() -> None:
    (query, key, value), options = call_of("sdm_continuous_attention", 5, 7)
    query[1, 2], key[3] = 0, 0
    value[..., 3, :] = np.nan
    assert_right("sdm_continuous_attention", (query, key, value), options)


def test_a_nan_out_of_reach_is_not_felt() -> None:
    for name in ("sdm_attention", "sdm_neuron_attention", "sdm_continuous_attention"):
        (query, key, value, *rest), options = call_of(name, 5, 7)
        key[3] = -query[0, 0] if name == "sdm_continuous_attention" else 1 - query[0, 0]
        value[..., 3, :] = np.nan
        assert_right(name, (query, key, value, *rest), options)
        assert not np.isnan(flat(computed(name, query, key, value, *rest, **options))[0][:, 0, 0]).any()


# Landmarks


PLACES = [(), (0,), (8,), (0, 1, 2), (3, 4, 8), (2, 5), tuple(range(9))]


@pytest.mark.parametrize("places", PLACES, ids=str)
def test_landmarks_may_stand_anywhere(places: Any) -> None:
    flags = np.isin(np.arange(9), places)
    for name in ("landmark_attention", "landmark_attention_vjp"):
        arrays, options = call_of(name, 1, 9, dtype=np.float64)
        for top_k in (None, 0, 1, 3, 20) if name == "landmark_attention" else (None,):
            options |= {"is_landmark": flags} | ({} if name.endswith("vjp") else {"top_k": top_k})
            assert_right(name, arrays, options)


def test_landmarks_that_tie_are_kept_together() -> None:
    (query, key, value), options = call_of("landmark_attention", 1, 9)
    key[[1, 3, 5]] = key[1]
    for top_k in (1, 2, 3):
        flags = np.isin(np.arange(9), [1, 3, 5, 7])
        assert_right("landmark_attention", (query, key, value), options | {"is_landmark": flags, "top_k": top_k})


def test_the_value_of_a_landmark_and_its_own_pair_are_not_felt() -> None:
    flags = np.isin(np.arange(9), [2, 5, 8])
    for name in ("landmark_attention", "landmark_attention_vjp"):
        arrays, options = call_of(name, 1, 9)
        options |= {"is_landmark": flags}
        clean = flat(computed(name, *arrays, **options))
        arrays[2][..., 8, :] = np.nan
        arrays[1][8] = np.nan
        found = flat(computed(name, *arrays, **options))
        # Only the gradient of the values holds a row for it, and that row is 0.
        np.testing.assert_array_equal(found[0], clean[0])
        assert not np.isnan(found[1]).any()


def test_a_nan_among_the_landmarks_counts_as_the_best() -> None:
    (query, key, value), options = call_of("landmark_attention", 1, 9)
    key[2] = np.nan
    flags = np.isin(np.arange(9), [2, 4, 6])
    for top_k in (1, 2):
        assert_right("landmark_attention", (query, key, value), options | {"is_landmark": flags, "top_k": top_k})


# Titans


@pytest.mark.parametrize("tokens", [1, 4, 6])
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 4, 5, 9, 10**30])
@pytest.mark.parametrize("name", ["titans_memory", "titans_mlp_memory"])
def test_chunks_and_tiles_of_tokens_may_cut_each_other(
    name: str, chunk_size: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (titans, titans_network):
        monkeypatch.setattr(module, "TOKENS", tokens)
    arrays, options = call_of(name, 1, 11, dtype=np.float64)
    if name == "titans_memory":
        rng = np.random.default_rng(0)
        options |= {"memory": rng.normal(size=(2, 3, 4)), "surprise": rng.normal(size=(3, 4))}
    assert_right(name, arrays, options | {"chunk_size": chunk_size})


def test_a_nan_reaches_later_tokens_only() -> None:
    for name in ("titans_memory", "titans_mlp_memory"):
        for chunk_size in (1, 3, 100):
            arrays, options = call_of(name, 1, 11)
            options |= {"chunk_size": chunk_size}
            clean = computed(name, *arrays, **options).output
            arrays[1][6] = np.nan
            output = computed(name, *arrays, **options).output
            np.testing.assert_array_equal(output[..., :6, :], clean[..., :6, :])
            assert np.isnan(output[..., 6:, :]).all()


# Feed-forward layers


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "identity", "softmax"])
def test_activations_are_right_in_their_tails(activation: str) -> None:
    query = np.linspace(-30, 30, 41)[:, None]
    for dtype in (np.float32, np.float64):
        arrays = query.astype(dtype), np.ones((1, 1), dtype), np.ones((1, 1), dtype)
        for row in range(0, 41, 5):
            one = (arrays[0][row : row + 1], *arrays[1:])
            high, lows = high_and_lows("ffn_memory", one, {"activation": activation})
            assert error_in_budgets(computed("ffn_memory", *one, activation=activation), high, lows) <= 1


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (7, 1), (9, 9)], ids=str)
def test_kernels_may_be_larger_than_the_image(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(*sizes, 2)), rng.normal(size=(*sizes[::-1], 2))
    for activation in ("gelu", "relu", "silu", "identity"):
        assert_right("ffnified_attention", arrays, {"activation": activation, "return_weights": True})
