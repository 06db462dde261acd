"""What groups of tokens hold: their values, weighed by what stands for their queries.

A group asks one query only, so no tile is filled: vectors run along the rows, which must lie in one piece each. Every
row is read once. Bound by: memory. Differs from the reference by rounding; a dot product is summed in vectors.
"""

from functools import cache
from typing import Any

import numpy as np

from ..attention import kernels_of, score_batch
from ..compile import kernel, part
from ..few import dot_of_rows
from ..operands import Array, lay_out, over_tasks
from ..real import Real

MEMBERS = 128
"""Of a group that are weighed at a time."""


def in_one_piece(x: Array) -> Array:
    """Return rows whose numbers stand side by side, copied only if they do not yet."""
    return x if x.strides[-1] == x.itemsize or x.shape[-1] <= 1 else x.copy()


@cache
def hold_of(real: Real) -> Any:
    """Make hold(held, at, line, query, asked, operands, member, first, last).

    It sets `held`, from `at` on, to the softmax average of the values from `first` to `last` for the query that stands
    in `query` from `asked` on. `line` has room for `MEMBERS` numbers.
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    dot = dot_of_rows(real)

    def hold(held, at, line, query, asked, operands, member, first, last):
        key, value, e, scale = operands.key, operands.value, operands.size.e, operands.parameters[0]
        maximum, total = -infinity, zero
        for c in range(e):
            held[at + c] = zero
        for run in range(first, last, MEMBERS):
            count = min(MEMBERS, last - run)
            key_at = key.places[member] + run * key.row
            before = maximum
            for r in range(count):
                score = scale * dot(query, asked, key.memory, key_at + r * key.row, operands.size.d)
                line[r] = score
                # A NaN is taken, and kept: nothing is larger than it.
                maximum = score if (score > maximum) | (score != score) else maximum
            shift = zero if maximum == -infinity else maximum
            rescale, own = exp(before - shift), zero
            for r in range(count):
                line[r] = exp(line[r] - shift)
            for r in range(count):
                own += line[r]
            total = total * rescale + own
            if run > first:
                for c in range(e):
                    held[at + c] *= rescale
            value_at = value.places[member] + run * value.row
            for r in range(0, count - 1, 2):  # two at a time: the sums are read and written once for both
                even, odd = value_at + r * value.row, value_at + (r + 1) * value.row
                for c in range(e):
                    held[at + c] += line[r] * value.memory[even + c] + line[r + 1] * value.memory[odd + c]
            if count & 1:
                for c in range(e):
                    held[at + c] += line[count - 1] * value.memory[value_at + (count - 1) * value.row + c]
        divisor = total if total != zero else one
        for c in range(e):
            held[at + c] /= divisor

    return part(hold, str(real.dtype))


@cache
def summary_of(real: Real) -> Any:
    """Make summarize(operands, scratch, keys, values, member, mean).

    It sets the key and the value of one group; what stands for its queries and keys are their means, or else the
    largest numbers of their columns. Scratch for packed queries and for scores is free again afterwards.
    """
    hold = hold_of(real)

    def stand(target, at, x, member, rows, width, mean):
        start = x.places[member]
        for c in range(width):
            target[at + c] = x.memory[start + c]
        for r in range(1, rows):
            row = start + r * x.row
            if mean:
                for c in range(width):
                    target[at + c] += x.memory[row + c]
            else:
                for c in range(width):
                    number = x.memory[row + c]
                    larger = (number > target[at + c]) | (number != number)
                    target[at + c] = number if larger else target[at + c]
        if mean:
            for c in range(width):
                target[at + c] /= rows

    stand = part(stand, str(real.dtype))

    def summarize(operands, scratch, keys, values, member, mean):
        size = operands.size
        stand(scratch.packed, 0, operands.query, member, size.m, size.d, mean)
        stand(keys, member * size.d, operands.key, member, size.n, size.d, mean)
        hold(values, member * size.e, scratch.scores, scratch.packed, 0, operands, member, 0, size.n)

    return part(summarize, str(real.dtype))


def build_summaries(real: Real) -> Any:
    """Make the kernel; a task is a group. Results: keys (batch, d), values (batch, e); then whether means stand for
    groups."""
    summarize, open_operands, open_scratch, reals = (
        summary_of(real), real.open_operands, real.open_scratch, real.pointer,
    )  # fmt: skip

    def summaries(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        for member in range(start, stop):
            summarize(operands, scratch, reals(results[0]), reals(results[1]), member, results[2] != 0)

    return kernel(summaries, f"summaries-{real.dtype}")


def summarized(query: Array, key: Array, value: Array, scale: float, summary: str) -> tuple[Array, Array]:
    """Return the key (..., groups, d) and the value (..., groups, e) of every group (..., groups, members, width)."""
    query, key, value = (in_one_piece(x) for x in (query, key, value))
    batch = score_batch(query, key, value)
    problem = lay_out(query, key, value, mask=None, bias=None, diagonal=None, batch=batch, parameters=(scale,))
    keys, values = problem.new(problem.size.d), problem.new(problem.size.e)
    kernel, numbers = kernels_of(build_summaries, query.dtype), (int(summary == "mean"),)
    over_tasks(problem, kernel, problem.members, keys, values, rows=MEMBERS, numbers=numbers)
    return keys, values
