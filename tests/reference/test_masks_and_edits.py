"""Masks against their definitions entry by entry, and edits of weights against loops and closed forms."""

from collections.abc import Callable

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(31)


def random_weights(*shape: int) -> np.ndarray:
    weights = RNG.random(shape)
    return weights / weights.sum(axis=-1, keepdims=True)


def from_rule(m: int, n: int, rule: Callable[[int, int], bool]) -> np.ndarray:
    return np.array([[bool(rule(i, j)) for j in range(n)] for i in range(m)], dtype=bool).reshape(m, n)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (1, 1), (3, 3), (2, 5), (5, 2), (0, 3), (3, 0)])
def test_causal_mask(m: int, n: int) -> None:
    np.testing.assert_array_equal(attlas_ref.causal_mask(m, n), from_rule(m, n, lambda i, j: j <= i + n - m))


@pytest.mark.parametrize("prefix", [0, 2, 5])
def test_prefix_mask(prefix: int) -> None:
    expected = from_rule(5, 5, lambda i, j: j <= i or j < prefix)
    np.testing.assert_array_equal(attlas_ref.prefix_mask(5, prefix), expected)


def test_modality_mutual_mask() -> None:
    valid = np.array([True, True, False, True, True, True])
    expected = from_rule(6, 6, lambda i, j: valid[j] and (j <= i or (1 <= i < 3 and 3 <= j < 5)))
    actual = attlas_ref.modality_mutual_mask(valid, image_start=1, text_start=3, text_end=5)
    np.testing.assert_array_equal(actual, expected)


def test_known_token_mask() -> None:
    known = np.array([False, True, False, False, True])
    expected = from_rule(5, 5, lambda i, j: known[j] or (j <= i and not known[i]))
    np.testing.assert_array_equal(attlas_ref.known_token_mask(known), expected)
    np.testing.assert_array_equal(attlas_ref.known_token_mask(np.zeros(4, bool)), attlas_ref.causal_mask(4, 4))


def test_attention_under_the_skip_causal_mask_is_block_by_block_generation() -> None:
    blocks = np.array([0, 0, 1, 2, 2])
    n = len(blocks)
    query, key, value = RNG.normal(size=(3, 2 * n, 4))
    output = attlas_ref.softmax_attention(query, key, value, mask=attlas_ref.skip_causal_mask(blocks))
    for block in range(3):
        now = np.flatnonzero(blocks == block)
        clean_before, noised = np.flatnonzero(blocks < block), n + now
        seen = np.concatenate([clean_before, noised])
        alone = attlas_ref.softmax_attention(query[noised], key[seen], value[seen])
        assert_equal_up_to_rounding(output[noised], alone, operations=100, magnitude=4.0)


def test_composite_mask() -> None:
    visual = np.array([True, False, True, False])
    for self_visible in (True, False):
        expected = from_rule(4, 4, lambda i, j: (i == j and self_visible) if visual[i] else j <= i)  # noqa: B023
        np.testing.assert_array_equal(attlas_ref.composite_mask(visual, self_visible=self_visible), expected)


def test_isolation_mask_is_a_block_mask() -> None:
    groups, key_groups = np.array([0, 1, -1, 2]), np.array([-1, 0, 2])
    expected = from_rule(4, 3, lambda i, j: not (groups[i] >= 0 and key_groups[j] >= 0 and groups[i] != key_groups[j]))
    np.testing.assert_array_equal(attlas_ref.isolation_mask(groups, key_groups), expected)
    allowed = np.eye(4, dtype=bool)
    allowed[0] = allowed[:, 0] = True
    np.testing.assert_array_equal(attlas_ref.block_mask(groups + 1, key_groups + 1, allowed), expected)


def test_attention_under_the_identity_mask_is_the_identity() -> None:
    query, key, value = RNG.normal(size=(3, 6, 4))
    np.testing.assert_array_equal(
        attlas_ref.softmax_attention(query, key, value, mask=attlas_ref.identity_mask(6)), value
    )


