"""Learned and coupled scores on the CPU engine: edges of blocks, threads, conversions, and paths that no draw takes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import attlas
import attlas_ref
from attlas import threads
from attlas.numba_cpu import dotproduct, operands
from attlas_ref.contract.reference import formula
from attlas_ref.testing import assert_within_budget, high_and_lows

RNG = np.random.default_rng


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    return RNG(seed).normal(size=shape).astype(dtype)


def call_of(name: str, m: int, n: int, batch: tuple[int, ...] = (), dtype: Any = np.float32) -> tuple[Any, Any]:
    """Arrays and options of a call that is larger than a block; every other option is left at its default."""

    def draw(*shape: int) -> Any:
        draw.seed += 1  # type: ignore[attr-defined]
        return normal(draw.seed, *shape, dtype=dtype)  # type: ignore[attr-defined]

    draw.seed = m * n  # type: ignore[attr-defined]
    d, e, h, r = 6, 5, 9, 3
    arrays = draw(*batch, m, d), draw(*batch, n, d), draw(*batch, n, e)
    options: dict[str, Any] = {"mask": RNG(m + n).random((m, n)) < 0.7}
    bias = draw(m, n)
    if name == "additive_attention":
        options |= {"query_weight": draw(d, h), "key_weight": draw(d, h), "score_vector": draw(h), "causal": True}
    elif name == "neural_attention":
        options |= {"weight1": draw(2 * d, h), "bias1": draw(h), "weight3": draw(7), "bias3": 0.5}
        options |= {"weight2": draw(h, 7), "bias2": draw(7), "causal": True}
    elif name == "graph_attention":
        options |= {"query_vector": draw(d), "key_vector": draw(d), "edge_bias": bias}
    elif name == "graph_attention_v2":
        options |= {"score_vector": draw(d), "edge_bias": bias}
    elif name == "relational_attention":
        heads = draw(*batch, 2, m, d), draw(*batch, 2, n, d)
        arrays = *heads, draw(*batch, r, m, 4), draw(*batch, r, n, 4), draw(*batch, 2, n, e)
        options |= {"relation_weight": draw(2, r, e), "activation": "softmax", "bias": bias, "causal": True}
    elif name != "stacked_cross_attention":
        options |= {"bias": bias, "causal": True}
    return arrays, {**options, "return_weights": True}


NAMES = (
    "additive_attention",
    "neural_attention",
    "graph_attention",
    "graph_attention_v2",
    "stacked_cross_attention",
    "cog_attention",
    "reversed_attention",
    "relational_attention",
)


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def in_budget(name: str, *arrays: Any, **options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("m", "n"), [(97, 129), (200, 64), (17, 300)])
def test_sizes_around_the_edges_of_blocks(name: str, m: int, n: int) -> None:
    arrays, options = call_of(name, m, n)
    in_budget(name, *arrays, **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_and_the_batch_change_no_bit(name: str, num_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "WORTH_A_THREAD", 0)
    arrays, options = call_of(name, 130, 150, batch=(3,))
    function = getattr(attlas, name)
    num_threads(1)
    one = function(*arrays, **options)
    num_threads(4)
    assert_same(one, function(*arrays, **options))
    for member in range(3):
        alone = function(*(array[member] for array in arrays), **options)
        assert_same(alone, [part[member] for part in one])


@pytest.mark.parametrize("name", ["relational_attention", "reversed_attention", "graph_attention_v2"])
@pytest.mark.parametrize("shape", [(2, 2, 130, 150), (2, 1, 130, 1), (130, 150), (1, 150), (150,)], ids=str)
def test_a_bias_of_another_precision_is_that_bias(name: str, shape: tuple[int, ...]) -> None:
    """Converted block by block, and for all heads of a task at once."""
    arrays, options = call_of(name, 130, 150, batch=(2,) if name == "relational_attention" else (2, 2))
    bias = RNG(0).integers(-2, 3, size=shape)
    own = "edge_bias" if "edge_bias" in options else "bias"
    function = getattr(attlas, name)
    small = tuple(array[..., :1] for array in arrays[:2]) if name == "reversed_attention" else arrays[:2]
    arrays = (*small, *arrays[2:])
    ours = function(*arrays, **{**options, own: bias.astype(np.float64)})
    assert_same(ours, function(*arrays, **{**options, own: bias.astype(np.float32)}))


def test_hidden_rubbish_in_relations_changes_no_bit() -> None:
    (query, key, of_query, of_key, symbols), options = call_of("relational_attention", 100, 150)
    del options["return_weights"]
    hidden = np.array([3, 70, 149])
    options["mask"][:, hidden] = False
    clean = attlas.relational_attention(query, key, of_query, of_key, symbols, **options)
    for array in (key, of_key, symbols):
        array[..., hidden, :] = np.nan
    np.testing.assert_array_equal(attlas.relational_attention(query, key, of_query, of_key, symbols, **options), clean)


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "softmax"])
def test_symbols_of_pairs_belong_to_their_pair(activation: str) -> None:
    """Formula against kernel, below the check of shapes, whose signature knows symbols of keys only."""
    h, m, n, e = 2, 3, 130, 4
    arrays = normal(0, h, m, 2), normal(1, h, n, 2), normal(2, 2, m, 3), normal(3, 2, n, 3), normal(4, h, m, n, e)
    mask = RNG(5).random((m, n)) < 0.6
    options: dict[str, Any] = {
        "relation_weight": normal(6, h, 2, e), "activation": activation, "relation_scale": None,
        "symbols_relative": True, "scale": None, "mask": mask, "bias": None, "causal": False, "return_weights": True,
    }  # fmt: skip
    wide = [array.astype(np.float64) for array in arrays]
    lesson = formula(attlas_ref.relational_attention)
    high, low = lesson(*wide, **options), lesson(*arrays, **options)
    clean = dotproduct.relational_attention(*arrays, **options)
    assert_within_budget(clean, high, low)
    for layout in (arrays[4][..., ::-1].copy()[..., ::-1], np.asfortranarray(arrays[4])):
        assert_same(dotproduct.relational_attention(*arrays[:4], layout, **options), clean)
    fouled = np.where(mask[..., None], arrays[4], np.float32(np.nan))
    assert_same(dotproduct.relational_attention(*arrays[:4], fouled, **options), clean)


def test_a_second_layer_that_is_wider_than_a_block() -> None:
    m, n, p, wide = 5, 3, 2, 300
    layers = {"weight1": normal(3, 2 * p, 4), "weight2": normal(4, 4, wide), "weight3": normal(5, wide)}
    biases = {"bias1": normal(6, 4), "bias2": normal(7, wide), "bias3": 1.0}
    in_budget("neural_attention", normal(0, m, p), normal(1, n, p), normal(2, n, 2), **layers, **biases)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_keep_their_digits_in_reversed_attention(dtype: Any) -> None:
    """The maximum and the total of a key stay apart: their sum would have lost the total's digits."""
    query, key, value = (normal(seed, 150, 4, dtype=dtype) for seed in range(3))
    in_budget("reversed_attention", 100 * query, 100 * key, value, scale=1.0, return_weights=True)


