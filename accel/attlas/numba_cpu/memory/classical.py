"""The classical Hopfield network: fields by overlaps, by the network's weights, or bit after bit.

With the patterns x as rows of K, the field of all bits is (s Kᵀ) K less each bit's pull on itself, 2 m n d
multiply-adds by the register tile, and T = Kᵀ K is never built. The pull on itself is subtracted from a sum that holds
it: this is exact for whole numbers, and only then done. Other numbers, and networks with more patterns than pay, take
s T with T computed tile by tile where it is used, m d² + n d² multiply-adds: two causal attentions of the bits to each
other, one to those before them and one to those behind. Neither needs more than O(d) numbers per query.

One bit after the other, each sees the newest of the others: T, d² numbers for each set of patterns, is computed once,
and a sweep is m d² multiply-adds with the queries side by side.

Differs from the reference by rounding, which whole numbers (bits above all) have none of.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import FieldResult

from ..attention import attend, kernels_of, lay_out_scores, run_forward
from ..blocks import unpack
from ..compile import kernel, part
from ..operands import Array, Problem, lay_out, lean, over_queries
from ..pointers import places_at
from ..real import Real
from ..tile import Kernels, build, build_parts, elementwise, scaled_score
from ..vector import multiply

__all__ = ["classical_hopfield"]


def build_overlaps(real: Real) -> Kernels:
    """Scores as weights; parameters (1,)."""

    def itself(score, parameters):
        return score

    return build("overlaps", real, scaled_score, elementwise(real, itself))


def build_sweep(real: Real) -> tuple[Any]:
    """Make the kernel that updates every bit once, in an order; alone in a tuple.

    The key is T. Results: the bits (batch, m, d), their fields (batch, m, d), the order.
    """
    zero, one = real.number(0), real.number(1)
    begin = build_parts(real, scaled_score).begin
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def sign(field, old):
        """The sign of a field; where that is 0 the old bit, and a NaN stays."""
        return one if field > zero else (-one if field < zero else (old if field == zero else field))

    sign = part(sign, of=f"{real.dtype}", inline=True)

    def sweep(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        bits, fields, order = reals(results[0]), reals(results[1]), places_at(results[2])
        size, hebb, state, line = operands.size, operands.key, scratch.packed, scratch.line
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            for position in range(size.d):
                bit = order[position]
                at = hebb.places[member] + bit * hebb.row
                multiply(line, state, hebb, at, hebb.row, hebb.column, 1, size.d, lanes, size.width, scratch.rescale)
                for lane in range(lanes):
                    scratch.sums[bit * lanes + lane] = line[lane]
                    state[bit * lanes + lane] = sign(line[lane], state[bit * lanes + lane])
            target = (member * size.m + first) * size.d
            unpack(bits, target, state, used, lanes, size.d)
            unpack(fields, target, scratch.sums, used, lanes, size.d)

    return (kernel(sweep, f"hopfield-sweep-{real.dtype}"),)


def classical_hopfield(
    query: Array,
    key: Array,
    *,
    steps: int,
    zero_diagonal: bool,
    return_field: bool,
    update: str,
    order: Array | None,
) -> Any:
    """See `attlas_ref.memory.classical_hopfield`."""
    state = spread(query, key)
    if update == "async" and steps > 0:
        hebb = _weights(lean(key), zero_diagonal)
        places = np.arange(query.shape[-1]) if order is None else order
        for _ in range(steps):
            state, field = swept(state, hebb, places)
    else:
        field = field_of(state, key, zero_diagonal)
        for step in range(steps):
            field = field_of(state, key, zero_diagonal) if step else field
            state = signed(field, state)
    return FieldResult(state, field) if return_field else np.array(state)


def spread(query: Array, key: Array) -> Array:
    """View the states with all leading axes."""
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return np.broadcast_to(query, (*batch, *query.shape[-2:]))


def signed(field: Array, old: Array) -> Array:
    """Return the sign of a field, and the old bit where it is 0."""
    return np.where(field == 0, old, np.sign(field))


def field_of(state: Array, key: Array, zero_diagonal: bool) -> Array:
    """Return the field of every bit of a state."""
    (m, d), n = state.shape[-2:], key.shape[-2]
    if 2 * m * n <= (m + n) * d and _exact(state, key):
        return _by_overlaps(state, key, zero_diagonal)
    bits, states = key.mT, state.mT
    if not zero_diagonal:
        return _among_bits(bits, states, None).mT
    below = _among_bits(bits, states, -1)
    above = _among_bits(bits[..., ::-1, :], states[..., ::-1, :], -1)[..., ::-1, :]
    return (below + above).mT + 0 * state  # a NaN reaches its own bit too


def _by_overlaps(state: Array, key: Array, zero_diagonal: bool) -> Array:
    field = attend(
        build_overlaps, state, key, key, 1.0, mask=None, bias=None, causal=False, return_weights=False, divide=False
    )  # fmt: skip
    return field - state * (lean(key) ** 2).sum(axis=-2, keepdims=True) if zero_diagonal else field


def _among_bits(bits: Array, states: Array, diagonal: int | None) -> Array:
    """Return T times the states, (..., d, m), T without what lies above a diagonal."""
    problem = lay_out(bits, bits, states, mask=None, bias=None, diagonal=diagonal, parameters=(1.0,))
    return run_forward(problem, kernels_of(build_overlaps, states.dtype))[0]


def _exact(state: Array, key: Array) -> bool:
    """Whether all sums are of whole numbers, none of them rounded."""
    state, key = lean(state), lean(key)
    if not all(bool((x == np.rint(x)).all()) for x in (state, key)):
        return False
    largest = [float(abs(x).max(initial=0)) for x in (state, key, key)]
    return key.shape[-1] * key.shape[-2] * float(np.prod(largest)) < 2 / np.finfo(key.dtype).eps


def _weights(key: Array, zero_diagonal: bool) -> Array:
    """Return T, (..., d, d)."""
    d = key.shape[-1]
    problem: Problem = lay_out_scores(key.mT, key.mT, mask=None, bias=None, diagonal=None, parameters=(1.0,))
    hebb = np.zeros((*problem.batch, d, d), dtype=key.dtype)
    nothing = problem.new(d)
    over_queries(problem, kernels_of(build_overlaps, key.dtype).weights, nothing, nothing, hebb)
    if zero_diagonal:
        hebb[..., np.arange(d), np.arange(d)] = 0
    return hebb


def swept(state: Array, hebb: Array, order: Array) -> tuple[Array, Array]:
    """Update every bit once, one by one; return the bits and the fields that they were taken from."""
    d = hebb.shape[-1]
    batch = state.shape[:-2]
    problem = lay_out(state, hebb, hebb, mask=None, bias=None, diagonal=None, batch=batch, parameters=(1.0,))
    bits, fields = problem.new(problem.size.m, d), problem.new(problem.size.m, d)
    places = np.ascontiguousarray(order, dtype=np.int64)
    over_queries(problem, *kernels_of(build_sweep, state.dtype), bits, fields, places)
    return bits, fields