@pytest.mark.parametrize(
    ("call", "error", "argument"),
    [
        (lambda: attlas_ref.causal_mask(-1, 2), ValueError, "m"),
        (lambda: attlas_ref.causal_mask(1.5, 2), TypeError, "m"),
        (lambda: attlas_ref.prefix_mask(3, 4), ValueError, "prefix_length"),
        (lambda: attlas_ref.known_token_mask([1, 0]), TypeError, "known"),
        (lambda: attlas_ref.skip_causal_mask([1, 0]), ValueError, "blocks"),
        (lambda: attlas_ref.block_mask([0, 2], [0], np.eye(2, dtype=bool)), ValueError, "query_blocks"),
        (lambda: attlas_ref.block_mask([0], [0], np.ones((1, 2), dtype=bool)), ValueError, "allowed"),
        (lambda: attlas_ref.isolation_mask([-2]), ValueError, "groups"),
        (lambda: attlas_ref.composite_mask(np.ones((2, 2), bool)), ValueError, "visual"),
        (
            lambda: attlas_ref.modality_mutual_mask(np.ones(3, bool), image_start=2, text_start=1, text_end=3),
            ValueError,
            "text_start",
        ),
    ],
)
def test_a_bad_mask_names_its_argument(call: Callable[[], object], error: type[Exception], argument: str) -> None:
    with pytest.raises(error, match=rf"\b{argument}\b"):
        call()


def test_calibration_moves_the_freed_weight_in_proportion() -> None:
    weights = np.tril(RNG.random((2, 5, 5)) + 0.05)
    weights[..., 0] += 3
    weights[0, 2:, 2] += 9
    weights /= weights.sum(axis=-1, keepdims=True)
    beta, threshold = 0.3, 0.35
    expected = weights.copy()
    for t_mean, h in ((weights[h].sum(axis=0) / np.arange(5, 0, -1), h) for h in (0,)):
        sinks = np.flatnonzero(t_mean > threshold)[1:]
        assert len(sinks)
        for i in range(1, 5):
            freed = (1 - beta) * weights[h, i, sinks].sum()
            rest = np.delete(np.arange(5), sinks)
            expected[h, i, sinks] *= beta
            expected[h, i, rest] += freed * weights[h, i, rest] / weights[h, i, rest].sum()
    actual = attlas_ref.calibrate_attention_sinks(weights, threshold=threshold, beta=beta, heads=[0])
    assert_equal_up_to_rounding(actual, expected, operations=50)
    assert_equal_up_to_rounding(actual.sum(axis=-1), np.ones((2, 5)), operations=50)


def test_redistribution_keeps_row_sums_and_other_rows() -> None:
    weights = random_weights(3, 6, 8)
    actual = attlas_ref.redistribute_visual_attention(
        weights, sinks=[0, 3], image_start=2, image_length=3, keep=0.25, rho=0.9, threshold=0.1
    )
    assert_equal_up_to_rounding(actual.sum(axis=-1), weights.sum(axis=-1), operations=50)
    np.testing.assert_array_equal(actual[:, :5], weights[:, :5])
    assert (actual[:, 5] != weights[:, 5]).any()
    row = weights[0, 5]
    moved = row.copy()
    if row[3] <= 0.9 * (row[2:5] + 1e-6).sum() and row[2:5].sum() >= 0.1:
        budget = 0.75 * (row[0] + row[3])
        moved[[0, 3]] *= 0.25
        moved[[2, 4]] += budget * row[[2, 4]] / row[[2, 4]].sum()
    assert_equal_up_to_rounding(actual[0, 5], moved, operations=50)


def test_split_softmax_sets_the_mass_of_the_subset() -> None:
    weights, subset = random_weights(4, 6), RNG.random((4, 6)) < 0.5
    subset[0], subset[1] = False, True
    actual = attlas_ref.split_softmax(weights, subset=subset, exponent=0.4)
    mass = np.where(subset, weights, 0).sum(axis=-1)
    assert_equal_up_to_rounding(np.where(subset, actual, 0).sum(axis=-1), mass**0.4, operations=100)
    assert_equal_up_to_rounding(actual.sum(axis=-1), np.ones(4), operations=100)
    np.testing.assert_array_equal(actual[:2], weights[:2])


def test_amplifying_heads_is_a_bias_before_the_softmax() -> None:
    query, key, value = RNG.normal(size=(3, 2, 4, 5))
    tokens, gains = np.array([True, False, True, False]), np.array([0.5, 3.0])
    bias = np.where(tokens, np.log1p(gains)[:, None], 0)[:, None, :]
    weights = attlas_ref.softmax_attention(query, key, value, return_weights=True).weights
    expected = attlas_ref.softmax_attention(query, key, value, bias=bias, return_weights=True).weights
    actual = attlas_ref.amplify_heads(weights, tokens=tokens, gains=gains)
    assert_equal_up_to_rounding(actual, expected, operations=200)


