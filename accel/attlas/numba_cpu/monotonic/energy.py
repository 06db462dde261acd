"""How willing a pointer is to stop, on the CPU: scores of the tile template that become no softmax.

What is linear in a query or a key alone is computed first, once per row. The pairs are left to the template, whose
weights are the energies themselves or their logistic functions: m n a hyperbolic tangents with a multiply-add each, or
m n a multiply-adds, and no array of pairs × features is ever formed.

Bound by: arithmetic (`network`, `vector`); the result is written once.
Differs from the reference by rounding.
"""

from functools import cache

import numpy as np

from ..attention import dot_scale, kernels_of, score_batch
from ..learned import tanh_sum
from ..operands import Array, lay_out, lean, over_queries
from ..real import Real
from ..tile import Kernels, Weighting, build, elementwise

__all__ = ["monotonic_energy"]

BEND = 32
"""What a hyperbolic tangent costs, in multiply-adds: to decide when threads pay."""


def _energy(product, query_square, key_square, noise, parameters):
    """Parameters (gain, offset, scale of the noise)."""
    return (parameters[0] * product + parameters[1]) + parameters[2] * noise


def _itself(score, parameters):
    return score


@cache
def _chances(real: Real) -> Weighting:
    sigmoid = real.sigmoid

    def chance(score, parameters):
        return sigmoid(score)

    return elementwise(real, chance)


def build_additive_energies(real: Real) -> Kernels:
    """Energies that are u · tanh(q + k)."""
    return build("additive-energies", real, _energy, elementwise(real, _itself), product=tanh_sum(real))


def build_additive_chances(real: Real) -> Kernels:
    """Their logistic functions."""
    return build("additive-chances", real, _energy, _chances(real), product=tanh_sum(real))


def build_dot_energies(real: Real) -> Kernels:
    """Energies that are products."""
    return build("dot-energies", real, _energy, elementwise(real, _itself))


def build_dot_chances(real: Real) -> Kernels:
    """Their logistic functions."""
    return build("dot-chances", real, _energy, _chances(real))


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
    query = query if w_query is None else lean(query) @ w_query
    key = key if w_key is None else lean(key) @ w_key
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
    unused = problem.new(size.m)
    unused.fill(0)
    energies = problem.new(size.m, size.n)
    energies.fill(0 if return_probability else -np.inf)
    per_pair = BEND * size.d if additive else 0
    over_queries(problem, kernels_of(build_kernels, dtype).weights, unused, unused, energies, per_pair=per_pair)
    return energies
