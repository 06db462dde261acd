"""What trees of token summaries, their search and their reading obey.

| in the specification | law |
| --- | --- |
| the root is the mean of all tokens when nothing is padded | `the_root_of_a_full_tree_is_the_mean` |
| every real token is exactly one unmasked leaf | `every_token_is_one_leaf` |
| level sizes as stated | `a_tree_has_the_sizes_of_its_branches` |
| means of the children that are not masked | `a_node_is_the_mean_of_its_children` |
| masked tokens never change a node | `padding_changes_no_node` |
| path[l] is a child of path[l−1]; never a masked node | `a_path_goes_from_child_to_child` |
| log_prob and entropy are those of softmaxes over at most b children | `a_greedy_choice_is_no_worse_than_chance` |
| constant tokens: the lowest children | `among_equal_summaries_the_lowest_is_taken` |
| N <= b equals full multi-head cross attention | `a_tree_without_inner_levels_is_multi_head_attention` |
| all tokens equal gives the same as full attention | `equal_tokens_are_read_as_by_full_attention` |
| S with its descendants covers every leaf exactly once | `what_is_selected_covers_every_token_once` |
| the number of attended nodes is the formula | `a_query_selects_as_many_nodes_as_the_formula_says` |
| reads O(log N) nodes | `nodes_beside_the_path_are_not_read` |
| given `levels` | `a_tree_that_is_made_already_reads_the_same` |

That the paths' probabilities sum to 1 is a test, in `tests/reference/test_pointer_trees.py`.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

BUILD, SEARCH, READ, SOFTMAX = "build_token_tree", "tree_search_path", "tree_cross_attention", "softmax_attention"
PLAIN = {"levels": None, "mode": "greedy", "uniform": None}


def _sizes(levels: Any) -> list[int]:
    return [flags.shape[-1] for _, flags in levels]


def _tree(f: Evaluate, call: Call) -> Any:
    """The tree of a call that reads one; a mask may have leading axes that the tokens lack."""
    tokens, mask = call.arrays[1], call.options.get("mask")
    if mask is not None:
        leading = np.broadcast_shapes(tokens.shape[:-2], mask.shape[:-1])
        tokens = np.broadcast_to(tokens, (*leading, *tokens.shape[-2:]))
    return f(BUILD, tokens, branch_factor=call.options.get("branch_factor", 2), mask=mask)


def _full(call: Call, f: Evaluate, rng: np.random.Generator, at: int) -> tuple[Call, list[int]]:
    """A call with as many tokens as its tree has leaves, and the sizes of the levels; the tokens stand at a place."""
    arrays = list(call.arrays)
    b = call.options.get("branch_factor", 2)
    count = _sizes(f(BUILD, arrays[at], branch_factor=b))[-1]
    tokens = rng.uniform(-1, 1, (*arrays[at].shape[:-2], count, arrays[at].shape[-1])).astype(arrays[at].dtype)
    arrays[at] = tokens
    return call.given(*arrays, mask=None), _sizes(f(BUILD, tokens, branch_factor=b))


def _multi_head(f: Evaluate, call: Call, tokens: Any) -> Any:
    """Full cross attention with the weights of a call, zeros where nothing is visible."""
    query, option = call.arrays[0], call.options
    mask = option.get("mask")
    mask = None if mask is None else mask[..., None, :]
    heads = [
        f(SOFTMAX, query @ w_query, tokens @ w_key, tokens @ w_value, mask=mask)
        for w_query, w_key, w_value in zip(option["w_query"], option["w_key"], option["w_value"], strict=True)
    ]
    output = np.concatenate(heads, axis=-1) @ option["w_out"]
    output = output if option.get("b_out") is None else output + option["b_out"]
    seen = True if mask is None else mask.any(axis=-1)[..., None]
    return np.where(seen, output, 0)


@law(BUILD, statement="N = P b^k, no mask: root = mean of all tokens", fixed={"mask": None})
def the_root_of_a_full_tree_is_the_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    full, sizes = _full(call, f, rng, 0)
    return equal(full.by(f)[0].nodes[..., 0, :], full.arrays[0].sum(axis=-2) / sizes[-1])


@law(BUILD, statement="leaf j = token j, masked as it is; all further leaves are zeros, and masked")
def every_token_is_one_leaf(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (tokens,), leaves = call.arrays, call.by(f)[-1]
    seen = np.zeros(leaves.mask.shape, dtype=bool)
    seen[..., : tokens.shape[-2]] = True if call.options.get("mask") is None else call.options["mask"]
    filled = np.zeros(leaves.nodes.shape, dtype=leaves.nodes.dtype)
    filled[..., : tokens.shape[-2], :] = tokens
    return same(leaves.mask, seen), equal(leaves.nodes, np.where(seen[..., None], filled, 0))


@law(BUILD, statement="N_l = 1, b, …, b^k, P b^k with b^k <= N − 1 < b^(k+1), P = ⌈N / b^k⌉")
def a_tree_has_the_sizes_of_its_branches(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    count, b = call.arrays[0].shape[-2], call.options.get("branch_factor", 2)
    *inner, leaves = _sizes(call.by(f))
    least = inner[-1]
    return (
        same(inner, [b**level for level in range(len(inner))]),
        same(leaves, least * -(-count // least)),
        same(least <= count - 1 < b * least, True),
    )


@law(BUILD, statement="x_l = Σ_children mask x / Σ_children mask; mask_l = any of the children's")
def a_node_is_the_mean_of_its_children(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    levels, relations = call.by(f), []
    for parent, child in pairwise(levels):
        count, b = parent.mask.shape[-1], child.mask.shape[-1] // parent.mask.shape[-1]
        seen = child.mask.reshape(*parent.mask.shape, b)
        parts = child.nodes.reshape(*parent.nodes.shape[:-2], count, b, child.nodes.shape[-1])
        total = np.where(seen[..., None], parts, 0).sum(axis=-2)
        number = np.maximum(seen.sum(axis=-1), 1).astype(child.nodes.dtype)
        relations += [equal(parent.nodes * number[..., None], total), same(parent.mask, seen.any(axis=-1))]
    return tuple(relations)


@law(BUILD, statement="f does not depend on masked tokens, NaN included")
def padding_changes_no_node(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (tokens,) = call.arrays
    seen = rng.random(tokens.shape[-2]) < 0.6
    clean, fouled = (
        call.given(np.where(seen[:, None], tokens, tokens.dtype.type(what)), mask=seen).by(f) for what in (0, np.nan)
    )
    return tuple(equal(one.nodes, other.nodes) for one, other in zip(clean, fouled, strict=True))


@law(SEARCH, statement="path_l ∈ children(path_(l−1)), not masked; −1 where nothing is visible")
def a_path_goes_from_child_to_child(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    path, levels, relations = call.by(f).path, call.options["levels"], []
    before = np.zeros(path.shape[:-1], dtype=np.int64)
    for level, ((_, above), (_, flags)) in enumerate(pairwise(levels[:-1])):
        node = path[..., level]
        wide = np.broadcast_to(flags[..., None, :], (*node.shape, flags.shape[-1]))
        seen = np.take_along_axis(wide, np.maximum(node, 0)[..., None], axis=-1)[..., 0]
        good = (node // (flags.shape[-1] // above.shape[-1]) == before) & seen
        relations.append(same(good, np.ones(good.shape, dtype=bool)))
        before = node
    return tuple(relations) or (same(path.shape[-1], 0),)


@law(SEARCH, statement="−k log b <= log_prob <= 0 for the greedy path;  0 <= entropy <= log b",
     fixed={"mode": "greedy"})  # fmt: skip
def a_greedy_choice_is_no_worse_than_chance(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    found, sizes = call.by(f), _sizes(call.options["levels"])
    most = np.full(found.entropy.shape, np.log(sizes[1] if len(sizes) > 2 else 1), dtype=found.entropy.dtype)
    return (
        at_most(found.log_prob, np.zeros_like(most)),
        at_most(-(len(sizes) - 2) * most, found.log_prob),
        at_most(np.zeros_like(most), found.entropy),
        at_most(found.entropy, most),
    )


@law(SEARCH, statement="x_c equal for all c, none masked: path = (0, …, 0), log_prob = −k log b, entropy = log b",
     fixed={"mode": "greedy"})  # fmt: skip
def among_equal_summaries_the_lowest_is_taken(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    (query,), option = call.arrays, call.options
    # Whole numbers, so that equal summaries have equal scores in every order of summation.
    row = rng.integers(-2, 3, query.shape[-1]).astype(query.dtype)
    asked = rng.integers(-2, 3, query.shape).astype(query.dtype)
    heads = {name: rng.integers(-1, 2, option[name].shape).astype(query.dtype) for name in ("w_query", "w_key")}
    sizes = _sizes(option["levels"])
    levels = tuple((np.tile(row, (size, 1)), np.ones(size, dtype=bool)) for size in sizes)
    found = call.given(asked, levels=levels, **heads).by(f)
    depth, open_ = len(sizes) - 2, np.log(sizes[1] if len(sizes) > 2 else 1)
    return (
        same(found.path, np.zeros_like(found.path)),
        equal(found.log_prob, np.full_like(found.log_prob, -depth * open_)),
        equal(found.entropy, np.full_like(found.entropy, open_)),
    )


@law(READ, ties=(SOFTMAX,), statement="N <= b: multi-head cross attention on all tokens", fixed=PLAIN)
def a_tree_without_inner_levels_is_multi_head_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    tokens = call.arrays[1]
    found = call.given(branch_factor=tokens.shape[-2]).by(f)
    return equal(found, np.broadcast_to(_multi_head(f, call, tokens), found.shape))


@law(READ, ties=(SOFTMAX,), statement="all tokens equal: multi-head cross attention on all tokens", fixed=PLAIN)
def equal_tokens_are_read_as_by_full_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, tokens = call.arrays
    tokens = np.broadcast_to(tokens[..., :1, :], tokens.shape)
    found = call.given(query, tokens).by(f)
    return equal(found, np.broadcast_to(_multi_head(f, call, tokens), found.shape))


@law(READ, ties=(BUILD,), statement="every token stands below one node of S, padding below none; weights are 0 outside",
     fixed={**PLAIN, "return_weights": True, "return_selected": True})  # fmt: skip
def what_is_selected_covers_every_token_once(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    levels, found = _tree(f, call), call.by(f)
    sizes, selected = _sizes(levels), found.selected
    times = np.zeros((*selected.shape[:-1], sizes[-1]), dtype=np.int64)
    for level, part in enumerate(np.split(selected, np.cumsum(sizes)[:-1], axis=-1)):
        times += np.repeat(part, sizes[-1] // sizes[level], axis=-1)
    leaves = levels[-1].mask[..., None, :]
    total = found.weights.sum(axis=-1)
    return (
        same(np.where(leaves, times, 1), np.ones_like(times)),
        # A summary stands for the padding below it, too; padding itself is never read.
        same((selected[..., -sizes[-1] :] & ~leaves).any(), False),
        same((np.asarray(found.weights) != 0) & ~selected[..., None, :, :], np.zeros(found.weights.shape, dtype=bool)),
        equal(total, np.broadcast_to(selected.any(axis=-1)[..., None, :].astype(total.dtype), total.shape)),
    )


@law(READ, ties=(BUILD,), statement="N = P b^k, no mask: |S| = k (b − 1) + P",
     fixed={**PLAIN, "return_selected": True, "mask": None})  # fmt: skip
def a_query_selects_as_many_nodes_as_the_formula_says(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    full, sizes = _full(call, f, rng, 1)
    count = full.by(f).selected.sum(axis=-1)
    depth, b = len(sizes) - 2, call.options.get("branch_factor", 2)
    return same(count, np.full(count.shape, depth * (b - 1) + sizes[-1] // sizes[-2]))


@law(READ, ties=(BUILD,), statement="f depends on k b + P nodes per query: on S and the path, NaN in all others",
     fixed={**PLAIN, "return_selected": True}, least={"m": 1})  # fmt: skip
def nodes_beside_the_path_are_not_read(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, tokens = (array[(0,) * (array.ndim - 2)] for array in call.arrays)
    mask = call.options.get("mask")
    mask = None if mask is None else mask.reshape(-1, mask.shape[-1])[0]
    options = {"branch_factor": call.options.get("branch_factor", 2)}
    levels = f(BUILD, tokens, **options, mask=mask)
    sizes, clean = _sizes(levels), call.given(query[:1], tokens, mask=mask).by(f)
    starts = np.cumsum([0, *sizes])
    read, before, most = clean.selected[0].copy(), 0, 0
    for level in range(1, len(sizes) - 1):  # the one child of the path that is not selected, but below which all is
        b = sizes[level] // sizes[level - 1]
        children = before * b + np.arange(b)
        open_ = levels[level].mask[children] & ~read[starts[level] + children]
        before, most = int(children[np.argmax(open_)]), most + b
        read[starts[level] + before] = open_.any()
    fouled = tuple(
        (np.where(used[:, None], nodes, nodes.dtype.type(np.nan)), flags)
        for (nodes, flags), used in zip(levels, np.split(read, starts[1:-1]), strict=True)
    )
    again = call.given(query[:1], tokens, mask=mask, levels=fouled).by(f)
    return (
        equal(clean.output, again.output),
        same(clean.selected, again.selected),
        same(int(read.sum()) <= most + sizes[-1] // sizes[-2], True),
    )


@law(READ, ties=(BUILD,), statement="f(levels = build_token_tree(tokens)) = f(tokens)", fixed=PLAIN)
def a_tree_that_is_made_already_reads_the_same(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(levels=_tree(f, call)).by(f), call.by(f))