def test_transfer_gives_the_removed_weight_to_the_targets() -> None:
    weights = random_weights(2, 5, 5)
    actual = attlas_ref.transfer_attention(weights, rows=slice(2, 4), targets=slice(0, 2), threshold=0.15)
    assert_equal_up_to_rounding(actual.sum(axis=-1), np.ones((2, 5)), operations=100)
    np.testing.assert_array_equal(actual[:, [0, 1, 4]], weights[:, [0, 1, 4]])
    for h in range(2):
        for i in (2, 3):
            row = weights[h, i].copy()
            if not (row[:2] > 0.15).any():
                continue
            row[:4][row[:4] < 0.15] = 0
            share = np.where(row[:2] >= 0.15, 100.0, 5.0)
            row[:2] += (1 - row.sum()) * share / share.sum()
            assert_equal_up_to_rounding(actual[h, i], row, operations=100)


def test_counterfactual_maps() -> None:
    weights = random_weights(2, 3, 4)
    uniform = attlas_ref.counterfactual_attention_map(weights)
    assert_equal_up_to_rounding(uniform.sum(axis=(-1, -2)), weights.sum(axis=(-1, -2)), operations=50, magnitude=4.0)
    twice = attlas_ref.counterfactual_attention_map(
        attlas_ref.counterfactual_attention_map(weights, method="reversed"), method="reversed"
    )
    assert_equal_up_to_rounding(twice, weights - weights.min(axis=(-1, -2), keepdims=True), operations=8)
    order = np.stack([RNG.permutation(12) for _ in range(2)])
    shuffled = attlas_ref.counterfactual_attention_map(weights, method="shuffle", draws=order)
    np.testing.assert_array_equal(np.sort(shuffled.reshape(2, -1)), np.sort(weights.reshape(2, -1)))
    with pytest.raises(ValueError, match="draws"):
        attlas_ref.counterfactual_attention_map(weights, method="shuffle", draws=np.zeros(12, dtype=int))


@pytest.mark.parametrize("mode", ["outer", "inner"])
def test_interpolation_begins_and_ends_at_the_endpoints(mode: str) -> None:
    query, k0, v0, k1, v1, own_key, own_value = RNG.normal(size=(7, 3, 4))
    own = {"key": own_key, "value": own_value}
    for t, key, value in ((0.0, k0, v0), (1.0, k1, v1)):
        expected = attlas_ref.softmax_attention(
            query, np.concatenate([own_key, key]), np.concatenate([own_value, value])
        )
        actual = attlas_ref.interpolated_attention(query, k0, v0, k1, v1, t=t, mode=mode, **own)
        assert_equal_up_to_rounding(actual, expected, operations=100, magnitude=4.0)


def test_the_penalty_and_its_gradient() -> None:
    weights = random_weights(2, 3, 5)
    forbidden = np.array([True, False, False, True, False])
    mass = weights[..., forbidden].sum(axis=-1)
    penalty, grad = attlas_ref.deceptive_attention_penalty(
        weights, impermissible=forbidden, strength=0.7, return_grad=True
    )
    assert_equal_up_to_rounding(penalty, (-0.7 * np.log(1 - mass)).mean(), operations=100)
    assert_equal_up_to_rounding(grad[..., 0], 0.7 / (1 - mass) / 6, operations=100)
    assert not grad[..., ~forbidden].any()
    largest = attlas_ref.deceptive_attention_penalty(weights, impermissible=forbidden, reduction="max")
    assert_equal_up_to_rounding(largest, (-np.log(1 - mass)).mean(axis=-1).max(), operations=100)


def test_the_energy_of_a_region_and_its_gradient() -> None:
    weights, region = RNG.random((3, 6)), RNG.random(6)
    weights[1] = 0
    energy, grad = attlas_ref.region_attention_energy(weights, region=region, return_grad=True)
    assert energy[1] == 1
    assert not grad[1].any()
    assert_equal_up_to_rounding((weights * grad).sum(axis=-1), np.zeros(3), operations=100, magnitude=4.0)
    step = np.zeros_like(weights, dtype=complex)
    step[0, 2] = 1e-100j
    moved = attlas_ref.region_attention_energy.__wrapped__(weights + step, region=region)
    assert_equal_up_to_rounding(grad[0, 2], moved[0].imag / 1e-100, operations=100)


def test_a_perturbation_has_its_length_and_direction() -> None:
    gradient, mask = RNG.normal(size=(3, 5)), np.array([True, True, False, True, True])
    r = attlas_ref.attention_perturbation(gradient, size=0.5, mask=mask)
    assert_equal_up_to_rounding(np.linalg.norm(r, axis=-1), np.full(3, 0.5), operations=50)
    assert not r[:, 2].any()
    assert_equal_up_to_rounding(
        (r * gradient).sum(axis=-1), 0.5 * np.linalg.norm(gradient * mask, axis=-1), operations=50, magnitude=4.0
    )


