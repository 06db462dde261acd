"""What attention through landmarks obeys, and its gradients.

| in the specification | law |
| --- | --- |
| landmark: rows sum to 1; an empty block loses its mass | `rows_give_away_all_but_the_mass_of_empty_blocks` |
| landmark: no landmarks | `without_landmarks_it_is_causal_attention` |
| landmark: one token per block, a landmark with an equal key | `a_landmark_like_its_only_token_is_that_token` |
| landmark: its value never matters | `the_value_of_a_landmark_is_not_read` |
| landmark: top_k >= number of earlier blocks | `a_top_k_of_all_blocks_drops_none`, |
| | `a_top_k_of_none_leaves_the_own_block` |
| landmark: the mass of a block is its landmark's probability | `a_block_is_read_as_much_as_its_landmark` |
| landmark vjp: no landmarks | `without_landmarks_the_gradients_are_those_of_causal_attention` |
| landmark vjp: ds sums to 0 over every group | `every_group_of_scores_has_a_gradient_that_sums_to_zero` |
| landmark vjp: the value of a landmark | `the_value_of_a_landmark_has_no_gradient` |
| landmark vjp: grad_value = Wᵀ grad_output | `the_slope_in_the_values_is_the_output` |
| landmark vjp: s = scale <q, k> | `queries_and_keys_share_the_slope` |
| causal | `tokens_to_come_have_no_effect` (in `titans`) |
"""

from typing import Any

import numpy as np

from ...visibility import Booleans
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

LANDMARK, VJP = "landmark_attention", "landmark_attention_vjp"
ALL_BLOCKS = {"top_k": None}


def blocks_of(is_landmark: Booleans) -> Any:
    """The block of each token: the number of landmarks before it."""
    return np.tri(len(is_landmark), k=-1, dtype=int) @ np.asarray(is_landmark, dtype=int)


def groups(is_landmark: Booleans) -> tuple[Booleans, Booleans, Booleans]:
    """Which tokens of its own block each query sees, which landmarks, and which tokens each landmark stands for."""
    flags, block = np.asarray(is_landmark, dtype=bool), blocks_of(is_landmark)
    i, j = np.indices((len(flags), len(flags)))
    same_block = block[i] == block[j]
    return same_block & (j <= i) & ~flags[j], flags[j] & (block[j] < block[i]), same_block & flags[i] & ~flags[j]


def _scale(call: Call) -> dict[str, Any]:
    return {"scale": call.options.get("scale")}


