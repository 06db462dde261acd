"""Marginals of chains of few labels, side by side in lanes.

The recursion of `chain_marginals`, with as many chains at a time as a vector holds numbers. Logarithms are kept near 0
by subtracting the largest of them before each step. The terms of the sums lie in the result for pairs between the ways
forward and back, so that nothing is as long as a chain but the results.
"""

from functools import cache
from typing import Any

import numpy as np

from ..blocks import fill
from ..compile import kernel, part
from ..launch import opener
from ..pointers import moved, places_at
from ..power import powers_of
from ..real import Real
from .chain_lanes import chain_lanes
from .sums import sums_of


@cache
def steps_of(real: Real) -> tuple[Any, Any, Any, Any, Any]:
    """Make shift, reach, advance, finish and hand_down, all over lanes; arrays are (c, lanes) or (c, c, lanes)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    exp, log, sums, of = real.exp, powers_of(real).log, sums_of(real), str(real.dtype)
    width = chain_lanes(real).width

    def largest(alpha, top, c):
        for lane in range(width):
            top[lane] = -infinity
        for b in range(c):
            for lane in range(width):
                x = alpha[b * width + lane]
                top[lane] = x if x > top[lane] else top[lane]
        for lane in range(width):
            top[lane] = zero if top[lane] == -infinity else top[lane]

    largest = part(largest, of)

    def shift(alpha, active, total, lost, top, c):
        """Take the largest of the logarithms off, and add it to the total."""
        largest(alpha, top, c)
        for lane in range(width):
            off = top[lane] if active[lane] > zero else zero
            top[lane] = off
            total[lane], lost[lane] = sums.add(total[lane], lost[lane], off)
        for b in range(c):
            for lane in range(width):
                alpha[b * width + lane] -= top[lane]

    def reach(parts, alpha, top, mass, c):
        """From scores of steps to the terms of all sums: `step_of` in lanes."""
        for b in range(c):
            into = moved(top, b * width)
            for lane in range(width):
                into[lane], mass[b * width + lane] = -infinity, zero
            for a in range(c):
                row, base = moved(parts, (a * c + b) * width), moved(alpha, a * width)
                for lane in range(width):
                    x = row[lane] + base[lane]
                    row[lane] = x
                    into[lane] = x if x > into[lane] else into[lane]
        for i in range(c * width):
            top[i] = zero if top[i] == -infinity else top[i]
        for a in range(c):
            row = moved(parts, a * c * width)
            for i in range(c * width):
                e = exp(row[i] - top[i])
                row[i] = e
                mass[i] += e

    def advance(alpha, unary, active, top, mass, c):
        for i in range(c * width):
            mass[i] = (-infinity if mass[i] == zero else log(mass[i]) + top[i]) + unary[i]
        for b in range(c):
            for lane in range(width):
                i = b * width + lane
                alpha[i] = mass[i] if active[lane] > zero else alpha[i]

    def finish(alpha, top, mass, c):
        """Leave shares in place of logarithms, and the logarithm of their total in `mass`."""
        largest(alpha, top, c)
        strange = moved(mass, width)
        for lane in range(width):
            mass[lane], strange[lane] = zero, zero
        for b in range(c):
            for lane in range(width):
                x = alpha[b * width + lane]
                strange[lane] += zero if x == x else x
                e = sums.gradual(x - top[lane])
                alpha[b * width + lane] = e
                mass[lane] += e
        for b in range(c):
            for lane in range(width):
                alpha[b * width + lane] /= one if mass[lane] == zero else mass[lane]
        for lane in range(width):
            found = -infinity if mass[lane] == zero else log(mass[lane]) + top[lane]
            mass[lane] = top[lane] + strange[lane] if top[lane] == infinity else found

    def hand_down(pairs, last, active, following, mass, c):
        """From the terms of all sums to the marginals of pairs, and from those of a label to those before it."""
        for i in range(c * width):
            following[i] = zero
        for a in range(c):
            row = moved(pairs, a * c * width)
            for i in range(c * width):
                following[i] += row[i]
        for i in range(c * width):
            following[i] = last[i] / (one if following[i] == zero else following[i])
        for lane in range(width):
            mass[lane] = zero
        for a in range(c):
            known = moved(mass, (a + 1) * width)
            for lane in range(width):
                known[lane] = zero
            for b in range(c):
                row, share = moved(pairs, (a * c + b) * width), moved(following, b * width)
                for lane in range(width):
                    pair = row[lane] * share[lane] if active[lane] > zero else zero
                    row[lane] = pair
                    known[lane] += pair
            for lane in range(width):
                mass[lane] += known[lane]
        for lane in range(width):
            mass[lane] = one if mass[lane] == zero else mass[lane]
        for a in range(c):
            known = moved(mass, (a + 1) * width)
            for lane in range(width):
                i = a * width + lane
                last[i] = known[lane] / mass[lane] if active[lane] > zero else last[i]

    return part(shift, of), part(reach, of), part(advance, of), part(finish, of), part(hand_down, of)


def build_marginals_in_lanes(real: Real) -> Any:
    """Make the kernel; a task is a group of chains.

    Operands: unary, pairwise. Results: log Z, marginals, pairwise marginals; lengths, n, c, the step of the tables and
    the number of chains. Scratch: `scratch_in_lanes`.
    """
    zero, one = real.number(0), real.number(1)
    open_matrix, reals, sums, lanes = opener(real), real.pointer, sums_of(real), chain_lanes(real)
    shift, reach, advance, finish, hand_down = steps_of(real)
    width, of = lanes.width, str(real.dtype)

    def set_active(active, lengths, first, used, t):
        for lane in range(width):
            active[lane] = one if lengths[first + min(lane, used - 1)] > t else zero

    set_active = part(set_active, of)

    def marginals(start, stop, operands, scratch, results):
        unary, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        log_partition, all_labels, all_pairs = reals(results[0]), reals(results[1]), reals(results[2])
        lengths, n, c, step, members = places_at(results[3]), results[4], results[5], results[6], results[7]
        alpha, top, mass, own = reals(scratch[0]), reals(scratch[1]), reals(scratch[2]), reals(scratch[3])
        table, single = reals(scratch[4]), reals(scratch[5])
        places = places_at(scratch[6])
        total, lost, active = single, moved(single, width), moved(single, 2 * width)
        places_of_labels, places_of_pairs = moved(places, width), moved(places, 2 * width)
        places_of_tables = moved(places, 3 * width)
        together, steps = width // c, max(n - 1, 0)
        for group in range(start, stop):
            first = group * width
            used = min(width, members - first)
            longest = 0
            lanes.gather(places, unary, first, used)
            lanes.gather(places_of_tables, pairwise, first, used)
            for lane in range(width):
                member = first + min(lane, used - 1)
                longest = max(longest, lengths[member])
                places_of_labels[lane], places_of_pairs[lane] = member * n * c, member * steps * c * c
            for lane in range(used):
                rest, known = n - longest, max(longest - 1, 0)
                fill(moved(all_labels, places_of_labels[lane] + longest * c), rest * c, zero)
                fill(moved(all_pairs, places_of_pairs[lane] + known * c * c), (steps - known) * c * c, zero)
            fill(single, 2 * width, zero)
            fill(alpha, c * width, zero)
            for t in range(longest):
                set_active(active, lengths, first, used, t)
                if t % together == 0:
                    rows = min(together, longest - t)
                    lanes.fetch(own, unary.memory, places, t * unary.row, unary.row, unary.column, rows, c)
                now = moved(own, t % together * c * width)
                if t == 0:
                    for i in range(c * width):
                        alpha[i] = now[i]
                else:
                    at = (t - 1) * step
                    shift(alpha, active, total, lost, top, c)
                    lanes.fetch(table, pairwise.memory, places_of_tables, at, pairwise.row, pairwise.column, c, c)
                    reach(table, alpha, top, mass, c)
                    lanes.keep(all_pairs, places_of_pairs, (t - 1) * c * c, used, table, c * c)
                    advance(alpha, now, active, top, mass, c)
            finish(alpha, top, mass, c)
            for lane in range(used):
                whole, off = sums.add(total[lane], lost[lane], mass[lane])
                empty = lengths[first + lane] == 0
                log_partition[first + lane] = zero if empty else sums.whole(whole, off)
            for t in range(longest - 1, -1, -1):
                set_active(active, lengths, first, used, t)
                now = moved(own, t % together * c * width)
                for b in range(c):
                    for lane in range(width):
                        now[b * width + lane] = alpha[b * width + lane] if active[lane] > zero else zero
                if t % together == 0:
                    rows = min(together, longest - t)
                    lanes.keep(all_labels, places_of_labels, t * c, used, own, rows * c)
                if t > 0:
                    at = (t - 1) * c * c
                    lanes.fetch(table, all_pairs, places_of_pairs, at, c, 1, c, c)
                    hand_down(table, alpha, active, top, mass, c)
                    lanes.keep(all_pairs, places_of_pairs, at, used, table, c * c)

    return kernel(marginals, f"chain-marginals-in-lanes-{real.dtype}")


def scratch_in_lanes(c: int, width: int, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """What a thread needs: alpha, top, mass, scores of labels for some steps, a table; total, lost and active; places.

    Squares are whole.
    """
    square = -(-c * c // width) * width
    return (
        c * width,
        c * width,
        (c + 1) * width,
        width * width,
        square * width,
        3 * width,
        4 * width * 8 // dtype.itemsize,
    )
