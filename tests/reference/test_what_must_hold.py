"""Statements about single formulations that need an example, a mask builder or several sources at once."""

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(41)
ENOUGH = {"operations": 400, "magnitude": 4.0}
"""Dot products of width 4, sums of 6, scores and values below about 4."""


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def test_one_ungated_source_is_softmax_attention() -> None:
    query, key, value = random(3, 4), random(5, 4), random(5, 2)
    expected = attlas_ref.softmax_attention(query, key, value)
    for mode in ("sum", "joint"):
        actual = attlas_ref.multi_source_attention(query, [key], [value], mode=mode)
        assert_equal_up_to_rounding(actual, expected, **ENOUGH)


@pytest.mark.parametrize("mode", ["sum", "joint"])
def test_the_order_of_the_sources_does_not_matter(mode: str) -> None:
    query, keys, values = random(3, 4), [random(n, 4) for n in (2, 3, 1)], [random(n, 2) for n in (2, 3, 1)]
    forward = attlas_ref.multi_source_attention(query, keys, values, mode=mode)
    backward = attlas_ref.multi_source_attention(query, keys[::-1], values[::-1], mode=mode)
    assert_equal_up_to_rounding(forward, backward, **ENOUGH)


def test_equal_sources_with_gates_that_sum_to_one_are_softmax_attention() -> None:
    query, key, value = random(3, 4), random(5, 4), random(5, 2)
    actual = attlas_ref.multi_source_attention(query, [key] * 3, [value] * 3, gates=[0.5, 0.25, 0.25])
    assert_equal_up_to_rounding(actual, attlas_ref.softmax_attention(query, key, value), **ENOUGH)


def test_two_joint_sources_are_a_learned_prefix() -> None:
    query, key, value, prefix_key, prefix_value = random(3, 4), random(5, 4), random(5, 2), random(2, 4), random(2, 2)
    joint = attlas_ref.multi_source_attention(query, [prefix_key, key], [prefix_value, value], mode="joint")
    expected = attlas_ref.prefix_tuning_attention(query, key, value, prefix_key, prefix_value)
    assert_equal_up_to_rounding(joint, expected, **ENOUGH)


def test_a_prefix_adds_only_what_its_values_span() -> None:
    query, key, value, prefix_key, prefix_value = random(6, 4), random(5, 4), random(5, 4), random(2, 4), random(2, 4)
    output, share = attlas_ref.prefix_tuning_attention(query, key, value, prefix_key, prefix_value, return_share=True)
    added = output - (1 - share[:, None]) * attlas_ref.softmax_attention(query, key, value)
    basis = np.linalg.qr(prefix_value.T)[0]  # (4, 2)
    assert_equal_up_to_rounding(added, added @ basis @ basis.T, **ENOUGH)


def test_gatv2_can_rank_by_the_query_where_gat_cannot() -> None:
    # Two nodes, each nearest to itself by -|q - k| = -leaky(q - k) - leaky(k - q) at slope 0.
    query, key = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[-1.0, 1.0], [1.0, -1.0]])
    second = attlas_ref.graph_attention_v2(
        query, key, np.eye(2), score_vector=-np.ones(2), negative_slope=0.0, return_weights=True
    ).weights
    np.testing.assert_array_equal(second.argmax(axis=-1), [0, 1])
    for vector in random(20, 2):
        first = attlas_ref.graph_attention(
            query, key, np.eye(2), query_vector=vector, key_vector=vector, return_weights=True
        ).weights
        assert (first[0, 0] - first[0, 1]) * (first[1, 0] - first[1, 1]) >= 0


def test_permuting_the_values_of_positions_does_change_the_output() -> None:
    query, value, weight = random(2, 3), random(4, 2), random(3, 4)
    outputs = [attlas_ref.location_attention(query, rows, weight=weight) for rows in (value, value[::-1])]
    assert (outputs[0] != outputs[1]).any()
    moved = attlas_ref.location_attention(query, value[::-1], weight=weight[:, ::-1])
    assert_equal_up_to_rounding(moved, outputs[0], **ENOUGH)


def test_symmetric_scores_obey_cauchy_and_schwarz() -> None:
    # A token of zeros scores 0 with everybody: the scores are the log ratios to its weight.
    inputs = np.concatenate([np.zeros((1, 4)), random(6, 4)])
    weights = attlas_ref.symmetric_attention(inputs, factor=random(4, 3), return_weights=True).weights
    scores = np.log(weights / weights[:, :1])
    assert_equal_up_to_rounding(scores, scores.T, **ENOUGH)
    assert_equal_up_to_rounding(np.minimum(np.diag(scores), 0), np.zeros(7), **ENOUGH)
    excess = scores**2 - np.outer(np.diag(scores), np.diag(scores))
    assert_equal_up_to_rounding(np.maximum(excess, 0), np.zeros((7, 7)), operations=400, magnitude=100.0)


