"""Attention by polynomials in factorized form: one feature for each monomial of the channels.

With x^a for the monomials |a| <= g, T_g(<q, k>) = Σ_a q^a k^a / a!, and sums over keys become *moments*
M[a, :] = Σ_j k_j^a (v_j, 1), which all queries share: numerator and denominator of a query are Σ_a q^a / a! M[a, :].
Features are never stored: a block of them is made in scratch, by one multiplication for each power, and consumed by the
register tile at once.

- `absorb`: lanes are keys, rows monomials; the tile times the values adds to the moments;
- `read`: lanes are queries, rows monomials; the moments times the tile add to the output;
- `slopes`: the derivative of `read` by the queries, by the product rule over the factors of each monomial;
- `carry`: the first two in turn, chunk by chunk, for causal attention: the queries of a chunk read what the keys before
  the chunk have left. The monomials are cut into groups, by their number alone, that are independent tasks.

Bound by: multiply-adds, (m + n) r (e + 1 + g) with r = C(d + g, g) monomials; the moments, r (e + 1) numbers, stream
from the second level of the cache. Differs from the definition by rounding, which grows with |scale| |q| |k| rather
than with the score: what cancels in a dot product cancels later here.
"""

from functools import cache
from typing import Any, NamedTuple

from ..blocks import fill, pack, unpack
from ..compile import kernel, part
from ..pointers import Matrix, moved, places_at
from ..real import Real
from ..tile import build_parts, scaled_score
from ..vector import multiply, multiply_add
from .forward import OWN

ROWS = 64
"""Monomials per block."""

GROUPS = 4
"""Of monomials, at most, that are carried independently."""


class MonomialKernels(NamedTuple):
    """What is compiled in one precision; each is kernel(start, stop, operands, scratch, results) as in `tile`.

    Parameters (scale,), which multiplies the queries. Moments are (batch, r, e + 1 rounded up to whole vectors). The
    mask is one of keys, (n, 1). The results end with the addresses of the powers and the shares, r and the degree.
    """

    absorb: Any
    """A task is a group of monomials: results moments (zero before), then the number of groups."""
    read: Any
    """A task is a block of queries, `extra` of the operands the moments: results output (batch, m, e + 1)."""
    carry: Any
    """A task is a group of monomials: results moments (zero before), output (groups, batch, m, e + 1); the number of
    groups, of queries in a chunk, and of keys before the first chunk. At the end: the number of batch members."""
    slopes: Any
    """The gradient of what `read` tells, by the queries: a task is a block of queries, `extra` of the operands the
    moments and `gradient` one number per query and column of them. Results: gradient (batch, m, d), without the scale.
    """


