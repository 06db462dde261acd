"""The kernels of a tree of summaries on Numba-CUDA: to grow it, to go down, to read at the end; see `trees`."""

import functools
import math
from typing import Any

from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..probabilistic.entries import own_entry
from ..probabilistic.sums import better, build_log
from ..rules import Real
from ..target import device, kernel

TOKENS, MASK = range(2)
NODES, FLAGS = range(2)
"""The rows of the tables of operands: tokens (N, d) and their mask (1, N); nodes (N_l, d) and flags (N_l, 1)."""


@functools.cache
def build_leaves(real: Real) -> Any:
    """Build the kernel that copies tokens to leaves, zeros where they are hidden; a thread makes one entry.

    `width` is d, but 1 where d is 0: then there are flags alone.
    """
    zero = real(0)

    def tree_leaves(first, block_count, entries, count, size, d, width, source, mask, layout, output, present):
        place = own_entry(first)
        if place >= entries:
            return
        channel = place % width
        node = place // width % size
        batch = place // width // size
        seen = False
        if node < count:
            seen = mask[layout[MASK, FIRST_MEMBER + batch] + node * layout[MASK, COLUMN_STEP]]
        if channel == 0:
            present[batch * size + node] = seen
        if channel < d:
            number = zero
            if seen:
                at = layout[TOKENS, FIRST_MEMBER + batch] + node * layout[TOKENS, ROW_STEP]
                number = source[at + channel * layout[TOKENS, COLUMN_STEP]]
            output[place] = number

    return kernel(tree_leaves)


@functools.cache
def build_parents(real: Real) -> Any:
    """Build the kernel of the level above: means of the children that are not masked; a thread makes one entry."""
    zero, one = real(0), real(1)

    def tree_parents(first, block_count, entries, children, d, width, source, mask, output, present):
        place = own_entry(first)
        if place >= entries:
            return
        channel = place % width
        group = place // width  # of all batch members
        total = zero
        count = zero
        for c in range(children):
            if mask[group * children + c]:
                count += one
                if channel < d:
                    total += source[(group * children + c) * d + channel]
        if channel == 0:
            present[group] = count > zero
        if channel < d:
            output[place] = total / (one if count == zero else count)

    return kernel(tree_parents)


@functools.cache
def build_look(real: Real) -> Any:
    """Build the kernel of scores (rows, h, r) of some children; `counts` (rows, r) says which are seen, 1 or 0.

    `order` (rows, levels) has the parent on each level; a thread makes one score.
    """
    zero = real(0)

    def tree_look(
        first, block_count, entries, m, h, d, children, column0, looked, level, levels, query, related, source, mask,
        layout, order, counts, scores,
    ):  # fmt: skip
        place = own_entry(first)
        if place >= entries:
            return
        head = place % h
        c = place // h % children
        row = place // h // children
        batch = row // m
        node = order[row * levels + level] * children + c
        seen = mask[layout[FLAGS, FIRST_MEMBER + batch] + node * layout[FLAGS, ROW_STEP]]
        total = zero
        if seen:  # what is hidden is not read, be it a NaN
            asked = related[0, FIRST_MEMBER + batch * h + head] + row % m * related[0, ROW_STEP]
            at = layout[NODES, FIRST_MEMBER + batch] + node * layout[NODES, ROW_STEP]
            for x in range(d):
                total += query[asked + x * related[0, COLUMN_STEP]] * source[at + x * layout[NODES, COLUMN_STEP]]
        scores[(row * h + head) * looked + column0 + c] = total
        if head == 0:
            counts[row * looked + column0 + c] = 1 if seen else 0

    return kernel(tree_look)


@functools.cache
def build_shares(real: Real) -> Any:
    """Build shares(weights, scores, at, counts, seen_at, count): the softmax over what is seen, 0 elsewhere, put from
    `at` on; it returns how many are seen."""
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def shares(weights, scores, at, counts, seen_at, count):
        top = lowest
        found = 0
        for c in range(count):
            if counts[seen_at + c]:
                found += 1
                top = larger(top, scores[at + c])
        top = zero if top == lowest else top
        mass = zero
        for c in range(count):
            weight = zero
            if counts[seen_at + c] and scores[at + c] != lowest:
                weight = real(math.exp(scores[at + c] - top))
            weights[at + c] = weight
            mass += weight
        mass = one if mass == zero else mass
        for c in range(count):
            if counts[seen_at + c]:
                weights[at + c] /= mass
        return found

    return shares


