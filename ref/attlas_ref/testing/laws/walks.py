"""What a pointer obeys that only moves forward: where it is expected, where it stops, and the gradient of that.

| in the specification | law, or test in `tests/reference/test_monotonic_expected.py` |
| --- | --- |
| alignment: α ≥ 0, sums do not grow | `a_pointer_only_loses_mass` |
| alignment: conservation | `a_key_that_always_stops_takes_what_is_lost`, `test_what_is_lost_ran_off_the_end` |
| alignment: enumeration | `test_the_alignment_is_that_of_all_paths` |
| alignment: p = 1 | `a_pointer_that_always_stops_stays` |
| alignment: p in {0, 1} is the hard process | `sure_probabilities_leave_no_expectation` |
| alignment: cumulative mass does not grow | `a_pointer_never_goes_back_on_average` |
| alignment: recursive = parallel | `the_scan_is_the_recursion`, `test_both_methods_keep_the_digits_of_small_masses` |
| alignment: p near 0.95 | `clamping_only_loses_mass`, `test_clamped_products_lose_mass_and_the_recursion_does_not` |
| streaming | `rows_may_come_one_by_one` |
| hard: t does not decrease | `a_pointer_never_goes_back` |
| hard: m + n inspections | `a_pointer_needs_no_more_than_m_plus_n_keys` |
| sampled: mean over draws | `test_the_mean_over_all_draws_is_the_expectation` |
| sampled: u = 1/2 is the hard process | `even_coins_are_the_hard_process` |
| gradient | `the_alignment_is_a_straight_line_in_each_probability`, `the_alignment_is_linear_in_its_start` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

ALIGN, HARD, SAMPLED = "monotonic_alignment", "monotonic_hard_alignment", "sampled_monotonic_alignment"
VJP, STEPWISE, PRESERVED = "monotonic_alignment_vjp", "stepwise_monotonic_alignment", "mass_preservation"
EXACT = {"eps": 0.0}
ONE = {"n": 1}


def seen_by(call: Call, array: Any) -> Any:
    """Which query may take which key, at the shape of an array (..., m, n)."""
    mask = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, array.shape)


def start_of(call: Call, like: Any) -> Any:
    """Where the pointer is before the first row of an alignment, (..., n)."""
    previous = call.options.get("previous")
    dirac = np.eye(1, like.shape[-1], dtype=like.dtype)[0]
    return np.broadcast_to(dirac if previous is None else previous, (*like.shape[:-2], like.shape[-1]))


def with_start(call: Call, alignment: Any) -> Any:
    """The alignment with the row before the first, (..., m + 1, n)."""
    return np.concatenate([start_of(call, alignment)[..., None, :], alignment], axis=-2)


def row(array: Any, i: int) -> Any:
    """Row i of what may have been left at one row."""
    return array if array is None or array.ndim < 2 or array.shape[-2] == 1 else array[..., i : i + 1, :]


@law((ALIGN, STEPWISE), statement="0 <= α_ij, and Σ_j α_ij <= Σ_j α_(i−1),j")
def a_pointer_only_loses_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    alignment = call.by(f)
    totals = with_start(call, alignment).sum(axis=-1)
    return at_most(np.zeros_like(alignment), alignment), at_most(totals[..., 1:], totals[..., :-1])


@law(ALIGN, statement="a further key with p = 1 leaves the others alone, and all rows sum to Σ_j α_−1,j",
     fixed={**EXACT, "mask": None})  # fmt: skip
def a_key_that_always_stops_takes_what_is_lost(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    alignment, (p,) = call.by(f), call.arrays
    start = start_of(call, alignment)
    longer = call.given(
        np.concatenate([p, np.ones_like(p[..., :1])], axis=-1),
        previous=np.concatenate([start, np.zeros_like(start[..., :1])], axis=-1),
    ).by(f)
    if not p.shape[-1]:
        return (same(0, 0),)
    total = np.broadcast_to(start.sum(axis=-1)[..., None], longer.shape[:-1])
    return equal(longer[..., :-1], alignment), equal(longer.sum(axis=-1), total)


@law(ALIGN, statement="p = 1: α_i = α_−1", fixed={"mask": None, **EXACT})
def a_pointer_that_always_stops_stays(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment = call.given(np.ones_like(call.arrays[0])).by(f)
    return equal(alignment, np.broadcast_to(start_of(call, alignment)[..., None, :], alignment.shape))


@law(ALIGN, ties=(HARD,), statement="p in {0, 1}, one-hot start: α = the hard alignment", fixed=EXACT, least=ONE)
def sure_probabilities_leave_no_expectation(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sure = np.rint(call.arrays[0])
    start = np.eye(sure.shape[-1], dtype=sure.dtype)[int(rng.integers(sure.shape[-1]))]
    hard = f(HARD, sure, previous=start, **options_of(call, "mask"))
    return equal(call.given(sure, previous=start).by(f), hard)


@law((ALIGN, STEPWISE), statement="Σ_(l <= j) α_il <= Σ_(l <= j) α_(i−1),l")
def a_pointer_never_goes_back_on_average(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    behind = np.cumsum(with_start(call, call.by(f)), axis=-1)
    return at_most(behind[..., 1:, :], behind[..., :-1, :])


@law(ALIGN, statement="the scan over the keys = the recursion", fixed=EXACT)
def the_scan_is_the_recursion(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(method="parallel").by(f), call.given(method="recursive").by(f))


@law(ALIGN, statement="eps > 0: α <= the exact alignment", fixed={"method": "parallel", "eps": 1e-3})
def clamping_only_loses_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return at_most(call.by(f), call.given(eps=0.0).by(f))


@law((ALIGN, HARD, SAMPLED), statement="f(p, mask) = f(p, 0 at hidden keys), and 0 at hidden keys",
     fixed={"stay_on_last": False})  # fmt: skip
def a_pointer_passes_hidden_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    alignment, (p,) = call.by(f), call.arrays
    mask = call.options.get("mask")
    closed = p if mask is None else np.where(mask, p, 0)
    free = call.given(closed, mask=None).by(f)
    return same(np.where(seen_by(call, alignment), 0, alignment), np.zeros_like(alignment)), equal(
        alignment, np.broadcast_to(free, alignment.shape)
    )


@law((ALIGN, STEPWISE, HARD, SAMPLED), statement="m calls of one row, each with the row before = one call of m rows",
     fixed={"stay_on_last": False})  # fmt: skip
def rows_may_come_one_by_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole, (p,) = call.by(f), call.arrays
    last, rows = start_of(call, whole), []
    for i in range(p.shape[-2]):
        options = {name: row(call.options[name], i) for name in ("mask", "uniform") if name in call.options}
        rows.append(call.given(p[..., i : i + 1, :], **options, previous=last).by(f))
        last = rows[-1][..., 0, :]
    return equal(whole, np.concatenate(rows, axis=-2) if rows else whole)


@law((HARD, SAMPLED), statement="t_i >= t_(i−1); α_ij = [j = t_i]; for masks of keys also with stay_on_last",
     fixed={"mask": "keys", "return_index": True})  # fmt: skip
def a_pointer_never_goes_back(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found = call.by(f)
    index = np.broadcast_to(found.index, found.alignment.shape[:-1])
    chosen = np.arange(found.alignment.shape[-1]) == index[..., None]
    return at_most(index[..., :-1], index[..., 1:]), same(found.alignment, chosen.astype(found.alignment.dtype))


@law((HARD, SAMPLED), statement="Σ_i |[t_(i−1), t_i]| <= m + n, and p at all other pairs changes nothing", least=ONE,
     fixed={"stay_on_last": False, "return_index": True})  # fmt: skip
def a_pointer_needs_no_more_than_m_plus_n_keys(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    found, (p,) = call.by(f), call.arrays
    m, n = found.alignment.shape[-2:]
    index = np.broadcast_to(found.index, found.alignment.shape[:-1])
    start = start_of(call, found.alignment)
    first = np.where((start > 0).any(axis=-1), start.argmax(axis=-1), n)
    before = np.concatenate([first[..., None], index[..., :-1]], axis=-1)
    j = np.arange(n)
    looked_at = (before[..., None] <= j) & (j <= index[..., None])
    whole = np.broadcast_to(p, looked_at.shape)
    other = np.where(looked_at, whole, rng.random(whole.shape).astype(p.dtype))
    counts = looked_at.sum(axis=(-2, -1))
    return at_most(counts, np.full_like(counts, m + n)), same(call.given(other).by(f).index, found.index)


@law(HARD, ties=(ALIGN, PRESERVED), statement="p in {0, 1}, masks of keys, stay_on_last: α with its mass preserved",
     fixed={"mask": "keys", "stay_on_last": True, "previous": None})  # fmt: skip
def staying_on_the_last_key_preserves_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sure = np.rint(call.arrays[0])
    mask = options_of(call, "mask")
    return equal(call.given(sure).by(f), f(PRESERVED, f(ALIGN, sure, **mask), **mask))


@law(SAMPLED, ties=(HARD,), statement="u = 1/2, p != 1/2: the hard process")
def even_coins_are_the_hard_process(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (p,) = call.arrays
    decided = np.where(p == 0.5, 0.75, p).astype(p.dtype)
    coins = np.full(p.shape, 0.5, dtype=p.dtype)
    hard = f(HARD, decided, **options_of(call, "previous", "mask", "stay_on_last"))
    return same(call.given(decided, uniform=coins).by(f), hard)


@law(SAMPLED, statement="u' <= u: t' <= t", fixed={"return_index": True})
def braver_coins_stop_no_later(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    braver = call.options["uniform"] * 0.5
    return at_most(call.given(uniform=braver).by(f).index, call.by(f).index)


def _whole(call: Call) -> tuple[Any, Any, Any]:
    """The arrays of a gradient and its start with all leading axes."""
    p, grad = call.arrays
    previous = call.options.get("previous")
    start = np.eye(1, p.shape[-1], dtype=p.dtype)[0] if previous is None else previous
    batch = np.broadcast_shapes(p.shape[:-2], grad.shape[:-2], start.shape[:-1])
    shapes = ((*batch, *p.shape[-2:]), (*batch, *grad.shape[-2:]), (*batch, p.shape[-1]))
    return tuple(np.broadcast_to(x, shape) for x, shape in zip((p, grad, start), shapes, strict=True))  # type: ignore[return-value]


@law(VJP, ties=(ALIGN,), statement="p_ij + δ: Σ G α grows by δ times the gradient of p_ij, for every δ",
     least={"m": 1, "n": 1})  # fmt: skip
def the_alignment_is_a_straight_line_in_each_probability(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p, grad, start = _whole(call)
    options = {**options_of(call, "mask"), "previous": start}
    i, j = (int(rng.integers(size)) for size in p.shape[-2:])
    moved = p.copy()
    moved[..., i, j] = rng.uniform(0, 1)
    rise = ((f(ALIGN, moved, **options) - f(ALIGN, p, **options)) * grad).sum(axis=(-2, -1))
    slope = f(VJP, p, grad, **options).grad_p_choose[..., i, j]
    visible = seen_by(call, p)[..., i, j]
    return equal(rise, np.where(visible, (moved - p)[..., i, j] * slope, 0))


@law(VJP, ties=(ALIGN,), statement="Σ G α = <α_−1, the gradient of α_−1>")
def the_alignment_is_linear_in_its_start(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p, grad, start = _whole(call)
    options = {**options_of(call, "mask"), "previous": start}
    loss = (f(ALIGN, p, **options) * grad).sum(axis=(-2, -1))
    return equal(loss, (f(VJP, p, grad, **options).grad_previous * start).sum(axis=-1))


@law(VJP, statement="hidden keys have the gradient 0, exactly")
def hidden_stops_have_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    p, grad, start = _whole(call)
    slopes = call.given(p, grad, previous=start).by(f).grad_p_choose
    return same(np.where(seen_by(call, slopes), 0, slopes), np.zeros_like(slopes))
