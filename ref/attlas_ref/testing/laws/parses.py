"""What dependencies from distances and heights obey, and attention through them.

| in the specification | law, or test in `tests/reference/test_probabilistic_parses.py` |
| --- | --- |
| ends: non-negative, sum to 1 | `test_ends_of_constituents_are_distributions` |
| rows sum to 1 before the diagonal is cleared | `test_dependencies_are_the_sums_of_their_definition`, |
| | `parents_are_probabilities` |
| one constant on distances and heights | `only_differences_of_heights_and_distances_count` |
| walls that nobody passes | `behind_high_walls_there_is_no_parent` |
| no walls | `without_walls_parents_are_a_softmax_of_heights` |
| reversing | `a_parse_may_be_read_backward` |
| n = 1, n <= 2 | `two_tokens_have_one_wall` |
| product <= minimum | `test_independent_walls_reach_less_far` |
| constrained: ones | `a_dependency_of_ones_is_sigmoid_attention` |
| constrained: zero | `without_dependency_nothing_is_read` |
| constrained: transposed | `transposing_the_parse_exchanges_the_relations` |
| constrained: linear | `constrained_attention_is_linear_in_value`, `..._in_the_dependency`, `..._in_the_relations` |
| constrained: equal scores | `equal_scores_read_the_parents_of_trees` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

PARSE, THROUGH, SIGMOID, READ, TREES = (
    "syntactic_dependency",
    "dependency_constrained_attention",
    "sigmoid_attention",
    "syntactic_attention",
    "tree_attention_marginals",
)


@law(PARSE, statement="P_ij >= 0, Σ_j P_ij <= 1, P_ii = 0")
def parents_are_probabilities(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    parents = call.by(f)
    total, own = parents.sum(axis=-1), np.diagonal(parents, axis1=-2, axis2=-1)
    return (
        at_most(np.zeros_like(parents), parents),
        at_most(total, np.ones_like(total)),
        same(own, np.zeros_like(own)),
    )


@law(PARSE, statement="f(τ + c, δ + c) = f(τ, δ)")
def only_differences_of_heights_and_distances_count(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    constant = np.asarray(rng.uniform(-2, 2)).astype(call.arrays[0].dtype)
    return equal(call.given(*(x + constant for x in call.arrays)).by(f), call.by(f))


@law(PARSE, statement="τ = ∞: P = 0")
def behind_high_walls_there_is_no_parent(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    distance, height = call.arrays
    parents = call.given(np.full_like(distance, np.inf), height).by(f)
    return same(parents, np.zeros_like(parents))


@law(PARSE, statement="τ = −∞: P_ij = softmax(δ / μ₂)_j for i ≠ j", least={"n": 1})
def without_walls_parents_are_a_softmax_of_heights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    distance, height = call.arrays
    parents = call.given(np.full_like(distance, -np.inf), height).by(f)
    scaled = height / call.options.get("height_temperature", 1.0)
    part = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    softmax = (part / part.sum(axis=-1, keepdims=True))[..., None, :]
    expected = np.where(np.eye(height.shape[-1], dtype=bool), 0, softmax)
    return equal(parents, np.broadcast_to(expected, parents.shape))


@law(PARSE, statement="f(τ reversed, δ reversed)_ij = f(τ, δ)_(n−1−i, n−1−j)")
def a_parse_may_be_read_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    distance, height = call.arrays
    return equal(call.given(distance[..., ::-1], height[..., ::-1]).by(f), call.by(f)[..., ::-1, ::-1])


@law(PARSE, statement="n <= 2: minimum and product agree; n = 1: P = 0")
def two_tokens_have_one_wall(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    distance, height = call.arrays
    two = [call.given(distance[..., :1], height[..., :2], combine=way).by(f) for way in ("minimum", "product")]
    one = call.given(distance[..., :0], height[..., :1]).by(f)
    return same(*two), same(one, np.zeros_like(one))


def _with(call: Call, **arrays: Any) -> Call:
    names = ("query", "key", "value", "dependency", "relation_weights")
    return call.given(*(arrays.get(name, array) for name, array in zip(names, call.arrays, strict=True)))


@law(THROUGH, ties=(SIGMOID,), statement="P = 1, relation_weights = (1, 0): sigmoid_attention with offset 0")
def a_dependency_of_ones_is_sigmoid_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, dependency, relations = call.arrays
    up = np.zeros_like(relations)
    up[..., 0] = 1
    output = _with(call, dependency=np.ones_like(dependency), relation_weights=up).by(f)
    batch = output.shape[:-2]
    arrays = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (query, key, value))
    return equal(output, f(SIGMOID, *arrays, offset=0.0, **options_of(call, "scale", "mask", "bias")))


@law(THROUGH, statement="P = 0: zeros")
def without_dependency_nothing_is_read(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = _with(call, dependency=np.zeros_like(call.arrays[3])).by(f)
    return equal(output, np.zeros_like(output))


@law(THROUGH, statement="f(Pᵀ, (λ₀, λ₁)) = f(P, (λ₁, λ₀))")
def transposing_the_parse_exchanges_the_relations(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    dependency, relations = call.arrays[3:]
    return equal(_with(call, dependency=dependency.mT).by(f), _with(call, relation_weights=relations[..., ::-1]).by(f))


def _linear(f: Evaluate, call: Call, rng: np.random.Generator, name: str, array: Any, other: Any) -> Relation:
    a, b = rng.uniform(0, 2, 2).tolist()
    combined = _with(call, **{name: a * array + b * other}).by(f)
    return equal(combined, a * call.by(f) + b * _with(call, **{name: other}).by(f))


@law(THROUGH, statement="f(a v + b u) = a f(v) + b f(u)")
def constrained_attention_is_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return _linear(f, call, rng, "value", call.arrays[2], call.arrays[2][..., ::-1, :])


@law(THROUGH, statement="f(a P + b R) = a f(P) + b f(R), a, b >= 0")
def constrained_attention_is_linear_in_the_dependency(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return _linear(f, call, rng, "dependency", call.arrays[3], call.arrays[3][..., ::-1, :])


@law(THROUGH, statement="f(a λ + b κ) = a f(λ) + b f(κ), a, b >= 0")
def constrained_attention_is_linear_in_the_relations(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return _linear(f, call, rng, "relation_weights", call.arrays[4], call.arrays[4][..., ::-1])


@law(THROUGH, ties=(READ, TREES), statement="s = 0, relation_weights = (2, 0), P_ij = p(j → i): syntactic_attention",
     fixed={"mask": None, "bias": None}, least={"h": 1, "n": 1})  # fmt: skip
def equal_scores_read_the_parents_of_trees(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, _, relations = call.arrays
    n = query.shape[-2]
    arcs, roots = (rng.uniform(-2, 2, shape).astype(query.dtype) for shape in ((n, n), (n,)))
    up = np.zeros_like(relations)
    up[..., 0] = 2
    parents = f(TREES, arcs, roots).marginals.mT
    output = call.given(np.zeros_like(query), key, value, parents, up).by(f)
    return equal(output, np.broadcast_to(f(READ, value, arcs, roots), output.shape))