@functools.cache
def build_choose(real: Real) -> Any:
    """Build the kernel that goes one level down; a thread has one query.

    `field` (rows, h, r) is room for weights, `means` (rows, b) for their mean over the heads.
    """
    shares, log_of = build_shares(real), build_log(real)
    zero = real(0)

    def tree_choose(
        first, block_count, entries, m, h, children, column0, looked, level, levels, drawn, uniform, layout, scores,
        counts, order, path, field, means, log_partition, states,
    ):  # fmt: skip
        row = own_entry(first)
        if row >= entries:
            return
        for c in range(children):
            means[row * children + c] = zero
        found = 0
        for head in range(h):
            at = (row * h + head) * looked + column0
            found = shares(field, scores, at, counts, row * looked + column0, children)
            for c in range(children):
                means[row * children + c] += field[at + c]
        best = 0
        below = 0
        last = 0
        cumulative = zero
        draw = zero
        if drawn:
            at = layout[0, FIRST_MEMBER + row // m] + row % m * layout[0, ROW_STEP]
            draw = uniform[at + level * layout[0, COLUMN_STEP]]
        for c in range(children):
            mean = means[row * children + c] / real(h)
            means[row * children + c] = mean
            if better(mean, means[row * children + best]):
                best = c
            cumulative += mean
            if cumulative <= draw:
                below += 1
            if mean > zero:
                last = c
            if mean != zero:
                states[row] -= mean * log_of(mean) / real(levels - 1)
        choice = min(below, last) if drawn else best
        log_partition[row] += log_of(means[row * children + choice])
        counts[row * looked + column0 + choice] = 0  # it will be read through its own children
        node = order[row * levels + level] * children + choice
        order[row * levels + level + 1] = node
        path[row * (levels - 1) + level] = node if found > 0 else -1

    return kernel(tree_choose)


@functools.cache
def build_weigh(real: Real) -> Any:
    """Build the kernel that weighs all that was looked at; a thread has one query and head. `means` (rows,) gets 1
    where anything is left to be read."""
    shares = build_shares(real)
    zero, one = real(0), real(1)

    def tree_weigh(first, block_count, entries, h, looked, scores, counts, field, means):
        place = own_entry(first)
        if place >= entries:
            return
        row = place // h
        found = shares(field, scores, place * looked, counts, row * looked, looked)
        if place % h == 0:
            means[row] = one if found > 0 else zero

    return kernel(tree_weigh)


@functools.cache
def build_gather(real: Real) -> Any:
    """Build the kernel that adds the nodes of one level to the sums (batch, h, m, d); a thread makes one entry.

    Those of channel 0 note weights (batch, h, m, S) and what was read (batch, m, S), where that is wanted.
    """
    zero = real(0)

    def tree_gather(
        first, block_count, entries, m, h, d, width, children, column0, looked, level, levels, start, nodes, wanted,
        chosen, source, layout, order, counts, field, output, matrix, present,
    ):  # fmt: skip
        place = own_entry(first)
        if place >= entries:
            return
        channel = place % width
        i = place // width % m
        head = place // width // m % h
        batch = place // width // m // h
        row = batch * m + i
        parent = order[row * levels + level] * children
        at = (row * h + head) * looked + column0
        total = zero
        for c in range(children):
            if counts[row * looked + column0 + c]:
                weight = field[at + c]
                if channel < d:
                    from_ = layout[NODES, FIRST_MEMBER + batch] + (parent + c) * layout[NODES, ROW_STEP]
                    total += weight * source[from_ + channel * layout[NODES, COLUMN_STEP]]
                if channel == 0 and wanted:
                    matrix[place // width * nodes + start + parent + c] = weight
                if channel == 0 and head == 0 and chosen:
                    present[row * nodes + start + parent + c] = True
        if channel < d:
            entry = place // width * d + channel
            output[entry] = total if level == 0 else output[entry] + total

    return kernel(tree_gather)


@functools.cache
def build_clear(real: Real) -> Any:
    """Build the kernel that fills a matrix of weights with a number, or with `chosen` a matrix of flags with False."""

    def tree_clear(first, block_count, entries, chosen, factor, matrix, present):
        place = own_entry(first)
        if place >= entries:
            return
        if chosen:
            present[place] = False
        else:
            matrix[place] = factor

    return kernel(tree_clear)
