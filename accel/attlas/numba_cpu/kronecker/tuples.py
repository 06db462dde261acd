"""Tuples of rows as rows: what the kernels of tensor attention put in the place of keys and values.

The key of a tuple is a product of keys, its value a product of values, so tensor attention is softmax attention to rows
that nobody stores. A kernel *gathers* a block of them in scratch memory, tuple after tuple in row-major order, and goes
on with the products, the streamed softmax and the careful sums of `tile`. A tuple that no query of the block sees is
not gathered: the range of every member follows from the block, and the last member's from the others' too.

Bound by: (d + e) multiplications and stores for each gathered tuple, against (d + e) multiply-adds for each *lane*
later: a few percent for blocks of 96 queries. The product over all members but the last is kept while that one runs.
"""

from functools import cache
from typing import Any, NamedTuple

from ..blocks import fill
from ..compile import part
from ..pointers import Matrix, places_at
from ..real import Real

MEMBER = 14
"""Numbers per member in the table of members."""


class Member(NamedTuple):
    """One set of keys and values, as a kernel finds it in the table of members."""

    key: Any
    value: Any
    rows: int
    """How many it has."""
    offset: int
    """Row j is in the future of query i if j > i + offset."""
    window: int
    """Row j is too far in the past of query i if j <= i + offset - window."""
    mask: int
    """The step of the mask from row to row."""
    stride: int
    """How many tuples lie between those of one row and those of the next."""
    biased: int
    """Whether the formulation's biases (parameters 1 and 2) are added to its keys and values, where keys multiply."""


class Tuples(NamedTuple):
    """A gathered block, and where the next one begins."""

    keys: Any
    """(capacity, d)."""
    values: Any
    """(capacity, e)."""
    outer: Any
    """(2, d + e): the products (or sums) over all members but the last, and as much that is free for others."""
    low: Any
    """(capacity,), like the three that follow: the first query of the block that may see the tuple, counted from that
    of the block."""
    high: Any
    """Up to which query, that not included."""
    start: Any
    """Where the mask of the tuple begins, counted from that of the first tuple."""
    place: Any
    """Of the tuple among all tuples in row-major order."""
    state: Any
    """`NOTHING`, ..., `INDEX`; then the current, the first and the last index of every member."""


NOTHING, FRESH, DONE, LOW, HIGH, START, PLACE, STOP, INDEX = range(9)
"""In the state: a 0; whether the outer members have moved; whether all tuples have been; bounds, start and place of
the outer members; where the last member stops; the indices."""


