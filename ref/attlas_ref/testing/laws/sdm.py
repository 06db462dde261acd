"""What sparse distributed memories obey: with neurons, with a neuron everywhere, and on the sphere.

The overlap of two Hamming balls is counted here once more by the double sum of its definition. What is said of the
functions that take no arrays (`sdm_circle_intersection`, `sdm_cap_intersection`, `sdm_beta`, `sdm_radius`,
`sdm_optimal_radius`) is tested in `tests/reference/test_memory_sdm.py` and `test_memory_spheres.py`.

| in the specification | law |
| --- | --- |
| read: w = I(Ham)/Σ I | `a_memory_shares_by_overlap` |
| read: the distance alone | `only_hamming_distances_count` |
| read: exact recall | `a_pattern_out_of_reach_of_others_is_recalled` |
| read: all 2^b addresses as neurons | `a_neuron_at_every_address_needs_no_neurons` |
| read: finitely many neurons | `expected_counts_are_rounded_at_random` |
| neurons: a weighted mean, R A its weights | `neurons_that_are_shared_are_the_weights` |
| neurons: the order of writes | `the_order_of_writing_does_not_matter` |
| neurons: written twice | `writing_twice_counts_twice` |
| neurons: bipolar | `bipolar_addresses_are_bits` |
| sphere: positive rescaling | `lengths_do_not_matter_on_the_sphere` |
| sphere: one key in range, n = 1 | `a_key_alone_in_reach_gives_its_value` |
| sphere: w non-increasing in the angle | `nearer_directions_weigh_more` |
| sphere: exactly 0 at 2θ and beyond | `directions_out_of_reach_weigh_nothing` |
| sphere: half spheres | `half_spheres_weigh_by_the_angle` |
| sphere: zero length | `vectors_without_direction_are_not_seen` |
"""

from math import comb, pi
from typing import Any

import numpy as np

from ...visibility import Reals
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same
from .softmax import orthogonal

READ, NEURONS, SPHERE = "sdm_attention", "sdm_neuron_attention", "sdm_continuous_attention"
PLAIN = {"neurons": None, "threshold": False}
SUM = {"threshold": False, "normalize": False}


def _distance(x: Reals, y: Reals) -> Any:
    """Hamming distances of all pairs of rows."""
    return (x[..., :, None, :] != y[..., None, :, :]).sum(axis=-1)


def _overlap(v: int, b: int, r: int) -> int:
    """The number of addresses within r of two that are v apart."""
    pairs = ((i, j) for i in range(v + 1) for j in range(b - v + 1) if i + j <= r and v - i + j <= r)
    return sum(comb(v, i) * comb(b - v, j) for i, j in pairs)


def _overlaps(call: Call) -> Any:
    """I of every pair, (..., m, n)."""
    query, key = call.arrays[:2]
    b = query.shape[-1]
    table = np.array([_overlap(v, b, call.options["radius"]) for v in range(b + 1)], dtype=np.float64)
    return table[_distance(query, key)]


def _shares(counts: Reals) -> Any:
    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.where(total == 0, 1, total)


def _weights(call: Call, f: Evaluate) -> Any:
    """The weights of a call, with the leading axes of all arrays."""
    return call.given(return_weights=True).by(f).weights


