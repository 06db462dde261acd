"""Trees of token summaries: recursion instead of gathering, all paths, and how many nodes are read."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

from attlas_ref import build_token_tree, tree_cross_attention, tree_search_path

RNG = np.random.default_rng(43)
ENOUGH = {"operations": 400, "magnitude": 10.0}
WIDTH, HEADS, PART = 3, 2, 4
SEARCH = {name: RNG.normal(size=(HEADS, WIDTH, PART)) for name in ("w_query", "w_key")}
READ = {
    **SEARCH,
    "w_value": RNG.normal(size=(HEADS, WIDTH, PART)),
    "w_out": RNG.normal(size=(HEADS * PART, WIDTH)),
    "b_out": RNG.normal(size=WIDTH),
}
CASES = [(2, 2, 0), (5, 2, 0), (5, 3, 0), (9, 2, 1), (10, 3, 2), (16, 2, 5), (17, 4, 3), (28, 3, 9)]
"""Tokens, children of a node, and how many of the tokens are padding."""


def drawn(count: int, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.ones(count, dtype=bool)
    mask[RNG.choice(count, hidden, replace=False)] = False
    return RNG.normal(size=(count, WIDTH)), mask


class Node:
    """A summary with its children, or a token."""

    def __init__(self, value: Any, children: list["Node"], level: int, place: int) -> None:
        self.value, self.children, self.level, self.place = value, children, level, place

    @property
    def masked(self) -> bool:
        return self.value is None


def grown(tokens: np.ndarray, mask: np.ndarray, b: int) -> Node:
    """The tree by recursion from the root."""
    count = len(tokens)
    depth = next(k for k in range(40) if b**k <= count - 1 < b ** (k + 1))
    block = math.ceil(count / b**depth)

    def node(level: int, place: int) -> Node:
        if level == depth + 1:
            real = place < count and mask[place]
            return Node(tokens[place] if real else None, [], level, place)
        children = block if level == depth else b
        below = [node(level + 1, place * children + c) for c in range(children)]
        real = [child.value for child in below if not child.masked]
        return Node(sum(real) / len(real) if real else None, below, level, place)

    return node(0, 0)


def shares(query: np.ndarray, nodes: list[Node]) -> np.ndarray:
    """The weights of each head over nodes, (h, nodes)."""
    scores = [
        [float((query @ SEARCH["w_query"][h]) @ (x.value @ SEARCH["w_key"][h])) / math.sqrt(PART) for x in nodes]
        for h in range(HEADS)
    ]
    parts = np.exp(np.array(scores) - np.max(scores, axis=1, keepdims=True))
    return parts / parts.sum(axis=1, keepdims=True)


def walk(query: np.ndarray, root: Node, uniform: np.ndarray | None) -> tuple[list[Node], list[Node], float, float]:
    """The chosen nodes, the set S, the log probability and the mean entropy of one query."""
    node, path, read, log_prob, entropies = root, [], [], 0.0, []
    while node.children and node.children[0].children:
        open_ = [child for child in node.children if not child.masked]
        weights = shares(query, open_).mean(axis=0)
        if uniform is None:
            choice = int(np.argmax(weights))
        else:
            choice = next(c for c, total in enumerate(np.cumsum(weights)) if total > uniform[len(path)])
        log_prob += math.log(weights[choice])
        entropies.append(-sum(w * math.log(w) for w in weights))
        read += [child for c, child in enumerate(open_) if c != choice]
        node = open_[choice]
        path.append(node)
    read += [child for child in node.children if not child.masked]
    return path, read, log_prob, float(np.mean(entropies)) if entropies else 0.0


@pytest.mark.parametrize(("count", "b", "hidden"), CASES)
@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_search_and_reading_by_recursion(count: int, b: int, hidden: int, mode: str) -> None:
    tokens, mask = drawn(count, hidden)
    root, levels = grown(tokens, mask, b), build_token_tree(tokens, branch_factor=b, mask=mask)
    query = RNG.normal(size=(4, WIDTH))
    uniform = RNG.random((4, len(levels) - 2)) if mode == "sample" else None
    options = {"mode": mode, "uniform": uniform}
    found = tree_search_path(query, levels, **SEARCH, **options)
    read = tree_cross_attention(
        query, tokens, **READ, **options, branch_factor=b, mask=mask,
        return_weights=True, return_selected=True, return_log_prob=True,
    )  # fmt: skip
    starts = np.cumsum([0, *(flags.shape[-1] for _, flags in levels)])
    for i in range(4):
        path, nodes, log_prob, entropy = walk(query[i], root, None if uniform is None else uniform[i])
        np.testing.assert_array_equal(found.path[i], [node.place for node in path])
        assert_equal_up_to_rounding(found.log_prob[i], log_prob, **ENOUGH)
        assert_equal_up_to_rounding(read.log_prob[i], log_prob, **ENOUGH)
        assert_equal_up_to_rounding(found.entropy[i], entropy, **ENOUGH)
        places = [starts[node.level] + node.place for node in nodes]
        np.testing.assert_array_equal(np.flatnonzero(read.selected[i]), np.sort(places))
        weights = shares(query[i], nodes)
        assert_equal_up_to_rounding(read.weights[:, i, places], weights, **ENOUGH)
        values = [
            sum(w * (x.value @ READ["w_value"][h]) for w, x in zip(weights[h], nodes, strict=True)) for h in (0, 1)
        ]
        expected = np.concatenate(values) @ READ["w_out"] + READ["b_out"]
        assert_equal_up_to_rounding(read.output[i], expected, **ENOUGH)


@pytest.mark.parametrize(("count", "b", "hidden"), CASES)
def test_the_probabilities_of_all_paths_sum_to_one(count: int, b: int, hidden: int) -> None:
    tokens, mask = drawn(count, hidden)
    levels, query = build_token_tree(tokens, branch_factor=b, mask=mask), RNG.normal(size=WIDTH) / 4
    many = RNG.random((4000, len(levels) - 2))  # enough to meet every path, none of which is rare
    found = tree_search_path(np.tile(query, (4000, 1)), levels, **SEARCH, mode="sample", uniform=many)
    paths, first = np.unique(found.path, axis=0, return_index=True)
    assert len(paths) == (levels[-2].mask.sum() if len(levels) > 2 else 1)
    assert_equal_up_to_rounding(np.exp(found.log_prob[first]).sum(), 1.0, **ENOUGH)


def test_draws_fall_on_the_first_child_whose_cumulative_weight_exceeds_them() -> None:
    levels, one = build_token_tree(np.zeros((4, 1))), np.ones((1, 1, 1))
    uniform = np.array([[0.0], [0.5 - 2**-54], [0.5], [1 - 2**-53]])
    found = tree_search_path(np.zeros((4, 1)), levels, w_query=one, w_key=one, mode="sample", uniform=uniform)
    np.testing.assert_array_equal(found.path[:, 0], [0, 0, 1, 1])
    hidden = build_token_tree(np.zeros((4, 1)), mask=np.array([True, True, False, False]))
    found = tree_search_path(np.zeros((4, 1)), hidden, w_query=one, w_key=one, mode="sample", uniform=uniform)
    np.testing.assert_array_equal(found.path[:, 0], 0)


@pytest.mark.parametrize("count", [2**power for power in range(1, 15)])
def test_the_nodes_that_are_read_grow_with_the_logarithm(count: int) -> None:
    tokens, one = RNG.normal(size=(count, 1)), np.ones((1, 1, 1))
    heads = {"w_query": one, "w_key": one, "w_value": one, "w_out": one[0]}
    query = np.ones((1, 1))
    levels = [(nodes.copy(), flags) for nodes, flags in build_token_tree(tokens)]
    clean = tree_cross_attention(query, tokens, **heads, return_selected=True)
    path = tree_search_path(query, tuple(levels), w_query=one, w_key=one).path[0]
    power = count.bit_length() - 1
    assert clean.selected.sum() == (power - 1) + 2  # k (b − 1) + P
    # Counted: spoil every node that is neither selected nor on the path. Nothing changes, so none of them was read.
    starts, read = np.cumsum([0, *(flags.shape[-1] for _, flags in levels)]), 0
    for level, (nodes, _) in enumerate(levels):
        used = clean.selected[0, starts[level] : starts[level + 1]].copy()
        used[path[level - 1 : level] if 0 < level <= len(path) else []] = True
        nodes[~used] = np.nan
        read += int(used.sum())
    spoiled = tree_cross_attention(query, tokens, **heads, levels=tuple(levels))
    np.testing.assert_array_equal(spoiled, clean.output)
    assert read == 2 * power


def test_where_nothing_is_visible_there_is_no_path() -> None:
    tokens, nothing = drawn(6, 0)[0], np.zeros(6, dtype=bool)
    levels = build_token_tree(np.full_like(tokens, np.nan), mask=nothing)
    assert all(not flags.any() and not nodes.any() for nodes, flags in levels)
    found = tree_search_path(np.ones((2, WIDTH)), levels, **SEARCH)
    np.testing.assert_array_equal(found.path, -1)
    np.testing.assert_array_equal(found.log_prob, -np.inf)
    np.testing.assert_array_equal(found.entropy, 0)
    output = tree_cross_attention(np.ones((2, WIDTH)), tokens, **READ, mask=nothing)
    np.testing.assert_array_equal(output, 0)


def test_a_visible_nan_reaches_every_query() -> None:
    tokens, _ = drawn(9, 0)
    for j in range(9):
        spoiled = np.where(np.arange(9)[:, None] == j, np.nan, tokens)
        assert np.isnan(tree_cross_attention(RNG.normal(size=(3, WIDTH)), spoiled, **READ)).all()
        hidden = np.arange(9) != j
        assert np.isfinite(tree_cross_attention(RNG.normal(size=(3, WIDTH)), spoiled, **READ, mask=hidden)).all()


def test_what_is_no_tree_is_refused() -> None:
    tokens, _ = drawn(8, 0)
    query = np.ones((2, WIDTH))
    with pytest.raises(ValueError, match="build_token_tree: tokens has 1 rows; it needs at least 2"):
        build_token_tree(tokens[:1])
    with pytest.raises(ValueError, match="build_token_tree: branch_factor is 1"):
        build_token_tree(tokens, branch_factor=1)
    with pytest.raises(ValueError, match="build_token_tree: aggregator is 'max'"):
        build_token_tree(tokens, aggregator="max")
    levels, deep = build_token_tree(tokens), build_token_tree(drawn(16, 0)[0])
    for wrong in (deep[1:], deep[::-1], (deep[0], *deep[2:]), (*deep[:4], deep[2])):
        with pytest.raises(ValueError, match=r"tree_search_path: levels have \[.*\] nodes; they need 1, b, b², …"):
            tree_search_path(query, wrong, **SEARCH)
    with pytest.raises(ValueError, match="tree_search_path: uniform is None; mode 'sample' needs an array"):
        tree_search_path(query, levels, **SEARCH, mode="sample")
    with pytest.raises(ValueError, match="tree_cross_attention: uniform has 3 columns; it needs one per choice, k = 2"):
        tree_cross_attention(query, tokens, **READ, mode="sample", uniform=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="tree_search_path: uniform leaves the range"):
        tree_search_path(query, levels, **SEARCH, mode="sample", uniform=np.ones((2, 2)))
    with pytest.raises(TypeError, match=r"tree_search_path: levels\[1\]\[1\] has dtype int64; it needs booleans"):
        tree_search_path(
            query, tuple((x, flags.astype(int) if len(flags) == 2 else flags) for x, flags in levels), **SEARCH
        )