def test_soft_masks_contrastive_maps_shifts_and_blends_are_their_formulas() -> None:
    relevance = RNG.normal(size=(2, 5))
    mask = attlas_ref.soft_mask(relevance, floor=0.2)
    assert_equal_up_to_rounding(attlas_ref.soft_mask(3 * relevance + 7, floor=0.2), mask, operations=100)
    np.testing.assert_array_equal(mask.min(axis=-1), [0.2, 0.2])
    np.testing.assert_array_equal(mask.max(axis=-1), [1.0, 1.0])
    noise, signal = RNG.random(5) + 0.1, RNG.random(5)
    recovered = attlas_ref.contrastive_attention_map(noise * signal, noise, regularizer=0.0)
    assert_equal_up_to_rounding(recovered, signal, operations=8)
    query, key, d_query, d_key = RNG.normal(size=(4, 3, 4))
    shifted = attlas_ref.shift_along_direction(
        query, key, query_direction=d_query[0], key_direction=d_key[0], strength=2.0
    )
    bias = 2.0 * (d_query[0] @ key.T) / 2.0  # the scale is 1 / sqrt(4)
    expected = attlas_ref.softmax_attention(query, key, key, bias=bias, return_weights=True).weights
    actual = attlas_ref.softmax_attention(shifted.query, shifted.key, key, return_weights=True).weights
    assert_equal_up_to_rounding(actual, expected, operations=400)
    blended = attlas_ref.blend_bidirectional(query, key, weight=-3.0, base=np.array(1.0))
    assert_equal_up_to_rounding(blended, query / 4 + 3 * key / 4, operations=8, magnitude=4.0)


def test_sink_tokens_are_found_whatever_their_scale() -> None:
    hidden = RNG.normal(size=(6, 900))
    hidden[[1, 4], 5] = 500.0
    for scale in (1.0, 1e3):
        np.testing.assert_array_equal(attlas_ref.visual_sink_tokens(scale * hidden, dims=[5]), [1, 4])
    assert not attlas_ref.visual_sink_tokens(hidden, dims=[5], tau=30.0).size


def test_conditioned_attention_reads_the_plain_states() -> None:
    inputs, features, score = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 4, 2)), RNG.normal(size=3)
    plain = attlas_ref.softmax_attention(score[None], inputs, inputs, scale=1.0)[:, 0]
    wide_open = {"gate_weight": np.zeros((2, 3)), "gate_bias": np.full(3, 800.0)}
    identity = {
        "scale_weight": np.zeros((2, 3)),
        "scale_bias": np.ones(3),
        "shift_weight": np.zeros((2, 3)),
        "shift_bias": np.zeros(3),
    }
    ways = [
        attlas_ref.conditioned_attention(inputs, features, score_weight=score, method="gate", **wide_open),
        attlas_ref.conditioned_attention(inputs, features, score_weight=score, method="affine", **identity),
        attlas_ref.conditioned_attention(inputs, features, score_weight=np.append(score, [0.0, 0.0])),
    ]
    for way in ways:
        assert_equal_up_to_rounding(way, plain, operations=200, magnitude=4.0)


def test_uniform_collapsed_and_symmetric_attention_are_softmax_attention() -> None:
    x, y, weight = RNG.normal(size=(3, 4)), RNG.normal(size=(5, 4)), RNG.normal(size=(4, 4))
    bound = {"operations": 400, "magnitude": 4.0}
    assert_equal_up_to_rounding(
        attlas_ref.uniform_attention(y, m=3, causal=True),
        attlas_ref.softmax_attention(np.zeros((3, 1)), np.zeros((5, 1)), y, causal=True),
        **bound,
    )
    assert_equal_up_to_rounding(
        attlas_ref.collapsed_attention(x, y, weight=weight), attlas_ref.softmax_attention(x @ weight, y, y), **bound
    )
    np.testing.assert_array_equal(
        attlas_ref.collapsed_attention(x, weight=weight), attlas_ref.collapsed_attention(x, x, weight=weight)
    )
    assert_equal_up_to_rounding(
        attlas_ref.symmetric_attention(x, factor=weight),
        attlas_ref.collapsed_attention(x, weight=weight @ weight.T),
        **bound,
    )
