"""What attention as a Gaussian mixture obeys, before and while its keys and values adapt.

The keys of a mixture are not returned, but with `anchor="initial"` they follow from the weights of the step before: the
M step is a formula in these and in what was given. The laws on adaptation use it.

| in the specification | law |
| --- | --- |
| magnitude prior: softmax attention | `a_magnitude_prior_makes_a_mixture_softmax_attention` |
| uniform prior: a Gaussian kernel | `a_uniform_mixture_is_distance_attention` |
| common translation of q and k | `mixtures_may_be_moved` |
| value translation | `values_of_a_mixture_may_be_moved` |
| a larger α is sharper | `precision_draws_nearer` |
| the M step of the keys | `keys_adapt_by_expectation_and_maximization` |
| the penalized likelihood never decreases | `adapting_keys_never_lowers_the_likelihood` |
| τ to infinity | `keys_that_are_held_do_not_adapt` |
| `anchor` says the same for one step | `anchors_agree_for_one_step` |
| the M step of the values | `known_values_are_carried_over`, `only_fixed_rows_are_known`, |
| | `without_a_fixed_row_no_value_moves` |

The limits α → 0 and τ → 0 are tests in `tests/reference/test_probabilistic_mixture.py`.
"""

import itertools
from typing import Any

import numpy as np

from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import filled, options_of, spread_out
from .law import Evaluate, Relation, at_most, equal, law, same

NAME = "probabilistic_attention"
STILL = {"key_update_steps": 0, "value_update_steps": 0}
BLIND = {"value_init": None, "value_precision": 0.0}
"""With no say of the values in the responsibilities."""
WEIGHTS = {"return_weights": True}


def _plain(call: Call) -> Call:
    """The call with a prior that does not depend on keys and values."""
    word = isinstance(call.options.get("prior", "uniform"), str)
    return filled(call).given(prior="uniform") if word else filled(call)


def _precision(call: Call, name: str) -> Any:
    given = call.options.get(name)
    if given is None:
        return np.full(1, 1 / np.sqrt(call.arrays[0].shape[-1]), dtype=call.arrays[0].dtype)
    return np.atleast_1d(given)


def _log_prior(call: Call) -> Any:
    prior = call.options.get("prior", "uniform")
    log = np.zeros(()) if isinstance(prior, str) else np.log(prior)
    return np.where(visible_in(call), log, -np.inf).astype(call.arrays[0].dtype)


def _mean(call: Call, what: str, rows: Reals, weights: Reals, start: Reals, precision: Reals) -> Reals:
    """The M step from a mean: that of the rows by weight, drawn to where it started."""
    total, mass = weights.mT @ rows, weights.sum(axis=-2)[..., None]
    if call.options.get(f"{what}_prior_precision") is not None:
        tau, precision = _precision(call, f"{what}_prior_precision")[..., None], precision[..., None]
        total, mass = tau * start + precision * total, tau + precision * mass
    return np.where(mass == 0, start, total / np.where(mass == 0, 1, mass))


def _squares(query: Reals, key: Reals) -> Any:
    return ((query[..., :, None, :] - key[..., None, :, :]) ** 2).sum(axis=-1)


@law(NAME, ties=("softmax_attention",), statement='prior = "magnitude", α = 1/√d, β = 0: softmax attention',
     fixed={**STILL, "value_init": None, **WEIGHTS})  # fmt: skip
def a_magnitude_prior_makes_a_mixture_softmax_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    mixture = call.given(prior="magnitude", query_precision=None, value_precision=0.0).by(f)
    attention = f("softmax_attention", *spread_out(call), **options_of(call, "mask"), **WEIGHTS)
    return tuple(equal(np.broadcast_to(one, other.shape), other) for one, other in zip(mixture, attention, strict=True))


@law(NAME, ties=("distance_attention",), statement='prior = "uniform", one α: distance_attention(scale = α/2)',
     fixed={**STILL, "value_init": None, **WEIGHTS})  # fmt: skip
def a_uniform_mixture_is_distance_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    alpha = float(rng.uniform(0, 3))
    mixture = call.given(prior="uniform", query_precision=alpha).by(f)
    attention = f("distance_attention", *call.arrays, scale=alpha / 2, **options_of(call, "mask"), **WEIGHTS)
    return tuple(equal(one, other) for one, other in zip(mixture, attention, strict=True))


