"""The kernels of dense associative memory; what they compute stands in `dense_memory`."""

from typing import Any

import numpy as np

from ..blocks import fill, unpack
from ..compile import kernel, part
from ..pointers import Scratch, places_at
from ..power import powers_of
from ..real import Real
from ..tile import Kernels, build_forward, build_parts, scaled_score
from ..vector import multiply

EXPONENTIAL = 0
"""In the place of a degree."""

OWN = len(Scratch._fields)
"""Where the scratch of `build_bit_by_bit` begins: the logarithms of two sums, each as its largest term and the sum in
units of that."""


def _raise(base, result, lanes, degree, rectified, zero, one):
    """result = base to a whole power, by squaring; the base is spent."""
    for lane in range(lanes):
        base[lane] = zero if rectified and base[lane] < zero else base[lane]
        result[lane] = one
    while degree > 0:
        if degree % 2 == 1:
            for lane in range(lanes):
                result[lane] *= base[lane]
        degree //= 2
        if degree > 0:
            for lane in range(lanes):
                base[lane] *= base[lane]


raise_: Any = part(_raise)


def build_energy_slopes(real: Real) -> Kernels:
    """Of bits, all at once; parameters (degree, whether rectified).

    Output: Σ x (F(o + 2) - F(o - 2)) / 2; total: Σ (F(o + 2) + F(o - 2)) / 2 - F(o).
    """
    zero, one, two, half = real.number(0), real.number(1), real.number(2), real.number(0.5)

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key = operands.size, operands.key
        at = key.places[member] + row * key.row
        multiply(
            scratch.scores, scratch.packed, key, at, key.row, key.column, rows, size.d, lanes, size.width,
            scratch.rescale,
        )  # fmt: skip
        return 0

    def step(operands, scratch, lanes, rows, hidden):
        tile, base, total = scratch.scores, scratch.line, scratch.total
        more, less, same = scratch.before, scratch.mean, scratch.estimate
        degree, rectified = int(operands.parameters[0]), operands.parameters[1] > zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                base[lane] = tile[start + lane] + two
            raise_(base, more, lanes, degree, rectified, zero, one)
            for lane in range(lanes):
                base[lane] = tile[start + lane] - two
            raise_(base, less, lanes, degree, rectified, zero, one)
            for lane in range(lanes):
                base[lane] = tile[start + lane]
            raise_(base, same, lanes, degree, rectified, zero, one)
            for lane in range(lanes):
                tile[start + lane] = (more[lane] - less[lane]) * half
                total[lane] += (more[lane] + less[lane]) * half - same[lane]
        fill(scratch.rescale, lanes, one)

    of = f"{real.dtype}"
    parts = build_parts(real, scaled_score)._replace(scores=part(scores, of))
    return Kernels(real, build_forward("energy-slopes", real, parts, part(step, of)), None)


