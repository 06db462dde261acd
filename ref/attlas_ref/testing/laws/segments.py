"""What attention to segments and segments with lengths obey.

| in the specification | law, or test in `tests/reference/test_probabilistic_segments.py` |
| --- | --- |
| segmentation: no transitions | `without_transitions_segments_are_sigmoids` |
| segmentation: w in [0, 1] | `weights_of_segments_are_probabilities` |
| segmentation: a positive diagonal | `test_a_liking_for_equal_labels_correlates_neighbors` |
| segmentation: brute force | `test_segments_are_those_of_all_selections` |
| segmentation: state_bias | `a_bias_of_the_state_is_a_bias_of_all_scores` |
| segmentation: its chain | `weights_of_segments_are_marginals_of_a_chain` |
| segmentation: normalize | `normalized_segments_are_a_mean` |
| semi-Markov: brute force | `test_segment_marginals_are_those_of_all_segmentations` |
| semi-Markov: total length | `segments_fill_the_sequence` |
| semi-Markov: K = 2 | `segments_of_length_one_are_a_chain` |
| semi-Markov: marginals are derivatives | `raising_a_segment_tells_its_marginal` |
"""

from typing import Any

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .inputs import options_of, scores_of
from .law import Evaluate, Relation, at_most, equal, law

SEGMENTS, SEMI, CHAIN = "segmentation_attention", "semi_markov_marginals", "linear_chain_marginals"
SHARED = ("scale", "mask", "bias", "causal")


@law(SEGMENTS, ties=("sigmoid_attention",), statement="transition = 0: f = sigmoid_attention with offset 0",
     fixed={"normalize": False, "state_bias": None})  # fmt: skip
def without_transitions_segments_are_sigmoids(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    flat = np.zeros((2, 2), dtype=call.arrays[0].dtype)
    output = call.given(transition=flat, state_bias=None).by(f)
    return equal(output, f("sigmoid_attention", *call.arrays, offset=0.0, **options_of(call, *SHARED)))


@law(SEGMENTS, statement="0 <= w_ij <= 1; normalized, Σ_j w_ij <= 1")
def weights_of_segments_are_probabilities(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    weights = call.given(return_weights=True).by(f).weights
    bounds = at_most(np.zeros_like(weights), weights), at_most(weights, np.ones_like(weights))
    if not call.options.get("normalize"):
        return bounds
    total = weights.sum(axis=-1)
    return (*bounds, at_most(total, np.ones_like(total)))


@law(SEGMENTS, statement="normalize=True: w_ij / Σ_j w_ij", fixed={"normalize": True})
def normalized_segments_are_a_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.given(return_weights=True, normalize=False).by(f).weights
    total = weights.sum(axis=-1, keepdims=True)
    return equal(call.given(return_weights=True).by(f).weights, weights / np.where(total == 0, 1, total))


@law(SEGMENTS, statement="state_bias = (0, b): f with bias + b")
def a_bias_of_the_state_is_a_bias_of_all_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, _ = call.arrays
    b = round(float(rng.uniform(-2, 2)), 2)
    bias = call.options.get("bias")
    moved = np.full((query.shape[-2], key.shape[-2]), b, dtype=query.dtype) + (0 if bias is None else bias)
    by_state = call.given(state_bias=np.array([0, b], dtype=query.dtype)).by(f)
    return equal(by_state, call.given(state_bias=None, bias=moved.astype(query.dtype)).by(f))


@law(SEGMENTS, statement="transition + c: nothing changes")
def a_constant_in_the_transitions_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    transition = call.options["transition"]
    constant = np.asarray(rng.uniform(-2, 2)).astype(transition.dtype)
    return equal(call.given(transition=transition + constant).by(f), call.by(f))


@law(SEGMENTS, ties=(CHAIN,), statement="w_i = p(z = 1), u_j = state_bias + (0, s_ij), P = transition",
     fixed={"normalize": False, "bias": None}, least={"m": 1, "n": 1})  # fmt: skip
def weights_of_segments_are_marginals_of_a_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.given(return_weights=True).by(f).weights
    visible = np.broadcast_to(visible_in(call), weights.shape)
    scores: Any = np.where(visible, scores_of(call), 0)
    state_bias = call.options.get("state_bias")
    unary = np.stack([np.zeros_like(scores), scores], axis=-1) + (0 if state_bias is None else state_bias)
    transition = call.options["transition"][..., None, None, :, :]
    pairwise = np.broadcast_to(transition, (*transition.shape[:-3], scores.shape[-1] - 1, 2, 2))
    return equal(weights, f(CHAIN, unary, pairwise, mask=visible).marginals[..., 1])


@law(SEMI, statement="Σ l p(s, l, b, a) = n", least={"c": 1})
def segments_fill_the_sequence(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    marginals = call.by(f).marginals
    n, k = marginals.shape[-4:-2]
    length = (np.arange(k, dtype=marginals.dtype)[:, None, None] * marginals).sum(axis=(-4, -3, -2, -1))
    return equal(length, np.full_like(length, n))


@law(SEMI, ties=(CHAIN,), statement="K = 2: the chain with u = 0 and P_t(a, b) = scores[t, 1, b, a]", least={"c": 1})
def segments_of_length_one_are_a_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    scores = call.arrays[0][..., :2, :, :]
    n, _, c, _ = scores.shape[-4:]
    log_partition, marginals = call.given(scores).by(f)
    chain = f(CHAIN, np.zeros((n + 1, c), dtype=scores.dtype), scores[..., 1, :, :].mT)
    return (
        equal(log_partition, chain.log_partition),
        equal(marginals[..., 1, :, :], chain.pairwise_marginals.mT),
    )


@law(SEMI, statement="scores[s, l, b, a] + δ: log Z grows by log(1 + p(s, l, b, a) (e^δ − 1))", least={"n": 1, "c": 1})
def raising_a_segment_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    place = (..., *(int(rng.integers(size)) for size in scores.shape[-4:]))
    raised = scores.copy()
    raised[place] += 1
    before, after = call.by(f), call.given(raised).by(f)
    return equal(after.log_partition, before.log_partition + np.log1p(before.marginals[place] * (np.e - 1)))
