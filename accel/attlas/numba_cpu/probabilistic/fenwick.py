"""Combiner-Logsparse: the past in groups that double in size.

Group g of level l holds the tokens from g 2^l to (g + 1) 2^l. What stands for its queries and keys comes from the two
groups of the level below. Groups at even places are met; a first kernel reads what each of them holds, a second one
lets every token meet itself and a group for every bit of its number. The rows of all levels stand one after the other,
n of them at most.

Bound by: memory in the nearer caches. A token is a member of log n / 2 groups and meets as many: n log n (d + e)
multiply-adds, so few per row that a vector runs along the width of a row, and no tile is filled with pairs that do not
meet. Work is split into groups and runs of tokens; one thread computes each, in a fixed order.
Differs from the reference by rounding; a dot product is summed in vectors, a mean by halves.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import fill
from ..compile import kernel
from ..few import dot_of_rows
from ..operands import Array, address_of, lay_out, over_tasks
from ..pointers import places_at
from ..real import Real
from .groups import MEMBERS, hold_of, in_one_piece
from .pieces import shares

__all__ = ["combiner_logsparse_attention"]

RUN = 128
"""Tokens of a task."""


class Kernels(NamedTuple):
    """Both take, after the addresses of their results, that of the table of levels and how many there are."""

    read: Any
    """Results: the values of groups (batch, rows, e). A task is a pair (batch member, group at an even place)."""
    meet: Any
    """Results: those values, the output (batch, n, e), and, or nowhere, the weights of what a token meets
    (batch, n, 2 + levels): itself, the token before it, the groups."""


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


def represented(x: Array, levels: Array, summary: str) -> Array:
    """Return what stands for the groups of all levels, (..., rows, width)."""
    n = x.shape[-2]
    rows = np.empty((*x.shape[:-2], sum(n >> bit + 1 for bit in range(len(levels))), x.shape[-1]), dtype=x.dtype)
    below = x
    for bit, (first, _) in enumerate(levels, start=1):
        count = n >> bit
        level = rows[..., first : first + count, :]
        even, odd = below[..., 0 : 2 * count : 2, :], below[..., 1 : 2 * count : 2, :]
        if summary == "max":
            np.maximum(even, odd, out=level)
        else:
            np.add(even, odd, out=level)
            level /= 2
        below = level
    return rows


def build_levels(real: Real) -> Kernels:
    """Make the kernels; parameters (scale,), `gradient` and `extra`: what stands for the queries and keys of groups."""
    return Kernels(_build_read(real), _build_meet(real))


def _build_read(real: Real) -> Any:
    hold = hold_of(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def read(start, stop, operands_table, scratch_table, results):
        operands, line = open_operands(operands_table), open_scratch(scratch_table).scores
        held, levels = reals(results[0]), places_at(results[1])
        query, e, groups, rows = operands.gradient, operands.size.e, results[3], results[4]
        for task in range(start, stop):
            member, group, level = task // groups, task % groups, 0
            while group >= levels[2 * level + 1]:
                group -= levels[2 * level + 1]
                level += 1
            size = 2 << level
            row = levels[2 * level] + 2 * group
            asked = query.places[member] + row * query.row
            first, last = 2 * group * size, (2 * group + 1) * size
            hold(held, (member * rows + row) * e, line, query.memory, asked, operands, member, first, last)

    return kernel(read, f"levels-read-{real.dtype}")


def _build_meet(real: Real) -> Any:
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    dot = dot_of_rows(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def meet(start, stop, operands_table, scratch_table, results):
        operands, line = open_operands(operands_table), open_scratch(scratch_table).scores
        held, output, weights = reals(results[0]), reals(results[1]), reals(results[2])
        levels, count, rows = places_at(results[3]), results[4], results[5]
        query, key, value, group_key = operands.query, operands.key, operands.value, operands.extra
        n, d, e, scale = operands.size.m, operands.size.d, operands.size.e, operands.parameters[0]
        runs = (n + RUN - 1) // RUN
        for task in range(start, stop):
            member, run = task // runs, task % runs
            for token in range(run * RUN, min(n, (run + 1) * RUN)):
                asked = query.places[member] + token * query.row
                own = key.places[member] + token * key.row
                fill(line, 2 + count, -infinity)
                line[0] = scale * dot(query.memory, asked, key.memory, own, d)
                if token & 1:
                    line[1] = scale * dot(query.memory, asked, key.memory, own - key.row, d)
                for level in range(count):
                    place = token >> level + 1
                    if place & 1:
                        at = group_key.places[member] + (levels[2 * level] + place - 1) * group_key.row
                        line[2 + level] = scale * dot(query.memory, asked, group_key.memory, at, d)
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
                        row = (member * rows + levels[2 * level] + place - 1) * e
                        for c in range(e):
                            output[at + c] += line[2 + level] * held[row + c]
                if results[2]:
                    for i in range(2 + count):
                        weights[(member * n + token) * (2 + count) + i] = line[i]

    return kernel(meet, f"levels-meet-{real.dtype}")


def _computed(query: Array, key: Array, value: Array, summary: str, scale: float, weights: bool) -> tuple[Array, Array]:
    """Return the output (..., n, e), and what a token gives to all that it meets (..., n, 2 + levels) or nothing."""
    n = query.shape[-2]
    query, key, value = (in_one_piece(x) for x in (query, key, value))
    levels = levels_of(n)
    asked, stands = (represented(x, levels, summary) for x in (query, key))
    rows, count, groups = asked.shape[-2], len(levels), int(levels[:, 1].sum())
    problem = lay_out(
        query, key, value, mask=None, bias=None, diagonal=None, gradient=asked, extra=stands,
        batch=score_batch(query, key, value), parameters=(scale,),
    )  # fmt: skip
    # What a row costs is a few products, not one with each of n rows.
    problem = replace(problem, size=problem.size._replace(n=2 + count))
    held, output = problem.new(rows, problem.size.e), problem.new(n, problem.size.e)
    met = problem.new(n, 2 + count) if weights else np.empty(0, dtype=query.dtype)
    kernels, table = kernels_of(build_levels, query.dtype), address_of(levels)
    options: dict[str, Any] = {"rows": max(MEMBERS, 2 + count)}
    over_tasks(problem, kernels.read, problem.members * groups, held, numbers=(table, count, groups, rows), **options)
    tasks = problem.members * -(-n // RUN)
    over_tasks(
        problem, kernels.meet, tasks, held, output, met if weights else None, numbers=(table, count, rows), **options
    )
    return output, met


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
