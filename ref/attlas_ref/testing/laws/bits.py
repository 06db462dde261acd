"""What networks of bits obey: `classical_hopfield` and `dense_associative_memory`.

On bits -1 and 1 overlaps and fields of small degrees are whole numbers, so most of this holds to the bit.

| in the specification | law |
| --- | --- |
| classical: the energy never increases, async | `a_bit_at_a_time_never_raises_the_energy` |
| classical: h = (q Kᵀ) K − n q, never T | `a_field_needs_no_weight_matrix` |
| classical: orthogonal patterns | `orthogonal_patterns_are_fixed_points` |
| classical: −pattern | `a_negative_is_recalled_as_the_negative` |
| dense: degree 2 | `a_memory_of_degree_two_is_the_classical_network` |
| dense: the energy never increases, async | `a_bit_at_a_time_never_raises_the_energy` |
| dense: the field is a difference of energies | `a_dense_field_is_a_difference_of_energies` |
| dense: even degrees | `a_negative_is_recalled_as_the_negative` |
| dense: odd degrees break the symmetry | `tests/reference/test_memory_bits.py` |
| dense: exp, well separated | `separated_patterns_are_fixed_points_of_the_exponential` |
"""

from itertools import pairwise
from typing import Any

import numpy as np

from ...visibility import Reals
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

CLASSICAL, DENSE = "classical_hopfield", "dense_associative_memory"
FIELD = {"return_field": True}
POLYNOMIAL = {"energy": "polynomial", "rectified": False}


def _bits(x: Reals) -> Any:
    return np.where(x < 0, -1, 1).astype(x.dtype)


def _in_bits(call: Call) -> Call:
    return call.given(*map(_bits, call.arrays))


def _terms(call: Call, overlap: Reals) -> Any:
    """F of the overlaps, as the dense memory of the call has it; of the classical network, its square."""
    options = call.options
    if options.get("energy") == "exp":
        return np.exp(overlap)
    if call.name == DENSE and options.get("rectified"):
        overlap = np.maximum(overlap, 0)
    return overlap ** (options.get("degree", 2) if call.name == DENSE else 2)


@law((CLASSICAL, DENSE), statement="update='async': E(σ after s + 1 sweeps) <= E(σ after s), E = −Σ_μ F(x_μ·σ)",
     fixed={"update": "async"})  # fmt: skip
def a_bit_at_a_time_never_raises_the_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _in_bits(call)
    states = [call.given(steps=steps).by(f) for steps in range(4)]
    energies = [-_terms(call, state @ call.arrays[1].mT).sum(axis=-1) for state in states]
    return tuple(at_most(later, earlier) for earlier, later in pairwise(energies))


@law(CLASSICAL, statement="h = (q Kᵀ) K − [zero_diagonal] q Σ_μ x_μ², which is n q for bits",
     fixed={"update": "sync", "steps": 1, **FIELD})  # fmt: skip
def a_field_needs_no_weight_matrix(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    relations = []
    for each in (call, _in_bits(call)):
        query, key = each.arrays
        pull = (query @ key.mT) @ key
        if each.options.get("zero_diagonal", True):
            pull = pull - query * (key**2).sum(axis=-2, keepdims=True)
        relations.append(equal(each.by(f).field, pull))
    return tuple(relations)


@law(CLASSICAL, statement="orthogonal x_μ, n <= d: f(x_μ) = x_μ, h = (d − n) x_μ, exactly",
     fixed={"zero_diagonal": True, "steps": 2, **FIELD}, least={"n": 1})  # fmt: skip
def orthogonal_patterns_are_fixed_points(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    _, key = call.arrays
    two = np.array([[1, 1], [1, -1]], dtype=key.dtype)
    rows = np.kron(np.kron(two, two), two)  # eight orthogonal patterns of eight bits
    patterns = rows[rng.permutation(8)[: key.shape[-2]]]
    output, field = call.given(patterns, patterns, order=None).by(f)
    return same(output, patterns), same(field, (8 - len(patterns)) * patterns)


@law((CLASSICAL, DENSE), statement="even F: f(−σ) = −f(σ), and the fields likewise: −x is stable iff x is",
     fixed={"degree": 2, **POLYNOMIAL, **FIELD})  # fmt: skip
def a_negative_is_recalled_as_the_negative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _in_bits(call)
    query, key = call.arrays
    if call.name == DENSE:
        call = call.given(degree=int(rng.choice([2, 4])))
    pairs = zip(call.given(-query, key).by(f), call.by(f), strict=True)
    return tuple(same(negative, -plain) for negative, plain in pairs)


@law(DENSE, ties=(CLASSICAL,), statement="degree 2: the bits of classical_hopfield, and 4 times its field",
     fixed={"degree": 2, **POLYNOMIAL, **FIELD})  # fmt: skip
def a_memory_of_degree_two_is_the_classical_network(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    call = _in_bits(call)
    options = {name: call.options[name] for name in ("steps", "update", "order") if name in call.options}
    output, field = call.by(f)
    bits, pull = f(CLASSICAL, *call.arrays, return_field=True, **options)
    return same(output, bits), same(field, 4 * pull)


@law(DENSE, statement="h_c = Σ_μ F(x_μ·σ | σ_c = 1) − Σ_μ F(x_μ·σ | σ_c = −1); for exp of the logarithms of both",
     fixed={"update": "sync", "steps": 1, **FIELD}, least={"n": 1})  # fmt: skip
def a_dense_field_is_a_difference_of_energies(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _in_bits(call)
    query, key = call.arrays
    own = np.eye(query.shape[-1], dtype=bool)
    up, down = (
        np.where(own, side, query[..., None, :]) @ key[..., None, :, :].mT for side in (1, -1)
    )  # (..., m, d, n)
    high, low = (_terms(call, overlap.astype(query.dtype)).sum(axis=-1) for overlap in (up, down))
    if call.options.get("energy") == "exp":
        high, low = np.log(high), np.log(low)
    return equal(call.by(f).field, high - low)


@law(DENSE, statement="x_μ·x_ν <= d − 3 − log n for all ν ≠ μ: x_μ is a fixed point of the exponential memory",
     fixed={"energy": "exp"}, least={"d": 5, "n": 1})  # fmt: skip
def separated_patterns_are_fixed_points_of_the_exponential(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    # Turning a bit of x_μ takes e^d to e^(d−2) in its own term, and no other term above e^(overlap + 2).
    key = _bits(call.arrays[1])
    n, d = key.shape[-2:]
    overlap = np.where(np.eye(n, dtype=bool), -d, key @ key.mT).max(axis=-1, keepdims=True)
    apart = overlap <= d - 3 - np.log(n)
    output = call.given(key, key).by(f)
    return same(np.where(apart, output, 0), np.where(apart, key, 0))
