"""Relational attention: what is passed on is how query and key compare, not what the key holds.

The heads of a batch member share r relations. A task is a block of queries of all heads: for every block of keys the r
tiles of relations are computed once and stand in the cache while head after head streams over them,

    out_i = (Σ_j e_ij σ_j + (Σ_j e_ij ρ_ij) W) / Σ_j e_ij,    e_ij = exp(s_ij - maximum_i),

where the r sums of relations run beside those of symbols, with the same rescaling, and W comes last: nothing of size
m × n × r is formed. Symbols of pairs are read once, where they lie.

Bound by: multiply-adds, m n (h (d + e + r) + r p) of them; those for the h r sums of relations take two loads each.
Differs from the reference by rounding: sums run block by block, and are divided by the total at their end.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import RelationalResult

from .attention import attend, causal_diagonal, dot_scale, kernels_of
from .blocks import fill, pack
from .compile import kernel, part
from .dense import build_softmax, dot_score
from .operands import Array, Laid, lay, lay_out, over_queries
from .pointers import Matrix, Scratch, places_at
from .real import Real
from .tile import build_parts, softmax, span
from .vector import multiply

__all__ = ["relational_attention"]

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "softmax")

KEYS_TOGETHER = 64
"""Per block: r tiles of relations should stand in the cache."""

_PACKED, _SUMS = Scratch._fields.index("packed"), Scratch._fields.index("sums")
_MAXIMUM, _TOTAL = Scratch._fields.index("maximum"), Scratch._fields.index("total")
_OWN = len(Scratch._fields)


class Relations(NamedTuple):
    """What a kernel knows of relations."""

    query: Any
    """(outer · r, m, p)"""
    key: Any
    """(outer · r, n, p)"""
    number: int
    """r"""
    width: int
    """p"""
    activation: int
    """A number from `ACTIVATIONS`."""
    scale: Any


class RelationalKernels(NamedTuple):
    """Both kernels in one precision; each is kernel(start, stop, operands, scratch, results) as in `tile`."""

    forward: Any
    """Results: output (outer, h, m, e); further those of `_numbers`, h, and whether symbols are of pairs."""
    relations: Any
    """Results: relations (outer, r, m, n); further those of `_numbers`."""


def build_relational(real: Real) -> RelationalKernels:
    """Softmax heads over relations and symbols; parameters (scale, 1, scale of relations)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, add_rows = build_parts(real, dot_score)
    advance = softmax(real).step
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    exp, tanh, sigmoid, itemsize = real.exp, real.tanh, real.sigmoid, real.dtype.itemsize
    of = f"{real.dtype}"

    def open_relations(operands, table, at):
        return Relations(
            Matrix(reals(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3]),
            Matrix(reals(table[at + 4]), places_at(table[at + 5]), table[at + 6], table[at + 7]),
            table[at + 8], table[at + 9], table[at + 10], operands.parameters[2],
        )  # fmt: skip

    def bind(table, head, d, e, lanes):
        """Give a head the parts of the scratch that are its own."""
        table[_PACKED] = table[_OWN] + head * d * lanes * itemsize
        table[_SUMS] = table[_OWN + 1] + head * e * lanes * itemsize
        table[_MAXIMUM] = table[_OWN + 2] + head * lanes * itemsize
        table[_TOTAL] = table[_OWN + 3] + head * lanes * itemsize
        return open_scratch(table)

    def pack_relations(packed, relations, outer, first, used, lanes):
        """The queries' side of every relation."""
        for k in range(relations.number):
            at = relations.query.places[outer * relations.number + k] + first * relations.query.row
            own = reals(packed + k * relations.width * lanes * itemsize)
            pack(own, relations.query, at, used, lanes, relations.width, zero)

    def across(tiles, number, rows, lanes, most, total):
        """The softmax over the relations of every pair."""
        for row in range(rows):
            fill(most, lanes, -infinity)
            fill(total, lanes, zero)
            for k in range(number):
                start = (k * rows + row) * lanes
                for lane in range(lanes):
                    x = tiles[start + lane]
                    most[lane] = x if (x > most[lane]) | (x != x) else most[lane]
            for k in range(number):
                start = (k * rows + row) * lanes
                for lane in range(lanes):
                    x = exp(tiles[start + lane] - (zero if most[lane] == -infinity else most[lane]))
                    tiles[start + lane] = x
                    total[lane] += x
            for k in range(number):
                start = (k * rows + row) * lanes
                for lane in range(lanes):
                    tiles[start + lane] /= one if total[lane] == zero else total[lane]

    across = part(across, of)

    def relate(tiles_at, packed, relations, size, outer, row, rows, lanes, scratch):
        """Compute the tiles of all relations."""
        count, key = rows * lanes, relations.key
        for k in range(relations.number):
            at = key.places[outer * relations.number + k] + row * key.row
            tile, x = reals(tiles_at + k * count * itemsize), reals(packed + k * relations.width * lanes * itemsize)
            multiply(tile, x, key, at, key.row, key.column, rows, relations.width, lanes, size.width, scratch.rescale)
            if relations.activation == 1:
                for i in range(count):
                    number = relations.scale * tile[i]
                    tile[i] = zero if zero > number else number  # a NaN stays
            elif relations.activation == 2:
                for i in range(count):
                    tile[i] = tanh(relations.scale * tile[i])
            elif relations.activation == 3:
                for i in range(count):
                    tile[i] = sigmoid(relations.scale * tile[i])
            else:
                for i in range(count):
                    tile[i] = relations.scale * tile[i]
        if relations.activation == 4:
            across(reals(tiles_at), relations.number, rows, lanes, scratch.line, scratch.estimate)

    def read(reads, tiles_at, scratch, count, rows, lanes, hidden):
        """reads[k] = reads[k] * rescale + Σ_rows weight * relation k, over what is visible."""
        line, weights = scratch.line, scratch.scores
        for k in range(count):
            tile = reals(tiles_at + k * rows * lanes * itemsize)
            fill(line, lanes, zero)
            if hidden:
                for i in range(rows):
                    for lane in range(lanes):
                        at = i * lanes + lane
                        line[lane] += weights[at] * tile[at] if scratch.visible[at] else zero
            else:
                i = 0
                while i + 4 <= rows:
                    for lane in range(lanes):
                        at = i * lanes + lane
                        total = line[lane] + weights[at] * tile[at]
                        total += weights[at + lanes] * tile[at + lanes]
                        total += weights[at + 2 * lanes] * tile[at + 2 * lanes]
                        total += weights[at + 3 * lanes] * tile[at + 3 * lanes]
                        line[lane] = total
                    i += 4
                while i < rows:
                    for lane in range(lanes):
                        line[lane] += weights[i * lanes + lane] * tile[i * lanes + lane]
                    i += 1
            for lane in range(lanes):
                reads[k * lanes + lane] = reads[k * lanes + lane] * scratch.rescale[lane] + line[lane]

    def add_pairs(sums, scratch, symbols, places, member, m, first, used, lanes, row, rows, e, hidden):
        """The sums of symbols that belong to pairs, over what is visible: (used, e), a query's numbers together."""
        for lane in range(used):
            for column in range(e):
                sums[lane * e + column] *= scratch.rescale[lane]
            for r in range(rows):
                if hidden == 0 or scratch.visible[r * lanes + lane]:
                    weight = scratch.scores[r * lanes + lane]
                    at = places[member * m + first + lane] + (row + r) * symbols.row
                    if symbols.column == 1:
                        for column in range(e):
                            sums[lane * e + column] += weight * symbols.memory[at + column]
                    else:
                        for column in range(e):
                            sums[lane * e + column] += weight * symbols.memory[at + column * symbols.column]

    open_relations, bind, pack_relations = part(open_relations, of), part(bind, of), part(pack_relations, of)
    relate, read, add_pairs = part(relate, of), part(read, of), part(add_pairs, of)

    def forward(start, stop, operands_table, scratch_table, results):
        operands = open_operands(operands_table)
        relations = open_relations(operands, results, 1)
        output, heads, of_pairs = reals(results[0]), results[12], results[13]
        size, r = operands.size, relations.number
        blocks = (size.m + size.queries - 1) // size.queries
        reads, packed, tiles = scratch_table[_OWN + 4], scratch_table[_OWN + 5], scratch_table[_OWN + 6]
        for task in range(start, stop):
            outer, block = task // blocks, task % blocks
            first = block * size.queries
            used = min(size.queries, size.m - first)
            lanes = (used + size.width - 1) // size.width * size.width
            pack_relations(packed, relations, outer, first, used, lanes)
            for head in range(heads):
                scratch = bind(scratch_table, head, size.d, size.e, lanes)
                begin(operands, scratch, (outer * heads + head) * blocks + block, blocks)
                fill(scratch.sums, size.e * lanes, zero)
                fill(scratch.maximum, lanes, -infinity)
                fill(scratch.total, lanes, zero)
                fill(reals(reads + head * r * lanes * itemsize), r * lanes, zero)
            _, end = span(size, first, used)
            for row in range(0, end, size.keys):
                rows = min(size.keys, end - row)
                related = False
                for head in range(heads):
                    member = outer * heads + head
                    scratch = bind(scratch_table, head, size.d, size.e, lanes)
                    hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                    if hidden < 0:
                        continue
                    if not related:
                        relate(tiles, packed, relations, size, outer, row, rows, lanes, scratch)
                        related = True
                    advance(operands, scratch, lanes, rows, hidden)
                    read(reals(reads + head * r * lanes * itemsize), tiles, scratch, r, rows, lanes, hidden)
                    if of_pairs:
                        add_pairs(
                            scratch.sums, scratch, operands.value, operands.value.places, member, size.m, first, used,
                            lanes, row, rows, size.e, hidden,
                        )  # fmt: skip
                    else:
                        add_rows(
                            operands, scratch, scratch.sums, scratch.scores, operands.value, size.e, member, lanes, row,
                            rows, hidden,
                        )  # fmt: skip
            for head in range(heads):
                member = outer * heads + head
                scratch = bind(scratch_table, head, size.d, size.e, lanes)
                weight = operands.extra
                # Rows of `slopes` for a few columns at a time: the projection of what was read.
                for column in range(0, size.e, size.keys):
                    columns, at = min(size.keys, size.e - column), weight.places[member] + column * weight.column
                    multiply(
                        scratch.slopes, reals(reads + head * r * lanes * itemsize), weight, at, weight.column,
                        weight.row, columns, r, lanes, size.width, scratch.rescale,
                    )  # fmt: skip
                    for lane in range(used):
                        target = ((member * size.m) + first + lane) * size.e + column
                        divisor = scratch.total[lane] if scratch.total[lane] != zero else one
                        for c in range(columns):
                            at = lane * size.e + column + c if of_pairs else (column + c) * lanes + lane
                            output[target + c] = (scratch.sums[at] + scratch.slopes[c * lanes + lane]) / divisor

    def show(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        relations, result = open_relations(operands, results, 1), reals(results[0])
        size, r = operands.size, relations.number
        blocks = (size.m + size.queries - 1) // size.queries
        packed, tiles = scratch_table[_OWN], scratch_table[_OWN + 1]
        for task in range(start, stop):
            outer, block = task // blocks, task % blocks
            first = block * size.queries
            used = min(size.queries, size.m - first)
            lanes = (used + size.width - 1) // size.width * size.width
            pack_relations(packed, relations, outer, first, used, lanes)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                relate(tiles, packed, relations, size, outer, row, rows, lanes, scratch)
                for k in range(r):
                    tile = reals(tiles + k * rows * lanes * itemsize)
                    for lane in range(used):
                        target = ((outer * r + k) * size.m + first + lane) * size.n + row
                        for i in range(rows):
                            result[target + i] = tile[i * lanes + lane]

    return RelationalKernels(
        kernel(forward, f"relational-forward-{real.dtype}"), kernel(show, f"relational-relations-{real.dtype}")
    )


def relational_attention(
    query: Array,
    key: Array,
    relation_query: Array,
    relation_key: Array,
    symbols: Array,
    *,
    relation_weight: Array,
    activation: str,
    relation_scale: float | None,
    symbols_relative: bool,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.dotproduct.relational_attention`."""
    kernels = kernels_of(build_relational, query.dtype)
    (h, m, d), (n, e), (r, _, p) = query.shape[-3:], (key.shape[-2], symbols.shape[-1]), relation_query.shape[-3:]
    leading = [array.shape[:-3] for array in (query, key, relation_query, relation_key)]
    outer = np.broadcast_shapes(*leading, symbols.shape[: -4 if symbols_relative else -3])
    scales = dot_scale(scale, query), 1.0, dot_scale(relation_scale, relation_query)
    problem = lay_out(
        query,
        key,
        np.broadcast_to(query.dtype.type(0), (n, e)) if symbols_relative else symbols,
        mask=mask,
        bias=bias,
        diagonal=causal_diagonal(causal, query, key),
        extra=relation_weight,
        batch=(*outer, h),
        parameters=scales,
        keys_per_block=KEYS_TOGETHER,
    )
    if symbols_relative:
        problem.matrices["value"] = lay(symbols, (*problem.batch, m))  # where every query's own (n, e) begin
    related = [lay(array, (*outer, r)) for array in (relation_query, relation_key)]
    output = problem.new(m, e)
    over_queries(
        problem,
        kernels.forward,
        output,
        together=h,
        own=(h * d, h * e, h, h, h * r, r * p, r * problem.size.keys),
        numbers=(*_numbers(related, r, p, activation), h, symbols_relative),
    )
    if not return_weights:
        return output
    nothing = np.empty((n, 0), dtype=query.dtype)
    options: dict[str, Any] = {"mask": mask, "bias": bias, "causal": causal, "return_weights": True}
    weights = attend(build_softmax, query, key, nothing, *scales[:2], **options).weights
    problem = lay_out(
        relation_query,
        relation_key,
        nothing,
        mask=None,
        bias=None,
        diagonal=None,
        batch=(*np.broadcast_shapes(relation_query.shape[:-3], relation_key.shape[:-3]), r),
        parameters=scales,
        keys_per_block=KEYS_TOGETHER,
    )
    related = [problem.matrices["query"], problem.matrices["key"]]
    relations = problem.new(m, n)
    over_queries(
        problem,
        kernels.relations,
        relations,
        together=r,
        own=(r * p, r * problem.size.keys),
        numbers=_numbers(related, r, p, activation),
    )
    return RelationalResult(output, weights, relations)


def _numbers(related: list[Laid], r: int, p: int, activation: str) -> tuple[int, ...]:
    """What a kernel finds after its result; see `Relations`."""
    return (*related[0].entries, *related[1].entries, r, p, ACTIVATIONS.index(activation))