def test_rows_after_a_kernel_on_the_weights_need_not_sum_to_one() -> None:
    query, key, value = random(1, 4, 3), random(1, 4, 3), random(1, 4, 2)
    kernel = np.full((1, 1, 3), 0.5)
    sums = attlas_ref.multi_token_attention(query, key, value, post_kernel=kernel, return_weights=True).weights.sum(-1)
    assert_equal_up_to_rounding(sums[0, 0], 0.5, **ENOUGH)  # one weight, and one tap that meets it within the triangle
    assert (sums != 1).any()


def test_words_of_a_stack_know_of_each_other() -> None:
    query, key = random(3, 4), random(2, 4)
    mask = np.array([[True, False], [True, True], [False, True]])
    together = attlas_ref.stacked_cross_attention(query, key, mask=mask)
    assert (together[1:] != attlas_ref.stacked_cross_attention(query[1:], key, mask=mask[1:])).any()


def test_extra_mass_feels_a_shift_of_the_scores() -> None:
    query, key = np.ones((1, 1)), np.ones((1, 1))
    for bias in (-2.0, 0.0, 3.0):
        weight = attlas_ref.softmax_plus_n_attention(query, key, key, scale=0.0, bias=np.array([[bias]]))
        assert_equal_up_to_rounding(weight, [[1 / (1 + np.exp(-bias))]], operations=8)


def test_the_strength_of_a_difference_is_its_formula() -> None:
    vectors = random(4, 3)
    first, second = (mp.exp(mp.fsum(mp.mpf(float(x)) * mp.mpf(float(y)) for x, y in zip(*pair, strict=True)))
                     for pair in (vectors[:2], vectors[2:]))  # fmt: skip
    actual = attlas_ref.differential_strength(*vectors, initial=0.25)
    exact = first - second + mp.mpf(0.25)
    assert_equal_up_to_rounding(actual, float(exact), operations=50, magnitude=float(first + second))


def test_receivers_of_reversed_attention_know_of_each_other() -> None:
    query, key, value = random(3, 2), random(4, 2), random(4, 2)
    together = attlas_ref.reversed_attention(query, key, value)
    assert (together[:2] != attlas_ref.reversed_attention(query[:2], key, value)).any()


def test_reversed_attention_of_symmetric_weights_is_softmax_attention() -> None:
    # Points on a circle: all rows of the scores hold the same numbers, so the weights are symmetric.
    angle = 2 * np.pi * np.arange(5) / 5
    points, value = np.stack([np.cos(angle), np.sin(angle)], axis=-1), random(5, 3)
    weights = attlas_ref.softmax_attention(points, points, value, return_weights=True).weights
    assert_equal_up_to_rounding(weights, weights.T, **ENOUGH)
    expected = attlas_ref.softmax_attention(points, points, value)
    assert_equal_up_to_rounding(attlas_ref.reversed_attention(points, points, value), expected, **ENOUGH)


def test_soft_masks_reweight_and_hide_the_most_relevant() -> None:
    query, key, value, relevance = random(3, 4), random(6, 4), random(6, 2), random(6)
    mask = attlas_ref.soft_mask(relevance)
    assert mask[relevance.argmax()] == 0
    with np.errstate(divide="ignore"):
        masked = attlas_ref.softmax_attention(query, key, value, bias=np.log(mask), return_weights=True).weights
    weights = mask * attlas_ref.softmax_attention(query, key, value, return_weights=True).weights
    assert_equal_up_to_rounding(masked, weights / weights.sum(axis=-1, keepdims=True), **ENOUGH)
    np.testing.assert_array_equal(attlas_ref.soft_mask(np.full(3, 2.0)), np.ones(3))


def test_inner_and_outer_interpolation_differ_if_the_keys_do() -> None:
    query, k0, v0, k1, v1 = random(5, 3, 4)
    inner, outer = (attlas_ref.interpolated_attention(query, k0, v0, k1, v1, t=0.5, mode=m) for m in ("inner", "outer"))
    assert (inner != outer).any()


def test_an_unperturbed_score_has_no_gradient() -> None:
    np.testing.assert_array_equal(attlas_ref.attention_perturbation(np.zeros((2, 3)), size=0.5), np.zeros((2, 3)))


GROUPS = np.array([0, 2, 0, 1, 2])
ALL_MASKS: list[Callable[[], np.ndarray]] = [
    lambda: attlas_ref.causal_mask(6, 4),
    lambda: attlas_ref.prefix_mask(5, 2),
    lambda: attlas_ref.modality_mutual_mask(np.zeros(5, dtype=bool), image_start=1, text_start=2, text_end=4),
    lambda: attlas_ref.known_token_mask(np.array([False, True, False])),
    lambda: attlas_ref.skip_causal_mask(np.array([0, 1, 1])),
    lambda: attlas_ref.composite_mask(np.array([True, False, True]), self_visible=False),
    lambda: attlas_ref.isolation_mask(GROUPS),
    lambda: attlas_ref.block_mask(GROUPS, GROUPS, np.zeros((3, 3), dtype=bool)),
    lambda: attlas_ref.identity_mask(4),
]


