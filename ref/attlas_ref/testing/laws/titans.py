"""What memories that learn while they are read obey; attention with such a memory is in `wired`.

| in the specification | law |
| --- | --- |
| titans: momentum 0, decay 0, chunk 1, lr = beta/2 | `without_momentum_and_decay_it_is_the_delta_rule` |
| titans: lr = 0 | `a_memory_that_does_not_learn_only_fades` |
| titans: decay = 1 at t, momentum 0 | `a_memory_that_forgets_all_keeps_the_newest_gradient` |
| titans: splitting on a chunk boundary | `a_memory_goes_on_from_its_state` |
| titans: the chunk-parallel form | `one_chunk_is_a_few_matrix_products` |
| titans: linear in the values | `a_memory_is_linear_in_what_it_is_told` |
| titans: lr = 1/(2 k²) | `a_step_of_the_right_size_stores_the_value` |
| mlp: identity, weight2 = I | `a_second_layer_of_ones_leaves_the_linear_memory` |
| mlp: lr = 0, decay = 0 | `a_network_that_does_not_learn_is_a_feed_forward_layer` |
| mlp: splitting on a chunk boundary | `a_network_goes_on_from_its_state` |
| mlp: read after write | `the_last_token_is_read_from_the_last_weights` |
| causal | `tokens_to_come_have_no_effect` |
"""

from typing import Any

import numpy as np

from ...contract import parse_signature
from ...records import find
from ..plan import Call
from .law import Evaluate, Relation, equal, law

TITANS, NETWORK = "titans_memory", "titans_mlp_memory"
CONTEXT, GATE, LAYER = "memory_as_context", "memory_as_gate", "memory_as_layer"
RATES = ("lr", "momentum", "decay")
STATE = {"return_state": True}
SOME = {"n": 1}


def rows_of(call: Call, rows: slice, **options: Any) -> Call:
    """The call on some of its tokens: of every array with an axis n, and of its rates."""
    arrays = _at_tokens(call, lambda array: array[..., rows, :])
    rates = {name: np.asarray(call.options[name])[..., rows] for name in RATES}
    return call.given(*arrays, **{**rates, **options})


def _at_tokens(call: Call, change: Any) -> list[Any]:
    """The arrays of a call, those with a row per token changed."""
    cores = parse_signature(find(call.name).signature).inputs
    return [change(x) if core[0] == "n" else x for x, core in zip(call.arrays, cores, strict=True)]


def _before(call: Call) -> tuple[Any, Any]:
    """The memory and the surprise that a call of the linear memory starts from."""
    _, key, value = call.arrays
    empty = np.zeros((key.shape[-1], value.shape[-1]), dtype=value.dtype)
    memory, surprise = (call.options.get(name) for name in ("memory", "surprise"))
    return empty if memory is None else memory, empty if surprise is None else surprise


def both_equal(left: Any, right: Any) -> tuple[Relation, ...]:
    """Equal outputs and equal states."""
    return tuple(equal(a, b) for a, b in zip((left[0], *left[1]), (right[0], *right[1]), strict=True))


def joined(*parts: Any) -> Any:
    """Rows one after the other; leading axes broadcast."""
    leading = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return np.concatenate([np.broadcast_to(part, (*leading, *part.shape[-2:])) for part in parts], axis=-2)


def like(output: Any, other: Any) -> Any:
    """The other side of a relation, where the output has leading axes of arrays that do not matter to it."""
    return np.broadcast_to(other, output.shape)


