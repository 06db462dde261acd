"""What attention with a learning memory obeys: as a context, as a gate, as a layer.

| in the specification | law |
| --- | --- |
| context: splitting at a segment boundary | `segments_go_on_from_the_state` |
| context: a memory of zeros | `an_empty_memory_is_extra_keys_and_half_a_gate` |
| context: lr = 0, decay = 0, surprise = 0 | `segments_meet_only_in_what_is_learned` |
| context: permuting the persistent tokens | `persistent_tokens_have_no_order` |
| context: segment >= n | `one_segment_is_one_call_of_the_memory` |
| gate: a memory of zeros, window | `half_of_a_window_behind_an_empty_memory` |
| gate: window >= n | `a_wide_window_sees_the_prefix_and_the_past` |
| gate: the branches do not feed each other | `the_memory_does_not_see_the_attention` |
| layer: window = 1 | `a_window_of_one_is_a_linear_map_of_the_memory` |
| layer: window >= p + n | `a_wide_window_is_causal_attention_to_the_memory` |
| layer: a memory of zeros | `nothing_comes_of_an_empty_memory` |
| layer: splitting | `a_window_of_one_may_be_cut_anywhere` |
| causal | `tokens_to_come_have_no_effect` (in `titans`) |
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..plan import Call
from .law import Evaluate, Relation, equal, law, same
from .titans import CONTEXT, GATE, LAYER, RATES, SOME, STATE, TITANS, both_equal, joined, like, rows_of

EMPTY = {"memory": None, "surprise": None}
"""A memory that holds nothing; with lr = 0 it stays so."""
WIDE = {"n": 1, "c": 1}
"""A memory of width 0 has nothing to be compared with."""
BARE = {"norm_weight": None, "memory_norm_weight": None}


def _heads(f: Evaluate, call: Call, x: Any, context: Any, **options: Any) -> Any:
    """Multi-head attention from x to a context, with the weights and the scale of a call."""
    w_query, w_key, w_value, w_out = call.arrays[2:6]
    x, context = x[..., None, :, :], context[..., None, :, :]
    scale = call.options.get("scale")
    heads = f("softmax_attention", x @ w_query, context @ w_key, context @ w_value, scale=scale, **options)
    return (heads @ w_out).sum(axis=-3)


def _memory(f: Evaluate, call: Call, tokens: Any, **options: Any) -> Any:
    """What the memory of a call makes of tokens, and its state."""
    query, key, value = (tokens @ weight for weight in call.arrays[6:])
    known = {name: call.options.get(name) for name in ("memory", "surprise")}
    rates = {
        name: np.broadcast_to(
            call.options[name], np.broadcast_shapes(np.shape(call.options[name]), tokens.shape[-2:-1])
        )
        for name in RATES
    }
    return f(TITANS, query, key, value, **{**rates, **known, **options}, return_state=True)


def _window(call: Call, first: int) -> Any:
    """Which of the p + n rows each token sees: the last ones up to itself, and the first ones."""
    n, p = (array.shape[-2] for array in call.arrays[:2])
    i, j = p + np.arange(n)[:, None], np.arange(p + n)
    return (j <= i) & ((j > i - call.options["window"]) | (j < first))


@law(CONTEXT, statement="f(x) = f(x before t), then f(the rest) from its state; t at the end of a segment", fixed=STATE)
def segments_go_on_from_the_state(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    cut = call.options["segment"] * int(rng.integers(3))
    first, (memory, surprise) = rows_of(call, slice(0, cut)).by(f)
    second, state = rows_of(call, slice(cut, None), memory=memory, surprise=surprise).by(f)
    return both_equal(call.by(f), (joined(first, second), state))


@law(
    CONTEXT,
    ties=("softmax_attention",),
    statement="lr = 0, M_0 = S_0 = 0, no norms: half of attention to [P; zeros; S], in each segment S",
    fixed={**EMPTY, **BARE},
    least=SOME,
)
def an_empty_memory_is_extra_keys_and_half_a_gate(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, persistent = call.arrays[:2]
    outputs = []
    for start in range(0, x.shape[-2], call.options["segment"]):
        S = x[..., start : start + call.options["segment"], :]
        seen = np.tri(S.shape[-2], dtype=bool) | (not call.options.get("causal", True))
        mask = np.concatenate([np.ones((len(seen), persistent.shape[-2]), dtype=bool), seen, seen], axis=-1)
        outputs.append(_heads(f, call, S, joined(persistent, np.zeros_like(S), S), mask=mask) / 2)
    output = call.given(lr=0.0).by(f)
    return equal(output, like(output, joined(*outputs)))


@law(
    CONTEXT,
    statement="lr = decay = 0, S_0 = 0: the memory stays, and f(x)_S = f(x_S) for each segment S",
    fixed={"surprise": None, **STATE},
    least=SOME,
)
def segments_meet_only_in_what_is_learned(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = call.given(**{name: np.zeros_like(call.options[name]) for name in ("lr", "decay")})
    size = call.options["segment"]
    start = size * int(rng.integers(-(-call.arrays[0].shape[-2] // size)))
    rows = slice(start, start + size)
    output, (memory, _) = call.by(f)
    before = call.options.get("memory")
    stays = np.zeros_like(memory) if before is None else like(memory, before)
    return equal(output[..., rows, :], rows_of(call, rows).by(f)[0]), equal(memory, stays)


@law(CONTEXT, statement="f(x, P) = f(x, P permuted)", fixed=STATE)
def persistent_tokens_have_no_order(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    x, persistent, *weights = call.arrays
    order = rng.permutation(persistent.shape[-2])
    return both_equal(call.by(f), call.given(x, persistent[..., order, :], *weights).by(f))


@law(
    CONTEXT,
    ties=(TITANS, "softmax_attention"),
    statement="segment >= n, no norms: y = MHA(x, [P; x W_q M_0; x]), out = y σ(titans_memory(y W_q, y W_k, y W_v))",
    fixed={**BARE, **STATE},
    least=WIDE,
)
def one_segment_is_one_call_of_the_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    x, persistent = call.arrays[:2]
    n = x.shape[-2]
    memory = call.options.get("memory")
    answers = np.zeros_like(x) if memory is None else x @ call.arrays[6] @ memory
    seen = np.tri(n, dtype=bool) | (not call.options.get("causal", True))
    mask = np.concatenate([np.ones((n, persistent.shape[-2]), dtype=bool), seen, seen], axis=-1)
    y = _heads(f, call, x, joined(persistent, answers, x), mask=mask)
    chunk = call.options.get("chunk_size") or n
    read, state = _memory(f, call, y, chunk_size=chunk)
    whole = call.given(segment=n).by(f)
    expected = y * expit(read), *state
    return tuple(equal(a, like(a, b)) for a, b in zip((whole[0], *whole[1]), expected, strict=True))


@law(
    GATE,
    ties=("softmax_attention",),
    statement="lr = 0, M_0 = S_0 = 0, no norms: half of attention to P and the window",
    fixed={**EMPTY, **BARE},
)
def half_of_a_window_behind_an_empty_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, persistent = call.arrays[:2]
    output = call.given(lr=0.0).by(f)
    mask = _window(call, persistent.shape[-2])
    return equal(output, like(output, _heads(f, call, x, joined(persistent, x), mask=mask) / 2))


@law(
    GATE,
    ties=(TITANS, "softmax_attention"),
    statement="window >= n, no norms: out = y σ(r), y = causal attention to [P; x], r = titans_memory over [P; x]",
    fixed={**BARE, **STATE},
    least=WIDE,
)
def a_wide_window_sees_the_prefix_and_the_past(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    x, persistent = call.arrays[:2]
    tokens = joined(persistent, x)
    y = _heads(f, call, x, tokens, causal=True)
    read, state = _memory(f, call, tokens, chunk_size=call.options.get("chunk_size", 1))
    wide = call.given(window=x.shape[-2] + 1).by(f)
    expected = y * expit(read[..., persistent.shape[-2] :, :]), *state
    return tuple(equal(a, like(a, b)) for a, b in zip((wide[0], *wide[1]), expected, strict=True))


@law(GATE, statement="the state does not depend on W_q, W_k, W_v, W_o, the window and the norms", fixed=STATE)
def the_memory_does_not_see_the_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    heads = (rng.standard_normal(weight.shape).astype(weight.dtype) for weight in call.arrays[2:6])
    other = call.given(*call.arrays[:2], *heads, *call.arrays[6:], window=call.options["window"] + 1, **BARE)
    return tuple(same(a, b) for a, b in zip(call.by(f)[1], other.by(f)[1], strict=True))


@law(
    LAYER,
    ties=(TITANS,),
    statement="window = 1: out_t = Σ_h y_t W_v W_o, y = titans_memory over [P; x]",
    fixed={"window": 1, **STATE},
    least=WIDE,
)
def a_window_of_one_is_a_linear_map_of_the_memory(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    x, persistent, _, _, w_value, w_out, *_ = call.arrays
    read, state = _memory(f, call, joined(persistent, x), chunk_size=call.options.get("chunk_size", 1))
    y = read[..., persistent.shape[-2] :, :]
    narrow = call.by(f)
    expected = (y[..., None, :, :] @ w_value @ w_out).sum(axis=-3), *state
    return tuple(equal(a, like(a, b)) for a, b in zip((narrow[0], *narrow[1]), expected, strict=True))


@law(
    LAYER,
    ties=(TITANS, "softmax_attention"),
    statement="window >= p + n: causal attention of the last n rows of y to y = titans_memory over [P; x]",
    least=WIDE,
)
def a_wide_window_is_causal_attention_to_the_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, persistent = call.arrays[:2]
    y, _ = _memory(f, call, joined(persistent, x), chunk_size=call.options.get("chunk_size", 1))
    wide = call.given(window=y.shape[-2] + 1).by(f)
    return equal(wide, like(wide, _heads(f, call, y[..., persistent.shape[-2] :, :], y, causal=True)))


@law(LAYER, statement="lr = 0, M_0 = S_0 = 0: out = 0", fixed=EMPTY)
def nothing_comes_of_an_empty_memory(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = call.given(lr=0.0).by(f)
    return same(output, np.zeros_like(output))


@law(LAYER, statement="window = 1, no persistent tokens: f(x) = f(x before t), then f(the rest) from its state",
     fixed={"window": 1, "chunk_size": 1, **STATE})  # fmt: skip
def a_window_of_one_may_be_cut_anywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    x, persistent, *weights = call.arrays
    p, n = persistent.shape[-2], x.shape[-2]
    rates = {name: call.options[name][..., p:] for name in RATES}
    call = call.given(x, persistent[..., :0, :], *weights, **rates)
    cut = int(rng.integers(n + 1))
    first, (memory, surprise) = rows_of(call, slice(0, cut)).by(f)
    second, state = rows_of(call, slice(cut, None), memory=memory, surprise=surprise).by(f)
    return both_equal(call.by(f), (joined(first, second), state))
