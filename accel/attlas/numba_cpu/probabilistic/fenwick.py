"""Combiner-Logsparse: the past in groups that double in size.

Group g of level l holds the tokens from g 2^l to (g + 1) 2^l. What stands for its queries and keys comes from the two
groups of the level below. Groups at even places are met: what each of them holds is read, and then every token meets
itself and a group for every bit of its number. The rows of all levels stand one after the other, n of them at most.

Bound by: memory in the nearer caches. A token is a member of log n / 2 groups and meets as many: n log n (d + e)
multiply-adds, so few per row that a vector runs along the width of a row, and no tile is filled with pairs that do not
meet. A task is a sequence; where there are fewer of them than threads, groups and runs of tokens are.
Differs from the reference by rounding; a dot product is summed in vectors, a mean by halves.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ...threads import get_num_threads
from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import fill
from ..compile import kernel, part
from ..few import dot_of_rows
from ..operands import Array, address_of, lay_out, over_tasks
from ..pointers import Scratch, moved, places_at
from ..real import Real
from .groups import MEMBERS, hold_of, in_one_piece
from .pieces import shares

__all__ = ["combiner_logsparse_attention"]

RUN = 128
"""Tokens of a task."""


EVERYTHING, REPRESENT, READ, MEET = range(4)
"""What a kernel does: all for one sequence after the other, or one part of it."""

OWN = len(Scratch._fields)


@lru_cache(maxsize=64)
def levels_of(n: int) -> Array:
    """Return the table of levels (levels, 2) of groups of more than one token that somebody meets.

    For each, the row of its first group, and the number of groups at even places that somebody meets.
    """
    table, row = [], 0
    for bit in range(1, max(1, n - 1).bit_length()):
        table.append((row, -(-(n - (1 << bit)) // (2 << bit))))
        row += n >> bit
    return np.array(table, dtype=np.int64).reshape(-1, 2)


def build_levels(real: Real) -> Any:
    """Make the kernel; parameters (scale,).

    Results: the output (batch, n, e) and, or nowhere, the weights of what a token meets (batch, n, 2 + levels): itself,
    the token before it, the groups. Then, or nowhere, what stands for the queries and the keys of groups
    (batch, rows, d) and their values (batch, rows, e); the table of levels, and how many there are; how many groups are
    met, the number of rows, whether means stand for groups, and the part of the work to do. A task is a sequence, of
    its queries or of its keys if they are to be represented, one of its groups to be read, or a run of its tokens to
    meet them. With everything in one kernel, groups are in scratch of its own.
    """
    zero, one, infinity, exp, of = real.number(0), real.number(1), real.number(np.inf), real.exp, str(real.dtype)
    half, dot, hold = real.number(0.5), dot_of_rows(real), hold_of(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def represent(target, x, member, levels, count, n, width, mean):
        """Set what stands for the groups of all levels, from those of the level below."""
        source, step = moved(x.memory, x.places[member]), x.row
        for level in range(count):
            into = moved(target, levels[2 * level] * width)
            for group in range(n >> level + 1):
                even, odd = moved(source, 2 * group * step), moved(source, (2 * group + 1) * step)
                at = group * width
                if mean:
                    for c in range(width):
                        into[at + c] = (even[c] + odd[c]) * half
                else:
                    for c in range(width):
                        into[at + c] = odd[c] if (odd[c] > even[c]) | (odd[c] != odd[c]) else even[c]
            source, step = into, width

    def read(held, asked, line, operands, member, group, levels):
        """Set the value of a group at an even place."""
        level = 0
        while group >= levels[2 * level + 1]:
            group -= levels[2 * level + 1]
            level += 1
        size, row = 2 << level, levels[2 * level] + 2 * group
        first, last = 2 * group * size, (2 * group + 1) * size
        hold(held, row * operands.size.e, line, asked, row * operands.size.d, operands, member, first, last)

    def meet(output, weights, with_weights, stands, held, line, operands, member, run, levels, count):
        """Let a run of tokens meet themselves, the token before, and groups."""
        query, key, value = operands.query, operands.key, operands.value
        n, d, e, scale = operands.size.m, operands.size.d, operands.size.e, operands.parameters[0]
        share = one
        for token in range(run * RUN, min(n, (run + 1) * RUN)):
            asked = query.places[member] + token * query.row
            own = key.places[member] + token * key.row
            fill(line, 2 + count, -infinity)
            score = scale * dot(query.memory, asked, key.memory, own, d)
            line[0] = score
            if token & 1:
                line[1] = scale * dot(query.memory, asked, key.memory, own - key.row, d)
            for level in range(count):
                place = token >> level + 1
                if place & 1:
                    at = (levels[2 * level] + place - 1) * d
                    line[2 + level] = scale * dot(query.memory, asked, stands, at, d)
            maximum = line[0]
            for i in range(1, 2 + count):
                maximum = line[i] if (line[i] > maximum) | (line[i] != line[i]) else maximum
            shift, total = zero if maximum == -infinity else maximum, zero
            for i in range(2 + count):
                line[i] = exp(line[i] - shift)
            for i in range(2 + count):
                total += line[i]
            divisor = total if total != zero else one
            for i in range(2 + count):
                line[i] /= divisor
            if token & 1:
                line[1] *= share
            at = (member * n + token) * e
            own = value.places[member] + token * value.row
            for c in range(e):
                output[at + c] = line[0] * value.memory[own + c]
            if token & 1:
                for c in range(e):
                    output[at + c] += line[1] * value.memory[own - value.row + c]
            for level in range(count):
                place = token >> level + 1
                if place & 1:
                    row = (levels[2 * level] + place - 1) * e
                    for c in range(e):
                        output[at + c] += line[2 + level] * held[row + c]
            if with_weights:
                for i in range(2 + count):
                    weights[(member * n + token) * (2 + count) + i] = line[i]
            # What a token holds as a group of its own: all of its value, unless its score allows no softmax.
            share = zero if score == -infinity else one + (score - score)

    represent, read, meet = part(represent, of), part(read, of), part(meet, of)

    def levels_kernel(start, stop, operands_table, scratch_table, results):
        operands, line = open_operands(operands_table), open_scratch(scratch_table).scores
        output, weights, with_weights = reals(results[0]), reals(results[1]), results[1] != 0
        asked, stands, held = reals(results[2]), reals(results[3]), reals(results[4])
        levels, count, groups, rows = places_at(results[5]), results[6], results[7], results[8]
        mean, what, size = results[9] != 0, results[10], operands.size
        runs, d, e = (size.m + RUN - 1) // RUN, size.d, size.e
        if what == EVERYTHING:
            asked, stands = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
            held = reals(scratch_table[OWN + 2])
            for member in range(start, stop):
                represent(asked, operands.query, member, levels, count, size.m, d, mean)
                represent(stands, operands.key, member, levels, count, size.m, d, mean)
                for group in range(groups):
                    read(held, asked, line, operands, member, group, levels)
                for run in range(runs):
                    meet(output, weights, with_weights, stands, held, line, operands, member, run, levels, count)
        for task in range(start, stop):
            if what == REPRESENT:
                member = task // 2
                x, target = (operands.key, stands) if task & 1 else (operands.query, asked)
                represent(moved(target, member * rows * d), x, member, levels, count, size.m, d, mean)
            elif what == READ:
                member = task // groups
                own, by = moved(held, member * rows * e), moved(asked, member * rows * d)
                read(own, by, line, operands, member, task % groups, levels)
            elif what == MEET:
                member = task // runs
                own, by = moved(held, member * rows * e), moved(stands, member * rows * d)
                meet(output, weights, with_weights, by, own, line, operands, member, task % runs, levels, count)

    return kernel(levels_kernel, f"levels-{real.dtype}")


def _computed(query: Array, key: Array, value: Array, summary: str, scale: float, weights: bool) -> tuple[Array, Array]:
    """Return the output (..., n, e), and what a token gives to all that it meets (..., n, 2 + levels) or nothing."""
    n = query.shape[-2]
    query, key, value = (in_one_piece(x) for x in (query, key, value))
    levels, batch = levels_of(n), score_batch(query, key, value)
    rows, count, groups = sum(n >> bit + 1 for bit in range(len(levels))), len(levels), int(levels[:, 1].sum())
    problem = lay_out(query, key, value, mask=None, bias=None, diagonal=None, batch=batch, parameters=(scale,))
    # What a row costs is a few products, not one with each of n rows.
    problem = replace(problem, size=problem.size._replace(n=2 + count))
    d, e, members = problem.size.d, problem.size.e, problem.members
    output, met = problem.new(n, e), problem.new(n, 2 + count) if weights else None
    kernel = kernels_of(build_levels, query.dtype)

    def do(what: int, tasks: int, *groups_of_all: Array, own: tuple[int, ...] = ()) -> None:
        results = output, met, *(groups_of_all or (None, None, None))
        numbers = address_of(levels), count, groups, rows, int(summary == "mean"), what
        over_tasks(problem, kernel, tasks, *results, rows=max(MEMBERS, 2 + count), own=own, numbers=numbers)

    if members >= get_num_threads():
        lanes = -(-problem.size.queries // problem.size.width) * problem.size.width
        do(EVERYTHING, members, own=tuple(-(-rows * width // lanes) for width in (d, d, e)))
    else:
        asked, stands, held = problem.new(rows, d), problem.new(rows, d), problem.new(rows, e)
        do(REPRESENT, 2 * members, asked, stands, held)
        do(READ, members * groups, asked, stands, held)
        do(MEET, members * -(-n // RUN), asked, stands, held)
    return output, np.empty(0, dtype=query.dtype) if met is None else met


def combiner_logsparse_attention(
    query: Array, key: Array, value: Array, *, summary: str, scale: float | None, return_weights: bool
) -> Any:
    """See `attlas_ref.probabilistic.combiner_logsparse_attention`."""
    scale = dot_scale(scale, query)
    output, _ = _computed(query, key, value, summary, scale, weights=False)
    if not return_weights:
        return output
    none = np.empty((key.shape[-2], 0), dtype=key.dtype)
    _, met = _computed(query, key, none, summary, scale, weights=True)
    return AttentionResult(output, _spread(met, query, key, summary, scale))


def _spread(met: Array, query: Array, key: Array, summary: str, scale: float) -> Array:
    """Return the weights of all tokens (..., n, n), given those of what each meets (..., n, 2 + levels)."""
    n = query.shape[-2]
    weights = np.zeros((*met.shape[:-1], n), dtype=query.dtype)
    token = np.arange(n)
    weights[..., token, token] = met[..., 0]
    odd = token[1::2]
    weights[..., odd, odd - 1] = met[..., odd, 1]
    for bit, (_, groups) in enumerate(levels_of(n), start=1):
        size = 1 << bit
        within = shares(_groups(query, size, groups), _groups(key, size, groups), scale, summary)
        for group in range(groups):
            first = 2 * group * size
            reach = slice(first + size, min(n, first + 2 * size))
            weights[..., reach, first : first + size] = met[..., reach, 1 + bit, None] * within[..., group, None, :]
    return weights


def _groups(x: Array, size: int, count: int) -> Array:
    """View the groups at even places of tokens (..., n, width): (..., count, size, width)."""
    *leading, row, column = x.strides
    shape, strides = (*x.shape[:-2], count, size, x.shape[-1]), (*leading, 2 * size * row, row, column)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)
