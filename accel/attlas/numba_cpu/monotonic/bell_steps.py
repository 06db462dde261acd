"""One bell on the unit interval whose place is fed back, on the CPU: the recursion of two formulations.

A task is a batch member and takes its steps one after another: the mean of a bell comes from where the last weights had
theirs. What a state says (steps, widths, gates) is computed first, some numbers per step. Scores of contents are made
for a few steps at a time by the register tile, and so are the sums of values.

Bound by: per step n exponentials, about a dozen multiply-adds each, and n e multiply-adds; with contents n exponentials
and n d multiply-adds more. Members run in parallel, the steps of one do not.
Differs from the reference by rounding.
"""

from typing import Any, NamedTuple

from ..blocks import pack
from ..compile import kernel, part
from ..launch import opener
from ..pointers import bytes_at, moved
from ..probabilistic.sums import sums_of
from ..real import Real
from ..vector import multiply
from .steps import ROWS, steps_of

GUARD = 1e-20
"""Keeps the sum over a bell above 0."""
LEAK = 0.01
"""What is left of a mean beyond the ends."""

AHEAD, SPACING, WIDTH, FACTOR, PLACE, GATE, PAST, ASKED, KEY, VALUE, WEIGHTS, POSITION, MASK = range(13)
"""The rows of the table of operands; ahead to gate are one number per step."""


class Sizes(NamedTuple):
    """The whole numbers of a call."""

    m: int
    n: int
    e: int
    lanes: int
    width: int
    finite: int
    d: int
    """Channels of the contents; with none, there are none."""
    clamp: int
    bell_alone: int
    """Whether the mean place of the bell is fed back, not that of the mixture."""
    wanted: int
    """Whether weights are a result."""
    contents: int


def build_bell_steps(real: Real) -> Any:
    """Make the kernel.

    Results: the output, then the `Sizes`. Scratch: the weights of some steps, scores of contents of as many, keys side
    by side, places, what a step sees, the packed values, sums.
    """
    zero, one, two, leak, guard = (real.number(x) for x in (0, 1, 2, LEAK, GUARD))
    number, gradual, of = real.number, sums_of(real).gradual, f"bells, {real.dtype}"
    open_matrix, reals, steps = opener(real), real.pointer, steps_of(real)

    def along(w, places, n):
        total = zero
        for j in range(n):
            total += places[j] * w[j]
        return total

    along = part(along, of, reassociate=True)

    def heights(w, places, seen, spacing, mean, width, n):
        for j in range(n):
            places[j] = number(j) * spacing
            distance = (places[j] - mean) / width
            w[j] = gradual(-(distance * distance) / two) if seen[j] else zero

    heights = part(heights, of)

    def guarded(w, seen, n):
        total = zero
        for j in range(n):
            total += w[j] + guard if seen[j] else zero
        return total

    guarded = part(guarded, of, reassociate=True)

    def bell(w, places, seen, spacing, mean, width, n):
        heights(w, places, seen, spacing, mean, width, n)
        total = guarded(w, seen, n)
        for j in range(n):
            w[j] = w[j] / total if seen[j] else zero

    bell = part(bell, of)

    def bell_steps(start, stop, operands, scratch, results):
        ahead, spacing, widths = (
            open_matrix(operands, AHEAD), open_matrix(operands, SPACING), open_matrix(operands, WIDTH)
        )  # fmt: skip
        factors, added, gates = (
            open_matrix(operands, FACTOR), open_matrix(operands, PLACE), open_matrix(operands, GATE)
        )  # fmt: skip
        begin, asked, key = open_matrix(operands, PAST), open_matrix(operands, ASKED), open_matrix(operands, KEY)
        value, weights, position = (
            open_matrix(operands, VALUE), open_matrix(operands, WEIGHTS), open_matrix(operands, POSITION)
        )  # fmt: skip
        mask = steps.open_mask(operands, MASK)
        m, n, e, lanes, width, finite = results[1], results[2], results[3], results[4], results[5], results[6]
        d, clamp, bell_alone, wanted, contents = results[7], results[8], results[9], results[10], results[11]
        kept, scores, keys, places = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        seen, packed, sums = bytes_at(scratch[4]), reals(scratch[5]), reals(scratch[6])
        across = (n + width - 1) // width * width
        for member in range(start, stop):
            output = moved(reals(results[0]), member * m * e)
            steps.take(packed, value, member, n, e, lanes)
            if contents:
                pack(keys, key, key.places[member], n, across, d, zero)
            past = begin.memory[begin.places[member]]
            for i in range(m):
                r = i % ROWS
                w = moved(kept, r * n)
                if contents and r == 0:
                    multiply(
                        scores, keys, asked, asked.places[member] + i * asked.row, asked.row, asked.column,
                        min(ROWS, m - i), d, across, width, scores,
                    )  # fmt: skip
                steps.note(seen, mask, member, i, n)
                mean = (
                    ahead.memory[ahead.places[member] + i * ahead.row]
                    * spacing.memory[spacing.places[member] + i * spacing.row]
                    + factors.memory[factors.places[member] + i * factors.row] * past
                ) + added.memory[added.places[member] + i * added.row]
                if clamp:
                    low, high = leak * mean, one + leak * mean
                    high = high if mean > high else mean
                    mean = low if low > high else high
                bell(
                    w, places, seen, spacing.memory[spacing.places[member] + i * spacing.row], mean,
                    widths.memory[widths.places[member] + i * widths.row], n,
                )  # fmt: skip
                before = along(w, places, n)
                if contents:
                    content = moved(scores, r * across)
                    steps.share(content, seen, n)
                    gate = gates.memory[gates.places[member] + i * gates.row]
                    for j in range(n):
                        w[j] = gate * w[j] + (one - gate) * content[j] if seen[j] else zero
                past = before if bell_alone else along(w, places, n)
                position.memory[position.places[member] + i * position.row] = past
                if (r == ROWS - 1) | (i == m - 1):
                    first = i - r
                    if wanted:
                        steps.keep(weights, member, kept, first, r + 1, n)
                    steps.read(
                        output, sums, kept, packed, value, mask, member, first, r + 1, (n, e, lanes, width, finite)
                    )  # fmt: skip

    return kernel(bell_steps, f"bell-steps-{real.dtype}")
