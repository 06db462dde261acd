"""Dense associative memory: bits by the energy that each would have.

All bits at once, states and patterns of bits: the two energies of a bit then depend on its pattern's sign alone, and
the fields of all bits are a product of the register tile, attention to the patterns with weights of its own.

- A power F: with o the overlap, h = Σ x (F(o + 2) - F(o - 2)) / 2 - s Σ ((F(o + 2) + F(o - 2)) / 2 - F(o)): 2 m n d
  multiply-adds and three powers per pair. Where all numbers are exact in the precision, so is the result.
- The exponential: the softmax of the overlaps reads which share P of it lies on patterns with the bit set, and N on the
  others; h = -log(P / e² + N e²) where the bit is set, log(P e² + N / e²) where it is not: 3 m n d multiply-adds.

Everything else (other numbers than bits, one bit after the other) goes bit by bit over the overlaps of a block of
queries: m n d evaluations of both energies per step, and m n d multiply-adds to keep the overlaps up to date. The
overlaps of one thread are at most `BAND` bytes (see `band`) or one vector of lanes wide; none grows with m n.

Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import FieldResult

from ..attention import attend, kernels_of, run_forward
from ..band import band_lanes
from ..dotproduct import build_softmax
from ..operands import Array, lay_out, lean, over_queries
from .classical import signed, spread
from .dense_memory_kernels import EXPONENTIAL, build_bit_by_bit, build_energy_slopes

__all__ = ["dense_associative_memory"]


def dense_associative_memory(
    query: Array,
    key: Array,
    *,
    energy: str,
    degree: int,
    rectified: bool,
    steps: int,
    update: str,
    order: Array | None,
    return_field: bool,
) -> Any:
    """See `attlas_ref.memory.dense_associative_memory`."""
    state = spread(query, key)
    field = np.zeros(state.shape, dtype=state.dtype)
    power = EXPONENTIAL if energy == "exp" else degree
    one_by_one = update == "async" and steps > 0
    places = np.arange(query.shape[-1]) if order is None or not one_by_one else order
    patterns_are_bits = _bits(key)
    for step in range(max(steps, 1) if key.shape[-2] else 0):  # no pattern, no pull
        if not one_by_one and patterns_are_bits and _bits(state):
            field = _field_of_bits(state, key, power, rectified)
            updated = signed(field, state)
        else:
            updated, field = _bit_by_bit(state, key, power, rectified, places, one_by_one)
        state = updated if step < steps else state
    return FieldResult(state, field) if return_field else np.array(state)


def _bits(array: Array) -> bool:
    return bool((abs(lean(array)) == 1).all())


def _field_of_bits(state: Array, key: Array, power: int, rectified: bool) -> Array:
    if power == EXPONENTIAL:
        rows = lean(key)
        sides = np.concatenate([rows > 0, rows < 0], axis=-1).astype(key.dtype)
        sides = np.broadcast_to(sides, (*key.shape[:-1], sides.shape[-1]))
        options: dict[str, Any] = {"mask": None, "bias": None, "causal": False, "return_weights": False}
        shares = attend(build_softmax, state, key, sides, 1.0, 1.0, **options)
        own, other = shares[..., : key.shape[-1]], shares[..., key.shape[-1] :]
        own, other = np.where(state > 0, own, other), np.where(state > 0, other, own)
        return np.asarray(-state * np.log(own * np.exp(-2.0) + other * np.exp(2.0)), dtype=state.dtype)
    problem = lay_out(
        state, key, key, mask=None, bias=None, diagonal=None, parameters=(float(power), float(rectified))
    )  # fmt: skip
    towards, _, own = run_forward(problem, kernels_of(build_energy_slopes, state.dtype))
    return np.asarray(towards - state * own[..., None])


def _bit_by_bit(
    state: Array, key: Array, power: int, rectified: bool, order: Array, one_by_one: bool
) -> tuple[Array, Array]:
    """Update every bit once; return the bits and the fields that they were taken from."""
    problem = lay_out(
        state,
        key,
        key,
        mask=None,
        bias=None,
        diagonal=None,
        parameters=(float(power), float(rectified), float(one_by_one)),
        selects=True,
        queries_per_block=band_lanes(key.shape[-2], key.dtype),
    )
    size = problem.size
    bits, fields = problem.new(size.m, size.d), problem.new(size.m, size.d)
    places = np.ascontiguousarray(order, dtype=np.int64)
    work = 8 * size.d  # both energies of a bit, in multiply-adds
    over_queries(
        problem,
        *kernels_of(build_bit_by_bit, key.dtype),
        bits,
        fields,
        places,
        rows=size.n,
        per_pair=work,
        own=(1,) * 4,
    )
    return bits, fields