@pytest.mark.parametrize("build", ALL_MASKS)
def test_attention_under_a_mask_is_never_nan(build: Callable[[], np.ndarray]) -> None:
    mask = build()
    output = attlas_ref.softmax_attention(random(mask.shape[0], 3), random(mask.shape[1], 3), random(mask.shape[1], 2),
                                          mask=mask)  # fmt: skip
    assert np.isfinite(output).all()
    assert not output[~mask.any(axis=-1)].any()


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 5), (5, 2)])
def test_the_causal_mask_is_the_causal_rule(m: int, n: int) -> None:
    query, key, value, mask = random(m, 4), random(n, 4), random(n, 2), attlas_ref.causal_mask(m, n)
    by_mask = attlas_ref.softmax_attention(query, key, value, mask=mask)
    np.testing.assert_array_equal(by_mask, attlas_ref.softmax_attention(query, key, value, causal=True))
    assert mask[-1].all()


def test_masks_of_nothing_special_are_causal_or_full() -> None:
    causal, full, none = attlas_ref.causal_mask(5, 5), np.ones((5, 5), dtype=bool), np.zeros(5, dtype=bool)
    first = np.arange(5) == 0
    for mask, expected in (
        (attlas_ref.prefix_mask(5, 0), causal),
        (attlas_ref.prefix_mask(5, 5), full),
        (attlas_ref.modality_mutual_mask(~none, image_start=1, text_start=3, text_end=3), causal),
        (attlas_ref.known_token_mask(first), causal),
        (attlas_ref.known_token_mask(~none), full),
        (attlas_ref.composite_mask(none), causal),
        (attlas_ref.composite_mask(~none), attlas_ref.identity_mask(5)),
        (attlas_ref.composite_mask(~none, self_visible=False), ~full),
        (attlas_ref.isolation_mask(np.full(5, -1)), full),
        (attlas_ref.isolation_mask(GROUPS), GROUPS[:, None] == GROUPS),
        (attlas_ref.block_mask(GROUPS, GROUPS, np.eye(3, dtype=bool)), GROUPS[:, None] == GROUPS),
        (attlas_ref.block_mask(GROUPS, GROUPS, np.ones((3, 3), dtype=bool)), full),
        (attlas_ref.block_mask(np.arange(5), np.arange(5), np.tri(5, dtype=bool)), causal),
    ):
        np.testing.assert_array_equal(mask, expected)


def test_isolation_is_symmetric_and_blind_to_labels() -> None:
    groups = np.array([0, -1, 2, 0, 1])
    mask = attlas_ref.isolation_mask(groups)
    np.testing.assert_array_equal(mask, mask.T)
    np.testing.assert_array_equal(attlas_ref.isolation_mask(np.where(groups < 0, -1, 7 - 3 * groups)), mask)


def test_conditions_around_a_shared_part_are_blocks() -> None:
    labels, allowed = np.array([0, 1, 0, 2, 1]), np.eye(3, dtype=bool)
    allowed[0] = True
    expected = [[g == 0 or g == other for other in labels] for g in labels]  # a condition sees only itself
    np.testing.assert_array_equal(attlas_ref.block_mask(labels, labels, allowed), expected)
    allowed[:, 0] = True
    np.testing.assert_array_equal(attlas_ref.block_mask(labels, labels, allowed), attlas_ref.isolation_mask(labels - 1))


def test_clean_and_noised_tokens_see_as_many() -> None:
    blocks = np.array([0, 0, 1, 2, 2])
    n, mask = len(blocks), attlas_ref.skip_causal_mask(blocks)
    np.testing.assert_array_equal(mask[:n].sum(axis=-1), mask[n:].sum(axis=-1))
    # Blocks of clean tokens, then of noised ones: an instance of the block mask.
    clean, before, same = np.tri(3, dtype=bool), np.tri(3, k=-1, dtype=bool), np.eye(3, dtype=bool)
    labels, allowed = np.concatenate([blocks, 3 + blocks]), np.block([[clean, np.zeros_like(same)], [before, same]])
    np.testing.assert_array_equal(mask, attlas_ref.block_mask(labels, labels, allowed))


def test_skip_causal_masks_of_one_block_and_of_single_tokens() -> None:
    square, nothing = np.ones((3, 3), dtype=bool), np.zeros((3, 3), dtype=bool)
    np.testing.assert_array_equal(
        attlas_ref.skip_causal_mask(np.zeros(3, dtype=int)), np.block([[square, nothing], [nothing, square]])
    )
    single = attlas_ref.skip_causal_mask(np.arange(3))
    np.testing.assert_array_equal(single[:3, :3], attlas_ref.causal_mask(3, 3))
    np.testing.assert_array_equal(single[3:], np.block([np.tri(3, k=-1, dtype=bool), np.eye(3, dtype=bool)]))
