"""Pointers, copies, coverage, trees and pursuit on every engine, where drawn calls do not go: blocks, runs, reads.

In Numba's simulator the sizes are small, and the engine is `numba-cuda`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import attlas_ref
from attlas import threads
from attlas.dispatch import call_on
from attlas.engines import TABLE, cupy_on_numpy, simulated
from attlas_ref.testing import assert_within_budget, high_and_lows

SIMULATED = simulated()
ENGINES = {"numba-cuda": TABLE["numba-cuda"]} if SIMULATED else {"numba": TABLE["numba"], "cupy": cupy_on_numpy()}
SIZES = [(3, 5), (5, 3)] if SIMULATED else [(97, 129), (200, 64), (17, 300)]


@pytest.fixture(params=ENGINES)
def engine(request: Any) -> Any:
    return ENGINES[request.param]


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = rng_of(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(engine: Any, name: str, *arrays: Any, **options: Any) -> Any:
    actual = call_on(engine, name, *arrays, **options)
    assert_within_budget(actual, *high_and_lows(name, arrays, options), what=name)
    return actual


def additive(seed: int = 9) -> dict[str, Any]:
    w_query, w_key, v, b_key = normal(seed, (4, 6), (3, 6), (6,), (6,))
    return {"w_query": w_query, "w_key": w_key, "v": v, "b_key": b_key}


def test_where_every_score_is_impossible_nothing_is_likely(engine: Any) -> None:
    query, key = np.ones((2, 1), np.float32), np.full((3, 1), -np.inf, np.float32)
    for mask in (None, np.array([True, True, False])):
        for log, hidden in ((False, 0), (True, -np.inf)):
            p = call_on(engine, "pointer_attention", query, key, score="dot", mask=mask, log=log)
            np.testing.assert_array_equal(p, np.full((2, 3), hidden))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_rows_longer_than_a_block_are_normalized_once(engine: Any, m: int, n: int, log: bool) -> None:
    query, key, other = normal(0, (2, m, 4), (n, 3), (n, 4))
    mask = rng_of(1).random((2, m, n)) < 0.5
    mask[0, m // 2], mask[:, :, n // 2] = False, False
    key[n // 2] = other[n // 2] = np.nan
    options: dict[str, Any] = {"mask": mask, "log": log}
    for more in ({}, {"logit_clip": 1.5, "temperature": 0.5}):
        in_budget(engine, "pointer_attention", query, key, **additive(), **options, **more)
        in_budget(engine, "pointer_attention", query, other, score="dot", **options, **more, return_logits=True)


def test_a_nan_that_is_seen_spoils_its_row_alone(engine: Any) -> None:
    query, key = normal(2, (4, 4), (5, 3))
    mask = np.ones((4, 5), dtype=bool)
    mask[1, 2] = mask[0, 4] = mask[2, 0] = mask[3, 1] = False
    key[2] = np.nan
    for log, hidden in ((False, 0), (True, -np.inf)):
        p = call_on(engine, "pointer_attention", query, key, **additive(), mask=mask, log=log)
        np.testing.assert_array_equal(np.isnan(p), mask & (np.arange(4) != 1)[:, None])
        np.testing.assert_array_equal(p[~mask], hidden)


@pytest.mark.parametrize("words", ["alike", "runs", "different"])
def test_a_word_collects_all_its_sources(engine: Any, words: str) -> None:
    m, n, known = (2, 9, 4) if SIMULATED else (23, 300, 50)
    ids = {"alike": np.full(n, 3), "runs": np.arange(n) // 4, "different": rng_of(3).permutation(n)}[words]
    vocabulary, weights = (np.abs(x) for x in normal(4, (known, m), (2, m, n)))
    gate = rng_of(5).random(m).astype(np.float32)
    weights[1, 0, 2] = np.nan  # reaches the word that stands there, and no other
    result = in_budget(engine, "copy_mixture", vocabulary.T, weights, gate, ids)
    felt = np.zeros(result.shape, dtype=bool)
    felt[1, 0, ids[2]] = True
    np.testing.assert_array_equal(np.isnan(result), felt)


@pytest.mark.parametrize("initial", ["zeros", "uniform", "given"])
def test_values_may_have_leading_axes_that_weights_lack(engine: Any, initial: str) -> None:
    m, n = (2, 5) if SIMULATED else (6, 300)
    query, key, value, w, v = normal(6, (m, 4), (2, n, 3), (3, 1, n, 5), (6,), (6,))
    mask = rng_of(7).random((m, n)) < 0.6
    mask[1], mask[:, 2] = False, False
    key[:, 2], value[..., 2, :] = np.nan, np.inf
    options = {**additive(), "w_coverage": w, "b_coverage": v, "scale": 2.0, "mask": mask}
    first = np.abs(key[:, :, 0]) if initial == "given" else initial
    options |= {"initial": first, "return_weights": True, "return_coverage": True}
    found = in_budget(engine, "coverage_attention", query, key, value, **options)
    assert found.output.shape == (3, 2, m, 5)
    assert (found.output[..., 1, :] == 0).all()


def heads(d: int, seed: int = 8) -> dict[str, Any]:
    w_query, w_key, w_value, w_out = normal(seed, (2, d, 3), (2, d, 3), (2, d, 3), (6, d))
    return {"w_query": w_query, "w_key": w_key, "w_value": w_value, "w_out": w_out}


@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_a_query_reads_what_its_path_passes_and_nothing_else(engine: Any, mode: str) -> None:
    count, branches, m = (9, 2, 1) if SIMULATED else (1000, 3, 1)
    (query, tokens) = normal(10, (m, 4), (count, 4))
    levels = attlas_ref.build_token_tree(tokens, branch_factor=branches)
    depth, block = len(levels) - 2, levels[-1].mask.shape[-1] // levels[-2].mask.shape[-1]
    options: dict[str, Any] = {**heads(4), "mode": mode, "branch_factor": branches, "return_selected": True}
    options["uniform"] = rng_of(11).random((m, depth)).astype(np.float32)
    found = in_budget(engine, "tree_cross_attention", query, tokens, levels=levels, **options)
    selected = found.selected[0]
    assert selected.sum() <= depth * (branches - 1) + block

    starts = np.cumsum([0, *(level.mask.shape[-1] for level in levels)])
    path = {name: options[name] for name in ("w_query", "w_key", "mode", "uniform")}
    taken = call_on(engine, "tree_search_path", query, levels, **path).path[0]
    looked = selected.copy()
    looked[starts[1 : depth + 1] + taken] = True
    assert looked.sum() <= depth * branches + block
    poisoned = []
    for level, (nodes, mask) in enumerate(levels):
        nodes = nodes.copy()
        nodes[~looked[starts[level] : starts[level + 1]]] = np.nan
        poisoned.append((nodes, mask))
    again = call_on(engine, "tree_cross_attention", query, tokens, levels=tuple(poisoned), **options)
    np.testing.assert_array_equal(again.output, found.output)


def test_equal_tokens_tie_and_the_lowest_child_is_taken(engine: Any) -> None:
    query, token = normal(12, (3, 5), (1, 5))
    levels = attlas_ref.build_token_tree(np.repeat(token, 16, axis=0), branch_factor=2)
    path = call_on(engine, "tree_search_path", query, levels, w_query=heads(5)["w_query"], w_key=heads(5)["w_key"])
    np.testing.assert_array_equal(path.path, 0)


def test_flags_of_levels_may_have_leading_axes_of_their_own(engine: Any) -> None:
    query, tokens = normal(13, (2, 4), (7, 4))
    mask = np.array([[True] * 7, [True] * 3 + [False] * 4])
    levels = attlas_ref.build_token_tree(np.stack([tokens, tokens]), mask=mask)
    shared = tuple((nodes[0], flags) for nodes, flags in levels)
    in_budget(engine, "tree_cross_attention", query, tokens, levels=shared, **heads(4), return_weights=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_features_are_chosen_in_the_order_of_the_reference(engine: Any, dtype: Any) -> None:
    count, d, k = (6, 5, 3) if SIMULATED else (200, 300, 20)
    (features,) = normal(14, (2, d, count), dtype=dtype)
    features = (features / np.sqrt((features**2).sum(axis=-1, keepdims=True))).swapaxes(-1, -2)
    target = features[..., :k] @ np.arange(3, 3 + k).astype(dtype)
    found = in_budget(engine, "orthogonal_matching_pursuit", features, target, k=k, return_coefficients=True)
    order = np.sort(found.order, axis=-1)
    assert (order[..., 1:] > order[..., :-1]).all(), "a feature is chosen twice"


@pytest.fixture
def num_threads() -> Iterator[Any]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


@pytest.mark.skipif(SIMULATED, reason="threads of the CPU")
def test_the_number_of_threads_and_the_batch_change_no_bit(num_threads: Any, monkeypatch: Any) -> None:
    from attlas.numba_cpu import launch, operands

    for module in (operands, launch):
        monkeypatch.setattr(module, "WORTH_A_THREAD", 0)
    query, key, value, w = normal(15, (3, 130, 4), (3, 150, 3), (3, 150, 5), (6,))
    ids = rng_of(16).integers(40, size=(3, 150))
    shares = np.abs(normal(17, (3, 130, 20), (3, 130, 150))[0]), np.abs(normal(18, (3, 130, 150))[0])
    gate = rng_of(19).random((3, 130)).astype(np.float32)
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("pointer_attention", (query, key), additive()),
        ("coverage_attention", (query, key, value), {**additive(), "w_coverage": w}),
        ("copy_mixture", (*shares, gate, ids), {"size": 40}),
        ("tree_cross_attention", (query, value[..., :4]), heads(4)),
        ("orthogonal_matching_pursuit", (value.swapaxes(-1, -2), value[..., 0, :]), {"k": 3}),
    ]
    for name, arrays, options in cases:
        num_threads(1)
        one = call_on(TABLE["numba"], name, *arrays, **options)
        num_threads(4)
        np.testing.assert_array_equal(call_on(TABLE["numba"], name, *arrays, **options), one)
        for member in range(3):
            alone = call_on(TABLE["numba"], name, *(array[member] for array in arrays), **options)
            np.testing.assert_array_equal(alone, one[member])
