"""The recursion of attentions that score their own last weights, on the CPU: one kernel for three of them.

A task is a batch member and takes its steps one after another. A step copies the past weights into k shifted rows, so
that the convolution is a product, features = kernels x rows, and the hidden layer is another one; both fill the
register tile. Where that is less work, the two matrices are multiplied before the first step, and there is one product.
Then hyperbolic tangents are summed over the hidden units (`bending`), keys side by side in vectors, and the scores
become weights (`weighing`). The values are summed for a few steps at a time (`steps`).

Bound by: per step n (c h k + c a + e) multiply-adds in the tile, or n (h k a + e), and n a hyperbolic tangents, about
eighteen instructions for a vector of them. A few hidden units at a time stand in the nearest cache, the projected keys,
n a numbers that each step reads once, in the next one. Members run in parallel, the steps of one do not.
Differs from the reference by rounding: sums run in the order of hidden units and of taps.
"""

from typing import Any, NamedTuple

from ..blocks import fill
from ..compile import kernel, part
from ..launch import opener
from ..pointers import Matrix, bytes_at, moved
from ..real import Real
from ..vector import multiply
from .bending import bending_of
from .steps import ROWS, room_of_sums, steps_of
from .weighing import weighing_of

ASKED, KNOWN, CONV, INTO, V, START, BEFORE, SHIFT, VALUE, DYNAMIC, PRIOR, HEARD, SPOKEN, MOVE, NUMBERS = range(15)
WEIGHTS, AGENTS, NEXT, MASK = range(15, 19)
"""The rows of the table of operands; some are results, which may have fewer leading axes than the batch."""

SOFTMAX, SIGMOID, PRIOR_TIMES, FORWARD = range(4)
"""How scores become weights."""

PREVIOUS, CUMULATIVE, BOTH = range(3)
"""What the convolution sees."""

B_V, SCALE, FLOOR, SMOOTH = range(4)
"""The numbers of a call."""

VECTORS = 8
"""Vectors of keys that are scored together."""
UNITS = 32
"""Hidden units that are made and bent together."""


class Shape(NamedTuple):
    """The whole numbers of a call."""

    m: int
    n: int
    e: int
    lanes: int
    width: int
    finite: int
    a: int
    """Hidden units."""
    c: int
    """Features, the dynamic ones included."""
    h: int
    """Channels of past weights."""
    k: int
    """Taps of the widest kernel."""
    fixed: int
    """Taps of the kernels that do not change."""
    dynamic: int
    """Features whose kernels change from step to step."""
    taps: int
    """Taps of those."""
    method: int
    feedback: int
    prior: int
    """Taps of the prior."""
    agent: int
    moves: int
    halves: int
    """Whether staying and moving count 1/2 each without an agent."""
    folded: int
    """Whether the matrix of the features and that of the hidden layer are one."""
    wanted: int
    """Whether weights are a result."""


def scratch_of(s: Shape) -> tuple[int, ...]:
    """Return how many numbers each piece of a thread's memory holds; the kernel names them."""
    block = VECTORS * s.width
    return (
        s.width + s.h * (s.n + s.k + block), s.h * s.k * block, s.c * s.h * s.k, s.c * block, UNITS * block,
        ROWS * s.n + s.width, s.n, s.n, s.n, s.n, s.n * s.lanes, room_of_sums(s.lanes),
    )  # fmt: skip


