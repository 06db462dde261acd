"""Chains, segments, trees and conversations on `numba-cuda`, in the simulator: teams, launches, long problems.

That the results are right for every call is tested for all engines at once. Here teams are smaller than the problems in
every way they can be, and calls take the paths that few draws take.
"""

from typing import Any

import numpy as np
import pytest
from views_on_a_gpu import assert_views_are_read

import attlas_ref
from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import target
from attlas.numba_cuda.probabilistic import (
    chain,
    dependency,
    projective,
    relations,
    semi_markov,
    skip_chain,
    teams,
    tree_marginals,
    trees,
)
from attlas.numba_cuda.probabilistic.elimination import reach_of
from attlas.numba_cuda.probabilistic.teams import Team
from attlas.numba_cuda.rows import RowBlock

CHAINS = ("linear_chain_marginals", "linear_chain_argmax", "linear_chain_sample")
TREES = ("tree_attention_marginals", "projective_tree_marginals")
NAMES = (
    *CHAINS,
    "semi_markov_marginals",
    *TREES,
    "syntactic_dependency",
    "dependency_constrained_attention",
    "skip_chain_crf",
)
BLOCKS = [RowBlock(1, 1), RowBlock(2, 2), RowBlock(3, 1), RowBlock(1, 3)]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def assert_right(name: str, arrays: Any, options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    found = computed(name, *arrays, **options)
    assert_within_budget(found, high, lows, name)
    return found


def flat(result: Any) -> list[Any]:
    return [array for part in result for array in flat(part)] if isinstance(result, tuple) else [result]


def bits(result: Any) -> list[bytes]:
    return [part.tobytes() for part in flat(result)]


def call_of(name: str, seed: int = 0, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Arrays and options of a call: three members that share an argument, and are of different lengths."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(dtype)

    prefix = np.arange(6) < np.array([[6], [1], [4]])
    if name in CHAINS:
        options = {"mask": prefix}
        if name == "linear_chain_sample":
            options["uniform"] = rng.random((2, 3, 6)).astype(dtype)
        return (draw(3, 6, 5), draw(5, 5, 5)), options
    if name == "semi_markov_marginals":
        return (draw(3, 5, 4, 3, 3),), {}
    if name in TREES:
        return (draw(5, 5), draw(3, 5)), {"mask": rng.random((3, 5)) < 0.9, "multi_root": seed % 2 == 0}
    if name == "syntactic_dependency":
        return (draw(4), draw(3, 5)), {"combine": "product" if seed % 2 else "minimum"}
    if name == "dependency_constrained_attention":
        arrays = draw(2, 5, 3), draw(2, 5, 3), draw(2, 5, 4), np.abs(draw(3, 5, 5)), np.abs(draw(2, 2))
        return arrays, {"mask": rng.random((2, 5, 5)) < 0.7, "bias": draw(5, 1), "return_weights": True}
    options = {"start": draw(3), "end": draw(3), "self_transition": draw(3, 3), "other_transition": draw(3, 3)}
    return (draw(3, 6, 3), rng.integers(3, size=(3, 6)), rng.integers(2, size=6)), options | {"mask": prefix}


def use_teams(block: RowBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        *((module, "CROWD") for module in (semi_markov, trees, tree_marginals, projective, dependency)),
        *((module, "WARP") for module in (chain, skip_chain)),
    ):
        monkeypatch.setattr(module, name, Team(block))
    monkeypatch.setattr(chain, "LONERS", Team(block, alone=True))
    monkeypatch.setattr(relations, "TILE_OF_PAIRS", block)


# Teams and launches


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.across}x{b.down}")
def test_teams_of_any_shape_give_what_the_reference_gives(
    name: str, block: RowBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_teams(block, monkeypatch)
    assert_right(name, *call_of(name, seed=block.across))


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.across}x{b.down}")
def test_a_thread_may_have_a_chain_for_itself(name: str, block: RowBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    use_teams(block, monkeypatch)
    monkeypatch.setattr(chain, "FEW", 9)
    assert_right(name, *call_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_launches_may_be_split_and_padded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, options = call_of(name)
    plain = bits(computed(name, *arrays, **options))
    for module, limit, value in (
        (target, "LARGEST_GRID", 2),
        (target, "QUIET_GRID", 40),
        (teams, "SCRATCH", 1),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, value)
            assert bits(computed(name, *arrays, **options)) == plain


@pytest.mark.parametrize("name", NAMES)
def test_views_of_arrays_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, given = call_of(name)
    arrays = tuple(np.asfortranarray(np.asarray(array, float))[..., ::-1] for array in arrays)
    assert_views_are_read(name, arrays, given, computed(name, *arrays, **given), monkeypatch)


# Chains


@DTYPES
@pytest.mark.parametrize("scale", [1, 1000])
def test_long_chains_keep_their_digits(dtype: Any, scale: float) -> None:
    rng = np.random.default_rng(1)
    arrays = [(scale * rng.normal(size=shape)).astype(dtype) for shape in ((400, 2), (399, 2, 2))]
    assert_right("linear_chain_marginals", arrays, {})


def test_tables_of_steps_may_run_backward_and_be_shared() -> None:
    rng = np.random.default_rng(3)
    unary, pairwise = rng.normal(size=(2, 7, 4)), rng.normal(size=(6, 4, 4))
    for tables in (pairwise[::-1, ::-1, ::-1], pairwise[0], pairwise[0].T, np.broadcast_to(pairwise[2], (2, 6, 4, 4))):
        for name in ("linear_chain_marginals", "linear_chain_argmax"):
            assert_right(name, (unary, tables), {})
    scores = rng.normal(size=(5, 3, 2, 2))
    assert_right("semi_markov_marginals", (scores[::-1, :, ::-1, ::-1].swapaxes(-1, -2),), {})


def test_many_samples_of_one_chain_share_its_weights() -> None:
    rng = np.random.default_rng(6)
    for c in (2, 6):
        unary, pairwise, uniform = rng.normal(size=(5, c)), rng.normal(size=(c, c)), rng.random((30, 5))
        paths = computed("linear_chain_sample", unary, pairwise, uniform=uniform)
        for draw, path in zip(uniform[:5], paths, strict=False):
            np.testing.assert_array_equal(computed("linear_chain_sample", unary, pairwise, uniform=draw), path)


@DTYPES
def test_samples_of_large_potentials_are_those_of_the_reference(dtype: Any) -> None:
    rng = np.random.default_rng(11)
    unary, pairwise = ((1000 * rng.normal(size=shape)).astype(dtype) for shape in ((6, 3), (5, 3, 3)))
    uniform = rng.random((4, 6)).astype(dtype)
    expected = attlas_ref.linear_chain_sample(unary, pairwise, uniform=uniform)
    np.testing.assert_array_equal(computed("linear_chain_sample", unary, pairwise, uniform=uniform), expected)


def test_impossible_chains_say_so() -> None:
    for c in (2, 6):
        unary = np.zeros((2, 4, c))
        unary[1, 2] = -np.inf
        result = computed("linear_chain_marginals", unary, np.zeros((c, c)))
        np.testing.assert_array_equal(result.log_partition == -np.inf, [False, True])
        assert not result.marginals[1].any()
        assert not result.pairwise_marginals[1].any()
        np.testing.assert_array_equal(computed("linear_chain_argmax", unary, np.zeros((c, c)))[1], -1)


def test_of_equals_the_lowest_label_is_taken() -> None:
    for c in (2, 6):
        np.testing.assert_array_equal(computed("linear_chain_argmax", np.zeros((5, c)), np.zeros((c, c))), 0)
        names = "start", "end", "self_transition", "other_transition"
        tables = dict(zip(names, (np.zeros(c), np.zeros(c), np.zeros((c, c)), np.zeros((c, c))), strict=True))
        found = computed("skip_chain_crf", np.zeros((5, c)), None, np.array([0, 1, 1, 0, 2]), **tables)
        np.testing.assert_array_equal(found.decode, 0)


# Segments


def test_segments_of_many_lengths() -> None:
    rng = np.random.default_rng(7)
    assert_right("semi_markov_marginals", (4 * rng.normal(size=(15, 9, 2, 2)),), {})


# Trees


@DTYPES
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("multi_root", [False, True])
def test_sentences_of_some_words(name: str, dtype: Any, multi_root: bool) -> None:
    rng = np.random.default_rng(9)
    arcs, roots = ((2 * rng.normal(size=shape)).astype(dtype) for shape in ((11, 11), (11,)))
    assert_right(name, (arcs, roots), {"multi_root": multi_root, "mask": rng.random(11) < 0.9})


@DTYPES
@pytest.mark.parametrize("multi_root", [False, True])
@pytest.mark.parametrize("share", [0.99, 1.01])
def test_trees_just_within_and_beyond_the_reach_of_numbers(dtype: Any, multi_root: bool, share: float) -> None:
    rng = np.random.default_rng(10)
    arcs, roots = (np.clip(rng.normal(size=shape), -1, 1).astype(dtype) for shape in ((9, 9), (9,)))
    # Each token would rather hang from its neighbor than be a root, as far as numbers reach.
    arcs[0, 1] = arcs[1, 0] = arcs[5, 6] = arcs[6, 5] = share * reach_of(np.dtype(dtype)) - 1
    assert_right("tree_attention_marginals", (arcs, roots), {"multi_root": multi_root})


@DTYPES
def test_trees_without_an_arc_are_summed_in_logarithms(dtype: Any) -> None:
    rng = np.random.default_rng(11)
    arcs, roots = (rng.normal(size=shape).astype(dtype) for shape in ((2, 8, 8), (2, 8)))
    arcs[0, 3, 4] = roots[1, 7] = -np.inf
    assert_right("tree_attention_marginals", (arcs, roots), {})
    assert_right("tree_attention_marginals", (arcs * 300, roots * 300), {"multi_root": True})


@pytest.mark.parametrize("name", TREES)
def test_a_nan_among_the_scores_reaches_its_sentence_alone(name: str) -> None:
    rng = np.random.default_rng(12)
    arcs, roots = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, 4))
    arcs[1, 2, 3] = np.nan
    result = assert_right(name, (arcs, roots), {})
    np.testing.assert_array_equal(np.isnan(result.log_partition), [False, True, False])
    np.testing.assert_array_equal(np.isnan(result.root_marginals).any(axis=-1), [False, True, False])


# Dependencies and conversations


@pytest.mark.parametrize("combine", ["minimum", "product"])
def test_dependencies_of_a_longer_sentence(combine: str) -> None:
    rng = np.random.default_rng(13)
    arrays = 30 * rng.normal(size=11), 30 * rng.normal(size=12)
    options = {"combine": combine, "distance_temperature": 3.0, "height_temperature": 2.0}
    assert_right("syntactic_dependency", arrays, options)


def test_relations_may_have_leading_axes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(14)
    query, key, value = rng.normal(size=(3, 2, 5, 3))
    dependency_of, weights = np.abs(rng.normal(size=(3, 5, 5))), np.abs(rng.normal(size=(4, 1, 2, 2)))
    arrays = query, key, value, dependency_of, weights
    plain = bits(assert_right("dependency_constrained_attention", arrays, {"return_weights": True}))
    monkeypatch.setattr("attlas.numba_cuda.bands.BAND", 10)
    assert bits(computed("dependency_constrained_attention", *arrays, return_weights=True)) == plain


def test_a_longer_conversation() -> None:
    rng = np.random.default_rng(16)
    emissions, start, end, stays, turns = (rng.normal(size=s) for s in ((20, 3), (3,), (3,), (3, 3), (3, 3)))
    tables = {"start": start, "end": end, "self_transition": stays, "other_transition": turns}
    assert_right("skip_chain_crf", (emissions, rng.integers(3, size=20), rng.integers(3, size=20)), tables)
