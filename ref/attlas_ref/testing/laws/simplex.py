"""What sparsemax and entmax obey as maps, and the attentions that normalize each row with them.

Both maximize p·x + H_α(p) over the simplex, with H_α(p) = Σ_j (p_j − p_j^α)/(α(α − 1)). An entry is 0 as soon as it
lies 1/(α − 1) below the largest, since the threshold is at least (α − 1) max x − 1.

| in the specification | law |
| --- | --- |
| in the simplex; all masked: zeros | `projections_lie_in_the_simplex` |
| shift invariant | `projections_do_not_feel_a_shift` |
| permutation equivariant | `projections_may_be_permuted` |
| constant row: uniform | `equal_scores_share_equally` |
| sparsemax of a point of the simplex is itself | `sparsemax_leaves_the_simplex_alone` |
| n = 2: clip((1 + x1 − x2)/2, 0, 1) | `sparsemax_of_two_is_a_clipped_line` |
| argmin of |p − x| over the simplex | `sparsemax_is_the_nearest_point_of_the_simplex` |
| argmax of p·x + H_α(p) | `entmax_maximizes_score_and_entropy` |
| exact zeros below the threshold; α to infinity: argmax | `entmax_drops_what_lies_far_below`, `a_gap_leaves_the_best` |
| sort = bisect | `sorting_and_bisection_agree` |
| α to 1: softmax | `entmax_tends_to_softmax` |
| the gradient sums to 0; one-hot: 0 | `gradients_of_projections_sum_to_zero`, `a_one_hot_projection_has_no_gradient` |
| α = 1: the softmax VJP | `the_gradient_of_entmax_begins_at_that_of_softmax` |
| every law of the map row-wise | `sparsemax_attention_projects_its_scores`, `entmax_attention_projects_its_scores` |
| margin of 1: one-hot | `a_margin_of_one_leaves_the_best_value` |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes, scores_of
from .law import Evaluate, Relation, at_most, equal, law, same

MAPS = ("sparsemax", "entmax")
LAST = {"axis": -1}
OPEN = {"mask": None, **LAST}


def _seen(call: Call) -> Any:
    """Which scores are visible, at full shape."""
    mask = call.options.get("mask")
    return np.broadcast_to(True if mask is None else mask, call.arrays[0].shape)


def _alpha(call: Call) -> float:
    return 2.0 if "sparsemax" in call.name else float(call.options.get("alpha", 1.5))


def _random_point(like: Any, seen: Any, rng: np.random.Generator) -> Any:
    """A random point of the simplex over the visible entries, zeros where there are none."""
    point = np.where(seen, rng.exponential(size=like.shape) ** 3, 0)
    total = point.sum(axis=-1, keepdims=True)
    return (point / np.where(total == 0, 1, total)).astype(like.dtype)


@law(MAPS, statement="p_j >= 0, p_j = 0 where hidden, Σ_j p_j = 1, or 0 where all is hidden", fixed=LAST)
def projections_lie_in_the_simplex(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    p, seen = call.by(f), _seen(call)
    sums = p.sum(axis=-1)
    hidden = np.where(seen, 0, p)
    return (
        same(p < 0, np.zeros(p.shape, dtype=bool)),
        same(hidden, np.zeros_like(hidden)),
        equal(sums, seen.any(axis=-1).astype(p.dtype)),
    )


@law(MAPS, statement="p(x + c) = p(x)", fixed=LAST)
def projections_do_not_feel_a_shift(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    return equal(call.given(scores + float(rng.uniform(-20, 20))).by(f), call.by(f))


@law(MAPS, statement="p(x[P]) = p(x)[P] for every permutation P, the mask with it", fixed=LAST)
def projections_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    order = rng.permutation(scores.shape[-1])
    return equal(call.given(scores[..., order], mask=_seen(call)[..., order]).by(f), call.by(f)[..., order])


@law(MAPS, statement="x constant: p_j = 1/n over the n visible entries", fixed=LAST)
def equal_scores_share_equally(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    seen = _seen(call)
    share = seen / np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    constant = np.full_like(scores, float(rng.uniform(-5, 5)))
    return equal(call.given(constant).by(f), share.astype(scores.dtype))


@law("sparsemax", statement="sparsemax(p) = p for every p in the simplex", fixed=OPEN, least={"n": 1})
def sparsemax_leaves_the_simplex_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    point = _random_point(scores, _seen(call), rng)
    return equal(call.given(point).by(f), point)


@law("sparsemax", statement="n = 2: p = (t, 1 − t), t = clip((1 + x₁ − x₂)/2, 0, 1)", fixed=OPEN, least={"n": 2})
def sparsemax_of_two_is_a_clipped_line(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    pair = call.arrays[0][..., :2]
    first = np.clip((1 + pair[..., 0] - pair[..., 1]) / 2, 0, 1)
    return equal(call.given(pair).by(f), np.stack([first, 1 - first], axis=-1))


@law("sparsemax", statement="|p − x| <= |y − x| for every y in the simplex", fixed=LAST)
def sparsemax_is_the_nearest_point_of_the_simplex(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores, seen = np.clip(call.arrays[0], -8, 8), _seen(call)
    p, other = call.given(scores).by(f), _random_point(scores, seen, rng)
    return at_most(*(np.where(seen, (y - scores) ** 2, 0).sum(axis=-1) for y in (p, other)))


@law("entmax", statement="p·x + H_α(p) >= y·x + H_α(y) for every y in the simplex",
     fixed={"alpha": 1.3, "method": "auto", **LAST})  # fmt: skip
def entmax_maximizes_score_and_entropy(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores, seen = np.clip(call.arrays[0], -8, 8), _seen(call)
    alpha = [1.3, 1.5, 2.0, 3.0][rng.integers(4)]

    def objective(p: Any) -> Any:
        p = np.where(p > 0, p, 0)
        entropy = (p - p**alpha) / (alpha * (alpha - 1))
        return (np.where(seen, p * scores, 0) + entropy).sum(axis=-1)

    p = call.given(scores, alpha=alpha).by(f)
    return at_most(objective(_random_point(scores, seen, rng)), objective(p))


@law(MAPS, statement="p_j = 0 exactly where x_j <= max x − 1/(α − 1)", fixed={"alpha": 1.5, **LAST})
def entmax_drops_what_lies_far_below(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    scores = np.rint(np.clip(scores, -8, 8))  # whole numbers: the gap of 2, or of 1, is exact
    far = scores <= np.where(_seen(call), scores, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf) - 1 / (
        _alpha(call) - 1
    )
    dropped = np.where(far, call.given(scores).by(f), 0)
    return same(dropped, np.zeros_like(dropped))


@law("entmax", statement="α >= 1 + 1/gap: the entries of largest score share equally; α → ∞ is the argmax",
     fixed={"alpha": 3.0, "method": "auto", **LAST})  # fmt: skip
def a_gap_leaves_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    scores, seen = np.rint(np.clip(scores, -8, 8)), _seen(call)  # a gap is at least 1
    best = seen & (scores == np.where(seen, scores, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf))
    share = best / np.maximum(best.sum(axis=-1, keepdims=True), 1)
    return equal(call.given(scores, alpha=float(rng.uniform(2, 5))).by(f), share.astype(scores.dtype))


@law("entmax", statement="the threshold by sorting is the threshold by bisection, α = 3/2 and 2",
     fixed={"alpha": 1.5, "method": "sort", "iterations": 60, **LAST})  # fmt: skip
def sorting_and_bisection_agree(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return tuple(
        equal(call.given(alpha=alpha).by(f), call.given(alpha=alpha, method="bisect").by(f)) for alpha in (1.5, 2.0)
    )


@law("entmax", statement="Σ_j |entmax_j(x, 1 + ε) − softmax_j(x)| <= 2 √(ε (log n + 2n/e²))",
     fixed={"alpha": 1.0, "method": "auto", **LAST})  # fmt: skip
def entmax_tends_to_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    # |H_α − H_1| <= ε (log n + 2n/e²), since p log² p <= 4/e²; and H_1 is strongly concave in the sum norm (Pinsker).
    epsilon, n = float(10 ** rng.uniform(-3, -1)), max(call.arrays[0].shape[-1], 1)
    distance = np.abs(call.given(alpha=1 + epsilon).by(f) - call.by(f)).sum(axis=-1)
    bound = 2 * np.sqrt(epsilon * (np.log(n) + 2 * n / np.e**2))
    return at_most(distance, np.full_like(distance, bound))


@law(("sparsemax_vjp", "entmax_vjp"), statement="Σ_j dx_j = 0", fixed=LAST)
def gradients_of_projections_sum_to_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sums = call.by(f).sum(axis=-1)
    return equal(sums, np.zeros_like(sums))


@law("sparsemax_vjp", statement="p one-hot: dx = 0 exactly", fixed=LAST, least={"n": 1})
def a_one_hot_projection_has_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores, gradient = call.arrays
    best = rng.integers(scores.shape[-1])
    ahead = np.where(np.arange(scores.shape[-1]) == best, 20, np.rint(np.clip(scores, -8, 8)))
    moved = call.given(ahead.astype(scores.dtype), gradient, mask=None).by(f)
    return same(moved, np.zeros_like(moved))


@law("entmax_vjp", ties=("entmax",), statement="α = 1: dx = p (g − p·g)", fixed={"alpha": 1.0, **LAST})
def the_gradient_of_entmax_begins_at_that_of_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores, gradient = call.arrays
    p = f("entmax", scores, alpha=1.0, mask=call.options.get("mask"))
    return equal(call.by(f), p * (gradient - (p * gradient).sum(axis=-1, keepdims=True)))


@law("sparsemax_attention", ties=("sparsemax",), statement="w_i = sparsemax(s_i) over V(i)",
     fixed={"return_weights": True})  # fmt: skip
def sparsemax_attention_projects_its_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    projected = f("sparsemax", *_rows(call)[:1], mask=_rows(call)[1])
    return equal(np.broadcast_to(call.by(f).weights, projected.shape), projected)


@law("entmax_attention", ties=("entmax",), statement="w_i = entmax(s_i, α) over V(i)", fixed={"return_weights": True})
def entmax_attention_projects_its_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores, seen = _rows(call)
    return equal(call.by(f).weights, f("entmax", scores, alpha=_alpha(call), mask=seen))


def _rows(call: Call) -> tuple[Any, Any]:
    """The scores of a call, and where they count: a bias of -inf hides too."""
    scores = scores_of(call)
    return np.where(scores == -np.inf, 0, scores).astype(call.arrays[0].dtype), np.asarray(scores != -np.inf)


@law(("sparsemax_attention", "entmax_attention"), statement="best score 1 ahead (α >= 2): its value alone",
     fixed={"bias": None, "scale": 1.0, "alpha": 2.0}, least={"n": 1})  # fmt: skip
def a_margin_of_one_leaves_the_best_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    whole = call.given(*(np.rint(np.clip(x, -8, 8)) for x in (query, key)), value)  # whole scores: a gap is at least 1
    scores, visible = scores_of(whole), visible_in(whole)
    best = visible & (scores == extremes(scores, visible)[1][..., None])
    mean = (best / np.maximum(best.sum(axis=-1, keepdims=True), 1)).astype(value.dtype) @ value
    return equal(whole.by(f), mean)
