"""What marginals of dependency trees obey, and attention with them.

| in the specification | law, or test in `tests/reference/test_probabilistic_trees.py` |
| --- | --- |
| brute force over trees | `test_marginals_are_those_of_all_trees` |
| the matrix–tree formulas | `test_the_matrix_tree_theorem` |
| one head each | `every_token_has_one_head` |
| one root | `one_token_is_the_root` |
| marginals are derivatives of log Z | `raising_an_arc_tells_its_marginal`, `raising_a_root_tells_its_marginal` |
| uniform scores count trees | `test_equal_scores_count_the_trees` |
| permutation | `tokens_of_trees_may_be_permuted` |
| non-projective >= projective | `trees_without_crossings_weigh_less` |
| projective: n <= 2 | `two_tokens_cannot_cross` |
| a column of −∞ | `a_token_without_heads_leaves_no_tree`, `a_token_that_nobody_heads_is_the_root` |
| masked tokens take no part | `masked_tokens_are_taken_out` |
| syntactic: linear in value | `syntactic_outputs_are_linear_in_value` |
| syntactic: child is the transpose | `children_are_the_transpose_of_parents` |
| syntactic: constant values | `a_root_reads_nothing` |
| syntactic: one certain tree | `test_a_certain_tree_is_read_as_it_is` |
| syntactic: marginals times values | `syntactic_weights_are_marginals_of_trees` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

TREES, PROJECTIVE, READ = "tree_attention_marginals", "projective_tree_marginals", "syntactic_attention"
BOTH = (TREES, PROJECTIVE)
OPEN = {"mask": None}


def _visible(call: Call) -> Any:
    """Which tokens take part, (..., n)."""
    arcs, roots = call.arrays
    mask = call.options.get("mask")
    batch = np.broadcast_shapes(arcs.shape[:-2], roots.shape[:-1])
    return np.broadcast_to(True if mask is None else mask, (*batch, roots.shape[-1]))


def _all_equal(left: Any, right: Any) -> tuple[Relation, ...]:
    return tuple(equal(a, b) for a, b in zip(left, right, strict=True))


@law(BOTH, statement="Σ_h p(h → d) + p(root → d) = 1")
def every_token_has_one_head(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, marginals, roots = call.by(f)
    return equal(marginals.sum(axis=-2) + roots, _visible(call).astype(roots.dtype))


@law(BOTH, statement="single root: Σ_d p(root → d) = 1", fixed={"multi_root": False})
def one_token_is_the_root(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    roots = call.by(f).root_marginals
    return equal(roots.sum(axis=-1), _visible(call).any(axis=-1).astype(roots.dtype))


@law(
    BOTH, statement="arc_hd + δ: log Z grows by log(1 + p(h → d) (e^δ − 1)); the diagonal does nothing", least={"n": 1}
)
def raising_an_arc_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arcs, roots = call.arrays
    h, d = rng.integers(0, roots.shape[-1], 2)
    raised = arcs.copy()
    raised[..., h, d] += 1
    before, after = call.by(f), call.given(raised, roots).by(f)
    return equal(after.log_partition, before.log_partition + np.log1p(before.marginals[..., h, d] * (np.e - 1)))


@law(BOTH, statement="root_d + δ: log Z grows by log(1 + p(root → d) (e^δ − 1))", least={"n": 1})
def raising_a_root_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arcs, roots = call.arrays
    d = int(rng.integers(roots.shape[-1]))
    raised = roots.copy()
    raised[..., d] += 1
    before, after = call.by(f), call.given(arcs, raised).by(f)
    return equal(after.log_partition, before.log_partition + np.log1p(before.root_marginals[..., d] * (np.e - 1)))


@law(BOTH, statement="arc_·d + c_d, root_d + c_d: the marginals stay, log Z grows by Σ c_d", fixed=OPEN)
def constants_per_dependent_move_log_z_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    arcs, roots = call.arrays
    constants = rng.uniform(-2, 2, roots.shape[-1]).astype(roots.dtype)
    before, after = call.by(f), call.given(arcs + constants, roots + constants).by(f)
    return _all_equal(after, (before[0] + constants.sum(), *before[1:]))


@law(TREES, statement="f(arcs[P, P], roots[P]) = f(arcs, roots)[P] for every permutation P", fixed=OPEN)
def tokens_of_trees_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return _reordered(f, call, rng.permutation(call.arrays[1].shape[-1]))


@law(BOTH, statement="reading the sentence from its end reverses the marginals", fixed=OPEN)
def a_sentence_may_be_read_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return _reordered(f, call, np.arange(call.arrays[1].shape[-1])[::-1])


def _reordered(f: Evaluate, call: Call, order: Any) -> tuple[Relation, ...]:
    arcs, roots = call.arrays
    log_partition, marginals, root_marginals = call.by(f)
    after = call.given(arcs[..., order, :][..., order], roots[..., order]).by(f)
    return _all_equal(after, (log_partition, marginals[..., order, :][..., order], root_marginals[..., order]))


@law(BOTH, statement="f(mask) = f(the tokens that the mask shows), 0 elsewhere", least={"n": 1})
def masked_tokens_are_taken_out(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    arcs, roots = call.arrays
    shown = rng.random(roots.shape[-1]) < 0.7
    masked = call.given(mask=shown).by(f)
    alone = call.given(arcs[..., shown, :][..., shown], roots[..., shown], mask=None).by(f)
    hidden = np.where(shown[:, None] & shown, 0, masked.marginals), np.where(shown, 0, masked.root_marginals)
    return (
        equal(masked.log_partition, alone.log_partition),
        equal(masked.marginals[..., shown, :][..., shown], alone.marginals),
        equal(masked.root_marginals[..., shown], alone.root_marginals),
        *(same(part, np.zeros_like(part)) for part in hidden),
    )


@law(BOTH, statement="single root: log Z <= log Z of several roots", least={"n": 1})
def one_root_weighs_less_than_several(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    one, several = (call.given(multi_root=multi).by(f).log_partition for multi in (False, True))
    return at_most(one, several)


@law(BOTH, statement="arc_·d = root_d = −∞: log Z = −∞, marginals 0", fixed=OPEN, least={"n": 1})
def a_token_without_heads_leaves_no_tree(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    arcs, roots = (array.copy() for array in call.arrays)
    d = int(rng.integers(roots.shape[-1]))
    arcs[..., d], roots[..., d] = -np.inf, -np.inf
    log_partition, *marginals = call.given(arcs, roots).by(f)
    nothing = (same(part, np.zeros_like(part)) for part in marginals)
    return same(log_partition, np.full_like(log_partition, -np.inf)), *nothing


@law(BOTH, statement="single root, arc_·d = −∞: p(root → d) = 1", fixed={"multi_root": False, **OPEN}, least={"n": 1})
def a_token_that_nobody_heads_is_the_root(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arcs, roots = call.arrays[0].copy(), call.arrays[1]
    d = int(rng.integers(roots.shape[-1]))
    arcs[..., d] = -np.inf
    found = call.given(arcs, roots).by(f).root_marginals
    return equal(found, np.broadcast_to(np.arange(roots.shape[-1]) == d, found.shape).astype(found.dtype))


@law(PROJECTIVE, ties=(TREES,), statement="log Z of trees without crossing arcs <= log Z of all trees")
def trees_without_crossings_weigh_less(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return at_most(call.by(f).log_partition, f(TREES, *call.arrays, **call.options).log_partition)


@law(PROJECTIVE, ties=(TREES,), statement="n <= 2: f = tree_attention_marginals", fixed=OPEN)
def two_tokens_cannot_cross(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    arcs, roots = call.arrays
    two = call.given(arcs[..., :2, :2], roots[..., :2])
    return _all_equal(two.by(f), f(TREES, *two.arrays, **two.options))


@law(READ, statement="f(a v + b u) = a f(v) + b f(u)")
def syntactic_outputs_are_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    value, arcs, roots = call.arrays
    a, b = rng.uniform(-2, 2, 2).tolist()
    other = value[..., ::-1]
    combined = call.given(a * value + b * other, arcs, roots).by(f)
    return equal(combined, a * call.by(f) + b * call.given(other, arcs, roots).by(f))


@law(READ, statement="weights(child) = weights(parent)ᵀ")
def children_are_the_transpose_of_parents(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    parent, child = (
        call.given(direction=way, return_weights=True).by(f).weights for way in ("parent", "child")
    )  # fmt: skip
    return same(child, parent.mT)


@law(READ, ties=BOTH, statement="v = c: out_d = c (1 − p(root → d))", fixed={"direction": "parent", **OPEN})
def a_root_reads_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    value, arcs, roots = call.arrays
    output = call.given(np.full_like(value, 2), arcs, roots).by(f)
    kind = PROJECTIVE if call.options.get("projective") else TREES
    found = f(kind, arcs, roots, **options_of(call, "multi_root")).root_marginals
    return equal(output, np.broadcast_to(2 * (1 - found[..., None]), output.shape))


@law(
    READ,
    ties=BOTH,
    statement="weights = p(h → d) of tree_attention_marginals or projective_tree_marginals; out = weights v",
)
def syntactic_weights_are_marginals_of_trees(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    value, arcs, roots = call.arrays
    kind = PROJECTIVE if call.options.get("projective") else TREES
    batch = np.broadcast_shapes(arcs.shape[:-2], roots.shape[:-1], value.shape[:-2])
    arcs = np.broadcast_to(arcs, (*batch, *arcs.shape[-2:]))  # a mask may have all leading axes
    marginals = f(kind, arcs, roots, **options_of(call, "multi_root", "mask")).marginals
    expected = marginals if call.options.get("direction") == "child" else marginals.mT
    output, weights = call.given(value, arcs, roots, return_weights=True).by(f)
    return equal(weights, expected), equal(output, expected @ value)
