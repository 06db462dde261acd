"""What attention near a place obeys: in a window, in a segment, about its own peak.

| in the specification | law |
| --- | --- |
| window >= n, as a mask | `a_wide_window_is_no_window`, `a_window_is_a_mask` |
| window of one: hard | `a_window_of_one_copies_a_value` |
| window: `luong_local_attention` | `a_window_about_given_centers_is_local_attention` |
| one segment of all, as a mask | `one_segment_is_all_attention`, `a_segment_is_a_mask` |
| segments touch each key once | `segments_share_out_the_keys` |
| segments of one copy the values | `segments_of_one_copy_the_values` |
| near a peak: gate 1, or a radius over all | `a_full_gate_looks_everywhere`, `a_wide_radius_looks_everywhere` |
| near a peak: gate 0, radius 0 | `near_its_peak_alone_attention_is_hard` |
| near a peak: gate 0, centers given | `near_given_centers_attention_is_windowed` |
| near a peak: the gate mixes, linearly | `the_gate_mixes_everywhere_and_near` |
| near a peak: B is A in the window | `near_attention_is_attention_divided_again` |
| near a peak: rows sum to 1 | `mixed_rows_sum_to_one` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, equal, law, same

WINDOW, SEGMENT, AWARE = "windowed_soft_attention", "segmental_soft_attention", "context_aware_cross_attention"
SOFTMAX, LOCAL, HARD = "softmax_attention", "luong_local_attention", "hard_attention"
DENSE = {"m": 1, "n": 1}
LOOK = ("scale", "mask", "bias")


def _full(call: Call) -> tuple[Any, Any, Any]:
    """Queries, keys and values with all leading axes."""
    *arrays, place = call.arrays
    batch = np.broadcast_shapes(*(array.shape[:-2] for array in arrays), place.shape[:-1])
    query, key, value = (np.broadcast_to(array, (*batch, *array.shape[-2:])) for array in arrays)
    return query, key, value


@law(WINDOW, ties=(SOFTMAX,), statement="left, right >= n, c in [0, n): f = softmax_attention", least=DENSE)
def a_wide_window_is_no_window(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, center = call.arrays
    n = key.shape[-2]
    inside = np.clip(center, 0, n - 1)
    wide = call.given(query, key, value, inside, left=n, right=n).by(f)
    return equal(wide, f(SOFTMAX, *_full(call), **options_of(call, *LOOK)))


@law(WINDOW, ties=(SOFTMAX,), statement="f = softmax_attention(mask and c − left <= j <= c + right)", least=DENSE)
def a_window_is_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    center, n = np.asarray(call.arrays[3])[..., None], call.arrays[1].shape[-2]
    left, right = call.options.get("left", 5), call.options.get("right", 4)
    window = np.array([[j >= c - left and j <= c + right for j in range(n)] for c in center.ravel()], dtype=bool)
    window = window.reshape(*center.shape[:-1], n)
    mask = call.options.get("mask")
    both = {**options_of(call, *LOOK), "mask": window if mask is None else window & mask}
    return equal(call.by(f), f(SOFTMAX, *_full(call), **both))


@law(WINDOW, statement="left = right = 0: f = v[c], or 0 outside", fixed={"mask": None, "bias": None}, least=DENSE)
def a_window_of_one_copies_a_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, _, value = _full(call)
    n = value.shape[-2]
    center = np.broadcast_to(np.asarray(call.arrays[3]).astype(int), (*value.shape[:-2], call.arrays[3].shape[-1]))
    inside = (center >= 0) & (center < n)
    copied = np.take_along_axis(value, np.clip(center, 0, n - 1)[..., None], axis=-2)
    return equal(call.given(left=0, right=0).by(f), np.where(inside[..., None], copied, 0))


@law(WINDOW, ties=(LOCAL,), statement="scale = 1, left = right = D: f = luong_local_attention(center = c, window = D)",
     fixed={"bias": None}, least=DENSE)  # fmt: skip
def a_window_about_given_centers_is_local_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    width = int(rng.integers(4))
    near = call.given(scale=1.0, left=width, right=width).by(f)
    center = np.broadcast_to(call.arrays[3], near.shape[:-1])
    return equal(near, f(LOCAL, *_full(call), window=width, center=center, **options_of(call, "mask")))


@law(SEGMENT, ties=(SOFTMAX,), statement="m = 1, b_0 = n − 1: f = softmax_attention", least=DENSE,
     fixed={"mask": None, "bias": None})  # fmt: skip
def one_segment_is_all_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _full(call)
    query = query[..., :1, :]
    end = np.full(query.shape[:-1], key.shape[-2] - 1)
    return equal(call.given(query, key, value, end).by(f), f(SOFTMAX, query, key, value, **options_of(call, "scale")))


@law(SEGMENT, ties=(SOFTMAX,), statement="f = softmax_attention(mask and b_(i−1) < j <= b_i)", least=DENSE)
def a_segment_is_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    ends, n = np.asarray(call.arrays[3]), call.arrays[1].shape[-2]
    segment = np.zeros((*ends.shape, n), dtype=bool)
    for place in np.ndindex(ends.shape):
        start = int(ends[*place[:-1], place[-1] - 1]) + 1 if place[-1] else 0
        segment[place][start : int(ends[place]) + 1] = True
    mask = call.options.get("mask")
    both = {**options_of(call, *LOOK), "mask": segment if mask is None else segment & mask}
    return equal(call.by(f), f(SOFTMAX, *_full(call), **both))


@law(SEGMENT, statement="b strictly increasing up to n − 1: each key has a weight in one row", least=DENSE,
     fixed={"mask": None, "bias": None, "return_weights": True})  # fmt: skip
def segments_share_out_the_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = _full(call)
    m, n = query.shape[-2], key.shape[-2]
    count = min(m, n)
    ends = np.append(np.sort(rng.permutation(n - 1)[: count - 1]), n - 1)
    ends = np.broadcast_to(ends, (*query.shape[:-2], count))
    weights = call.given(query[..., :count, :], key, value, ends, scale=0.0).by(f).weights
    rows = weights.sum(axis=-1)
    touched = (weights > 0).sum(axis=-2)
    return same(touched, np.ones_like(touched)), equal(rows, np.ones_like(rows))


@law(SEGMENT, statement="m = n, b_i = i: f = v", fixed={"mask": None, "bias": None}, least=DENSE)
def segments_of_one_copy_the_values(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _full(call)
    count = min(query.shape[-2], key.shape[-2])
    ends = np.broadcast_to(np.arange(count), (*query.shape[:-2], count))
    return equal(call.given(query[..., :count, :], key, value, ends).by(f), value[..., :count, :])


@law((WINDOW, SEGMENT, AWARE), statement="f(q, k, a v + b u) = a f(q, k, v) + b f(q, k, u)", least=DENSE)
def nearby_outputs_are_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, place = call.arrays
    other = rng.standard_normal(value.shape).astype(value.dtype)
    mixed = call.given(query, key, 2 * value - other, place).by(f)
    return equal(mixed, 2 * call.by(f) - call.given(query, key, other, place).by(f))


def _with_gate(call: Call, gate: float) -> Call:
    query, key, value, gates = call.arrays
    return call.given(query, key, value, np.full_like(gates, gate))


@law(AWARE, ties=(SOFTMAX,), statement="g = 1: f = softmax_attention", least=DENSE)
def a_full_gate_looks_everywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(_with_gate(call, 1).by(f), f(SOFTMAX, *_full(call), **options_of(call, *LOOK)))


@law(AWARE, ties=(SOFTMAX,), statement="r >= n, c in [0, n): f = softmax_attention", least=DENSE)
def a_wide_radius_looks_everywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _full(call)
    n = key.shape[-2]
    center = rng.integers(0, n, query.shape[:-1]) if rng.integers(2) else None
    return equal(call.given(radius=n, center=center).by(f), f(SOFTMAX, query, key, value, **options_of(call, *LOOK)))


@law(AWARE, ties=(HARD,), statement="g = 0, r = 0: f = hard_attention", least=DENSE)
def near_its_peak_alone_attention_is_hard(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _with_gate(call, 0).given(radius=0, center=None)
    return equal(call.by(f), f(HARD, *_full(call), **options_of(call, *LOOK)))


@law(AWARE, ties=(WINDOW,), statement="g = 0, c given: f = windowed_soft_attention(c, left = right = r)", least=DENSE)
def near_given_centers_attention_is_windowed(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = _full(call)
    radius, center = int(rng.integers(4)), rng.integers(0, key.shape[-2] + 2, query.shape[:-1])
    near = _with_gate(call, 0).given(radius=radius, center=center).by(f)
    return equal(near, f(WINDOW, query, key, value, center, left=radius, right=radius, **options_of(call, *LOOK)))


@law(AWARE, statement="f(g) = g f(1) + (1 − g) f(0)", least=DENSE)
def the_gate_mixes_everywhere_and_near(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    gate = call.arrays[3][..., None]
    return equal(call.by(f), gate * _with_gate(call, 1).by(f) + (1 - gate) * _with_gate(call, 0).by(f))


@law(AWARE, statement="B Σ_(B > 0) A = A where B > 0", fixed={"return_weights": True}, least=DENSE)
def near_attention_is_attention_divided_again(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    everywhere, near = (_with_gate(call, gate).by(f).weights for gate in (1, 0))
    inside = np.where(near > 0, everywhere, 0)
    return equal(near * inside.sum(axis=-1, keepdims=True), inside)


@law(AWARE, statement="c not given: Σ_j w_ij = 1, or 0 where nothing is visible", least=DENSE,
     fixed={"return_weights": True, "bias": None})  # fmt: skip
def mixed_rows_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    rows = call.given(center=None).by(f).weights.sum(axis=-1)
    mask = call.options.get("mask")
    seen = np.ones(rows.shape, dtype=bool) if mask is None else np.broadcast_to(mask.any(axis=-1), rows.shape)
    return equal(rows, seen.astype(rows.dtype))