def own_scratch(capacity: int, d: int, e: int, members: int, itemsize: int, lanes: int) -> tuple[int, ...]:
    """The scratch of `Tuples`, as `over_tasks` takes it: in numbers per lane."""
    per_whole = 8 // itemsize
    counts = (capacity * d, capacity * e, 2 * (d + e), per_whole * (4 * capacity + INDEX + 3 * members))
    return tuple(-(-count // lanes) for count in counts)


PRODUCT, CROSS, SUM, TRIANGLE = range(4)
"""Forms of the key of a tuple: the product; of a pair, the cross product of triples of channels; the sum; of a pair,
the sum and, in one more channel, the dot product (the queries then have one more channel too, a 1)."""


class Gather(NamedTuple):
    """The parts that go through the tuples, in one precision."""

    open: Any
    """open(scratch_table, at, capacity): the `Tuples` whose scratch begins with that entry of the table."""
    restart: Any
    """restart(members, count, tuples, first, used, begin, end): go back to the first tuple that a query from `first`
    on sees; of the first member only rows from `begin` to `end` take part."""
    gather: Any
    """gather(members, count, tuples, batch_member, parameters, d, e, first, used, capacity, form): gather the next
    tuples, and return how many; 0 at the end."""


def _open_member(reals: Any) -> Any:
    def open_member(table, r):
        at = r * MEMBER
        return Member(
            Matrix(reals(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3]),
            Matrix(reals(table[at + 4]), places_at(table[at + 5]), table[at + 6], table[at + 7]),
            table[at + 8], table[at + 9], table[at + 10], table[at + 11], table[at + 12], table[at + 13],
        )  # fmt: skip

    return open_member


@cache
def member_of(real: Real) -> Any:
    """Make member(table, r), which opens an entry of the table of members."""
    return part(_open_member(real.pointer), of=str(real.dtype))


@cache
def build_gather(real: Real) -> Gather:
    """Return the parts for float32 or float64."""
    zero, one = real.number(0), real.number(1)
    reals, member, of = real.pointer, member_of(real), str(real.dtype)

    def open_tuples(scratch_table, at, capacity):
        whole = scratch_table[at + 3]
        line = 8 * capacity
        return Tuples(
            reals(scratch_table[at]), reals(scratch_table[at + 1]), reals(scratch_table[at + 2]), places_at(whole),
            places_at(whole + line), places_at(whole + 2 * line), places_at(whole + 3 * line),
            places_at(whole + 4 * line),
        )  # fmt: skip

    def restart(members, count, tuples, first, used, begin, end):
        state = tuples.state
        state[NOTHING] = 0
        state[FRESH] = 1
        state[DONE] = 0
        for r in range(count):
            own = member(members, r)
            lowest = max(begin if r == 0 else 0, first + own.offset - own.window + 1)
            highest = min(own.rows, first + used + own.offset)
            if r == 0:
                highest = min(highest, end)
            state[INDEX + r] = lowest
            state[INDEX + count + r] = lowest
            state[INDEX + 2 * count + r] = highest
            if lowest >= highest:
                state[DONE] = 1

    def multiply_in(out, out_at, matrix, at, width, bias):
        for column in range(width):
            out[out_at + column] *= matrix.memory[at + column * matrix.column] + bias

    multiply_in = part(multiply_in, of)

    def rows_of(out, out_at, outer, outer_at, matrix, at, width, bias):
        for column in range(width):
            out[out_at + column] = outer[outer_at + column] * (matrix.memory[at + column * matrix.column] + bias)

    rows_of = part(rows_of, of)

    def add_in(out, matrix, at, width):
        for column in range(width):
            out[column] += matrix.memory[at + column * matrix.column]

    add_in = part(add_in, of)

    def sum_of(out, out_at, outer, matrix, at, width):
        for column in range(width):
            out[out_at + column] = outer[column] + matrix.memory[at + column * matrix.column]

    sum_of = part(sum_of, of)

    def dot_of(outer, matrix, at, width):
        total = zero
        for column in range(width):
            total += outer[column] * matrix.memory[at + column * matrix.column]
        return total

    dot_of = part(dot_of, of, reassociate=True)

    def cross_of(out, out_at, outer, matrix, at, width, bias):
        for column in range(0, width, 3):
            b0 = matrix.memory[at + column * matrix.column] + bias
            b1 = matrix.memory[at + (column + 1) * matrix.column] + bias
            b2 = matrix.memory[at + (column + 2) * matrix.column] + bias
            a0, a1, a2 = outer[column], outer[column + 1], outer[column + 2]
            out[out_at + column] = a1 * b2 - a2 * b1
            out[out_at + column + 1] = a2 * b0 - a0 * b2
            out[out_at + column + 2] = a0 * b1 - a1 * b0

    cross_of = part(cross_of, of)

    def look_at_outer(members, count, tuples, batch_member, parameters, d, e, first, used, form):
        """Set the bounds and products of the outer members, and how far the last one runs beside them."""
        state = tuples.state
        low, high, start, place = 0, used, 0, 0
        width = d - 1 if form == TRIANGLE else d
        fill(tuples.outer, d + e, one)
        if form in (SUM, TRIANGLE):
            fill(tuples.outer, d, zero)
        for r in range(count - 1):
            own = member(members, r)
            j = state[INDEX + r]
            low = max(low, j - own.offset - first)
            high = min(high, j - own.offset + own.window - first)
            start += j * own.mask
            place += j * own.stride
            key_bias = parameters[1] if own.biased else zero
            value_bias = parameters[2] if own.biased else zero
            key, value = own.key, own.value
            at = key.places[batch_member] + j * key.row
            if form in (SUM, TRIANGLE):
                add_in(tuples.outer, key, at, width)
            else:
                multiply_in(tuples.outer, 0, key, at, d, key_bias)
            multiply_in(tuples.outer, d, value, value.places[batch_member] + j * value.row, e, value_bias)
        state[LOW] = low
        state[HIGH] = high
        state[START] = start
        state[PLACE] = place
        last = member(members, count - 1)
        lowest, highest = state[INDEX + 2 * count - 1], state[INDEX + 3 * count - 1]
        state[INDEX + count - 1] = max(lowest, first + low + last.offset - last.window + 1)
        state[STOP] = min(highest, first + high + last.offset) if low < high else 0
        state[FRESH] = 0

    look_at_outer = part(look_at_outer, of)

    def move_outer(count, state):
        """Go on to the next row of the outer members, the last of them first."""
        r = count - 2
        while r >= 0:
            state[INDEX + r] += 1
            if state[INDEX + r] < state[INDEX + 2 * count + r]:
                break
            state[INDEX + r] = state[INDEX + count + r]
            r -= 1
        state[FRESH] = 1
        state[DONE] = 1 if r < 0 else 0

    move_outer = part(move_outer, of)

    def gather(members, count, tuples, batch_member, parameters, d, e, first, used, capacity, form):
        state = tuples.state
        last = member(members, count - 1)
        key, value = last.key, last.value
        key_bias = parameters[1] if last.biased else zero
        value_bias = parameters[2] if last.biased else zero
        width = d - 1 if form == TRIANGLE else d
        gathered = 0
        while gathered < capacity and state[DONE] == 0:
            if state[FRESH]:
                look_at_outer(members, count, tuples, batch_member, parameters, d, e, first, used, form)
            j, stop = state[INDEX + count - 1], state[STOP]
            while j < stop and gathered < capacity:
                at = key.places[batch_member] + j * key.row
                if form in (SUM, TRIANGLE):
                    sum_of(tuples.keys, gathered * d, tuples.outer, key, at, width)
                    if form == TRIANGLE:
                        tuples.keys[gathered * d + width] = dot_of(tuples.outer, key, at, width)
                elif form == CROSS:
                    cross_of(tuples.keys, gathered * d, tuples.outer, key, at, d, key_bias)
                else:
                    rows_of(tuples.keys, gathered * d, tuples.outer, 0, key, at, d, key_bias)
                at = value.places[batch_member] + j * value.row
                rows_of(tuples.values, gathered * e, tuples.outer, d, value, at, e, value_bias)
                tuples.low[gathered] = max(state[LOW], j - last.offset - first)
                tuples.high[gathered] = min(state[HIGH], j - last.offset + last.window - first)
                tuples.start[gathered] = state[START] + j * last.mask
                tuples.place[gathered] = state[PLACE] + j * last.stride
                gathered += 1
                j += 1
            state[INDEX + count - 1] = j
            if j >= stop:
                move_outer(count, state)
        return gathered

    return Gather(part(open_tuples, of), part(restart, of), part(gather, of))
