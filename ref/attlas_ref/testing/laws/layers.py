"""What layers that are memories obey.

| in the specification | law |
| --- | --- |
| ffn: activation="softmax" | `slots_that_compete_are_softmax_attention` |
| ffn: activation="relu" | `slots_that_rectify_are_relu_attention`, |
| | `rectified_slots_grow_with_the_query` |
| ffn: activation="identity" | `slots_without_activation_are_two_matrices` |
| ffn: permuting the slots | `slots_have_no_order` |
| ffn: two sets of slots | `slots_may_be_split_and_added` |
| ffnified: delta kernels | `kernels_of_one_tap_leave_the_activation` |
| ffnified: channel-separable | `channels_do_not_mix` |
| ffnified: translation equivariant | `images_may_be_moved_away_from_the_border` |
| ffnified: 1 x 1 kernels | `kernels_of_one_pixel_are_slots` |
| lora: is_memory all False, all True | `an_adapter_acts_on_memory_tokens_only`, |
| | `an_adapter_everywhere_is_another_weight` |
| scratchpad: b_gate to +infinity, to −infinity | `a_closed_pad_stays_and_an_open_one_is_the_note` |
| scratchpad: convexity, bounds | `rows_move_towards_the_note` |
| tensor brain: index=None | `expected_names_are_a_residual_attention_step` |
| tensor brain: one embedding | `one_name_is_always_said` |
| tensor brain: permuting the index layer | `names_have_no_order` |
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law

FFN, FFNIFIED, LORA = "ffn_memory", "ffnified_attention", "conditional_lora"
SCRATCHPAD, BRAIN = "scratchpad_write", "tensor_brain_step"
WEIGHTS = {"return_weights": True}
FAR = 1e30
"""A logit beside which every other is small, and whose sigmoid is 0 or 1 in float32 too."""


def _like(output: Any, other: Any) -> Any:
    """The other side of a relation, where the output has leading axes of arrays that do not matter to it."""
    return np.broadcast_to(other, output.shape)


@law(FFN, ties=("softmax_attention",), statement='"softmax": softmax_attention(q, K, V, scale=1)',
     fixed={"activation": "softmax", **WEIGHTS})  # fmt: skip
def slots_that_compete_are_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    attention = f("softmax_attention", *call.arrays, scale=1.0, return_weights=True)
    return tuple(equal(a, b) for a, b in zip(call.by(f), attention, strict=True))


@law(FFN, ties=("relu_attention",), statement='"relu": relu_attention(q, K, V, scale=1, normalize=None)',
     fixed={"activation": "relu", **WEIGHTS})  # fmt: skip
def slots_that_rectify_are_relu_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    attention = f("relu_attention", *call.arrays, scale=1.0, normalize=None, return_weights=True)
    return tuple(equal(a, b) for a, b in zip(call.by(f), attention, strict=True))


@law(FFN, statement='"relu": f(c q) = c f(q) for c > 0', fixed={"activation": "relu"})
def rectified_slots_grow_with_the_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, *slots = call.arrays
    factor = float(rng.uniform(0.1, 10))
    return equal(call.given(factor * query, *slots).by(f), factor * call.by(f))


@law(FFN, statement='"identity": q Kᵀ V', fixed={"activation": "identity"})
def slots_without_activation_are_two_matrices(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    return equal(call.by(f), query @ (key.mT @ value))


@law(FFN, statement="f(q, K[P], V[P]) = f(q, K, V), weights permuted", fixed=WEIGHTS)
def slots_have_no_order(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    order = rng.permutation(key.shape[-2])
    output, weights = call.by(f)
    moved = call.given(query, key[..., order, :], value[..., order, :]).by(f)
    return equal(moved.output, output), equal(moved.weights, weights[..., order])


@law(FFN, statement='not "softmax": f(q, K, V) = f(q, K_a, V_a) + f(q, K_b, V_b) for slots in two sets')
def slots_may_be_split_and_added(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    if call.options.get("activation") == "softmax":
        call = call.given(activation="silu")
    query, key, value = call.arrays
    some = rng.random(key.shape[-2]) < 0.5
    one, two = (call.given(query, key[..., s, :], value[..., s, :]).by(f) for s in (some, ~some))
    return equal(call.by(f), one + two)


def _centered(kernel: Any) -> Any:
    """The kernel with a single 1 in the middle of each channel."""
    rows, columns, _ = kernel.shape[-3:]
    a, b = np.indices((rows, columns))
    one = (a == rows // 2) & (b == columns // 2)
    return np.broadcast_to(one[..., None], kernel.shape).astype(kernel.dtype)


@law(FFNIFIED, ties=(FFN,), statement="kernels with one 1 in the middle, no biases: act(q)",
     fixed={"bias_key": None, "bias_value": None})  # fmt: skip
def kernels_of_one_tap_leave_the_activation(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    image, key, value = call.arrays
    activation = call.options.get("activation", "gelu")
    one = np.ones((1, 1), dtype=image.dtype)
    expected = f(FFN, image[..., None], one, one, activation=activation)[..., 0]
    output = call.given(image, _centered(key), _centered(value)).by(f)
    return equal(output, _like(output, expected))


@law(FFNIFIED, statement="f(q, K, V)[..., c] = f(q[..., c], K[..., c], V[..., c])", fixed=WEIGHTS, least={"C": 1})
def channels_do_not_mix(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    c = [int(rng.integers(call.arrays[0].shape[-1]))]
    biases = {name: call.options.get(name) for name in ("bias_key", "bias_value")}
    of_channel = {name: None if bias is None else bias[c] for name, bias in biases.items()}
    alone = call.given(*(array[..., c] for array in call.arrays), **of_channel).by(f)
    return tuple(equal(one, whole[..., c]) for one, whole in zip(alone, call.by(f), strict=True))


@law(FFNIFIED, statement="an image with wide margins of 0, moved: the output moves along")
def images_may_be_moved_away_from_the_border(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    image, key, value = call.arrays
    height, width = image.shape[-3:-1]
    reach = [key.shape[axis] // 2 + value.shape[axis] // 2 for axis in (-3, -2)]
    looks = []
    for extra in ((0, 0), tuple(int(step) for step in rng.integers(1, 4, 2))):
        top, left = (r + e for r, e in zip(reach, extra, strict=True))
        around = [(0, 0)] * (image.ndim - 3) + [(top, reach[0]), (left, reach[1]), (0, 0)]
        moved = call.given(np.pad(image, around), key, value).by(f)
        looks.append(moved[..., top : top + height, left : left + width, :])
    return equal(*looks)


@law(
    FFNIFIED,
    ties=(FFN,),
    statement="1 × 1 kernels, no biases: ffn_memory(q_c, K_c, V_c) in each channel c",
    least={"C": 1},
)
def kernels_of_one_pixel_are_slots(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    image, key, value = (array if index == 0 else array[..., :1, :1, :] for index, array in enumerate(call.arrays))
    c = int(rng.integers(image.shape[-1]))
    output = call.given(image, key, value, bias_key=None, bias_value=None).by(f)[..., c : c + 1]
    slots = (kernel[..., 0, c, None] for kernel in (key, value))  # (..., 1, 1): one slot of width 1
    pixels = f(
        FFN,
        image[..., c : c + 1],
        *(s[..., None, :, :] for s in slots),
        activation=call.options.get("activation", "gelu"),
    )
    return equal(output, _like(output, pixels))


@law(LORA, statement="y_j = x_j W at the other tokens; nobody a memory token: y = x W")
def an_adapter_acts_on_memory_tokens_only(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    x, weight, *_ = call.arrays
    flags = call.options["is_memory"]
    output = call.by(f)
    frozen = call.given(is_memory=np.zeros_like(flags)).by(f)
    other = ~flags[:, None]
    return equal(frozen, _like(frozen, x @ weight)), equal(np.where(other, output, 0), np.where(other, frozen, 0))


@law(LORA, statement="all tokens memory tokens: y = x (W + scaling A B)")
def an_adapter_everywhere_is_another_weight(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    x, weight, a, b = call.arrays
    everywhere = call.given(is_memory=np.ones_like(call.options["is_memory"])).by(f)
    return equal(everywhere, x @ (weight + call.options.get("scaling", 1.0) * (a @ b)))


def _note(call: Call) -> Any:
    """u = tanh([s; c] W_u + b_u), (..., 1, e)."""
    _, state, context = call.arrays
    of_state, of_context = np.split(call.options["w_update"], [state.shape[-1]])
    return np.tanh(state @ of_state + context @ of_context + call.options["b_update"])[..., None, :]


@law(SCRATCHPAD, statement="b_g to ∞: m stays; b_g to −∞: every row becomes u = tanh([s; c] W_u + b_u)")
def a_closed_pad_stays_and_an_open_one_is_the_note(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    closed, opened = (call.given(b_gate=b).by(f) for b in (FAR, -FAR))
    return equal(closed, _like(closed, call.arrays[0])), equal(opened, _like(opened, _note(call)))


@law(SCRATCHPAD, statement="min(m, u) <= m' <= max(m, u) with one share per row, |m'| <= max(|m|, 1)")
def rows_move_towards_the_note(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    memory, note, output = call.arrays[0], _note(call), call.by(f)
    way, whole = memory - output, memory - note  # (1 − a) (m − u), and m − u
    turned = way[..., ::-1] * whole, way * whole[..., ::-1]
    return (
        at_most(np.minimum(memory, note), output),
        at_most(output, np.maximum(memory, note)),
        at_most(np.abs(output), _like(output, np.maximum(np.abs(memory), 1))),
        equal(*turned),
    )


@law(BRAIN, ties=("softmax_attention",), statement="no index: q + softmax_attention(σ(q), A, A, scale=1, bias=a_0)",
     fixed={"index": None}, least={"r": 1})  # fmt: skip
def expected_names_are_a_residual_attention_step(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    state, names = call.arrays
    said, probabilities = f("softmax_attention", expit(state)[..., None, :], names, names, scale=1.0,
                            bias=call.options.get("bias"), return_weights=True)  # fmt: skip
    after = call.by(f)
    return equal(after.state, state + said[..., 0, :]), equal(after.probabilities, probabilities[..., 0, :])


@law(BRAIN, statement="one name: q' = q + A_0 and P = 1, chosen or not", least={"n": 1})
def one_name_is_always_said(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    state, names = call.arrays
    bias = call.options.get("bias")
    first = call.given(state, names[..., :1, :], bias=None if bias is None else bias[:1])
    found = []
    for index in (None, np.zeros((), dtype=int)):
        after = first.given(index=index).by(f)
        found += [equal(after.state, _like(after.state, state + names[..., 0, :]))]
        found += [equal(after.probabilities, np.ones_like(after.probabilities))]
    return tuple(found)


@law(BRAIN, statement="f(q, A[O]) = f(q, A) with P[O], for every order O of the names", fixed={"index": None})
def names_have_no_order(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    state, names = call.arrays
    order, bias = rng.permutation(names.shape[-2]), call.options.get("bias")
    moved = call.given(state, names[..., order, :], bias=None if bias is None else bias[order]).by(f)
    plain = call.by(f)
    return equal(moved.state, plain.state), equal(moved.probabilities, plain.probabilities[..., order])