@law(NAME, statement='prior not "magnitude": f(q + t, k + t, v) = f(q, k, v), while keys adapt too')
def mixtures_may_be_moved(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _plain(call)
    query, key, value = call.arrays
    step = rng.uniform(-2, 2, query.shape[-1]).astype(query.dtype)
    return equal(call.given(query + step, key + step, value).by(f), call.by(f))


@law(NAME, statement='prior not "magnitude": out + t for v + t, v⁰ + t and fixed values + t', least={"m": 1, "n": 1})
def values_of_a_mixture_may_be_moved(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _plain(call)
    query, key, value = call.arrays
    step = rng.uniform(-2, 2, value.shape[-1]).astype(value.dtype)
    moved = {name: known + step for name, known in options_of(call, "value_init", "value_fixed").items()}
    output, weights = call.given(**WEIGHTS).by(f)
    seen = (weights.any(axis=-1) | np.isnan(weights).any(axis=-1))[..., None]
    return equal(call.given(query, key, value + step, **moved).by(f), np.where(seen, output + step, 0))


@law(NAME, statement="α > α': Σ_j w_ij |q_i − k_j|² is at most what it is for α'",
     fixed={**STILL, **BLIND, **WEIGHTS})  # fmt: skip
def precision_draws_nearer(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _plain(call)
    squares, alpha = _squares(*call.arrays[:2]), float(rng.uniform(0.1, 2))
    near, far = (call.given(query_precision=a).by(f).weights for a in (alpha * rng.uniform(1.1, 3), alpha))
    return at_most((near * squares).sum(axis=-1), (far * squares).sum(axis=-1))


@law(NAME, statement="w_{t+1} = w(ζ_{t+1}),  ζ_{t+1} = (τ ζ* + α Σ_i w_t q_i) / (τ + α Σ_i w_t)",
     fixed={"value_update_steps": 0, "anchor": "initial", **BLIND, **WEIGHTS})  # fmt: skip
def keys_adapt_by_expectation_and_maximization(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    call, steps = filled(call), int(rng.integers(1, 3))
    query, key, value = call.arrays
    before, after = (call.given(key_update_steps=count).by(f) for count in (steps - 1, steps))
    adapted = _mean(call, "key", query, before.weights, key, _precision(call, "query_precision"))
    again = call.given(query, adapted, value, key_update_steps=0).by(f)
    # A unit without mass stays where the last step left it, which is where it began unless it had some before.
    kept = steps == 1 or bool((before.weights.sum(axis=-2) > 0).all())
    return tuple(equal(one, other if kept else one) for one, other in zip(after, again, strict=True))


@law(NAME, statement="Σ_i log Σ_j π_ij e^{−α_j|q_i − ζ_j|²/2} − Σ_j τ_j |ζ_j − ζ*_j|²/2 never falls over the steps",
     fixed={"value_update_steps": 0, "anchor": "initial", **BLIND, **WEIGHTS}, least={"n": 1})  # fmt: skip
def adapting_keys_never_lowers_the_likelihood(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    call = _plain(call)
    (query, key, _), alpha, log_prior = call.arrays, _precision(call, "query_precision"), _log_prior(call)
    possible = (log_prior > -np.inf).any(axis=-1)
    held = call.options.get("key_prior_precision")
    tau = 0 if held is None else _precision(call, "key_prior_precision")

    def objective(zeta: Reals) -> Any:
        logs = log_prior - alpha[..., None, :] * _squares(query, zeta) / 2
        largest = np.where(possible, logs.max(axis=-1), 0)
        each = largest + np.log(np.where(possible, np.exp(logs - largest[..., None]).sum(axis=-1), 1))
        return each.sum(axis=-1) - (tau * ((zeta - key) ** 2).sum(axis=-1)).sum(axis=-1) / 2

    path = [key]
    for steps in range(3):
        weights = call.given(key_update_steps=steps).by(f).weights
        moved = _mean(call, "key", query, weights, key, alpha)
        path.append(np.where((held is None) & (weights.sum(axis=-2) == 0)[..., None], path[-1], moved))
    heights = [objective(zeta) for zeta in path]
    return tuple(at_most(low, high) for low, high in itertools.pairwise(heights))


@law(NAME, statement="τ → ∞: no key adapts", fixed={"value_update_steps": 0, **WEIGHTS})
def keys_that_are_held_do_not_adapt(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    held, still = call.given(key_prior_precision=1e30, key_update_steps=2), call.given(key_update_steps=0)
    return tuple(equal(one, other) for one, other in zip(held.by(f), still.by(f), strict=True))


@law(NAME, statement='at most one step of each kind: f(anchor = "initial") = f(anchor = "current")', fixed=WEIGHTS)
def anchors_agree_for_one_step(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    steps = {name: min(call.options.get(name, 0), 1) for name in STILL}
    both = (call.given(anchor=anchor, **steps).by(f) for anchor in ("initial", "current"))
    return tuple(same(one, other) for one, other in zip(*both, strict=True))


def _with_known(call: Call, rng: np.random.Generator) -> Call:
    """The call with fixed values for some of its rows."""
    query, _, value = call.arrays
    known = rng.standard_normal((query.shape[-2], value.shape[-1])).astype(value.dtype)
    return call.given(value_fixed=known, value_fixed_mask=rng.random(query.shape[-2]) < 0.5)


@law(NAME, statement="one step: out = w μ',  μ' = (τ μ + β Σ_i w_ij f_i v_i) / (τ + β Σ_i w_ij f_i)",
     fixed={"value_init": None, "value_update_steps": 1, **WEIGHTS})  # fmt: skip
def known_values_are_carried_over(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _with_known(_plain(call), rng)
    weights = call.given(value_update_steps=0).by(f).weights
    heard = np.where(call.options["value_fixed_mask"][:, None], weights, 0)
    carried = _mean(call, "value", call.options["value_fixed"], heard, call.arrays[2],
                    np.atleast_1d(call.options["value_precision"]))  # fmt: skip
    after = call.by(f)
    return equal(after.weights, weights), equal(after.output, weights @ carried)


@law(NAME, statement="f does not depend on fixed values of rows that are not fixed, NaN included",
     fixed={"value_update_steps": 2}, least={"m": 1, "n": 1})  # fmt: skip
def only_fixed_rows_are_known(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = _with_known(call, rng)
    known, fixed = call.options["value_fixed"], call.options["value_fixed_mask"][:, None]
    cleared, fouled = (np.where(fixed, known, known.dtype.type(what)) for what in (0, np.nan))
    return equal(call.given(value_fixed=fouled).by(f), call.given(value_fixed=cleared).by(f))


@law(NAME, statement="no row fixed: f = f(value_update_steps = 0)",
     fixed={"value_update_steps": 2, **WEIGHTS})  # fmt: skip
def without_a_fixed_row_no_value_moves(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = _with_known(call, rng)
    none = call.given(value_fixed_mask=np.zeros_like(call.options["value_fixed_mask"]))
    return tuple(equal(one, two) for one, two in zip(none.by(f), none.given(value_update_steps=0).by(f), strict=True))
