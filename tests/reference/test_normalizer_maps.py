"""Maps from scores to weights against loops over scalars in 50 digits, and against what defines them."""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import Problem
from rounding import assert_equal_up_to_rounding
from test_against_exact_loops import SIZES, arrays, roundings, visibilities

import attlas_ref

Row = dict[int, Any]


def softmax_plus(scores: Row, extra: Any) -> Row:
    total = extra + mp.fsum(mp.exp(s) for s in scores.values())
    return {j: mp.exp(s) / total if total else mp.mpf(0) for j, s in scores.items()}


def sparsest_projection(scores: Row) -> Row:
    """The nearest point of the simplex, by trying every support."""
    best: tuple[Any, Row] | None = None
    for size in range(1, len(scores) + 1):
        for support in itertools.combinations(scores, size):
            shift = (mp.fsum(scores[j] for j in support) - 1) / size
            p = {j: scores[j] - shift if j in support else mp.mpf(0) for j in scores}
            if min(p.values()) < 0:
                continue
            distance = mp.fsum((p[j] - scores[j]) ** 2 for j in scores)
            if best is None or distance < best[0]:
                best = distance, p
    return best[1] if best else {}


def entmax(scores: Row, alpha: Any) -> Row:
    """The root of the sum, by 200 halvings."""
    if not scores:
        return {}
    if alpha == 1:
        return softmax_plus(scores, 0)
    x = {j: (alpha - 1) * s for j, s in scores.items()}
    low, high = max(x.values()) - 1, max(x.values())

    def power(threshold: Any) -> Row:
        return {j: max(v - threshold, mp.mpf(0)) ** (1 / (alpha - 1)) for j, v in x.items()}

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if mp.fsum(power(middle).values()) >= 1 else (low, middle)
    return power(low)


def cog(scores: Row) -> Row:
    p = softmax_plus({j: abs(s) for j, s in scores.items()}, 0)
    return {j: mp.sign(scores[j]) * p[j] for j in scores}


def top(scores: Row, k: int) -> Row:
    kept = sorted(scores.values(), reverse=True)[:k]
    return softmax_plus({j: s for j, s in scores.items() if s >= kept[-1]}, 0) if kept else {}


MAPS: list[tuple[str, dict[str, Any], Callable[[Row], Row]]] = [
    ("softmax_plus_n_attention", {"extra": 2.5}, lambda s: softmax_plus(s, mp.mpf(2.5))),
    ("softmax_plus_n_attention", {"extra": 0.0}, lambda s: softmax_plus(s, 0)),
    ("sparsemax_attention", {}, sparsest_projection),
    ("entmax_attention", {"alpha": 1.0}, lambda s: entmax(s, mp.mpf(1))),
    ("entmax_attention", {"alpha": 1.5}, lambda s: entmax(s, mp.mpf(1.5))),
    ("entmax_attention", {"alpha": 1.25}, lambda s: entmax(s, mp.mpf(1.25))),
    ("entmax_attention", {"alpha": 2.0}, sparsest_projection),
    ("cog_attention", {}, cog),
    ("topk_softmax_attention", {"top_k": 2}, lambda s: top(s, 2)),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("name", "options", "exact_map"), MAPS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_weights_and_output_are_those_of_the_loops(
    name: str, options: dict[str, Any], exact_map: Callable[[Row], Row], sizes: tuple[int, ...]
) -> None:
    query, key, value = arrays(*sizes)
    for visibility in visibilities(*sizes[:2]):
        problem = Problem(query, key, value, **visibility)
        weights = []
        for i in range(problem.m):
            row = exact_map({j: problem.score(i, j) for j in problem.visible(i)})
            weights.append([row.get(j, mp.mpf(0)) for j in range(problem.n)])
        # A square root in the threshold can halve the digits that a score has lost.
        bound = {"operations": 8 * roundings(problem), "magnitude": max(1.0, np.abs(value).sum())}
        actual, actual_weights = getattr(attlas_ref, name)(
            query, key, value, **options, **visibility, return_weights=True
        )
        assert_equal_up_to_rounding(actual_weights, weights, **bound)
        assert_equal_up_to_rounding(actual, problem.output(weights), **bound)


@pytest.mark.parametrize("alpha", [1.0, 1.2, 1.5, 2.0, 3.0])
def test_the_gradient_of_entmax_is_its_slope_away_from_kinks(alpha: float) -> None:
    rng = np.random.default_rng(7)
    scores, gradient = rng.normal(size=6), rng.normal(size=6)
    claimed = attlas_ref.entmax_vjp(scores, gradient, alpha=alpha)
    step = mp.mpf(10) ** -20

    def value(x: list[Any]) -> Any:
        return mp.fsum(g * p for g, p in zip(gradient, entmax(dict(enumerate(x)), mp.mpf(alpha)).values(), strict=True))

    exact = [mp.mpf(float(x)) for x in scores]
    slopes = [
        (
            value([x + step * (i == c) for i, x in enumerate(exact)])
            - value([x - step * (i == c) for i, x in enumerate(exact)])
        )
        / (2 * step)
        for c in range(6)
    ]
    assert_equal_up_to_rounding(claimed, slopes, operations=2000, magnitude=np.abs(gradient).sum())


def test_sparsemax_vjp_is_entmax_vjp_with_alpha_two() -> None:
    rng = np.random.default_rng(8)
    scores, gradient = rng.normal(size=(2, 5, 7))
    mask = rng.random((5, 7)) < 0.7
    assert_equal_up_to_rounding(
        attlas_ref.sparsemax_vjp(scores, gradient, mask=mask),
        attlas_ref.entmax_vjp(scores, gradient, alpha=2.0, mask=mask),
        operations=100,
        magnitude=np.abs(gradient).max(),
    )


@pytest.mark.parametrize("function", [attlas_ref.sparsemax, attlas_ref.entmax])
def test_projections_work_along_any_axis(function: Callable[..., np.ndarray]) -> None:
    scores = np.random.default_rng(9).normal(size=(3, 4, 5))
    for axis in range(-3, 3):
        moved = np.moveaxis(function(np.moveaxis(scores, axis, -1)), -1, axis)
        np.testing.assert_array_equal(function(scores, axis=axis), moved)


def test_sinks_are_keys_with_their_own_scores() -> None:
    rng = np.random.default_rng(10)
    query, key, value = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 3))
    sink, sink_value = rng.normal(size=(2, 2)), rng.normal(size=(2, 2, 3))
    # The same as appended keys of zeros whose bias is the sink's logit.
    longer = np.concatenate([key, np.zeros((2, 2, 4))], axis=-2), np.concatenate([value, sink_value], axis=-2)
    bias = np.zeros((2, 3, 7))
    bias[..., 5:] = sink[:, None, :]
    expected = attlas_ref.softmax_attention(query, *longer, bias=bias)
    actual = attlas_ref.sink_attention(query, key, value, sink=sink, sink_value=sink_value)
    assert_equal_up_to_rounding(actual, expected, operations=200, magnitude=4.0)


