"""How willing a pointer is to stop, on the CPU: scores of the tile template that become no softmax.

What is linear in a query or a key alone is computed first, once per row. The pairs are left to the template: m n a
hyperbolic tangents with a multiply-add each, or m n a multiply-adds, and no array of pairs × features is ever formed. A
tile of energies, or of their logistic functions, is turned in squares as it is written.

Bound by: arithmetic (`network`, `vector`); the result is written once.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import set_rows
from ..compile import kernel, part
from ..learned import tanh_sum
from ..operands import Array, lay_out, over_queries
from ..product import projected
from ..real import Real
from ..tile import build_parts, dot

__all__ = ["monotonic_energy"]

BEND = 32
"""What a hyperbolic tangent costs, in multiply-adds: to decide when threads pay."""


def _energy(product, query_square, key_square, noise, parameters):
    """Parameters (gain, offset, scale of the noise)."""
    return (parameters[0] * product + parameters[1]) + parameters[2] * noise


def _build(name: str, real: Real, product: Any, chance: bool) -> Any:
    """Make the kernel. Results: the energies or chances (batch, m, n), where nothing is visible set before."""
    begin, scores, _ = build_parts(real, _energy, product=product)
    open_operands, open_scratch, reals, sigmoid = real.open_operands, real.open_scratch, real.pointer, real.sigmoid

    def squash(tile, count):
        for i in range(count):
            tile[i] = sigmoid(tile[i])

    squash = part(squash, of=f"{name}, {real.dtype}")

    def energies(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        size, result = operands.size, reals(results[0])
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            at = (member * size.m + first) * size.n
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                if scores(operands, scratch, member, first, used, lanes, row, rows) < 0:
                    continue
                if chance:
                    squash(scratch.scores, rows * lanes)
                set_rows(result, at + row, size.n, scratch.scores, used, lanes, rows)

    return kernel(energies, f"{name}-{real.dtype}")


def build_additive_energies(real: Real) -> Any:
    """Energies that are u · tanh(q + k)."""
    return _build("additive-energies", real, tanh_sum(real), False)


def build_additive_chances(real: Real) -> Any:
    """Their logistic functions."""
    return _build("additive-chances", real, tanh_sum(real), True)


def build_dot_energies(real: Real) -> Any:
    """Energies that are products."""
    return _build("dot-energies", real, dot, False)


def build_dot_chances(real: Real) -> Any:
    """Their logistic functions."""
    return _build("dot-chances", real, dot, True)


def monotonic_energy(
    query: Array,
    key: Array,
    *,
    score: str,
    w_query: Array | None,
    w_key: Array | None,
    b: Array | None,
    v: Array | None,
    g: float,
    r: float,
    scale: float | None,
    noise: Array | None,
    noise_scale: float,
    mask: Array | None,
    return_probability: bool,
) -> Array:
    """See `attlas_ref.monotonic.monotonic_energy`."""
    batch, dtype = score_batch(query, key, noise, mask), query.dtype
    query = projected(query, w_query)
    key = projected(key, w_key)
    query = query if b is None else query + b
    additive = score == "additive"
    direction = None if v is None else (v / np.sqrt((v * v).sum()))[None, :]
    problem = lay_out(
        query,
        key,
        np.empty((key.shape[-2], 0), dtype=dtype),
        mask=mask,
        bias=noise,
        diagonal=None,
        extra=direction,
        batch=batch,
        parameters=(dot_scale(scale, query) if score == "scaled_dot" else g, r, noise_scale),
    )
    if return_probability:
        build_kernels = build_additive_chances if additive else build_dot_chances
    else:
        build_kernels = build_additive_energies if additive else build_dot_energies
    size = problem.size
    energies = problem.new(size.m, size.n)
    if mask is not None:
        energies.fill(0 if return_probability else -np.inf)
    per_pair = BEND * size.d if additive else 0
    over_queries(problem, kernels_of(build_kernels, dtype), energies, per_pair=per_pair)
    return energies