@law(
    LANDMARK, statement="Σ_j W_ij = 1 if the group is not empty and no earlier block is", fixed={"return_weights": True}
)
def rows_give_away_all_but_the_mass_of_empty_blocks(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    own, doors, members = groups(call.options["is_landmark"])
    doors = doors & (call.options.get("top_k") != 0)
    whole = (own | doors).any(axis=-1) & ~(doors & ~members.any(axis=-1)).any(axis=-1)
    weights = call.by(f).weights
    sums = weights.sum(axis=-1)
    full = np.broadcast_to(whole, sums.shape).astype(sums.dtype)
    hidden = np.where(call.options["is_landmark"] | ~np.tri(len(own), dtype=bool), weights, 0)
    return (
        equal(np.where(whole, sums, 0), full),
        at_most(sums, np.ones_like(sums)),
        same(hidden, np.zeros_like(hidden)),
    )


@law(LANDMARK, ties=("softmax_attention",), statement="no landmarks: softmax_attention(q, k, v, causal=True)")
def without_landmarks_it_is_causal_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    none = np.zeros_like(call.options["is_landmark"])
    return equal(call.given(is_landmark=none).by(f), f("softmax_attention", *call.arrays, causal=True, **_scale(call)))


@law(
    LANDMARK,
    ties=("softmax_attention",),
    statement="each token twice, the second time as a landmark: softmax_attention(q, k, v, causal=True), twice",
    fixed=ALL_BLOCKS,
)
def a_landmark_like_its_only_token_is_that_token(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    flags = np.arange(2 * call.arrays[0].shape[-2]) % 2 == 1
    twice = call.given(*(np.repeat(array, 2, axis=-2) for array in call.arrays), is_landmark=flags)
    once = f("softmax_attention", *call.arrays, causal=True, **_scale(call))
    return equal(twice.by(f), np.repeat(once, 2, axis=-2))


@law(LANDMARK, statement="f does not depend on the values of landmarks")
def the_value_of_a_landmark_is_not_read(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    other = np.where(call.options["is_landmark"][:, None], np.nan, value).astype(value.dtype)
    return equal(call.given(query, key, other).by(f), call.by(f))


@law(LANDMARK, statement="top_k >= the number of blocks: as without top_k", fixed=ALL_BLOCKS)
def a_top_k_of_all_blocks_drops_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(top_k=int(call.options["is_landmark"].sum())).by(f), call.by(f))


@law(LANDMARK, ties=("softmax_attention",), statement="top_k = 0: softmax_attention(q, k, v, mask = own block so far)",
     fixed={"top_k": 0})  # fmt: skip
def a_top_k_of_none_leaves_the_own_block(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    own, _, _ = groups(call.options["is_landmark"])
    return equal(call.by(f), f("softmax_attention", *call.arrays, mask=own, **_scale(call)))


@law(
    LANDMARK,
    ties=("softmax_attention",),
    statement="p = softmax over the group: W_ij = p_ij in the own block, Σ_{j in block c} W_ij = p_i,landmark of c",
    fixed={"return_weights": True, **ALL_BLOCKS},
)
def a_block_is_read_as_much_as_its_landmark(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    own, doors, members = groups(call.options["is_landmark"])
    shares = f("softmax_attention", *call.arrays, mask=own | doors, return_weights=True, **_scale(call)).weights
    weights = call.by(f).weights
    masses = np.where(doors, weights @ members.T.astype(weights.dtype), 0)
    kept = doors & members.any(axis=-1)
    return equal(np.where(own, weights, 0), np.where(own, shares, 0)), equal(masses, np.where(kept, shares, 0))


@law(VJP, ties=("softmax_attention_vjp",), statement="no landmarks: softmax_attention_vjp(..., causal=True)")
def without_landmarks_the_gradients_are_those_of_causal_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    grads = call.given(is_landmark=np.zeros_like(call.options["is_landmark"])).by(f)
    plain = f("softmax_attention_vjp", *call.arrays, causal=True, **_scale(call))
    return tuple(equal(a, b) for a, b in zip(grads, plain, strict=True))


@law(VJP, statement="Σ_j ds_ij = 0 over the group of query i and over each earlier block", least={"n": 1})
def every_group_of_scores_has_a_gradient_that_sums_to_zero(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    *arrays, gradient = call.arrays
    own, doors, members = groups(call.options["is_landmark"])
    i = int(rng.integers(len(own) // 2, len(own)))  # late enough to have blocks before it
    # With the gradient of one row only, that of key j is scale ds_ij q_i.
    grad_key = call.given(*arrays, np.where(np.arange(len(own))[:, None] == i, gradient, 0)).by(f).grad_key
    sets = np.concatenate([(own | doors)[i : i + 1], members & doors[i][:, None]])
    sums = sets.astype(grad_key.dtype) @ grad_key
    return equal(sums, np.zeros_like(sums))


@law(VJP, statement="grad_value = 0 exactly at landmarks, whatever their values are")
def the_value_of_a_landmark_has_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value, gradient = call.arrays
    at = call.options["is_landmark"][:, None]
    other = np.where(at, np.nan, value).astype(value.dtype)
    before, after = call.by(f), call.given(query, key, other, gradient).by(f)
    gone = np.where(at, after.grad_value, 0)
    return same(gone, np.zeros_like(gone)), *(equal(a, b) for a, b in zip(before, after, strict=True))


@law(VJP, ties=(LANDMARK,), statement="Σ out · G = Σ v · grad_value: the output is linear in the values")
def the_slope_in_the_values_is_the_output(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *arrays, gradient = call.arrays
    output = f(LANDMARK, *arrays, is_landmark=call.options["is_landmark"], **_scale(call))
    return equal((output * gradient).sum(), (arrays[2] * call.by(f).grad_value).sum())


@law(VJP, statement="Σ q · grad_query = Σ k · grad_key: scores are products of both")
def queries_and_keys_share_the_slope(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, *_ = call.arrays
    grads = call.by(f)
    return equal((query * grads.grad_query).sum(), (key * grads.grad_key).sum())