@law(
    (TITANS, NETWORK, CONTEXT, GATE, LAYER, "landmark_attention", "compressed_memory_attention"),
    statement="f_1, ..., f_t do not depend on the rows of tokens t + 1, ..., n",
    fixed={"causal": True},
    least=SOME,
)
def tokens_to_come_have_no_effect(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n = call.arrays[0].shape[-2]
    t = int(rng.integers(n + 1))
    come = (np.arange(n) < t)[:, None]
    unknown = call.given(*_at_tokens(call, lambda array: np.where(come, array, np.nan).astype(array.dtype)))
    return equal(unknown.by(f)[..., :t, :], call.by(f)[..., :t, :])


@law(
    TITANS,
    statement="momentum = decay = 0, chunk_size = 1, lr = β/2: M ← M + β kᵀ (v − k M), out = q M, the delta rule",
    fixed={"chunk_size": 1, **STATE},
    least=SOME,
)
def without_momentum_and_decay_it_is_the_delta_rule(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    nothing = np.zeros_like(call.options["lr"])
    output, state = call.given(momentum=nothing, decay=nothing, surprise=None).by(f)
    M, _ = _before(call)
    rows = []
    for t in range(key.shape[-2]):
        q, k, v = (array[..., t, None, :] for array in (query, key, value))
        M = M + 2 * call.options["lr"][..., t, None, None] * (k.mT @ (v - k @ M))
        rows.append(q @ M)
    return equal(output, joined(*rows)), equal(state.memory, M)


@law(TITANS, statement="lr = 0, S_0 = 0: out_t = Π_{j<=t} (1 − α_j) q_t M_0", fixed={"surprise": None})
def a_memory_that_does_not_learn_only_fades(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = call.given(lr=np.zeros_like(call.options["lr"])).by(f)
    left = np.cumprod(1 - call.options["decay"], axis=-1)[..., None]
    return equal(output, like(output, left * (call.arrays[0] @ _before(call)[0])))


@law(
    TITANS,
    statement="α_n = 1, η_n = 0: M_n = S_n = −θ_n 2 k_nᵀ (k_n M_{n−1} − v_n)",
    fixed={"chunk_size": 1, **STATE},
    least=SOME,
)
def a_memory_that_forgets_all_keeps_the_newest_gradient(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    _, key, value = call.arrays
    last = np.arange(key.shape[-2]) == key.shape[-2] - 1
    call = call.given(
        momentum=np.where(last, 0, call.options["momentum"]), decay=np.where(last, 1, call.options["decay"])
    )
    before = rows_of(call, slice(0, -1)).by(f)[1].memory
    k, v = key[..., -1:, :], value[..., -1:, :]
    gradient = 2 * k.mT @ (k @ before - v)
    memory, surprise = call.by(f)[1]
    newest = like(memory, -call.options["lr"][..., -1, None, None] * gradient)
    return equal(memory, newest), equal(surprise, newest)


@law(TITANS, statement="f(tokens) = f(tokens before t), then f(the others) from its state; t at the end of a chunk",
     fixed=STATE)  # fmt: skip
def a_memory_goes_on_from_its_state(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    cut = call.options.get("chunk_size", 1) * int(rng.integers(4))
    first, (memory, surprise) = rows_of(call, slice(0, cut)).by(f)
    second, state = rows_of(call, slice(cut, None), memory=memory, surprise=surprise).by(f)
    return both_equal(call.by(f), (joined(first, second), state))


def _decays(factors: Any) -> Any:
    """L_ts = x_{s+1} ... x_t for s <= t, 0 above the diagonal, (..., n, n)."""
    n = factors.shape[-1]
    rows = [np.zeros((*factors.shape[:-1], n), dtype=factors.dtype)]
    for t in range(n):
        rows.append(np.where(np.arange(n) == t, 1, rows[-1] * factors[..., t, None]))
    return np.stack(rows[1:], axis=-2)


@law(
    TITANS,
    statement="chunk_size >= n: out = A (Q M_0) + B (Q S_0) − [(Q Kᵀ) L_{1−α} L_η θ] 2 (K M_0 − V)",
    fixed=STATE,
    least=SOME,
)
def one_chunk_is_a_few_matrix_products(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    M, S = _before(call)
    theta, kept, eta = (call.options["lr"], 1 - call.options["decay"], call.options["momentum"])
    mixed = _decays(kept) @ _decays(eta)
    faded = np.cumprod(kept, axis=-1)[..., None]  # A
    past = _decays(kept) @ np.cumprod(eta, axis=-1)[..., None]  # B
    errors = 2 * (key @ M - value)
    output = faded * (query @ M) + past * (query @ S) - ((query @ key.mT) * mixed * theta[..., None, :]) @ errors
    weighted = key * (mixed[..., -1, :] * theta)[..., None]
    memory = faded[..., -1:, :] * M + past[..., -1:, :] * S - weighted.mT @ errors
    pushed = key * (_decays(eta)[..., -1, :] * theta)[..., None]
    surprise = np.prod(eta, axis=-1)[..., None, None] * S - pushed.mT @ errors
    expected = output, (memory, surprise)
    actual = call.given(chunk_size=key.shape[-2]).by(f)
    return tuple(
        equal(a, like(a, b)) for a, b in zip((actual[0], *actual[1]), (expected[0], *expected[1]), strict=True)
    )


@law(TITANS, statement="f(q, k, a v + (1 − a) u) = a f(q, k, v) + (1 − a) f(q, k, u): the memory too", fixed=STATE)
def a_memory_is_linear_in_what_it_is_told(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    other, a = value[..., ::-1, :], float(rng.uniform(-2, 2))
    one, two = call.by(f), call.given(query, key, other).by(f)
    mixed = call.given(query, key, a * value + (1 - a) * other).by(f)
    parts = zip((one[0], *one[1]), (two[0], *two[1]), strict=True)
    return tuple(
        equal(both, a * left + (1 - a) * right)
        for both, (left, right) in zip((mixed[0], *mixed[1]), parts, strict=True)
    )


@law(
    TITANS,
    statement="η = α = 0, θ = 1/(2 |k|²), chunk_size = 1, q = k: out = v",
    fixed={"chunk_size": 1, "surprise": None},
)
def a_step_of_the_right_size_stores_the_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    _, key, value = call.arrays
    key = key + np.where(key < 0, -1, 1).astype(key.dtype)  # no key is short
    rate, nothing = 0.5 / (key**2).sum(axis=-1), np.zeros_like(call.options["lr"])
    output = call.given(key, key, value, lr=rate, momentum=nothing, decay=nothing).by(f)
    return equal(output, like(output, value))


@law(
    NETWORK,
    ties=(TITANS,),
    statement="identity, W_2 = I, chunk_size >= n: W_1 moves as the memory of titans_memory, from M_0 = W_1",
    fixed={"activation": "identity", **STATE},
)
def a_second_layer_of_ones_leaves_the_linear_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays[:3]
    first = rng.standard_normal((key.shape[-1], value.shape[-1])).astype(key.dtype)
    rates = {name: call.options[name] for name in RATES}
    options = {**rates, **STATE, "chunk_size": key.shape[-2] + 1}
    network = f(
        NETWORK, query, key, value, first, np.eye(len(first.T), dtype=key.dtype), activation="identity", **options
    )
    return equal(network[1].weight1, f(TITANS, query, key, value, memory=first, **options)[1].memory)


@law(NETWORK, ties=("ffn_memory",), statement="θ = α = 0: ffn_memory(q, W_1ᵀ, W_2)")
def a_network_that_does_not_learn_is_a_feed_forward_layer(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    query, _, _, first, second = call.arrays
    nothing = np.zeros_like(call.options["lr"])
    output = call.given(lr=nothing, decay=nothing).by(f)
    layer = f("ffn_memory", query, first.mT, second, activation=call.options.get("activation", "gelu"))
    return equal(output, like(output, layer))


@law(NETWORK, statement="f(tokens) = f(those before t), then f(the rest) from its weights; t at a chunk's end, η_t = 0",
     fixed=STATE)  # fmt: skip
def a_network_goes_on_from_its_state(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    n = call.arrays[0].shape[-2]
    cut = call.options.get("chunk_size", 1) * int(rng.integers(4))
    call = call.given(momentum=np.where(np.arange(n) == cut, 0, call.options["momentum"]))
    first, weights = rows_of(call, slice(0, cut)).by(f)
    rest = rows_of(call, slice(cut, None))
    second, state = rest.given(*rest.arrays[:3], *weights).by(f)
    return both_equal(call.by(f), (joined(first, second), state))


@law(NETWORK, ties=("ffn_memory",), statement="out_n = ffn_memory(q_n, W_1ᵀ, W_2) with the weights after token n",
     fixed=STATE, least=SOME)  # fmt: skip
def the_last_token_is_read_from_the_last_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output, (first, second) = call.by(f)
    last = call.arrays[0][..., -1:, :]
    layer = f("ffn_memory", last, first.mT, second, activation=call.options.get("activation", "gelu"))
    return equal(output[..., -1:, :], layer)