def build_scored_steps(real: Real) -> Any:
    """Make the kernel. Results: the output, then the `Shape`. Scratch: see `scratch_of`."""
    zero, one, half = real.number(0), real.number(1), real.number(0.5)
    sigmoid, reals, bend = real.sigmoid, real.pointer, bending_of(real)
    open_matrix, steps, weighing, of = opener(real), steps_of(real), weighing_of(real), f"scored, {real.dtype}"

    def open_shape(t):
        return Shape(
            t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15], t[16],
            t[17], t[18], t[19], t[20], t[21],
        )  # fmt: skip

    def place_kernels(kernels, matrix, at, row, first, count, h, taps, k):
        """Put kernels of so many taps in the middle of k of them; a row of the matrix may hold several kernels."""
        aside = k // 2 - taps // 2
        for f in range(count):
            for x in range(h * taps):
                target = ((first + f) * h + x // taps) * k + aside + x % taps
                kernels[target] = matrix.memory[at + f * row + x * matrix.column]

    place_kernels = part(place_kernels, of)

    def score(scores, past, rows, kernels, features, hidden, asked, asked_at, known, into, shift, v, member, s):
        """Score all keys of a step, some vectors of them at a time; numbers behind the last key are written too."""
        block, inputs = VECTORS * s.width, s.h * s.k
        reach = s.n + s.k + block
        taps = Matrix(kernels, asked.places, inputs, 1)
        found, count = (rows, inputs) if s.folded else (features, s.c)
        into_at, v_at = into.places[member], v.places[member]
        for first in range(0, s.n, block):
            lanes = (min(block, s.n - first) + s.width - 1) // s.width * s.width
            for x in range(inputs):
                source = x // s.k * reach + x % s.k + first
                for lane in range(lanes):
                    rows[x * lanes + lane] = past[source + lane]
            if not s.folded:
                multiply(features, rows, taps, 0, inputs, 1, s.c, inputs, lanes, s.width, features)
            for f in range(s.c - s.dynamic):
                add = shift.memory[shift.places[member] + f * shift.column]
                for lane in range(lanes):
                    features[f * lanes + lane] += add
            fill(moved(scores, first), lanes, zero)
            row = lanes if count > 0 else 0
            fill(hidden, lanes, zero)
            for u in range(0, s.a, UNITS):
                units = min(UNITS, s.a - u)
                if count > 0:
                    multiply(
                        hidden, found, into, into_at + u * into.column, into.column, into.row, units, count, lanes,
                        s.width, hidden,
                    )  # fmt: skip
                bend(
                    moved(scores, first), lanes, asked.memory, asked_at + u * asked.column, asked.column,
                    moved(known.memory, known.places[member] + first + u * known.row), known.row, hidden, row,
                    v.memory, v_at + u * v.column, v.column, units,
                )  # fmt: skip

    def agree(w, seen, heard, at, n):
        """What a transition agent hears of the keys that are read; nothing of hidden ones."""
        total = zero
        for j in range(n):
            number = heard.memory[at + j * heard.column]
            total += w[j] * number if (seen[j] != 0) | (number - number == zero) else zero
        return total

    open_shape, score, agree = part(open_shape, of), part(score, of), part(agree, of, reassociate=True)

    def scored_steps(start, stop, operands, scratch, results):
        asked, known, conv = open_matrix(operands, ASKED), open_matrix(operands, KNOWN), open_matrix(operands, CONV)
        into, v, begin = open_matrix(operands, INTO), open_matrix(operands, V), open_matrix(operands, START)
        before, shift, value = (
            open_matrix(operands, BEFORE), open_matrix(operands, SHIFT), open_matrix(operands, VALUE)
        )  # fmt: skip
        dynamic, prior = open_matrix(operands, DYNAMIC), open_matrix(operands, PRIOR)
        heard, spoken = open_matrix(operands, HEARD), open_matrix(operands, SPOKEN)
        moves, numbers, weights = (
            open_matrix(operands, MOVE), open_matrix(operands, NUMBERS), open_matrix(operands, WEIGHTS)
        )  # fmt: skip
        agents, following, mask = (
            open_matrix(operands, AGENTS), open_matrix(operands, NEXT), steps.open_mask(operands, MASK)
        )  # fmt: skip
        s = open_shape(results)
        behind, rows, kernels, features = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        past = moved(behind, s.width)
        hidden, kept, last, total = reals(scratch[4]), reals(scratch[5]), reals(scratch[6]), reals(scratch[7])
        spare, seen = reals(scratch[8]), bytes_at(scratch[9])
        packed, sums = reals(scratch[10]), reals(scratch[11])
        sizes = (s.n, s.e, s.lanes, s.width, s.finite)
        reach, aside = s.n + s.k + VECTORS * s.width, s.k // 2
        b_v, scale = numbers.memory[B_V], numbers.memory[SCALE]
        floor, smooth = numbers.memory[FLOOR], numbers.memory[SMOOTH]
        for member in range(start, stop):
            output = moved(reals(results[0]), member * s.m * s.e)
            steps.take(packed, value, member, s.n, s.e, s.lanes)
            fill(behind, s.width + s.h * reach, zero)
            fill(kernels, s.c * s.h * s.k, zero)
            place_kernels(
                kernels, conv, conv.places[member], conv.row, 0, s.c - s.dynamic, s.h, s.fixed, s.k
            )  # fmt: skip
            for j in range(s.n):
                last[j] = begin.memory[begin.places[member] + j * begin.column]
                total[j] = before.memory[before.places[member] + j * before.column]
            move = moves.memory[moves.places[member]]
            for i in range(s.m):
                w = moved(kept, i % ROWS * s.n)
                steps.note(seen, mask, member, i, s.n)
                for channel in range(s.h):
                    summed = (s.feedback == CUMULATIVE) | (channel == 1)
                    for j in range(s.n):
                        x = total[j] if summed else last[j]
                        past[channel * reach + aside + j] = x if seen[j] else zero
                place_kernels(
                    kernels, dynamic, dynamic.places[member] + i * dynamic.row, s.taps * dynamic.column,
                    s.c - s.dynamic, s.dynamic, 1, s.taps, s.k,
                )  # fmt: skip
                asked_at = asked.places[member] + i * asked.row
                score(w, past, rows, kernels, features, hidden, asked, asked_at, known, into, shift, v, member, s)
                factor = one if s.method == SIGMOID else scale
                for j in range(s.n):
                    w[j] = factor * (w[j] + b_v)
                if s.method == SOFTMAX:
                    steps.share(w, seen, s.n)
                elif s.method == SIGMOID:
                    weighing.squash(w, seen, s.n)
                elif s.method == PRIOR_TIMES:
                    weighing.look_back(spare, moved(past, aside), prior, prior.places[member], s.prior, s.n)
                    weighing.multiply(w, spare, seen, floor, s.n)
                else:
                    agents.memory[agents.places[member] + i * agents.row] = move
                    go = move if s.moves else one - move
                    stay = one - move if s.moves else move
                    if not s.agent:
                        go = half if s.halves else one
                        stay = go
                    weighing.forward(w, moved(past, aside), spare, seen, stay, go, smooth, floor, s.n)
                    if s.agent:
                        move = sigmoid(
                            agree(w, seen, heard, heard.places[member], s.n)
                            + spoken.memory[spoken.places[member] + i * spoken.row]
                        )
                for j in range(s.n):
                    last[j] = w[j]
                    total[j] += w[j]
                if (i % ROWS == ROWS - 1) | (i == s.m - 1):
                    first = i // ROWS * ROWS
                    if s.wanted:
                        steps.keep(weights, member, kept, first, i + 1 - first, s.n)
                    steps.read(output, sums, kept, packed, value, mask, member, first, i + 1 - first, sizes)
            following.memory[following.places[member]] = move

    return kernel(scored_steps, f"scored-steps-{real.dtype}")
