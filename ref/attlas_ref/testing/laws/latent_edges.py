"""What attention as the posterior of a latent edge obeys, and the descent that moves its query.

| in the specification | law |
| --- | --- |
| uniform prior; a constant per row | `a_prior_that_is_constant_per_query_is_none`, `priors_have_no_unit` |
| causal prior | `a_causal_prior_is_the_causal_rule` |
| `prior` and `log_prior` | `a_prior_is_its_logarithm` |
| one-hot prior | `a_certain_edge_gives_its_value` |
| scale to 0 | `without_scale_the_prior_decides` |
| w minimizes F, F(w) = −log Σ π e^s | `the_posterior_has_the_least_free_energy` |
| sequential Bayes | `posteriors_are_priors` |
| geometric prior is ALiBi | `a_geometric_prior_is_a_linear_bias` |
| neighborhood prior | `an_impossible_edge_is_a_hidden_one` |
| iterative: one step is `softmax_attention(q, k, k)` | `one_move_is_attention_to_the_keys` |
| iterative: steps = 0 with value | `without_a_move_the_posterior_reads` |
| iterative: E never increases | `each_move_lowers_the_energy` |
| iterative: Hopfield | `undamped_moves_are_hopfield_retrieval` |
| iterative: ∇E; a damped move | `a_damped_move_goes_part_of_the_way`, `moves_go_on_where_they_stopped` |
| iterative: equal |k_j| | `keys_of_one_length_are_a_gaussian_mixture` |

Fixed points, finite differences of E and the limits of beta are tests in `tests/reference/test_probabilistic_edges.py`.
"""

from typing import Any

import numpy as np

from ...probabilistic.priors import causal_prior, geometric_prior, neighborhood_prior
from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import filled, options_of, scores_of
from .law import Evaluate, Relation, at_most, equal, law

EDGE, MOVING = "structural_prior_attention", "iterative_attention"
NO_PRIOR = {"prior": None, "log_prior": None}
WEIGHTS = {"return_weights": True}
UNDAMPED = {"step_size": 1.0}


def _seen(call: Call) -> dict[str, Any]:
    return options_of(call, "scale", "mask", "bias", "causal")


def _pairs(call: Call) -> tuple[int, int]:
    return call.arrays[0].shape[-2], call.arrays[1].shape[-2]


def _prior(call: Call, rng: np.random.Generator) -> Any:
    """A prior of one number per pair, none of them 0."""
    return rng.uniform(0.1, 4, _pairs(call)).astype(call.arrays[0].dtype)


@law(EDGE, ties=("softmax_attention",), statement="log π_ij = c_i: softmax attention", fixed=NO_PRIOR)
def a_prior_that_is_constant_per_query_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    constant = rng.uniform(-9, 9, (_pairs(call)[0], 1)).astype(call.arrays[0].dtype)
    return equal(call.given(log_prior=constant).by(f), f("softmax_attention", *call.arrays, **_seen(call)))