def build_bit_by_bit(real: Real) -> tuple[Any]:
    """Make the kernel that updates every bit once; alone in a tuple.

    Parameters (degree or EXPONENTIAL, whether rectified, whether one by one). Results: the bits (batch, m, d), their
    fields (batch, m, d), the order of the bits.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin = build_parts(real, scaled_score).begin
    open_operands, open_scratch, reals, exp = real.open_operands, real.open_scratch, real.pointer, real.exp
    log = powers_of(real).log
    of = f"{real.dtype}"

    def sign(field, old):
        """The sign of a field; where that is 0 the old bit, and a NaN stays."""
        return one if field > zero else (-one if field < zero else (old if field == zero else field))

    def overlaps(operands, scratch, member, lanes):
        """The band of scores = the overlaps of the block's states with all patterns."""
        size, key = operands.size, operands.key
        multiply(
            scratch.scores, scratch.packed, key, key.places[member], key.row, key.column, size.n, size.d, lanes,
            size.width, scratch.rescale,
        )  # fmt: skip

    def powers(operands, scratch, at, old, field, lanes):
        """field = Σ F(o with the bit set) - Σ F(o without)."""
        size, key, tile = operands.size, operands.key, scratch.scores
        base, set_, unset = scratch.line, scratch.before, scratch.mean
        degree, rectified = int(operands.parameters[0]), operands.parameters[1] > zero
        fill(field, lanes, zero)
        for row in range(size.n):
            start, x = row * lanes, key.memory[at + row * key.row]
            for lane in range(lanes):
                base[lane] = tile[start + lane] + x * (one - old[lane])
            raise_(base, set_, lanes, degree, rectified, zero, one)
            for lane in range(lanes):
                base[lane] = tile[start + lane] - x * (one + old[lane])
            raise_(base, unset, lanes, degree, rectified, zero, one)
            for lane in range(lanes):
                field[lane] += set_[lane] - unset[lane]

    def join(most, total, number):
        """Take a number into the logarithm of a sum of exponentials."""
        ahead = zero if number == most else number - most
        small = exp(-abs(ahead))
        return (number, total * small + one) if ahead > zero else (most, total + small)

    join = part(join, of, inline=True)

    def exponentials(operands, scratch, own, at, old, field, lanes):
        """The same with the logarithms of the two sums of exponentials."""
        size, key, tile = operands.size, operands.key, scratch.scores
        most_set, set_, most_unset, unset = own
        fill(most_set, lanes, -infinity)
        fill(most_unset, lanes, -infinity)
        fill(set_, lanes, zero)
        fill(unset, lanes, zero)
        for row in range(size.n):
            start, x = row * lanes, key.memory[at + row * key.row]
            for lane in range(lanes):
                o = tile[start + lane]
                most_set[lane], set_[lane] = join(most_set[lane], set_[lane], o + x * (one - old[lane]))
                most_unset[lane], unset[lane] = join(most_unset[lane], unset[lane], o - x * (one + old[lane]))
        for lane in range(lanes):
            field[lane] = (most_set[lane] + log(set_[lane])) - (most_unset[lane] + log(unset[lane]))

    overlaps, powers, exponentials = part(overlaps, of), part(powers, of), part(exponentials, of)
    sign = part(sign, of, inline=True)

    def move(operands, scratch, member, at, old, new, change, lanes):
        """Bring the overlaps up to date after one bit."""
        size, key, tile = operands.size, operands.key, scratch.scores
        moved = zero
        for lane in range(lanes):
            change[lane] = zero if new[lane] == old[lane] else new[lane] - old[lane]
            moved += zero if change[lane] == zero else one
        if moved > zero and not size.finite:  # infinity and its opposite would leave a NaN
            overlaps(operands, scratch, member, lanes)
        elif moved > zero:
            for row in range(size.n):
                start, x = row * lanes, key.memory[at + row * key.row]
                for lane in range(lanes):
                    tile[start + lane] += x * change[lane]

    move = part(move, of)

    def bit_by_bit(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        own = (
            reals(scratch_table[OWN]), reals(scratch_table[OWN + 1]), reals(scratch_table[OWN + 2]),
            reals(scratch_table[OWN + 3]),
        )  # fmt: skip
        bits, fields, order = reals(results[0]), reals(results[1]), places_at(results[2])
        size, key, state, field = operands.size, operands.key, scratch.packed, scratch.shift
        updated, old = scratch.grads, scratch.estimate
        one_by_one = operands.parameters[2] > zero
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            overlaps(operands, scratch, member, lanes)
            for position in range(size.d):
                bit = order[position]
                at = key.places[member] + bit * key.column
                for lane in range(lanes):
                    old[lane] = state[bit * lanes + lane]
                if int(operands.parameters[0]) == EXPONENTIAL:
                    exponentials(operands, scratch, own, at, old, field, lanes)
                else:
                    powers(operands, scratch, at, old, field, lanes)
                for lane in range(lanes):
                    scratch.sums[bit * lanes + lane] = field[lane]
                    new = sign(field[lane], old[lane])
                    updated[bit * lanes + lane] = new
                    if one_by_one:
                        state[bit * lanes + lane] = new
                    field[lane] = new
                if one_by_one:
                    move(operands, scratch, member, at, old, field, scratch.line, lanes)
            target = (member * size.m + first) * size.d
            unpack(bits, target, updated, used, lanes, size.d)
            unpack(fields, target, scratch.sums, used, lanes, size.d)

    return (kernel(bit_by_bit, f"bit-by-bit-{real.dtype}"),)
