"""What the energy of a continuous Hopfield network and the gradients of retrieval obey.

The energy is half the squared state less a convex function whose gradient is the update: a step of retrieval replaces
that function by its tangent, and so lowers the energy by at least half of the squared step.

| in the specification | law |
| --- | --- |
| E(update) <= E, non-increasing in s | `retrieval_walks_downhill` |
| 0 <= E <= 2M² in conv(keys) | `hopfield_energies_are_bounded` |
| grad E = ξ − X^T entmax(beta X ξ) | `the_hopfield_energy_has_a_slope` |
| α = 1: that of `attention_energy` | `the_hopfield_energy_holds_that_of_attention` |
| vjp: steps = 1 | `gradients_of_one_step_are_those_of_softmax_attention` |
| vjp: the chain, `value=None` | `gradients_of_retrieval_chain`, `gradients_of_completion_add_up` |
| vjp: masked pairs get 0, empty rows contribute 0 | `hidden_patterns_get_no_gradient` |
| vjp: Σ_j grad_value | `gradients_of_retrieved_values_sum_to_what_was_asked` |
"""

import numpy as np

from ..pairs import visible_in
from ..plan import Call
from .hopfield import NAME, beta_of, seen_of, squares
from .inputs import extremes, filled, spread
from .law import Evaluate, Relation, at_most, equal, law, same

VJP, ENERGY = "hopfield_attention_vjp", "hopfield_energy"


