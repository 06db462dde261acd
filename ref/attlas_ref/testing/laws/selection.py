"""What selections of features obey.

| in the specification | law |
| --- | --- |
| none selected = softmax | `with_nothing_selected_it_is_a_softmax` |
| the sum is 1 + |S| (|S| = d: all ones) | `selected_features_count_whole_and_the_rest_as_one` |
| shift-invariant in the unselected logits; masks | `only_differences_of_open_logits_matter` |
| the residual is orthogonal to selected columns | `the_residual_is_orthogonal_to_what_is_selected` |
| its norm is non-increasing | `one_more_feature_explains_no_less` |
| greedy: one at a time, none twice | `the_first_features_do_not_depend_on_how_many_follow` |
| orthonormal X picks the k largest |Xᵀy| | `orthonormal_features_are_taken_by_size` |
| both methods give the same order | `a_sequence_of_lassos_is_matching_pursuit` |

Against scikit-learn, and for the over-parametrization, see `tests/reference/test_pointer_selection.py`.
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

WEIGHTS, PURSUIT, SELECT = (
    "sequential_attention_weights", "orthogonal_matching_pursuit", "sequential_attention_select",
)  # fmt: skip


@law(WEIGHTS, statement="S = ∅: softmax")
def with_nothing_selected_it_is_a_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (logits,) = call.arrays
    part = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    none = np.zeros(logits.shape[-1], dtype=bool)
    return equal(call.given(selected=none).by(f), part / part.sum(axis=-1, keepdims=True))


@law(WEIGHTS, statement="Σ_i w_i = |S| + [S is not all];  w_i = 1 for i ∈ S;  0 <= w <= 1")
def selected_features_count_whole_and_the_rest_as_one(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    found = call.by(f)
    selected = np.broadcast_to(call.options["selected"], found.shape)
    total = selected.sum(axis=-1) + ~selected.all(axis=-1)
    return (
        equal(found.sum(axis=-1), total.astype(found.dtype)),
        same(np.where(selected, found, 1), np.ones(found.shape, dtype=found.dtype)),
        at_most(np.zeros_like(found), found),
        at_most(found, np.ones_like(found)),
    )


@law(WEIGHTS, statement="f(l + c [i ∉ S] + anything [i ∈ S], NaN included) = f(l)")
def only_differences_of_open_logits_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (logits,), selected = call.arrays, call.options["selected"]
    moved = np.where(selected, np.nan, logits + float(rng.uniform(-5, 5))).astype(logits.dtype)
    return equal(call.given(moved).by(f), call.by(f))


def _problem(call: Call, rng: np.random.Generator) -> tuple[Any, Any]:
    """Columns of length 1 and a target, drawn: more rows than columns, and nothing alike."""
    features, target = call.arrays
    columns: Any = rng.normal(size=(2 * features.shape[-1] + 3, features.shape[-1]))
    columns /= np.sqrt((columns**2).sum(axis=0))
    wanted: Any = rng.normal(size=columns.shape[0])
    return columns.astype(features.dtype), wanted.astype(target.dtype)


def _explained(f: Evaluate, call: Call, features: Any, target: Any, k: int) -> tuple[Any, Any]:
    order, coefficients = call.given(features, target, k=k).by(f)
    return order, target - (features @ coefficients[..., None])[..., 0]


@law(PURSUIT, statement="X_Sᵀ (y − X c) = 0, c = 0 outside of S", fixed={"return_coefficients": True})
def the_residual_is_orthogonal_to_what_is_selected(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    features, target = _problem(call, rng)
    order, residual = _explained(f, call, features, target, call.options["k"])
    coefficients = call.given(features, target).by(f).coefficients
    slope, used = features.T @ residual, np.isin(np.arange(features.shape[-1]), order)
    # The slope is what is left of two products that cancel: they are the two sides.
    whole = features.T @ target
    return (
        equal(np.where(used, whole - slope, 0), np.where(used, whole, 0)),
        same(coefficients != 0, used),
    )


@law(PURSUIT, statement="|y − X c_(k+1)| <= |y − X c_k|", fixed={"return_coefficients": True})
def one_more_feature_explains_no_less(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    features, target = _problem(call, rng)
    sizes = [np.sqrt((target**2).sum())]
    for k in range(1, features.shape[-1] + 1):
        sizes.append(np.sqrt((_explained(f, call, features, target, k)[1] ** 2).sum()))
    return at_most(np.array(sizes[1:]), np.array(sizes[:-1])), at_most(np.array(sizes[-1:]), np.array(sizes[:1]))


@law((PURSUIT, SELECT), statement="f(k)[:k'] = f(k') for k' <= k, all different")
def the_first_features_do_not_depend_on_how_many_follow(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    features, target = _problem(call, rng)
    whole = call.given(features, target, k=features.shape[-1]).by(f)
    few = call.given(features, target).by(f)
    return same(whole[: len(few)], few), same(np.sort(whole), np.arange(len(whole)))


@law((PURSUIT, SELECT), statement="XᵀX = 1: the k largest |Xᵀ y|, in their order")
def orthonormal_features_are_taken_by_size(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    rows = call.arrays[0].shape[-1] + 2
    dtype = call.arrays[0].dtype
    signed = np.diag(rng.choice([-1.0, 1.0], rows))[:, rng.permutation(rows)][:, :-2].astype(dtype)
    target = (rng.permutation(rows) + 1).astype(dtype)  # whole numbers: the products are exact
    found = call.given(signed, target).by(f)
    return same(found, np.argsort(-np.abs(signed.T @ target), kind="stable")[: call.options["k"]])


@law(
    SELECT, ties=(PURSUIT,), statement="f(lasso) = f(omp) = orthogonal_matching_pursuit for columns in general position"
)
def a_sequence_of_lassos_is_matching_pursuit(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    features, target = _problem(call, rng)
    lasso, omp = (call.given(features, target, method=method).by(f) for method in ("lasso", "omp"))
    return same(lasso, omp), same(omp, f(PURSUIT, features, target, k=call.options["k"]))
