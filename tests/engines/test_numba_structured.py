"""What the CPU engine does with chains, segments and trees that drawn calls are too small for."""

from typing import Any

import numpy as np
import pytest

import attlas
import attlas_ref
from attlas.numba_cpu.probabilistic.elimination import reach_of
from attlas_ref.testing import assert_within_budget, high_and_lows

dtypes = pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)], ids=str)
BOTH_TREES = pytest.mark.parametrize("name", ["tree_attention_marginals", "projective_tree_marginals"])


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32, scale: float = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, seeds: int = 1, **options: Any) -> Any:
    """Compare with the reference. Of many blocks some have lucky lows, unless there are several by several seeds."""
    high, lows = high_and_lows(name, arrays, options)
    for seed in range(1, seeds):
        lows = [*lows, *high_and_lows(name, arrays, options, seed=seed)[1]]
    actual = getattr(attlas, name)(*arrays, **options)
    assert_within_budget(actual, high, lows, what=name)
    return actual


@dtypes
@pytest.mark.parametrize("scale", [1, 1000])
def test_long_chains_keep_their_digits(dtype: Any, scale: float) -> None:
    in_budget("linear_chain_marginals", *normal(1, (3000, 3), (2999, 3, 3), dtype=dtype, scale=scale))


@dtypes
def test_more_labels_than_a_vector_holds(dtype: Any) -> None:
    unary, pairwise = normal(2, (2, 9, 37), (37, 37), dtype=dtype)
    in_budget("linear_chain_marginals", unary, pairwise)
    in_budget("linear_chain_argmax", unary, pairwise)
    # The same numbers, read column by column.
    in_budget("linear_chain_marginals", unary, np.asfortranarray(pairwise))
    in_budget("linear_chain_argmax", unary, np.asfortranarray(pairwise))


def test_tables_of_steps_may_run_backward() -> None:
    unary, pairwise = normal(3, (12, 4), (11, 4, 4))
    in_budget("linear_chain_marginals", unary, pairwise[::-1])
    in_budget("linear_chain_argmax", unary, pairwise[::-1, ::-1, ::-1])


def test_many_chains_of_many_lengths() -> None:
    unary, pairwise = normal(4, (300, 8, 3), (300, 7, 3, 3))
    lengths = np.random.default_rng(4).integers(9, size=300)
    in_budget("linear_chain_marginals", unary, pairwise, mask=np.arange(8) < lengths[:, None])


@dtypes
@pytest.mark.parametrize("c", [1, 2, 3, 4])
def test_chains_of_few_labels_side_by_side(dtype: Any, c: int) -> None:
    # Two groups and a rest, some chains empty, scores that lie in one piece and scores that do not.
    unary, pairwise = normal(24, (37, 9, c), (37, 8, c, c), dtype=dtype)
    mask = np.arange(9) < np.random.default_rng(24).integers(10, size=(37, 1))
    in_budget("linear_chain_marginals", unary, pairwise, mask=mask)
    in_budget("linear_chain_marginals", unary[:, ::-1, ::-1], pairwise.swapaxes(-1, -2), mask=mask)
    for given in ((unary, pairwise), (unary, pairwise[0, 0]), (unary[:, ::-1, ::-1], pairwise.swapaxes(-1, -2))):
        np.testing.assert_array_equal(
            attlas.linear_chain_argmax(*given, mask=mask), attlas_ref.linear_chain_argmax(*given, mask=mask)
        )


@dtypes
def test_the_first_of_equal_labels_is_chosen_in_every_lane(dtype: Any) -> None:
    unary, pairwise = (np.round(array) for array in normal(25, (40, 11, 2), (40, 10, 2, 2), dtype=dtype))
    unary[3, 1] = unary[4, -1, 0] = np.nan
    unary[5, 1], unary[6, 0] = -np.inf, np.inf
    mask = np.arange(11) < 11 - np.arange(40)[:, None] % 3
    unary[~mask] = np.nan  # hidden
    paths = attlas.linear_chain_argmax(unary, pairwise, mask=mask)
    np.testing.assert_array_equal(paths, attlas_ref.linear_chain_argmax(unary, pairwise, mask=mask))
    assert (paths[5] == -1).all()


@pytest.mark.parametrize("c", [3, 9])
def test_a_chain_is_the_same_in_any_batch(c: int) -> None:
    unary, pairwise = normal(5, (200, 20, c), (c, c))
    whole = attlas.linear_chain_marginals(unary, pairwise)
    alone = attlas.linear_chain_marginals(unary[117], pairwise)
    for part, own in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(part[117], own)


