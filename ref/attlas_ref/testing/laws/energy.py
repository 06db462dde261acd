"""What the energy of attention obeys: the gradient of it is attention, and it is concave.

A function with a bounded second derivative lies between its tangent and a parabola. So the statements on gradients
need no limit: they hold for steps of any size, with the remainder of Taylor's theorem as the bound. The variance of a
quantity with range R is at most R²/4 (Popoviciu), its fourth cumulant at most R⁴/4.

| in the specification | law |
| --- | --- |
| −∂E/∂q = scale Σ w k | `the_energy_falls_along_attention` |
| ∂E/∂s = −w | `the_energy_falls_by_the_weights` |
| the Hessian in q is −(scale²/T) Cov_w(k) | `the_energy_bends_by_the_variance_of_the_keys` |
| Jensen: E(mean q) >= mean E(q) | `the_energy_is_concave` |
| min(−s) − T log|V| <= E <= min(−s); T to 0: −max s | `the_energy_is_near_minus_the_best_score` |
| E = −(M + log S) | `the_energy_is_minus_the_log_of_the_total` |
| temperature T | `temperature_is_the_unit_of_energy` |
| `hopfield_energy` | comes with `hopfield_energy` |
"""

import numpy as np

from ...visibility import Reals
from ..pairs import visible_in
from ..plan import Call
from .inputs import extremes, filled, scores_of, spread
from .law import Evaluate, Relation, at_most, equal, law

NAME = "attention_energy"
FINITE_BIAS = {"bias": "shared"}


def _scale(call: Call) -> float:
    scale = call.options.get("scale")
    return 1 / float(np.sqrt(call.arrays[0].shape[-1])) if scale is None else scale


def _temperature(call: Call) -> float:
    return float(call.options.get("temperature", 1.0))


def _seen(call: Call, energy: Reals) -> Reals:
    """The energies, with 0 for queries that see no key."""
    return np.where(visible_in(call).any(axis=-1), energy, 0)


@law(
    NAME,
    ties=("softmax_attention",),
    statement="0 >= E(q+h) − E(q) + <h, scale Σ_j w_j k_j> >= −range_j(scale <h, k_j>)²/(8T)",
    fixed=FINITE_BIAS,
)
def the_energy_falls_along_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key = call.arrays
    step = (10 ** rng.uniform(-3, 0) * rng.standard_normal(query.shape)).astype(query.dtype)
    slope = _scale(call) * f("softmax_attention", query, key, key, **call.options)
    rise = _seen(call, call.given(query + step, key).by(f)) - _seen(call, call.by(f))
    remainder = rise + (step * slope).sum(axis=-1)
    bend = spread(_scale(call) * (step @ key.mT), visible_in(call)) ** 2 / (8 * _temperature(call))
    return at_most(remainder, np.zeros_like(remainder)), at_most(-bend, remainder)


@law(
    NAME,
    ties=("softmax_attention",),
    statement="0 >= E(s+h) − E(s) + Σ_j w_j h_j >= −range_j(h_j)²/(8T)",
    fixed=FINITE_BIAS,
)
def the_energy_falls_by_the_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key = call.arrays
    step = rng.standard_normal((*query.shape[:-1], key.shape[-2])).astype(query.dtype)
    weights = f("softmax_attention", query, key, key, return_weights=True, **call.options).weights
    rise = _seen(call, call.given(bias=call.options["bias"] + step).by(f)) - _seen(call, call.by(f))
    remainder = rise + (weights * step).sum(axis=-1)
    bend = spread(step, visible_in(call)) ** 2 / (8 * _temperature(call))
    return at_most(remainder, np.zeros_like(remainder)), at_most(-bend, remainder)


@law(
    NAME,
    ties=("softmax_attention",),
    statement="|E(q+h) + E(q−h) − 2E(q) + Var_w(a)/T| <= range(a)⁴/(48T³) with a_j = scale <h, k_j>",
    fixed=FINITE_BIAS,
)
def the_energy_bends_by_the_variance_of_the_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key = call.arrays
    step = (0.1 * rng.standard_normal(query.shape)).astype(query.dtype)
    visible, temperature = visible_in(call), _temperature(call)
    along = _scale(call) * (step @ key.mT)  # (..., m, n)
    weights = f("softmax_attention", query, key, key, return_weights=True, **call.options).weights
    variance = (weights * (along - (weights * along).sum(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    ahead, here, behind = (_seen(call, call.given(q, key).by(f)) for q in (query + step, query, query - step))
    return at_most(
        np.abs((ahead - here) + (behind - here) + variance / temperature),
        spread(along, visible) ** 4 / (48 * temperature**3),
    )


@law(
    NAME,
    statement="E(mean_i q_i) >= mean_i E(q_i)",
    fixed={"mask": None, "bias": None, "causal": False},
    least={"m": 1, "n": 1},
)
def the_energy_is_concave(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    together = call.given(query.mean(axis=-2, keepdims=True), key).by(f)
    return at_most(call.by(f).mean(axis=-1, keepdims=True), together)


@law(NAME, statement="−max_j s_ij − T log|V(i)| <= E_i <= −max_j s_ij", fixed=FINITE_BIAS)
def the_energy_is_near_minus_the_best_score(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    temperature = float(10 ** rng.uniform(-3, 1))
    visible = visible_in(call)
    best = -extremes(scores_of(call), visible)[1]
    energy = _seen(call, call.given(temperature=temperature).by(f))
    count = np.maximum(visible.sum(axis=-1), 1).astype(energy.dtype)
    return at_most(energy, best), at_most(best - temperature * np.log(count), energy)


@law(
    NAME,
    ties=("attention_partial",),
    statement="E = −(M + log S), (M, S, A) = attention_partial(q, k, v, query_offset = n − m)",
    fixed={"temperature": 1.0},
)
def the_energy_is_minus_the_log_of_the_total(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    options = {name: value for name, value in call.options.items() if name != "temperature"}
    offset = key.shape[-2] - query.shape[-2]
    maximum, total, _ = f("attention_partial", query, key, key, query_offset=offset, **options)
    return equal(call.by(f), -(maximum + np.log(total)))


@law(NAME, statement="E(T) = T E(scale/T, bias/T, T = 1)", fixed={"temperature": 0.75})
def temperature_is_the_unit_of_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    temperature, bias = _temperature(call), call.options.get("bias")
    divided = call.given(
        temperature=1.0, scale=_scale(call) / temperature, bias=None if bias is None else bias / temperature
    )
    return equal(call.by(f), temperature * divided.by(f))