@pytest.mark.parametrize("name", ["reversed_attention", "stacked_cross_attention"])
def test_a_nan_in_a_query_reaches_exactly_who_shares_a_key_with_it(name: str) -> None:
    query, key, value = normal(0, 120, 4), normal(1, 140, 4), normal(2, 140, 2)
    mask = RNG(3).random((120, 140)) < 0.02
    for place in (0, 7, 119):
        fouled = query.copy()
        fouled[place] = np.nan
        output, weights = getattr(attlas, name)(fouled, key, value, mask=mask, return_weights=True)
        shares = (mask & mask[place]).any(axis=-1)
        assert 0 < shares.sum() < 120
        np.testing.assert_array_equal(np.isnan(output), np.broadcast_to(shares[:, None], output.shape))
        assert not weights[~mask].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [95, 96, 97, 500])
def test_prefixes_across_blocks(n: int, dtype: Any) -> None:
    query, key, value = normal(0, 2, 3, dtype=dtype), normal(1, 2, n, 3, dtype=dtype), normal(2, 2, n, 5, dtype=dtype)
    mask = RNG(3).random((2, n)) < 0.5
    mask[:, :3] = False
    for scale in (None, 30.0, 300.0):
        options: dict[str, Any] = {"mask": mask, "scale": scale, "bias": np.linspace(-9, 9, n), "method": "sequential"}
        in_budget("prefix_attention", query, key, value, **options)


def test_a_growing_maximum_rescales_every_prefix() -> None:
    n = 300
    key, value = np.arange(n, dtype=np.float32)[:, None], np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    for scale in (0.01, 1.0, 100.0, -0.01, -100.0):
        in_budget("prefix_attention", np.ones(1, dtype=np.float32), key, value, scale=scale, method="sequential")


def test_a_visible_nan_reaches_every_later_prefix_and_no_other() -> None:
    query, key, value = normal(0, 3), normal(1, 250, 3), normal(2, 250, 2)
    for place in (0, 95, 96, 249):
        fouled = key.copy()
        fouled[place] = np.nan
        output, state = attlas.prefix_attention(query, fouled, value, return_state=True)
        np.testing.assert_array_equal(np.isnan(output).any(axis=-1), np.arange(250) >= place)
        assert all(np.isnan(part).all() for part in state)
        hidden = np.arange(250) != place
        spoiled = np.where(hidden[:, None], value, np.float32(np.inf))
        clean = attlas.prefix_attention(query, key, value, mask=hidden, return_state=True)
        unmoved = attlas.prefix_attention(query, fouled, spoiled, mask=hidden, return_state=True)
        np.testing.assert_array_equal(unmoved.output, clean.output)
        assert_same(unmoved.state, clean.state)


def test_a_prefix_goes_on_from_the_state_of_the_one_before(num_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "WORTH_A_THREAD", 0)
    query, key, value = normal(0, 2, 3), normal(1, 2, 400, 3), normal(2, 2, 400, 2)
    num_threads(1)
    whole = attlas.prefix_attention(query, key, value, return_state=True)
    num_threads(4)
    again = attlas.prefix_attention(query, key, value, return_state=True)
    np.testing.assert_array_equal(again.output, whole.output)
    cut = 2 * operands.QUERIES_PER_BLOCK  # at the edge of a block the second call does what the first one did
    left = attlas.prefix_attention(query, key[:, :cut], value[:, :cut], return_state=True)
    right = attlas.prefix_attention(query, key[:, cut:], value[:, cut:], state=left.state, return_state=True)
    np.testing.assert_array_equal(np.concatenate([left.output, right.output], axis=-2), whole.output)
    assert_same(right.state, whole.state)
    nothing = attlas.prefix_attention(query, key[:, :0], value[:, :0], state=left.state, return_state=True)
    assert_same(nothing.state, left.state)