def test_many_samples_of_one_chain_share_its_weights() -> None:
    unary, pairwise = normal(6, (10, 4), (4, 4), dtype=np.float64)
    uniform = np.random.default_rng(6).random((500, 10))
    paths = attlas.linear_chain_sample(unary, pairwise, uniform=uniform)
    for draw, path in zip(uniform[:20], paths, strict=False):
        np.testing.assert_array_equal(attlas.linear_chain_sample(unary, pairwise, uniform=draw), path)


@dtypes
def test_labels_that_nothing_leads_to_have_no_probability(dtype: Any) -> None:
    unary, pairwise = normal(22, (3, 7, 5), (3, 6, 5, 5), dtype=dtype)
    pairwise[0, 2, :, 1] = pairwise[1, 5, :, 4] = -np.inf
    marginals = in_budget("linear_chain_marginals", unary, pairwise).marginals
    assert marginals[0, 3, 1] == marginals[1, 6, 4] == 0
    pairwise[2, 3] = -np.inf  # and no labeling is possible
    assert (in_budget("linear_chain_marginals", unary, pairwise).marginals[2] == 0).all()
    in_budget("linear_chain_argmax", unary, pairwise)


@dtypes
def test_a_draw_near_1_chooses_a_label_that_is_possible(dtype: Any) -> None:
    # The shares of the possible labels add up to a little less than 1 in some of these.
    unary, pairwise = normal(20, (300, 4, 14), (14, 14), dtype=dtype)
    unary[..., -3:] = -np.inf
    draws = np.full((300, 4), np.nextafter(dtype.type(1), dtype.type(0)))
    paths = attlas.linear_chain_sample(unary, pairwise, uniform=draws)
    assert paths.max() < 11


@dtypes
def test_segments_of_many_lengths(dtype: Any) -> None:
    in_budget("semi_markov_marginals", *normal(7, (40, 11, 5, 5), dtype=dtype), seeds=6)
    for scale in (30, 1000):  # some segments have probabilities that are no normal numbers
        in_budget("semi_markov_marginals", *normal(8, (60, 7, 2, 2), dtype=dtype, scale=scale), seeds=6)


@dtypes
def test_long_sequences_of_segments_keep_their_digits(dtype: Any) -> None:
    in_budget("semi_markov_marginals", *normal(17, (1500, 3, 2, 2), dtype=dtype, scale=1e4), seeds=1)


@BOTH_TREES
@dtypes
@pytest.mark.parametrize("multi_root", [False, True])
def test_sentences_of_many_words(name: str, dtype: Any, multi_root: bool) -> None:
    arcs, roots = normal(9, (2, 29, 29), (2, 29), dtype=dtype, scale=2)
    in_budget(name, arcs, roots, multi_root=multi_root)
    mask = np.random.default_rng(9).random((2, 29)) < 0.8
    in_budget(name, arcs, roots, multi_root=multi_root, mask=mask)


@dtypes
@pytest.mark.parametrize("n", [15, 16, 17, 33, 140])
def test_trees_whose_rows_end_within_and_at_a_vector(dtype: Any, n: int) -> None:
    arcs, roots = normal(26, (1, n, n), (1, n), dtype=dtype)
    arcs[..., np.arange(n), np.arange(n)] = np.nan  # no arcs
    in_budget("tree_attention_marginals", arcs, roots)
    if n < 100:
        in_budget("tree_attention_marginals", arcs.swapaxes(-1, -2), roots, multi_root=True)
        in_budget("tree_attention_marginals", arcs, roots, mask=np.arange(n) < n - 2)


@dtypes
@pytest.mark.parametrize("multi_root", [False, True])
@pytest.mark.parametrize("share", [0.99, 1.01])
def test_trees_just_within_and_beyond_the_reach_of_numbers(dtype: Any, multi_root: bool, share: float) -> None:
    arcs, roots = normal(10, (12, 12), (12,), dtype=dtype)
    # Each token would rather hang from its neighbor than be a root, as far as numbers reach.
    spread = share * reach_of(dtype)
    arcs, roots = np.clip(arcs, -1, 1), np.clip(roots, -1, 1)
    arcs[0, 1] = arcs[1, 0] = arcs[5, 6] = arcs[6, 5] = spread - 1
    in_budget("tree_attention_marginals", arcs, roots, multi_root=multi_root)


