"""What the array programs over chains, segments and trees do with calls that drawn ones are too small for."""

from typing import Any

import numpy as np
import pytest

from attlas.cupy_gpu.probabilistic import dependency
from attlas.dispatch import call_on
from attlas.engines import cupy_on_numpy
from attlas_ref.testing import assert_within_budget, high_and_lows

dtypes = pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)], ids=str)
multi_roots = pytest.mark.parametrize("multi_root", [False, True], ids=["one root", "several roots"])
TREES = ["tree_attention_marginals", "projective_tree_marginals"]
BOTH_TREES = pytest.mark.parametrize("name", TREES)


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(cupy_on_numpy(), name, *arrays, **options)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32, scale: float = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, seeds: int = 1, **options: Any) -> None:
    """Compare with the reference. Of many blocks some have lucky lows, unless there are several by several seeds."""
    high, lows = high_and_lows(name, arrays, options)
    for seed in range(1, seeds):
        lows = [*lows, *high_and_lows(name, arrays, options, seed=seed)[1]]
    assert_within_budget(computed(name, *arrays, **options), high, lows, what=name)


@dtypes
@pytest.mark.parametrize("scale", [1, 1000])
def test_long_chains_keep_their_digits(dtype: Any, scale: float) -> None:
    in_budget("linear_chain_marginals", *normal(1, (700, 3), (699, 3, 3), dtype=dtype, scale=scale))


def test_chains_of_many_labels_and_many_lengths() -> None:
    unary, pairwise = normal(2, (30, 9, 17), (8, 17, 17))
    mask = np.arange(9) < np.arange(30)[:, None] % 10
    uniform = np.random.default_rng(2).random((2, 30, 9))
    in_budget("linear_chain_marginals", unary, pairwise, mask=mask, seeds=3)
    in_budget("linear_chain_argmax", unary, pairwise, mask=mask)
    in_budget("linear_chain_sample", unary.astype(float), pairwise.astype(float), mask=mask, uniform=uniform)


def test_many_samples_of_one_chain_share_its_weights() -> None:
    unary, pairwise = normal(3, (10, 4), (4, 4), dtype=np.float64)
    uniform = np.random.default_rng(3).random((50, 10))
    paths = computed("linear_chain_sample", unary, pairwise, uniform=uniform)
    for draw, path in zip(uniform, paths, strict=True):
        np.testing.assert_array_equal(computed("linear_chain_sample", unary, pairwise, uniform=draw), path)


@dtypes
def test_segments_of_many_lengths(dtype: Any) -> None:
    in_budget("semi_markov_marginals", *normal(4, (24, 7, 3, 3), dtype=dtype), seeds=4)
    in_budget("semi_markov_marginals", *normal(5, (5, 9, 2, 2), dtype=dtype, scale=300), seeds=4)


@BOTH_TREES
@dtypes
@multi_roots
def test_sentences_of_many_words(name: str, dtype: Any, multi_root: bool) -> None:
    arcs, roots = normal(6, (2, 13, 13), (2, 13), dtype=dtype, scale=2)
    in_budget(name, arrays_without_an_arc(arcs), roots, multi_root=multi_root)
    mask = np.random.default_rng(6).random((2, 13)) < 0.8
    in_budget(name, 300 * arcs, 300 * roots, multi_root=multi_root, mask=mask)


def arrays_without_an_arc(arcs: Any) -> Any:
    arcs = arcs.copy()
    arcs[0, 3, 4] = -np.inf
    return arcs


@multi_roots
def test_a_sentence_may_have_one_tree_alone(multi_root: bool) -> None:
    """A path from the last token back to the first: whatever is eliminated, the root must stay within reach."""
    n = 6
    arcs, roots = np.full((n, n), -np.inf), np.full(n, -np.inf)
    arcs[np.arange(1, n), np.arange(n - 1)], roots[-1] = 1.0, 0.5
    for name in TREES:
        log_partition, marginals, root_marginals = computed(name, arcs, roots, multi_root=multi_root)
        assert log_partition == n - 0.5
        np.testing.assert_array_equal(marginals, np.eye(n, k=-1))
        np.testing.assert_array_equal(root_marginals, np.arange(n) == n - 1)


@BOTH_TREES
def test_a_nan_among_the_scores_reaches_its_sentence_alone(name: str) -> None:
    arcs, roots = normal(7, (3, 6, 6), (3, 6))
    arcs[1, 2, 3] = np.nan
    result = computed(name, arcs, roots)
    np.testing.assert_array_equal(np.isnan(result.log_partition), [False, True, False])
    np.testing.assert_array_equal(np.isnan(result.root_marginals).any(axis=-1), [False, True, False])
    in_budget(name, arcs, roots)


@pytest.mark.parametrize("combine", ["minimum", "product"])
@pytest.mark.parametrize("entries", [1, 3 * 23**2, 10**6])
def test_a_sentence_is_summed_some_ends_at_a_time(combine: str, entries: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(dependency, "ENTRIES", entries)
    in_budget("syntactic_dependency", *normal(8, (22,), (2, 23), scale=30), combine=combine, height_temperature=0.2)


def test_a_wall_or_token_that_cannot_be_placed_is_felt_where_the_reference_feels_it() -> None:
    distance, height = normal(8, (4, 6), (4, 7))
    distance[1, 2], distance[2, 3], height[2, 5], height[3, 4] = np.nan, np.inf, -np.inf, np.nan
    in_budget("syntactic_dependency", distance, height)
    distance[0, 1], height[0, 5] = -np.inf, -np.inf
    in_budget("syntactic_dependency", distance, height)


def test_a_long_conversation() -> None:
    emissions, start, end, stays, turns = normal(9, (2, 60, 4), (4,), (4,), (4, 4), (4, 4))
    rng = np.random.default_rng(9)
    tables = {"start": start, "end": end, "self_transition": stays, "other_transition": turns}
    tags, speakers, mask = rng.integers(4, size=60), rng.integers(3, size=(2, 60)), np.arange(60) < [[60], [41]]
    in_budget("skip_chain_crf", emissions, tags, speakers, mask=mask, **tables)


CALLS: dict[str, list[Any]] = {
    "linear_chain_marginals": [(20, 12, 3), (20, 11, 3, 3)],
    "semi_markov_marginals": [(20, 9, 4, 2, 2)],
    "tree_attention_marginals": [(20, 9, 9), (20, 9)],
    "projective_tree_marginals": [(20, 9, 9), (20, 9)],
    "syntactic_dependency": [(20, 10), (20, 11)],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_problem_has_the_same_result_alone_and_in_a_batch(name: str) -> None:
    arrays = normal(10, *CALLS[name])
    for part, whole in zip(
        parts(computed(name, *(array[7] for array in arrays))), parts(computed(name, *arrays)), strict=True
    ):
        np.testing.assert_array_equal(part, whole[7])


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)
