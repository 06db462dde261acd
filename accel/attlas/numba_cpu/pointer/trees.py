"""Search of a tree of summaries, and attention to what the search has passed by, on the CPU.

The projections of keys are moved to the queries, <q W_q, x W_k> = <q W_q W_kᵀ, x>, and those of values behind the sum:
so a node is never projected, and only nodes that a query looks at are read, k b + P of them, O(log N).

A task is a query. It goes down level by level, and keeps the scores of all that it looks at; what it did not choose,
and the leaves, are then read with a softmax over these scores.

Bound by: 2 h d multiply-adds per node that is looked at, and its d numbers, which lie scattered; beside them 2 h d hd
per query for each of the projections. The tree itself takes N d additions, once.
A query is computed by itself, so neither threads nor the rest of the batch change a bit. Differs from the reference by
rounding, and where rounding decides a choice.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import SearchPath, with_extras

from ...trees import levels_of
from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import FIELDS, launch, opener
from ..operands import Array, Laid, address_of, lay, lean
from ..pointers import bytes_at, moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real

__all__ = ["tree_cross_attention", "tree_search_path"]

LEVEL = 2 * FIELDS + 1
"""Numbers of a level in the table: its nodes and its flags, as matrices, and where it begins among all nodes."""


@cache
def _parts_of(real: Real) -> Any:
    """Make score(asked, memory, at, step, d), add(sums, weight, memory, at, step, d) and weigh(weights, scores, seen,
    count): the softmax over what is seen, 0 elsewhere."""
    zero, one, infinity, exp, of = real.number(0), real.number(1), real.number(np.inf), real.exp, str(real.dtype)
    sums = sums_of(real)

    def dot(asked, memory, at, step, d):
        total = zero
        for c in range(d):
            total += asked[c] * memory[at + c * step]
        return total

    def dot_in_line(asked, memory, at, d):
        return dot(asked, memory, at, 1, d)

    def dot_scattered(asked, memory, at, step, d):
        return dot(asked, memory, at, step, d)

    def fold(sums, weight, memory, at, step, d):
        for c in range(d):
            sums[c] += weight * memory[at + c * step]

    def fold_in_line(sums, weight, memory, at, d):
        fold(sums, weight, memory, at, 1, d)

    def fold_scattered(sums, weight, memory, at, step, d):
        fold(sums, weight, memory, at, step, d)

    dot, fold = part(dot, of, inline=True, reassociate=True), part(fold, of, inline=True)
    dot_in_line, dot_scattered = part(dot_in_line, of, reassociate=True), part(dot_scattered, of, reassociate=True)
    fold_in_line, fold_scattered = part(fold_in_line, of), part(fold_scattered, of)

    def score(asked, memory, at, step, d):
        return dot_in_line(asked, memory, at, d) if step == 1 else dot_scattered(asked, memory, at, step, d)

    def add(sums, weight, memory, at, step, d):
        if step == 1:
            fold_in_line(sums, weight, memory, at, d)
        else:
            fold_scattered(sums, weight, memory, at, step, d)

    def weigh(weights, scores, seen, count):
        for c in range(count):
            weights[c] = scores[c] if seen[c] > zero else -infinity
        top = sums.largest(weights, count)
        for c in range(count):
            weights[c] = exp(weights[c] - top)
        mass = sums.total(weights, count)
        divisor = mass if mass != zero else one
        for c in range(count):
            weights[c] = weights[c] / divisor if seen[c] > zero else zero

    return part(score, of), part(add, of), part(weigh, of)


@cache
def _choice_of(real: Real) -> Any:
    """Make choice(weights, count, draw): the first of the largest, or where the running sum first exceeds a draw of at
    least 0."""
    zero, better = real.number(0), sums_of(real).better

    def choice(weights, count, draw):
        best, below, last, cumulative = 0, 0, 0, zero
        for c in range(count):
            best = c if better(weights[c], weights[best]) else best
            cumulative += weights[c]
            below += 1 if cumulative <= draw else 0
            last = c if weights[c] > zero else last
        return best if draw < zero else min(below, last)

    return part(choice, of=str(real.dtype))


class Level(NamedTuple):
    """One level as a kernel finds it."""

    nodes: Any
    at: Any
    """Where the nodes of the batch member begin."""
    row: Any
    step: Any
    flags: Any
    flag_at: Any
    flag_step: Any
    start: Any
    """How many nodes stand above."""


@cache
def _opener_of(real: Real) -> Any:
    """Make level_of(levels, level, member)."""
    reals = real.pointer

    def level_of(levels, level, member):
        own = moved(levels, level * LEVEL)
        return Level(
            reals(own[0]), places_at(own[1])[member], own[2], own[3],
            bytes_at(own[FIELDS]), places_at(own[FIELDS + 1])[member], own[FIELDS + 3], own[2 * FIELDS],
        )  # fmt: skip

    return part(level_of, of=str(real.dtype))


def build_walk(real: Real) -> Any:
    """Make the kernel.

    Operands: queries as they meet nodes (m, h d), draws (m, k), below 0 where the best is taken. Results: path (batch,
    m, k), logarithm and entropy (batch, m), sums (batch, m, h d), whether anything was read (batch, m), weights (batch,
    h, m, S) and selected (batch, m, S), both 0 before; the last four may be missing. Then the table of the levels; m,
    h, d, k, b, P and S. Scratch: scores (h r), weights of a head (r), what is seen (r), their mean (b), choices (k),
    for r nodes that are looked at.
    """
    zero, one = real.number(0), real.number(1)
    open_matrix, reals, level_of = opener(real), real.pointer, _opener_of(real)
    (score, add, weigh), choice_of, of = _parts_of(real), _choice_of(real), str(real.dtype)

    def look(scores, seen, question, level, first_node, first, count, looked, h, d):
        """Score some children; return how many are seen. What is hidden is not read, be it a NaN."""
        found = 0
        for c in range(first, first + count):
            node = first_node + c - first
            visible = level.flags[level.flag_at + node * level.flag_step] != 0
            seen[c] = one if visible else zero
            if visible:
                found += 1
                for head in range(h):
                    at = level.at + node * level.row
                    scores[head * looked + c] = score(moved(question, head * d), level.nodes, at, level.step, d)
        return found

    def average(mean, weights, scores, seen, first, count, looked, h):
        for c in range(count):
            mean[c] = zero
        for head in range(h):
            weigh(weights, moved(scores, head * looked + first), moved(seen, first), count)
            for c in range(count):
                mean[c] += weights[c]
        for c in range(count):
            mean[c] /= h

    look, average = part(look, of), part(average, of)

    def walk(start, stop, operands, scratch, results):
        asked, draws = open_matrix(operands, 0), open_matrix(operands, 1)
        paths, log_probs, entropies = places_at(results[0]), reals(results[1]), reals(results[2])
        levels, m, h, d = places_at(results[7]), results[8], results[9], results[10]
        depth, branches, block, all_nodes = results[11], results[12], results[13], results[14]
        scores, weights, seen = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        mean, choices = reals(scratch[3]), reals(scratch[4])
        looked = depth * branches + block
        for task in range(start, stop):
            member, i = task // m, task % m
            question = moved(asked.memory, asked.places[member] + i * asked.row)
            draw_at = draws.places[member] + i * draws.row
            current, log_prob, entropy = 0, zero, zero
            for t in range(depth):
                level, first = level_of(levels, t + 1, member), t * branches
                found = look(scores, seen, question, level, current * branches, first, branches, looked, h, d)
                average(mean, weights, scores, seen, first, branches, looked, h)
                choice = choice_of(mean, branches, draws.memory[draw_at + t * draws.column])
                log_prob += math.log(mean[choice])
                for c in range(branches):
                    if mean[c] != zero:
                        entropy -= mean[c] * math.log(mean[c]) / depth
                seen[first + choice] = zero  # it will be read through its own children
                choices[t] = choice
                current = current * branches + choice
                paths[task * depth + t] = current if found > 0 else -1
            log_probs[task], entropies[task] = log_prob, entropy
            if results[3] == 0:
                continue
            level, first = level_of(levels, depth + 1, member), depth * branches
            look(scores, seen, question, level, current * block, first, block, looked, h, d)
            read = 0
            for c in range(looked):
                read += 1 if seen[c] > zero else 0
            bytes_at(results[4])[task] = 1 if read > 0 else 0
            for head in range(h):
                weigh(weights, moved(scores, head * looked), seen, looked)
                sums = moved(reals(results[3]), (task * h + head) * d)
                for x in range(d):
                    sums[x] = zero
                current = 0
                for t in range(depth + 1):
                    level, count = level_of(levels, t + 1, member), branches if t < depth else block
                    for c in range(count):
                        if seen[t * branches + c] > zero:
                            node, weight = current * count + c, weights[t * branches + c]
                            add(sums, weight, level.nodes, level.at + node * level.row, level.step, d)
                            if results[5]:
                                row = (member * h + head) * m + i
                                reals(results[5])[row * all_nodes + level.start + node] = weight
                            if results[6]:
                                bytes_at(results[6])[task * all_nodes + level.start + node] = 1
                    current = current * count + int(choices[t]) if t < depth else current

    return kernel(walk, f"tree-walk-{real.dtype}")


class Tree(NamedTuple):
    """The levels of a call, laid out over its batch."""

    laid: list[Laid]
    """Held alive: nodes and flags of one level after the other."""
    table: Array
    batch: tuple[int, ...]
    depth: int
    branches: int
    block: int
    nodes: int

    @classmethod
    def of(cls, levels: tuple[tuple[Array, Array], ...], query: Array, uniform: Array | None) -> "Tree":
        """Lay levels out over the leading axes of all that takes part."""
        parts = [array for nodes, flags in levels for array in (nodes, flags[..., None, :])]
        drawn = () if uniform is None else uniform.shape[:-2]
        batch = np.broadcast_shapes(query.shape[:-2], drawn, *(array.shape[:-2] for array in parts))
        sizes = [flags.shape[-1] for _, flags in levels]
        laid = [lay(array, batch) for array in parts]
        starts = np.cumsum([0, *sizes])
        rows = [
            [*laid[2 * level].entries, *laid[2 * level + 1].entries, int(starts[level])] for level in range(len(sizes))
        ]
        block = sizes[-1] // sizes[-2]
        branches = sizes[1] if len(sizes) > 2 else 0
        return cls(laid, np.array(rows, dtype=np.int64), batch, len(sizes) - 2, branches, block, int(starts[-1]))


def _walked(
    query: Array, tree: Tree, w_query: Array, w_key: Array, uniform: Array | None, *results: Array | None
) -> SearchPath:
    """Go down the tree, and read at its end if there are results to be filled."""
    dtype, (m, d), (h, _, hd) = query.dtype, query.shape[-2:], w_query.shape
    # (..., h, m, d), in the place of keys (..., h, N, hd)
    asked = (lean(query)[..., None, :, :] @ w_query) @ (w_key.mT / math.sqrt(hd)).astype(dtype)
    asked = np.moveaxis(asked, -3, -2)
    asked = asked.reshape(*asked.shape[:-2], h * d)  # (..., m, h d)
    asked = np.broadcast_to(np.ascontiguousarray(asked), (*query.shape[:-1], h * d))
    draws = np.full((1, 1), -1, dtype=dtype) if uniform is None else uniform
    path = np.empty((*tree.batch, m, tree.depth), dtype=np.int64)
    log_prob, entropy = (np.empty((*tree.batch, m), dtype=dtype) for _ in range(2))
    looked = tree.depth * tree.branches + tree.block
    rows = math.prod(tree.batch) * m
    launch(
        kernels_of(build_walk, dtype),
        rows,
        [lay(asked, tree.batch), lay(draws, tree.batch)],
        (
            *(path, log_prob, entropy),
            *(0 if result is None else result for result in results or (None,) * 4),
            *(address_of(tree.table), m, h, d, tree.depth, tree.branches, tree.block, tree.nodes),
        ),
        (h * looked, looked, looked, tree.branches, tree.depth),
        dtype,
        2 * rows * looked * h * d,
    )
    return SearchPath(path, log_prob, entropy)


def tree_search_path(
    query: Array,
    levels: tuple[tuple[Array, Array], ...],
    *,
    w_query: Array,
    w_key: Array,
    mode: str,
    uniform: Array | None,
) -> SearchPath:
    """See `attlas_ref.pointer.tree_search_path`."""
    draws = uniform if mode == "sample" else None
    return _walked(query, Tree.of(levels, query, draws), w_query, w_key, draws)


def tree_cross_attention(
    query: Array,
    tokens: Array,
    *,
    w_query: Array,
    w_key: Array,
    w_value: Array,
    w_out: Array,
    b_out: Array | None,
    branch_factor: int,
    aggregator: str,
    levels: tuple[tuple[Array, Array], ...] | None,
    mask: Array | None,
    mode: str,
    uniform: Array | None,
    return_weights: bool,
    return_selected: bool,
    return_log_prob: bool,
) -> Any:
    """See `attlas_ref.pointer.tree_cross_attention`."""
    dtype, (m, d), h = query.dtype, query.shape[-2:], w_query.shape[0]
    levels = levels_of(np, tokens, mask, branch_factor) if levels is None else levels
    draws = uniform if mode == "sample" else None
    tree = Tree.of(levels, query, draws)
    sums = np.empty((*tree.batch, m, h, d), dtype=dtype)
    read = np.empty((*tree.batch, m), dtype=bool)
    weights = np.zeros((*tree.batch, h, m, tree.nodes), dtype=dtype) if return_weights else None
    selected = np.zeros((*tree.batch, m, tree.nodes), dtype=bool) if return_selected else None
    search = _walked(query, tree, w_query, w_key, draws, sums, read, weights, selected)
    heads = np.moveaxis(np.moveaxis(sums, -2, -3) @ w_value, -3, -2)  # (..., m, h, hd)
    output = heads.reshape(*read.shape, w_out.shape[0]) @ w_out
    output = output if b_out is None else output + b_out
    return with_extras(
        np.where(read[..., None], output, 0),
        weights=weights,
        selected=selected,
        log_prob=search.log_prob if return_log_prob else None,
    )