def test_reversed_attention_is_the_transpose_of_attention_with_the_roles_exchanged() -> None:
    rng = np.random.default_rng(11)
    query, key, value = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    mask = rng.random((3, 4)) < 0.6
    weights = attlas_ref.reversed_attention(query, key, value, mask=mask, return_weights=True).weights
    exchanged = attlas_ref.softmax_attention(key, query, query, mask=mask.T, return_weights=True).weights
    np.testing.assert_array_equal(weights, exchanged.T)
    gate = rng.random(4)
    gated = attlas_ref.reversed_attention(query, key, value, sender_gate=gate)
    assert_equal_up_to_rounding(gated.sum(axis=0), gate @ value, operations=100, magnitude=4.0)


def test_cosine_attention_is_softmax_attention_on_unit_vectors() -> None:
    rng = np.random.default_rng(12)
    query, key, value = rng.normal(size=(3, 3, 4))
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key)]
    expected = attlas_ref.softmax_attention(*unit, value, scale=7.0)
    assert_equal_up_to_rounding(
        attlas_ref.cosine_attention(query, key, value, scale=7.0), expected, operations=400, magnitude=4.0
    )


def test_differential_attention_is_the_difference_of_two() -> None:
    rng = np.random.default_rng(13)
    q1, q2, k1, k2, value = rng.normal(size=(5, 3, 4))
    first, second = attlas_ref.softmax_attention(q1, k1, value), attlas_ref.softmax_attention(q2, k2, value)
    strength = np.array([[0.3]])
    actual = attlas_ref.differential_attention(q1, k1, q2, k2, value, strength=strength)
    expected = first - 0.3 * second
    assert_equal_up_to_rounding(actual, expected, operations=100, magnitude=4.0)
    normed = attlas_ref.differential_attention(q1, k1, q2, k2, value, strength=0.3, norm_eps=0.0, norm_scale=0.5)
    rms = np.sqrt((expected**2).mean(axis=-1, keepdims=True))
    assert_equal_up_to_rounding(normed, 0.5 * expected / rms, operations=1000, magnitude=4.0)


def test_pladis_is_on_the_line_from_softmax_through_entmax() -> None:
    rng = np.random.default_rng(14)
    query, key, value = rng.normal(size=(3, 4, 4))
    dense, sparse = attlas_ref.softmax_attention(query, key, value), attlas_ref.entmax_attention(query, key, value)
    actual = attlas_ref.pladis_attention(query, key, value, strength=1.7)
    assert_equal_up_to_rounding(actual, 1.7 * sparse - 0.7 * dense, operations=200, magnitude=4.0)
