"""Attention near a place: windows, segments and peaks, against PyTorch, with masks and with what stands behind them."""

from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 400}
"""Softmaxes of at most 7 scores below about 10."""


def drawn(m: int = 5, n: int = 7, batch: tuple[int, ...] = (2,)) -> tuple[np.ndarray, ...]:
    return tuple(RNG.normal(size=(*batch, *shape)) for shape in ((m, 4), (n, 4), (n, 3)))


def allowed(name: str, places: np.ndarray, n: int) -> np.ndarray:
    """Which keys each query may read: two before to one behind the place, or the segment up to it."""
    rows = []
    for i, place in enumerate(places.tolist()):
        start = place - 2 if name == "windowed_soft_attention" else (places.tolist()[i - 1] + 1 if i else 0)
        stop = place + 1 if name == "windowed_soft_attention" else place
        rows.append([start <= j <= stop for j in range(n)])
    return np.array(rows)


NEARBY = pytest.mark.parametrize(
    ("name", "places", "options"),
    [
        ("windowed_soft_attention", np.array([-1, 0, 3, 6, 9]), {"left": 2, "right": 1}),
        ("segmental_soft_attention", np.array([-1, 0, 3, 3, 6]), {}),
    ],
)


@NEARBY
def test_nearby_attention_is_that_of_torch(name: str, places: Any, options: Any, torch: Any) -> None:
    query, key, value = drawn()
    inside = allowed(name, places, 7)
    bias = RNG.normal(size=(5, 7))
    seen = inside.any(axis=-1)
    output, weights = getattr(attlas_ref, name)(query, key, value, places, bias=bias, return_weights=True, **options)
    hidden = torch.from_numpy(np.where(inside, bias, -np.inf)[seen])
    tensors = (torch.from_numpy(x) for x in (query[:, seen], key, value))
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=hidden).numpy()
    assert_equal_up_to_rounding(output[:, seen], expected, **SMALL)
    assert not output[:, ~seen].any()
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(inside, weights.shape))


@NEARBY
@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_nobody_sees_cannot_leak(name: str, places: Any, options: Any, strange: float) -> None:
    query, key, value = drawn()
    inside = allowed(name, places, 7)
    mask = inside & (RNG.random((5, 7)) < 0.7)
    function = getattr(attlas_ref, name)
    seen, sees = mask.any(axis=0)[:, None], mask.any(axis=1)[:, None]
    fouled = [np.where(keep, x, strange) for keep, x in zip((sees, seen, seen), (query, key, value), strict=True)]
    bias = np.where(mask, 0.5, strange)
    clean = function(query, key, value, places, mask=mask, **options)
    assert_equal_up_to_rounding(function(*fouled, places, mask=mask, bias=bias, **options), clean, **SMALL)
    for j in range(7):
        spoiled = key.copy()
        spoiled[:, j] = np.nan
        output = function(query, spoiled, value, places, mask=mask, **options)
        np.testing.assert_array_equal(np.isnan(output), np.broadcast_to(mask[:, j, None], output.shape))


def test_places_and_boundaries_must_be_legal() -> None:
    query, key, value = drawn()
    with pytest.raises(TypeError, match="center"):
        attlas_ref.windowed_soft_attention(query, key, value, [0.5, 1, 2, 3, 4])
    for wrong, error in (
        ([0, 2, 1, 3, 4], ValueError),
        ([0, 1, 2, 3, 7], ValueError),
        ([-2, 1, 2, 3, 4], ValueError),
        ([0.5, 1, 2, 3, 4], TypeError),
    ):
        with pytest.raises(error, match="boundaries"):
            attlas_ref.segmental_soft_attention(query, key, value, wrong)


def aware_by_loop(query: Any, key: Any, value: Any, gate: Any, radius: int, center: Any, mask: Any) -> np.ndarray:
    """The definition for one head, query by query."""
    rows = []
    for i in range(len(query)):
        scores = [float(query[i] @ k) / np.sqrt(key.shape[-1]) for k in key]
        seen = [j for j in range(len(key)) if mask[i, j]]
        row = np.zeros(value.shape[-1])
        peak = center[i] if center is not None else max(seen, key=lambda j: (scores[j], -j), default=0)
        near = [j for j in seen if abs(j - peak) <= radius]
        for share, group in ((gate[i], seen), (1 - gate[i], near)):
            total = sum(np.exp(scores[j]) for j in group)
            row += sum((share * np.exp(scores[j]) / total * value[j] for j in group), np.zeros(value.shape[-1]))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("center", [None, [0, 6, 3, 9, 2]])
def test_two_attentions_are_mixed_as_written(radius: int, center: Any) -> None:
    query, key, value = drawn(batch=())
    gate, mask = RNG.random(5), RNG.random((5, 7)) < 0.6
    mask[1] = False
    output = attlas_ref.context_aware_cross_attention(query, key, value, gate, radius=radius, center=center, mask=mask)
    assert_equal_up_to_rounding(output, aware_by_loop(query, key, value, gate, radius, center, mask), **SMALL)


def test_the_first_of_equal_peaks_is_taken() -> None:
    key = np.array([[1.0], [2.0], [2.0], [0.0]])
    weights = attlas_ref.context_aware_cross_attention(
        np.ones((1, 1)), key, np.eye(4), [0.0], radius=0, return_weights=True
    ).weights
    np.testing.assert_array_equal(weights, [[0, 1, 0, 0]])


def test_gates_of_queries_that_see_something_are_shares() -> None:
    query, key, value = drawn(batch=())
    mask = np.ones((5, 7), dtype=bool)
    mask[2] = False
    gate = np.array([0.0, 1.0, np.nan, 0.5, 0.5])
    output = attlas_ref.context_aware_cross_attention(query, key, value, gate, radius=1, mask=mask)
    assert not output[2].any()
    assert np.isfinite(output).all()
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="gate"):
            attlas_ref.context_aware_cross_attention(query, key, value, np.full(5, wrong), radius=1)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_no_query_sees_leaks_neither_near_nor_far(strange: float) -> None:
    query, key, value = drawn()
    mask = np.ones((5, 7), dtype=bool)
    mask[1], mask[:, 4] = False, False
    seen, sees = mask.any(axis=0)[:, None], mask.any(axis=1)[:, None]
    fouled = [np.where(keep, x, strange) for keep, x in zip((sees, seen, seen), (query, key, value), strict=True)]
    gate = np.full(5, 0.25)
    for center in (None, [4, 4, 4, 0, 6]):
        clean = attlas_ref.context_aware_cross_attention(query, key, value, gate, radius=1, mask=mask, center=center)
        found = attlas_ref.context_aware_cross_attention(*fouled, gate, radius=1, mask=mask, center=center)
        assert_equal_up_to_rounding(found, clean, **SMALL)
    # A key that is seen spoils the queries that see it, also where it lies outside of the window.
    spoiled = key.copy()
    spoiled[:, 0] = np.nan
    some = mask.copy()
    some[3, 0] = False
    output = attlas_ref.context_aware_cross_attention(query, spoiled, value, gate, radius=0, mask=some)
    np.testing.assert_array_equal(np.isnan(output).all(axis=(0, 2)), some[:, 0])
