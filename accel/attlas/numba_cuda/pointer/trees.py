"""Search of a tree of summaries, and attention to what the search has passed by, on Numba-CUDA.

The projections of keys are moved to the queries, <q W_q, x W_k> = <q W_q W_kᵀ, x>, and those of values behind the sum:
so a node is never projected, and only nodes that a query looks at are read, k b + P of them, O(log N).

All queries go down together. A level takes two launches: a thread for each query, head and child makes a score, then a
thread for each query chooses. At last a thread for each query and head weighs what was looked at, and one for each
channel besides adds the nodes, level by level.

Bound by bytes that lie scattered: d numbers for each node that a query looks at, read by h threads side by side; a tree
whose upper levels fit into the second-level cache is read from there. Memory beside the results: h (k b + P) scores
per query. The tree itself is N d additions, once.
Differs from the reference by rounding only, and where rounding decides a choice. Nothing is atomic.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import SearchPath, with_extras

from ...trees import shape_of_tree
from ..assemble import Assembly, product
from ..kronecker.chunks import kept
from ..learned import multiplied, projected
from ..operands import dtype_of, lay_out, shape_of
from ..probabilistic.entries import over_entries
from ..target import allocate, shaped, upload
from ..views import as_column, as_row, viewed
from .walks import build_choose, build_clear, build_gather, build_leaves, build_look, build_parents, build_weigh


class Tree:
    """The levels of a call, and how far its queries have gone."""

    def __init__(self, query: Any, levels: Any, w_query: Any, w_key: Any, uniform: Any) -> None:
        self.dtype = dtype_of(query)
        self.real: Any = self.dtype.type
        self.m, self.d = shape_of(query)[-2:]
        self.h, _, width = shape_of(w_query)
        self.uniform = uniform
        pairs = [(nodes, as_column(flags)) for nodes, flags in levels]
        drawn = () if uniform is None else shape_of(uniform)[:-2]
        shapes = [shape_of(array)[:-2] for pair in pairs for array in pair]
        self.batch = np.broadcast_shapes(shape_of(query)[:-2], drawn, *shapes)
        self.rows = math.prod(self.batch) * self.m
        self.sizes = [shape_of(flags)[-2] for _, flags in pairs]
        self.levels = len(pairs) - 1  # below the root
        self.laid = [lay_out(pair, self.batch) for pair in pairs[1:]]
        asked = projected(viewed(query, lambda a: a[..., None, :, :]), w_query)
        self.held = multiplied(asked, w_key, scale=1 / math.sqrt(width))  # (..., h, m, d)
        (self.asked,), self.related = lay_out([self.held], (*self.batch, self.h))
        self.looked = sum(self.children(level) for level in range(self.levels))
        self.scores = allocate((self.rows, self.h, self.looked), self.dtype)
        self.field = allocate((self.rows, self.h, self.looked), self.dtype)
        self.counts = allocate((self.rows, self.looked), np.dtype(np.int64))
        # All begin at the root.
        self.order = upload(np.zeros(max(1, self.rows * self.levels), np.int64))
        self.path = allocate((self.rows, self.levels - 1), np.dtype(np.int64))
        self.log_prob, self.entropy = (upload(np.zeros(max(1, self.rows), self.dtype)) for _ in range(2))

    def children(self, level: int) -> int:
        """How many children a node of a level has."""
        return self.sizes[level + 1] // self.sizes[level]

    def column(self, level: int) -> int:
        """Where the scores of these children begin."""
        return sum(self.children(above) for above in range(level))

    def look(self, level: int) -> None:
        """Score the children of where the queries stand."""
        (nodes, flags), layout = self.laid[level]
        over_entries(
            build_look(self.real), self.dtype, self.rows * self.children(level) * self.h,
            self.m, self.h, self.d, self.children(level), self.column(level), self.looked, level, self.levels,
            self.asked, self.related, nodes, flags, layout, self.order, self.counts, self.scores,
        )  # fmt: skip

    def descend(self) -> None:
        """Go down to the parents of the leaves."""
        draws = np.zeros((1, 1), self.dtype) if self.uniform is None else self.uniform
        (uniform,), layout = lay_out([draws], self.batch)
        for level in range(self.levels - 1):
            self.look(level)
            means = allocate((self.rows, self.children(level)), self.dtype)
            over_entries(
                build_choose(self.real), self.dtype, self.rows,
                self.m, self.h, self.children(level), self.column(level), self.looked, level, self.levels,
                int(self.uniform is not None), uniform, layout, self.scores, self.counts, self.order, self.path,
                self.field, means, self.log_prob, self.entropy,
            )  # fmt: skip

    def read(self, with_weights: bool, with_selected: bool) -> tuple[Any, Any, Any, Any]:
        """Return sums (..., h, m, d), whether there were any (..., m, 1), weights (..., h, m, S), what was read."""
        self.look(self.levels - 1)
        read, nodes, width = allocate((self.rows,), self.dtype), sum(self.sizes), max(self.d, 1)
        over_entries(
            build_weigh(self.real), self.dtype, self.rows * self.h,
            self.h, self.looked, self.scores, self.counts, self.field, read,
        )  # fmt: skip
        rows = (*self.batch, self.h, self.m)
        sums = allocate((*rows, self.d), self.dtype)
        shown, flagged = math.prod(rows) * nodes * with_weights, self.rows * nodes * with_selected
        weights, selected = allocate((shown,), self.dtype), allocate((flagged,), np.dtype(np.bool_))
        for chosen, entries in enumerate((shown, flagged)):
            over_entries(build_clear(self.real), self.dtype, entries, chosen, self.real(0), weights, selected)
        start = self.sizes[0]
        for level in range(self.levels):
            (source, _), layout = self.laid[level]
            over_entries(
                build_gather(self.real), self.dtype, math.prod(rows) * width,
                self.m, self.h, self.d, width, self.children(level), self.column(level), self.looked, level,
                self.levels, start, nodes, int(with_weights), int(with_selected), source, layout, self.order,
                self.counts, self.field, sums, weights, selected,
            )  # fmt: skip
            start += self.sizes[level + 1]
        return (
            shaped(sums, (*rows, self.d)),
            shaped(read, (*self.batch, self.m, 1)),
            shaped(weights, (*rows, nodes)) if with_weights else None,
            shaped(selected, (*self.batch, self.m, nodes)) if with_selected else None,
        )

    def of_rows(self, memory: Any, *core: int) -> Any:
        """Return numbers of the queries in their shape."""
        return shaped(memory, (*self.batch, self.m, *core))


def grown(tokens: Any, mask: Any, branch_factor: int) -> list[tuple[Any, Any]]:
    """Return the levels of a tree, root first."""
    (count, d), dtype = shape_of(tokens)[-2:], dtype_of(tokens)
    real: Any = dtype.type
    depth, block = shape_of_tree(count, branch_factor)
    size, width = block * branch_factor**depth, max(d, 1)
    visible = np.ones((1, 1), bool) if mask is None else as_row(mask)
    batch = np.broadcast_shapes(shape_of(tokens)[:-2], shape_of(visible)[:-2])
    members = math.prod(batch)
    memories, layout = lay_out([tokens, visible], batch)
    nodes, flags = allocate((members, size, d), dtype), allocate((members, size), np.dtype(np.bool_))
    entries = members * size * width
    over_entries(build_leaves(real), dtype, entries, count, size, d, width, *memories, layout, nodes, flags)
    levels = [(nodes, flags, size)]
    for children in (block, *[branch_factor] * depth):
        below, seen, _ = levels[-1]
        size //= children
        nodes, flags = allocate((members, size, d), dtype), allocate((members, size), np.dtype(np.bool_))
        over_entries(build_parents(real), dtype, members * size * width, children, d, width, below, seen, nodes, flags)
        levels.append((nodes, flags, size))
    return [(shaped(x, (*batch, size, d)), shaped(seen, (*batch, size))) for x, seen, size in levels[::-1]]


def tree_search_path(query: Any, levels: Any, *, w_query: Any, w_key: Any, mode: str, uniform: Any) -> SearchPath:
    """Compute `attlas_ref.tree_search_path`."""
    tree = Tree(query, levels, w_query, w_key, uniform if mode == "sample" else None)
    tree.descend()
    return SearchPath(tree.of_rows(tree.path, tree.levels - 1), tree.of_rows(tree.log_prob), tree.of_rows(tree.entropy))


def tree_cross_attention(
    query: Any,
    tokens: Any,
    *,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    b_out: Any,
    branch_factor: int,
    aggregator: str,
    levels: Any,
    mask: Any,
    mode: str,
    uniform: Any,
    return_weights: bool,
    return_selected: bool,
    return_log_prob: bool,
) -> Any:
    """Compute `attlas_ref.tree_cross_attention`."""
    levels = grown(tokens, mask, branch_factor) if levels is None else levels
    tree = Tree(query, levels, w_query, w_key, uniform if mode == "sample" else None)
    tree.descend()
    sums, read, weights, selected = tree.read(return_weights, return_selected)
    heads = projected(sums, w_value)  # (..., h, m, hd)
    h, _, hd = shape_of(w_value)
    joined = Assembly(tree.batch, tree.m, h * hd, tree.dtype)
    for head in range(h):
        joined.put(product, viewed(heads, _head(head)), column=head * hd)
    output = projected(joined.matrix, w_out, b_out)
    return with_extras(
        Assembly(tree.batch, tree.m, shape_of(w_out)[-1], tree.dtype).put(kept, output, read).matrix,
        weights=weights,
        selected=selected,
        log_prob=tree.of_rows(tree.log_prob) if return_log_prob else None,
    )


def _head(number: int) -> Any:
    return lambda a: a[..., number, :, :]