@law(EDGE, statement="f(log π + c_i) = f(log π)", fixed=WEIGHTS)
def priors_have_no_unit(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    prior = np.log(_prior(call, rng))
    constant = rng.uniform(-9, 9, (_pairs(call)[0], 1)).astype(prior.dtype)
    both = (call.given(prior=None, log_prior=log).by(f) for log in (prior, prior + constant))
    return tuple(equal(one, other) for one, other in zip(*both, strict=True))


@law(EDGE, ties=("softmax_attention",), statement="log π = causal_prior(m, n): causal softmax attention",
     fixed={**NO_PRIOR, "causal": False})  # fmt: skip
def a_causal_prior_is_the_causal_rule(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    given = call.given(log_prior=causal_prior(*_pairs(call)))
    return equal(given.by(f), f("softmax_attention", *call.arrays, **{**_seen(call), "causal": True}))


@law(EDGE, statement="f(prior = π) = f(log_prior = log π)", fixed=WEIGHTS)
def a_prior_is_its_logarithm(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    prior = np.where(rng.random(_pairs(call)) < 0.3, 0, _prior(call, rng))
    plain, logarithm = call.given(prior=prior, log_prior=None), call.given(prior=None, log_prior=np.log(prior))
    return tuple(equal(one, other) for one, other in zip(plain.by(f), logarithm.by(f), strict=True))


@law(EDGE, statement="π_i one-hot at j: out_i = v_j, whatever q and k", fixed={**NO_PRIOR, "bias": None, "mask": None},
     least={"m": 1, "n": 1})  # fmt: skip
def a_certain_edge_gives_its_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (m, n), value = _pairs(call), call.arrays[2]
    chosen = rng.integers(n, size=m)
    sure = (np.arange(n) == chosen[:, None]).astype(value.dtype)
    output = call.given(prior=sure).by(f)
    sees = (visible_in(call) & (sure > 0)).any(axis=-1)[..., None]
    return equal(output, np.where(sees, value[..., chosen, :], 0))


@law(EDGE, statement="scale = 0: out_i = Σ_j π_ij v_j / Σ_j π_ij", fixed={**NO_PRIOR, "bias": None, "scale": 0.0})
def without_scale_the_prior_decides(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    prior = _prior(call, rng)
    shown = np.where(visible_in(call), prior, 0)
    total = shown.sum(axis=-1, keepdims=True)
    return equal(call.given(prior=prior).by(f), shown @ call.arrays[2] / np.where(total == 0, 1, total))


@law(EDGE, ties=("attention_energy",), statement="F(w) = −log Σ_j π_j e^{s_j} <= F(r) = Σ_j r_j log(r_j / π_j e^{s_j})",
     fixed={**NO_PRIOR, "bias": None, **WEIGHTS}, least={"m": 1, "n": 1})  # fmt: skip
def the_posterior_has_the_least_free_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    prior, visible, scores = _prior(call, rng), visible_in(call), scores_of(call)

    def free_energy(weights: Reals) -> Any:
        some = weights > 0
        log = np.log(np.where(some, weights, 1))
        return np.where(some, weights * (log - np.log(prior) - np.where(visible, scores, 0)), 0).sum(axis=-1)

    other = np.where(visible, rng.uniform(0, 1, visible.shape) ** 3, 0).astype(scores.dtype)
    total = other.sum(axis=-1, keepdims=True)
    other = other / np.where(total == 0, 1, total)
    seen = visible.any(axis=-1)
    least = f("attention_energy", *call.arrays[:2], **{**_seen(call), "bias": np.log(prior)})
    least = np.where(seen, least, 0)
    return (
        equal(free_energy(call.given(prior=prior).by(f).weights), least),
        at_most(least, np.where(seen, free_energy(other), 0)),
    )


@law(EDGE, statement="f(q, k', v, prior = w(q, k)) = f with the scores s + s'",
     fixed={**NO_PRIOR, "bias": None, "scale": 0.5, **WEIGHTS})  # fmt: skip
def posteriors_are_priors(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    query, key = np.clip(query, -1, 1), np.clip(key, -1, 1)  # no posterior so sure that it is 0 in float32
    other = rng.uniform(-1, 1, key.shape).astype(key.dtype)
    posterior = call.given(query, key, value).by(f).weights
    in_turn = call.given(query, other, value, prior=posterior)
    together = call.given(*(np.concatenate(two, axis=-1) for two in ((query, query), (key, other))), value)
    return tuple(equal(one, two) for one, two in zip(in_turn.by(f), together.by(f), strict=True))


@law(EDGE, ties=("softmax_attention",),
     statement="log π = geometric_prior(rate): causal, bias −slope (i + n − m − j), e^{−slope} = 1 − rate",
     fixed={**NO_PRIOR, "bias": None, "causal": False})  # fmt: skip
def a_geometric_prior_is_a_linear_bias(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (m, n), rate = _pairs(call), float(rng.uniform(0.05, 0.95))
    back = np.arange(m)[:, None] + n - m - np.arange(n)
    linear = (np.log(1 - rate) * back).astype(call.arrays[0].dtype)
    options = {**_seen(call), "bias": linear, "causal": True}
    given = call.given(log_prior=geometric_prior(m, n, rate=rate))
    return equal(given.by(f), f("softmax_attention", *call.arrays, **options))


@law(EDGE, statement="log π = neighborhood_prior(A): mask = A",
     fixed={**NO_PRIOR, "mask": None, **WEIGHTS})  # fmt: skip
def an_impossible_edge_is_a_hidden_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    edges = rng.random(_pairs(call)) < 0.6
    both = call.given(log_prior=neighborhood_prior(edges)), call.given(mask=edges)
    return tuple(equal(one, other) for one, other in zip(*(each.by(f) for each in both), strict=True))


@law(MOVING, ties=("softmax_attention",), statement="steps = 1, η = 1, no value, no prior: softmax_attention(q, k, k)",
     fixed={"steps": 1, "prior": None, **UNDAMPED, **WEIGHTS})  # fmt: skip
def one_move_is_attention_to_the_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, _ = filled(call).arrays
    moved = filled(call).given(query, key, None).by(f)
    read, weights = f("softmax_attention", query, key, key, **_seen(call), **WEIGHTS)
    # A move is a difference from where it began, however far that is: its rounding stands on both sides.
    return equal(moved.output, query - (query - read)), equal(moved.weights, weights)


@law(MOVING, ties=(EDGE,), statement="steps = 0: structural_prior_attention(q, k, v, prior)",
     fixed={"steps": 0, **WEIGHTS})  # fmt: skip
def without_a_move_the_posterior_reads(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    read = f(EDGE, *call.arrays, **_seen(call), **options_of(call, "prior"), **WEIGHTS)
    return tuple(equal(one, other) for one, other in zip(call.by(f), read, strict=True))


@law(MOVING, statement="E(x_{s+1}) <= E(x_s) <= E(q), and E(x_1) <= E(q) − (1/η − 1/2) |x_1 − q|²",
     fixed={"return_energy": True, "steps": 3}, least={"n": 1})  # fmt: skip
def each_move_lowers_the_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, _ = filled(call).arrays
    call = filled(call).given(query, key, None)
    energy, eta = call.by(f).energy, call.options.get("step_size", 1.0)
    moved = call.given(steps=1).by(f).output
    way = np.where(np.isinf(energy[..., 0]), 0, ((moved - query) ** 2).sum(axis=-1))
    return at_most(energy[..., 1:], energy[..., :-1]), at_most(energy[..., 1], energy[..., 0] - (1 / eta - 0.5) * way)


@law(MOVING, ties=("hopfield_attention",), statement="η = 1, no prior: hopfield_attention; one step more if it reads",
     fixed={"prior": None, **UNDAMPED})  # fmt: skip
def undamped_moves_are_hopfield_retrieval(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = filled(call).arrays
    steps, seen = int(rng.integers(1, 4)), options_of(filled(call), "mask", "causal")
    beta = call.options.get("scale")
    retrieved = f("hopfield_attention", query, key, None, beta=beta, steps=steps, **seen)
    read = f("hopfield_attention", query, key, value, beta=beta, steps=steps + 1, **seen)
    call = filled(call).given(steps=steps)
    return equal(call.given(query, key, None).by(f), retrieved), equal(call.by(f), read)


@law(MOVING, statement="one move: x = (1 − η) q + η f(q, k; η = 1), so (q − x)/η = ∇E(q)", fixed={"steps": 1})
def a_damped_move_goes_part_of_the_way(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = filled(call).arrays
    call, eta = filled(call).given(query, key, None), float(rng.uniform(0.1, 1))
    whole = call.given(**UNDAMPED).by(f)
    possible = filled(call.given(query, key, value)).given(steps=0, return_weights=True).by(f).weights.any(axis=-1)
    start = np.where(possible[..., None], query, 0)
    return equal(call.given(step_size=eta).by(f), (1 - eta) * start + eta * whole)


@law(MOVING, statement="f(q, k, v, steps = a + b) = f(f(q, k, steps = a), k, v, steps = b)")
def moves_go_on_where_they_stopped(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value = call.arrays
    first, second = (int(steps) for steps in rng.integers(0, 3, 2))
    moved = call.given(query, key, None, steps=first).by(f)
    return equal(call.given(steps=first + second).by(f), call.given(moved, key, value, steps=second).by(f))


@law(MOVING, statement="|k_j| = r: E(x) = −(1/β) log Σ_j π_j e^{−β|x − k_j|²/2} − r²/2",
     fixed={"steps": 0, "prior": None, "mask": None, "causal": False, "return_energy": True},
     least={"n": 1})  # fmt: skip
def keys_of_one_length_are_a_gaussian_mixture(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = filled(call).arrays
    radius, prior = float(rng.uniform(0.5, 3)), _prior(call, rng)
    key = radius * (key + (key == 0)) / np.sqrt(((key + (key == 0)) ** 2).sum(axis=-1, keepdims=True))
    beta = call.options.get("scale") or 1 / float(np.sqrt(query.shape[-1]))
    squares = ((query[..., :, None, :] - key[..., None, :, :]) ** 2).sum(axis=-1)
    logs = np.log(prior) - beta * squares / 2
    largest = logs.max(axis=-1, keepdims=True)
    density = largest[..., 0] + np.log(np.exp(logs - largest).sum(axis=-1))
    energy = filled(call).given(query, key, value, prior=prior).by(f).energy[..., 0]
    return equal(energy, -density / beta - radius**2 / 2)