@law(READ, statement="w_iμ = I(Ham(q_i, k_μ)) / Σ_ν I(Ham(q_i, k_ν)), I by the double sum", fixed=PLAIN)
def a_memory_shares_by_overlap(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, weights = call.given(return_weights=True).by(f)
    shares = _shares(_overlaps(call)).astype(weights.dtype)
    return equal(weights, np.broadcast_to(shares, weights.shape)), equal(output, shares @ call.arrays[2])


@law((READ, NEURONS), statement="f does not change if all addresses have bits flipped and exchanged alike",
     fixed={"threshold": False, "bipolar": False})  # fmt: skip
def only_hamming_distances_count(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, *neurons = call.arrays
    b = query.shape[-1]
    flip, order = rng.integers(0, 2, b), rng.permutation(b)
    changed = [np.where(x == flip, 0, 1).astype(x.dtype)[..., order] for x in (query, key, *neurons)]
    return equal(call.by(f), call.given(*changed[:2], value, *changed[2:]).by(f))


@law(READ, statement="Ham(k_μ, k_ν) > 2 radius for all ν ≠ μ: f(k_μ) = v_μ", fixed=PLAIN, least={"n": 1, "b": 3})
def a_pattern_out_of_reach_of_others_is_recalled(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, key, value = call.arrays
    radius = int(rng.integers(0, 2))
    n = key.shape[-2]
    apart = np.where(np.eye(n, dtype=bool), key.shape[-1] + 1, _distance(key, key)).min(axis=-1) > 2 * radius
    output = call.given(key, key, value, radius=radius).by(f)
    return equal(np.where(apart[..., None], output, 0), np.where(apart[..., None], value, 0))


@law(READ, ties=(NEURONS,), statement="= sdm_neuron_attention with all 2^b addresses as neurons", fixed=PLAIN,
     least={"b": 1})  # fmt: skip
def a_neuron_at_every_address_needs_no_neurons(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    b = min(query.shape[-1], 6)
    every = (np.arange(2**b)[:, None] >> np.arange(b) & 1).astype(query.dtype)
    radius = min(call.options["radius"], b)
    read = call.given(query[..., :b], key[..., :b], value, radius=radius).by(f)
    return equal(read, f(NEURONS, query[..., :b], key[..., :b], value, every, radius=radius))


@law(READ, statement="neurons = r: counts ⌊E⌋ + [uniforms < E − ⌊E⌋], E = r I / 2^b",
     fixed={"neurons": 50, "threshold": False, "return_weights": True})  # fmt: skip
def expected_counts_are_rounded_at_random(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    expected = _overlaps(call) * (call.options["neurons"] / 2.0 ** call.arrays[0].shape[-1])
    whole = np.floor(expected)
    weights = call.by(f).weights
    shares = _shares(whole + (call.options["uniforms"] < expected - whole)).astype(weights.dtype)
    return equal(weights, np.broadcast_to(shares, weights.shape))


@law(
    NEURONS, statement="f = Σ_μ (RA)_iμ v_μ / Σ_μ (RA)_iμ; C = A V", fixed={"threshold": False, "return_counters": True}
)
def neurons_that_are_shared_are_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value, neurons = call.arrays
    radius = call.options["radius"]
    reads, writes = (_distance(x, y) <= radius for x, y in ((query, neurons), (neurons, key)))
    shared = (reads[..., :, :, None] & writes[..., None, :, :]).sum(axis=-2).astype(value.dtype)  # R A, (..., m, n)
    weights = _shares(shared) if call.options.get("normalize", True) else shared
    output, counters = call.by(f)
    return equal(output, weights @ value), equal(counters, writes.astype(value.dtype) @ value)


@law(NEURONS, statement="f(k[P], v[P]) = f(k, v), and its counters, for every permutation P",
     fixed={"threshold": False, "return_counters": True})  # fmt: skip
def the_order_of_writing_does_not_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value, neurons = call.arrays
    order = rng.permutation(key.shape[-2])
    mixed = call.given(query, key[..., order, :], value[..., order, :], neurons).by(f)
    return tuple(equal(a, b) for a, b in zip(call.by(f), mixed, strict=True))


@law(NEURONS, statement="normalize=False: (k_μ, v_μ) written r_μ times = (k_μ, r_μ v_μ) written once", fixed=SUM)
def writing_twice_counts_twice(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, neurons = call.arrays
    times = rng.integers(0, 4, key.shape[-2])
    again = [np.repeat(x, times, axis=-2) for x in (key, value)]
    return equal(call.given(query, *again, neurons).by(f),
                 call.given(query, key, times[:, None].astype(value.dtype) * value, neurons).by(f))  # fmt: skip


@law(
    NEURONS,
    statement="bipolar: f(2q − 1, 2k − 1, v, 2a − 1) = f(q, k, v, a)",
    fixed={"threshold": False, "bipolar": False},
)
def bipolar_addresses_are_bits(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, neurons = call.arrays
    query, key, neurons = (np.where(x == 0, -1, 1).astype(x.dtype) for x in (query, key, neurons))
    return equal(call.by(f), call.given(query, key, value, neurons, bipolar=True).by(f))


def _cosines(call: Call) -> Any:
    """Cosines of all pairs, (..., m, n); 0 where a vector has no direction."""
    units = (x / np.where((length := np.sqrt((x**2).sum(axis=-1, keepdims=True))) == 0, 1, length)
             for x in call.arrays[:2])  # fmt: skip
    query, key = units
    return query @ key.mT


def _slack(call: Call) -> float:
    """How far rounding moves no cosine: the root of the unit, where d units would do."""
    return float(np.sqrt(np.finfo(call.arrays[0].dtype).eps))


@law(SPHERE, statement="f(a q, b k, v) = f(q, k, v) for positive a_i, b_j, and f(q R, k R, v) for orthogonal R")
def lengths_do_not_matter_on_the_sphere(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    longer = [x * 2.0 ** rng.integers(-3, 4, (x.shape[-2], 1)).astype(x.dtype) for x in (query, key)]
    rotation = orthogonal(query.shape[-1], rng, query.dtype)
    plain = call.by(f)
    return (
        equal(plain, call.given(*longer, value).by(f)),
        equal(plain, call.given(query @ rotation, key @ rotation, value).by(f)),
    )


@law(SPHERE, statement="one key along q_i and the others against it: out_i = v_j", least={"n": 1, "m": 1})
def a_key_alone_in_reach_gives_its_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    query = np.where(query == 0, 1, query)[..., :1, :]
    n, chosen = key.shape[-2], int(rng.integers(key.shape[-2]))
    side = np.where(np.arange(n) == chosen, 1, -1)[:, None] * rng.uniform(0.5, 2, (n, 1))
    output = call.given(query, side.astype(query.dtype) * query, value).by(f)
    return equal(output, np.broadcast_to(value[..., chosen, None, :], output.shape))


@law(SPHERE, statement="cos(q_i, k_j) >= cos(q_i, k_l): w_ij >= w_il")
def nearer_directions_weigh_more(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = _weights(call, f)
    order = np.argsort(-np.broadcast_to(_cosines(call), weights.shape), axis=-1)
    falling = np.take_along_axis(weights, order, axis=-1)
    lengths = [(x**2).sum(axis=-1) > 0 for x in call.arrays[:2]]
    directed = np.all(lengths[1], axis=-1, keepdims=True)[..., None]  # the cosine of a zero vector says nothing
    return at_most(np.where(directed, falling[..., 1:], 0), np.where(directed, falling[..., :-1], 0))


@law(SPHERE, statement="angle(q_i, k_j) >= 2 arccos(cap_cosine): w_ij = 0, exactly")
def directions_out_of_reach_weigh_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights, cap = _weights(call, f), call.options["cap_cosine"]
    far = _cosines(call) < 2 * cap**2 - 1 - _slack(call)  # the cosine of twice the angle
    beyond = np.where(far, weights, 0)
    return same(beyond, np.zeros_like(beyond))


@law(SPHERE, statement="cap_cosine = 0: w_ij = (π − angle_ij) / Σ_l (π − angle_il), in every dimension",
     fixed={"cap_cosine": 0.0}, least={"m": 1, "n": 1})  # fmt: skip
def half_spheres_weigh_by_the_angle(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    call = call.given(*(np.where(x == 0, 1, x) for x in (query, key)), value)  # every vector has a direction
    weights = _weights(call, f)
    rest = pi - np.arccos(np.clip(_cosines(call), -1, 1))
    return equal(weights, np.broadcast_to(_shares(rest), weights.shape))


@law(SPHERE, statement="|k_j| = 0: as if k_j were not there; |q_i| = 0: out_i = 0", least={"m": 1, "n": 1})
def vectors_without_direction_are_not_seen(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    seen = rng.random(key.shape[-2]) < 0.6
    nowhere = call.given(query, np.where(seen[:, None], key, 0), value).by(f)
    blind = call.given(np.zeros_like(query), key, value).by(f)
    left = call.given(query, key[..., seen, :], value[..., seen, :]).by(f)
    return equal(nowhere, left), same(blind, np.zeros_like(blind))
