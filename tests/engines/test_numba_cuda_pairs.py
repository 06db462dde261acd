"""Learned, signed, coupled and relational scores on `numba-cuda`, in the simulator: tiles, chunks, views, pairs.

That the results are right for every call is tested for all engines at once. Here the tiles are smaller than the arrays
in every way they can be, and calls take the paths that no draw takes.
"""

from typing import Any

import numpy as np
import pytest
from views_on_a_gpu import assert_views_are_read

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.contract.reference import formula
from attlas_ref.records import find
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import assemble, dotproduct, operands, prefix, target
from attlas.numba_cuda.blocks import Block

NAMES = (
    "additive_attention",
    "neural_attention",
    "graph_attention",
    "graph_attention_v2",
    "stacked_cross_attention",
    "cog_attention",
    "reversed_attention",
    "relational_attention",
    "prefix_attention",
)
BLOCKS = [
    Block(across=1, down=1, rows=2, columns=3, outputs=3, depth=1),
    Block(across=2, down=2, rows=2, columns=1, outputs=1, depth=2),
    Block(across=3, down=1, rows=3, columns=1, outputs=2, depth=5),
    Block(across=1, down=3, rows=1, columns=4, outputs=3, depth=3),
]


def call_of(name: str, m: int, n: int, d: int = 3, e: int = 4, h: int = 5, seed: int = 0) -> tuple[Any, Any]:
    """Arrays and options of a call: two heads that share their keys, three batch members in the values alone."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    arrays: tuple[Any, ...] = draw(2, m, d), draw(n, d), draw(3, 1, n, e)
    options: dict[str, Any] = {"mask": rng.random((2, m, n)) < 0.7, "return_weights": True}
    if name == "additive_attention":
        options |= {"query_weight": draw(d, h), "key_weight": draw(d, h), "score_vector": draw(h), "causal": True}
    elif name == "neural_attention":
        options |= {"weight1": draw(2 * d, h), "bias1": draw(h), "weight3": draw(h + 2), "bias3": 0.5}
        options |= {"weight2": draw(h, h + 2), "bias2": draw(h + 2), "causal": True}
    elif name == "graph_attention":
        options |= {"query_vector": draw(2, d), "key_vector": draw(d), "edge_bias": draw(m, n)}
    elif name == "graph_attention_v2":
        options |= {"score_vector": draw(2, d), "edge_bias": draw(m, n)}
    elif name == "stacked_cross_attention":
        options |= {"inverse_temperature": abs(draw(2, m)), "factors": draw(m, d)}
    elif name == "relational_attention":
        arrays = draw(2, m, d), draw(2, n, d), draw(h, m, 4), draw(3, h, n, 4), draw(2, n, e)
        options |= {"relation_weight": draw(2, h, e), "activation": "softmax", "bias": draw(m, n), "causal": True}
    elif name == "prefix_attention":
        arrays = draw(2, d), draw(n, d), draw(3, 1, n, e)
        options = {"mask": rng.random((2, n)) < 0.7, "bias": draw(n), "return_state": True}
    else:
        options |= {"bias": draw(m, 1), "causal": True}
    if name == "reversed_attention":
        options |= {"sender_gate": draw(n), "renormalize": True}
    return arrays, options


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def assert_right(name: str, arrays: Any, options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(computed(name, *arrays, **options), high, lows, name)


def assert_same(one: Any, other: Any) -> None:
    if not isinstance(one, tuple):
        np.testing.assert_array_equal(one, other)
        return
    for a, b in zip(one, other, strict=True):
        assert_same(a, b)


def use_block(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (operands, assemble, prefix):
        monkeypatch.setattr(module, "default_block", lambda dtype: block)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.across}x{b.down}threads-{b.own}x{b.other}tile")
@pytest.mark.parametrize("beyond", [-1, 1])
def test_tiles_that_do_not_fit_give_what_the_reference_gives(
    name: str, block: Block, beyond: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_block(block, monkeypatch)
    m, n = max(1, 2 * block.own + beyond), max(1, 2 * block.other - beyond)
    if name == "prefix_attention":
        n = 2 * block.down * prefix.SEGMENT + beyond
    assert_right(name, *call_of(name, m, n))


@pytest.mark.parametrize("name", NAMES)
def test_launches_may_be_split_and_padded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, options = call_of(name, 6, 7)
    plain = computed(name, *arrays, **options)
    for limit, value in (("LARGEST_GRID", 3), ("QUIET_GRID", 40)):
        with monkeypatch.context() as patch:
            patch.setattr(target, limit, value)
            assert_same(computed(name, *arrays, **options), plain)


SEEING = [(name, 2) for name in NAMES if name not in ("prefix_attention", "reversed_attention")]


@pytest.mark.parametrize(("name", "layers"), [*SEEING, ("neural_attention", 1)])
def test_a_visible_nan_reaches_the_queries_that_see_it_and_no_other(name: str, layers: int) -> None:
    arrays, options = call_of(name, 5, 7)
    if layers == 1:
        options |= {"weight2": None, "bias2": None, "weight3": options["weight3"][:5]}
    clean = computed(name, *arrays, **options)
    arrays[1][..., 3, :] = np.nan
    found = computed(name, *arrays, **options)
    sees = np.broadcast_to(options["mask"][..., 3], found.weights.shape[:-1]).copy()
    if options.get("causal"):
        sees[..., 0] = False  # it sees the keys up to 2
    np.testing.assert_array_equal(found.weights[~sees], clean.weights[~sees])
    assert np.isnan(found.output).any(axis=-1)[..., sees].all()
    assert not np.isnan(found.output)[..., ~sees, :].any()


def test_a_score_of_nothing_counts_in_the_total_of_signed_weights() -> None:
    key = np.array([[0.0], [1.0], [-2.0]], np.float32)
    assert_right("cog_attention", (np.ones((1, 1), np.float32), key, np.eye(3, dtype=np.float32)), {})


@pytest.mark.parametrize("options", [{}, {"renormalize": True}, {"renormalize": True, "eps": 10.0}], ids=str)
def test_a_sender_whose_scores_are_all_minus_infinity_sends_nothing(options: dict[str, Any]) -> None:
    (query, key, value), _ = call_of("reversed_attention", 4, 6)
    bias = np.where(np.arange(6) == 2, -np.inf, 0.0)
    options = options | {"bias": bias, "sender_gate": np.arange(-2, 4, dtype=np.float32), "return_weights": True}
    assert_right("reversed_attention", (query, key, value), options)


def test_a_region_that_is_like_nothing_has_no_norm() -> None:
    (query, key, value), _ = call_of("stacked_cross_attention", 4, 6)
    key[2] = 0
    assert_right("stacked_cross_attention", (query, key, value), {"eps": 0.0, "return_weights": True})


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "softmax"])
def test_symbols_of_pairs_belong_to_their_pair(activation: str) -> None:
    """Formula against kernel, below the check of shapes; relations have leading axes that no query has."""
    h, m, n, e, r = 2, 5, 7, 5, 3
    rng = np.random.default_rng(0)
    shapes = (h, m, 2), (h, n, 2), (2, r, m, 3), (r, n, 3), (h, m, n, e)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    mask = rng.random((m, n)) < 0.6
    options: dict[str, Any] = {
        "relation_weight": rng.normal(size=(h, r, e)).astype(np.float32), "activation": activation,
        "relation_scale": None, "symbols_relative": True, "scale": None, "mask": mask, "bias": None, "causal": False,
        "return_weights": True,
    }  # fmt: skip
    lesson = formula(find("relational_attention").reference)
    high = lesson(*(array.astype(np.float64) for array in arrays), **options)
    clean = dotproduct.relational_attention(*arrays, **options)
    assert_within_budget(clean, high, lesson(*arrays, **options))
    for layout in (arrays[4][..., ::-1].copy()[..., ::-1], np.asfortranarray(arrays[4])):
        assert_same(dotproduct.relational_attention(*arrays[:4], layout, **options), clean)
    fouled = np.where(mask[..., None], arrays[4], np.float32(np.nan))
    assert_same(dotproduct.relational_attention(*arrays[:4], fouled, **options), clean)


def test_hidden_relations_are_not_felt() -> None:
    arrays, options = call_of("relational_attention", 5, 9)
    options["mask"][..., [2, 8]] = False
    clean = computed("relational_attention", *arrays, **options).output
    for array in (arrays[1], arrays[3], arrays[4]):
        array[..., [2, 8], :] = np.nan
    assert_same(computed("relational_attention", *arrays, **options).output, clean)


def test_a_growing_maximum_rescales_every_prefix() -> None:
    key = np.linspace(-60, 60, 19, dtype=np.float32)[:, None]
    value = np.random.default_rng(0).normal(size=(19, 5)).astype(np.float32)
    for scale in (1.0, -1.0):
        assert_right("prefix_attention", (np.ones(1, np.float32), key, value), {"scale": scale, "return_state": True})


def test_a_visible_nan_reaches_every_later_prefix_and_no_other() -> None:
    (query, key, value), _ = call_of("prefix_attention", 1, 19)
    clean = computed("prefix_attention", query, key, value)
    for at in (0, 3, 4, 18):
        fouled = key.copy()
        fouled[at] = np.nan
        output, state = computed("prefix_attention", query, fouled, value, return_state=True)
        assert np.isnan(output[..., at:, :]).all()
        assert all(np.isnan(part).all() for part in state)
        assert_same(output[..., :at, :], clean[..., :at, :])


@pytest.mark.parametrize("cut", [0, 1, 4, 9, 19])
def test_a_prefix_goes_on_from_the_state_of_the_one_before(cut: int) -> None:
    (query, key, value), _ = call_of("prefix_attention", 1, 19)
    left = computed("prefix_attention", query, key[:cut], value[..., :cut, :], return_state=True)
    options = {"state": left.state, "return_state": True}
    assert_right("prefix_attention", (query, key[cut:], value[..., cut:, :]), options)


def test_an_empty_state_counts_for_nothing_whatever_else_it_holds() -> None:
    (query, key, value), _ = call_of("prefix_attention", 1, 19)
    state = np.full((3, 1), -np.inf, np.float32), np.ones((3, 1), np.float32), np.ones((3, 1, 4), np.float32)
    options = {"mask": np.arange(19) > 8, "state": state, "return_state": True}
    assert_right("prefix_attention", (query, key, value), options)


def test_the_state_of_no_tokens_is_empty() -> None:
    (query, key, value), _ = call_of("prefix_attention", 1, 0)
    output, state = computed("prefix_attention", query, key, value, return_state=True)
    assert output.shape == (3, 2, 0, 4)
    assert (state.maximum == -np.inf).all()
    assert not state.total.any()
    assert not state.accumulator.any()


@pytest.mark.parametrize("name", NAMES)
def test_views_of_arrays_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, given = call_of(name, 5, 7)
    arrays = tuple(np.asfortranarray(array)[..., ::-1, :] if array.ndim > 1 else array[::-1] for array in arrays)
    if name == "prefix_attention":
        given["state"] = computed(name, *arrays, **given).state
    assert_views_are_read(name, arrays, given, computed(name, *arrays, **given), monkeypatch)