@dtypes
def test_trees_without_an_arc_are_summed_in_logarithms(dtype: Any) -> None:
    arcs, roots = normal(11, (2, 20, 20), (2, 20), dtype=dtype)
    arcs[0, 3, 4] = roots[1, 7] = -np.inf
    in_budget("tree_attention_marginals", arcs, roots)
    in_budget("tree_attention_marginals", arcs * 300, roots * 300, multi_root=True)


@dtypes
def test_a_nan_among_the_scores_reaches_its_sentence_alone(dtype: Any) -> None:
    arcs, roots = normal(12, (3, 6, 6), (3, 6), dtype=dtype)
    arcs[1, 2, 3] = np.nan
    for name in ("tree_attention_marginals", "projective_tree_marginals"):
        result = getattr(attlas, name)(arcs, roots)
        np.testing.assert_array_equal(np.isnan(result.log_partition), [False, True, False])
        np.testing.assert_array_equal(np.isnan(result.root_marginals).any(axis=-1), [False, True, False])
        in_budget(name, arcs, roots)


@dtypes
@pytest.mark.parametrize("place", [0, 3, 5])
def test_an_infinite_score_makes_the_sum_infinite(dtype: Any, place: int) -> None:
    arcs, roots, labels, steps = normal(18, (2, 6, 6), (2, 6), (2, 6, 3), (3, 3), dtype=dtype)
    arcs[1, place, place - 1] = np.inf
    for name in ("tree_attention_marginals", "projective_tree_marginals"):
        for multi_root in (False, True):
            result = in_budget(name, arcs, roots, multi_root=multi_root)
            np.testing.assert_array_equal(result.log_partition == np.inf, [False, True])
            assert np.isnan(result.root_marginals[1]).all()
    labels[1, place, 1] = np.inf
    speech = {"start": np.zeros(3, dtype), "end": np.zeros(3, dtype), "other_transition": steps}
    said = attlas.skip_chain_crf(labels, None, np.arange(6) // 2, self_transition=steps, **speech)
    chain, expected = (kind.linear_chain_marginals(labels, steps) for kind in (attlas, attlas_ref))
    for result in (chain, said):
        assert np.isfinite(result.log_partition[0])
        assert np.isnan(result.marginals[1]).all()
    np.testing.assert_array_equal(np.isnan(chain.log_partition), np.isnan(expected.log_partition))


@dtypes
def test_an_infinite_height_has_no_share_that_is_known(dtype: Any) -> None:
    distance, height = normal(19, (7,), (8,), dtype=dtype)
    height[2:4], height[5] = -np.inf, np.inf  # two neighbors that are nobody's heads
    for combine in ("minimum", "product"):
        in_budget("syntactic_dependency", distance, height, combine=combine)


@pytest.mark.parametrize("combine", ["minimum", "product"])
def test_dependencies_of_a_long_sentence(combine: str) -> None:
    in_budget("syntactic_dependency", *normal(13, (39,), (40,), scale=30), combine=combine)


def test_relations_of_more_queries_than_a_block_holds() -> None:
    arrays = normal(14, (2, 203, 5), (2, 203, 5), (2, 203, 3), (203, 203), (2, 2))
    arrays[3], arrays[4] = np.abs(arrays[3]), np.abs(arrays[4])
    (bias,) = normal(15, (2, 203, 203), dtype=np.float16)
    mask = np.random.default_rng(15).random((203, 203)) < 0.5
    in_budget("dependency_constrained_attention", *arrays, bias=bias, mask=mask, return_weights=True)


def test_a_long_conversation() -> None:
    emissions, start, end, stays, turns = normal(16, (80, 5), (5,), (5,), (5, 5), (5, 5))
    rng = np.random.default_rng(16)
    tables = {"start": start, "end": end, "self_transition": stays, "other_transition": turns}
    in_budget("skip_chain_crf", emissions, rng.integers(5, size=80), rng.integers(3, size=80), **tables)


def test_a_conversation_that_is_impossible_has_no_labels() -> None:
    emissions, start, end, stays, turns = normal(23, (3, 8, 4), (4,), (4,), (4, 4), (4, 4))
    emissions[1, 5] = -np.inf
    speakers, tags = np.arange(8) // 2 % 2, np.zeros((3, 8), dtype=np.int64)
    tables = {"start": start, "end": end, "self_transition": stays, "other_transition": turns}
    said = in_budget("skip_chain_crf", emissions, tags, np.broadcast_to(speakers, (3, 8)), **tables)
    np.testing.assert_array_equal((said.decode == -1).all(axis=-1), [False, True, False])