def own_scratch(keys: int, queries: int, d: int, e: int, width: int) -> tuple[int, ...]:
    """The scratch of the kernels, in numbers per lane: a packed block of keys, its values, the tile, ones, sums."""
    lanes, key_lanes, padded = (-(-count // width) * width for count in (queries, keys, e + 1))
    counts = d * key_lanes, keys * padded, ROWS * max(key_lanes, lanes), max(padded, lanes), (e + 1) * lanes
    return tuple(-(-count // lanes) for count in counts)


class Features(NamedTuple):
    """The parts, in one precision."""

    features: Any
    """features(tile, packed, powers, shares, degree, row, rows, lanes, weighted): the monomials from `row` on of all
    lanes; divided by a! if `weighted`."""
    take: Any
    """take(operands, scratch_table, moments, powers, shares, degree, member, begin, end, rows_from, rows_to): add the
    keys from `begin` to `end` to the moments of some monomials."""
    give: Any
    """give(operands, scratch, scratch_table, known, at, powers, shares, degree, lanes, rows_from, rows_to): what some
    monomials, whose moments stand in a matrix from `at` on, tell the packed queries; returns the (e + 1, lanes)."""


@cache
def build_features(real: Real) -> Features:
    """Return the parts for float32 or float64."""
    zero, one, reals, of = real.number(0), real.number(1), real.pointer, str(real.dtype)

    def features(tile, packed, powers, shares, degree, row, rows, lanes, weighted):
        for r in range(rows):
            at, start = (row + r) * (degree + 1), r * lanes
            share = shares[row + r] if weighted else one
            factors = powers[at]
            if factors == 0:
                fill(moved(tile, start), lanes, share)
                continue
            channel = powers[at + 1] * lanes
            for lane in range(lanes):
                tile[start + lane] = share * packed[channel + lane]
            for factor in range(2, factors + 1):
                channel = powers[at + factor] * lanes
                for lane in range(lanes):
                    tile[start + lane] *= packed[channel + lane]

    features = part(features, of)

    def take(operands, scratch_table, moments, powers, shares, degree, member, begin, end, rows_from, rows_to):
        size, key, value, mask = operands.size, operands.key, operands.value, operands.mask
        packed, values = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
        tile, ones = reals(scratch_table[OWN + 2]), reals(scratch_table[OWN + 3])
        padded = (size.e + size.width) // size.width * size.width
        fill(ones, padded, one)
        for row in range(begin, end, size.keys):
            used = min(size.keys, end - row)
            lanes = (used + size.width - 1) // size.width * size.width
            pack(packed, key, key.places[member] + row * key.row, used, lanes, size.d, zero)
            for j in range(used):
                start, at = j * padded, value.places[member] + (row + j) * value.row
                if size.has_mask and mask.memory[mask.places[member] + (row + j) * mask.row] == 0:
                    fill(moved(values, start), padded, zero)
                    for column in range(size.d):
                        packed[column * lanes + j] = zero
                    continue
                for column in range(size.e):
                    values[start + column] = value.memory[at + column * value.column]
                values[start + size.e] = one
                fill(moved(values, start + size.e + 1), padded - size.e - 1, zero)
            for first in range(rows_from, rows_to, ROWS):
                rows = min(ROWS, rows_to - first)
                features(tile, packed, powers, shares, degree, first, rows, lanes, 0)
                made = Matrix(tile, key.places, lanes, 1)
                out = moved(moments, first * padded)
                multiply_add(out, values, made, 0, lanes, 1, rows, used, padded, size.width, ones)

    def give(operands, scratch, scratch_table, known, at, powers, shares, degree, lanes, rows_from, rows_to):
        size = operands.size
        tile, ones, sums = reals(scratch_table[OWN + 2]), reals(scratch_table[OWN + 3]), reals(scratch_table[OWN + 4])
        padded = (size.e + size.width) // size.width * size.width
        fill(ones, lanes, one)
        fill(sums, (size.e + 1) * lanes, zero)
        for i in range(size.d * lanes):
            scratch.packed[i] *= operands.parameters[0]
        for first in range(rows_from, rows_to, ROWS):
            rows = min(ROWS, rows_to - first)
            features(tile, scratch.packed, powers, shares, degree, first, rows, lanes, 1)
            multiply_add(sums, tile, known, at + first * padded, 1, padded, size.e + 1, rows, lanes, size.width, ones)
        return sums

    return Features(features, part(take, of), part(give, of))


def build_monomials(real: Real) -> MonomialKernels:
    """Make the kernels."""
    zero, reals = real.number(0), real.pointer
    begin = build_parts(real, scaled_score).begin
    _, take, give = build_features(real)
    open_operands, open_scratch = real.open_operands, real.open_scratch

    def derive(scratch, told, powers, at, share, lanes):
        """Add the derivatives of one monomial by its factors, times what all lanes are told of it."""
        factors, line = powers[at], scratch.line
        for factor in range(1, factors + 1):
            for lane in range(lanes):
                line[lane] = share * told[lane]
            for other in range(1, factors + 1):
                if other != factor:
                    channel = powers[at + other] * lanes
                    for lane in range(lanes):
                        line[lane] *= scratch.packed[channel + lane]
            channel = powers[at + factor] * lanes
            for lane in range(lanes):
                scratch.grads[channel + lane] += line[lane]

    derive = part(derive, of=str(real.dtype))

    def absorb(start, stop, operands_table, scratch_table, results):
        operands = open_operands(operands_table)
        size = operands.size
        groups, powers, shares, count, degree = (
            results[1], places_at(results[2]), reals(results[3]), results[4], results[5],
        )  # fmt: skip
        padded = (size.e + size.width) // size.width * size.width
        for task in range(start, stop):
            member, group = task // groups, task % groups
            moments = moved(reals(results[0]), member * count * padded)
            rows_from, rows_to = group * count // groups, (group + 1) * count // groups
            take(operands, scratch_table, moments, powers, shares, degree, member, 0, size.n, rows_from, rows_to)

    def read(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        size = operands.size
        output, powers, shares, count, degree = (
            reals(results[0]), places_at(results[1]), reals(results[2]), results[3], results[4],
        )  # fmt: skip
        blocks = (size.m + size.queries - 1) // size.queries
        moments = operands.extra
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            at = moments.places[member]
            sums = give(operands, scratch, scratch_table, moments, at, powers, shares, degree, lanes, 0, count)
            unpack(output, (member * size.m + first) * (size.e + 1), sums, used, lanes, size.e + 1)

    def carry(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        size, query = operands.size, operands.query
        output, groups, chunk, before = reals(results[1]), results[2], results[3], results[4]
        powers, shares, count, degree = places_at(results[5]), reals(results[6]), results[7], results[8]
        members = results[9]
        padded = (size.e + size.width) // size.width * size.width
        for task in range(start, stop):
            member, group = task // groups, task % groups
            moments = moved(reals(results[0]), member * count * padded)
            rows_from, rows_to = group * count // groups, (group + 1) * count // groups
            known, taken = Matrix(moments, operands.key.places, padded, 1), 0
            for first in range(0, size.m, chunk):
                past = min(size.n, before + first)
                take(operands, scratch_table, moments, powers, shares, degree, member, taken, past, rows_from, rows_to)
                taken = past
                for row in range(first, min(size.m, first + chunk), size.queries):
                    used = min(size.queries, min(size.m, first + chunk) - row)
                    lanes = (used + size.width - 1) // size.width * size.width
                    pack(scratch.packed, query, query.places[member] + row * query.row, used, lanes, size.d, zero)
                    sums = give(
                        operands, scratch, scratch_table, known, 0, powers, shares, degree, lanes, rows_from, rows_to
                    )
                    target = ((group * members + member) * size.m + row) * (size.e + 1)
                    unpack(output, target, sums, used, lanes, size.e + 1)

    def slopes(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        size, known, gradient = operands.size, operands.extra, operands.gradient
        output, powers, shares, count, degree = (
            reals(results[0]), places_at(results[1]), reals(results[2]), results[3], results[4],
        )  # fmt: skip
        tile = reals(scratch_table[OWN + 2])
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            for i in range(size.d * lanes):
                scratch.packed[i] *= operands.parameters[0]
            at = gradient.places[member] + first * gradient.row
            pack(scratch.packed_gradient, gradient, at, used, lanes, size.e, zero)
            fill(scratch.grads, size.d * lanes, zero)
            for row in range(0, count, ROWS):
                rows = min(ROWS, count - row)
                at = known.places[member] + row * known.row
                multiply(
                    tile, scratch.packed_gradient, known, at, known.row, known.column, rows, size.e, lanes, size.width,
                    scratch.rescale,
                )  # fmt: skip
                for r in range(rows):
                    derive(scratch, moved(tile, r * lanes), powers, (row + r) * (degree + 1), shares[row + r], lanes)
            unpack(output, (member * size.m + first) * size.d, scratch.grads, used, lanes, size.d)

    return MonomialKernels(
        kernel(absorb, f"monomials-absorb-{real.dtype}"),
        kernel(read, f"monomials-read-{real.dtype}"),
        kernel(carry, f"monomials-carry-{real.dtype}"),
        kernel(slopes, f"monomials-slopes-{real.dtype}"),
    )