@law(ENERGY, ties=(NAME,), statement="E(ξ_s) <= E(ξ_{s−1}) − |ξ_s − ξ_{s−1}|²/2, every α")
def retrieval_walks_downhill(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key = call.arrays
    states = [query, *(f(NAME, query, key, key, steps=steps, **call.options) for steps in (1, 2, 3))]
    energies = [call.given(state, key).by(f) for state in states]
    return tuple(
        at_most(energies[s] + squares(states[s] - states[s - 1]) / 2, energies[s - 1]) for s in range(1, len(states))
    )


@law(ENERGY, statement="(|ξ| − M)²/2 <= E(ξ) <= (|ξ| + M)²/2: in the ball of the patterns 0 <= E <= 2M²")
def hopfield_energies_are_bounded(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key = call.arrays
    visible = visible_in(call)
    each = np.broadcast_to(squares(key)[..., None, :], visible.shape)
    longest, length = np.sqrt(extremes(each, visible)[1]), np.sqrt(squares(query))
    seen = visible.any(axis=-1)
    energy = np.where(seen, call.by(f), 0)
    low, high = (np.where(seen, (length + sign * longest) ** 2 / 2, 0) for sign in (-1, 1))
    return at_most(low, energy), at_most(energy, high)


@law(
    ENERGY,
    ties=(NAME,),
    statement="|h|²/2 >= E(ξ+h) − E(ξ) − <h, ξ − wK>, and for α = 1 >= |h|²/2 − β range_j(<h, k_j>)²/8",
)
def the_hopfield_energy_has_a_slope(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key = call.arrays
    visible, beta = visible_in(call), beta_of(call)
    step = (10 ** rng.uniform(-3, 0) * rng.standard_normal(query.shape)).astype(query.dtype)
    slope = query - f(NAME, query, key, key, **call.options)
    seen = visible.any(axis=-1)
    rise = np.where(seen, call.given(query + step, key).by(f), 0) - np.where(seen, call.by(f), 0)
    half = np.where(seen, squares(step) / 2, 0)
    remainder = rise - np.where(seen, (step * slope).sum(axis=-1), 0)
    if call.options.get("alpha", 1.0) != 1:
        return (at_most(remainder, half),)
    return at_most(remainder, half), at_most(half - beta * spread(step @ key.mT, visible) ** 2 / 8, remainder)


@law(ENERGY, ties=("attention_energy",), statement="α = 1: E = attention_energy(scale 1, temperature 1/β) + |ξ|²/2 + "
     "log(n)/β + M²/2", fixed={"alpha": 1.0})  # fmt: skip
def the_hopfield_energy_holds_that_of_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    visible, beta = visible_in(call), beta_of(call)
    each = np.broadcast_to(squares(key)[..., None, :], visible.shape)
    count = np.maximum(visible.sum(axis=-1), 1).astype(query.dtype)
    energy = f("attention_energy", query, key, scale=1.0, temperature=1 / beta, mask=call.options.get("mask"))
    rest = squares(query) / 2 + np.log(count) / beta + extremes(each, visible)[1] / 2
    return equal(call.by(f), energy + rest)


@law(VJP, ties=("softmax_attention_vjp",), statement="steps = 1, α = 1: softmax_attention_vjp(q, k, v, G, scale = β)",
     fixed={"steps": 1, "alpha": 1.0})  # fmt: skip
def gradients_of_one_step_are_those_of_softmax_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    plain = f("softmax_attention_vjp", *call.arrays, scale=beta_of(call), **seen_of(call))
    return tuple(equal(a, b) for a, b in zip(call.by(f), plain[:3], strict=True))


@law(VJP, ties=(NAME,), statement="steps = s + 1: one step back at ξ_s, then s steps back with the keys for values")
def gradients_of_retrieval_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value, gradient = call.arrays
    steps = int(rng.integers(1, 4))
    options = {name: option for name, option in call.options.items() if name != "steps"}
    state = f(NAME, query, key, key, steps=steps, **options)
    last = call.given(state, key, value, gradient, steps=1).by(f)
    first = call.given(query, key, None, last.grad_query, steps=steps).by(f)
    whole = call.given(steps=steps + 1).by(f)
    return (
        equal(whole.grad_query, first.grad_query),
        equal(whole.grad_key, first.grad_key + last.grad_key),
        equal(whole.grad_value, last.grad_value),
    )


@law(VJP, statement="value = None: dq of f(q, k, k), and the sum of its dk and dv")
def gradients_of_completion_add_up(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, _, _ = filled(call).arrays
    gradient = rng.standard_normal(query.shape).astype(query.dtype)
    alone, told = (filled(call).given(query, key, value, gradient).by(f) for value in (None, key))
    return equal(alone.grad_query, told.grad_query), equal(alone.grad_key, told.grad_key + told.grad_value)


@law(VJP, statement="no gradient, exactly, for keys and values that nobody sees and queries that see nothing; "
     "what those ask for is not felt", fixed={"bias": None})  # fmt: skip
def hidden_patterns_get_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call).mapped(np.ascontiguousarray)  # bits depend on strides, which must not differ below
    query, key, value, gradient = call.arrays
    visible, result = visible_in(call), call.by(f)
    unseen, blind = ~visible.any(axis=-2, keepdims=True).mT, ~visible.any(axis=-1, keepdims=True)
    hidden = [np.where(where, part, 0) for where, part in zip((blind, unseen, unseen), result, strict=True)]
    other = call.given(np.where(blind, 3, query), key, value, np.where(blind, -7, gradient)).by(f)
    return (
        *(same(part, np.zeros_like(part)) for part in hidden),
        *(same(a, b) for a, b in zip(other, result, strict=True)),
    )


@law(VJP, ties=(NAME,), statement="Σ_j dv_j = Σ_i G_i over the queries that see a key, and Σ v · dv = Σ out · G",
     fixed={"bias": None})  # fmt: skip
def gradients_of_retrieved_values_sum_to_what_was_asked(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value, gradient = call.arrays
    found = call.by(f).grad_value
    seen = visible_in(call).any(axis=-1, keepdims=True)
    output = f(NAME, query, key, value, **call.options)
    return (
        equal(found.sum(axis=-2), np.where(seen, gradient, 0).sum(axis=-2)),
        equal((value * found).sum(axis=(-2, -1)), (output * gradient).sum(axis=(-2, -1))),
    )
