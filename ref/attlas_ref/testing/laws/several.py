"""What holds between several sequences, sources or heads.

| in the specification | law |
| --- | --- |
| prefix attention: the last row | `the_last_prefix_is_one_query` |
| two pieces through `state` | `a_sequence_may_be_fed_in_pieces` |
| constant scores: cumulative mean | `prefixes_of_equal_scores_are_cumulative_means` |
| independent of the scan tree | `scanning_is_stepping` |
| learned prefix: the concatenation, the merge | `a_learned_prefix_is_more_keys`, `a_learned_prefix_is_merged` |
| out = a P + (1 − a) C | `a_learned_prefix_is_a_mixture` |
| p = 1: out − C is a multiple of prefix_value − C | `one_prefix_pulls_towards_its_value` |
| p = 0; prefix scores to −infinity | `no_prefix_is_softmax_attention`, `a_hopeless_prefix_is_none` |
| a prefix of zeros | `a_prefix_of_zeros_is_extra_mass` |
| mutual: both directions; swapping | `mutual_attention_goes_both_ways`, `mutual_attention_is_mutual` |
| mutual: first = second | `one_sequence_attends_to_itself_alike` |
| mutual: the same scores | `both_directions_share_their_scores` |
| relational: orthogonal transforms | `relations_feel_no_rotation` |
| dual: no relational heads, no sensory heads | `dual_attention_begins_with_its_sensory_heads`, |
| | `dual_attention_may_have_one_kind_of_heads` |
| conditional: concatenation; spatial zeros | `conditional_attention_reads_what_and_where`, |
| | `without_places_only_contents_count` |
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..pairs import visible_in
from ..plan import Call
from .inputs import filled, spread_out
from .law import Evaluate, Relation, equal, law
from .softmax import orthogonal

PREFIX, TUNING, MUTUAL = "prefix_attention", "prefix_tuning_attention", "mutual_attention"
RELATIONAL, DUAL, CONDITIONAL = "relational_attention", "dual_attention", "conditional_cross_attention"
ALONE = {"return_state": False}


def _of(call: Call, *names: str) -> dict[str, Any]:
    """The options of a call among some, as far as it has them."""
    return {name: call.options[name] for name in names if call.options.get(name) is not None}


@law(PREFIX, ties=("softmax_attention",), statement="out_n = softmax attention of the query to all keys", fixed=ALONE,
     least={"n": 1})  # fmt: skip
def the_last_prefix_is_one_query(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    rows = {name: array[..., None, :] for name, array in _of(call, "mask", "bias").items()}
    single = f("softmax_attention", query[..., None, :], key, value, **_of(call, "scale"), **rows)
    return equal(call.given(state=None).by(f)[..., -1:, :], single)


@law(PREFIX, statement="f(x) = [f(x[:t]), f(x[t:], state after t)] for every t", fixed=ALONE)
def a_sequence_may_be_fed_in_pieces(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    n = key.shape[-2]
    cut = int(rng.integers(0, n + 1))

    def piece(part: slice, state: Any) -> Call:
        rows = {
            name: np.broadcast_to(x, (*x.shape[:-1], n))[..., part] for name, x in _of(call, "mask", "bias").items()
        }
        return call.given(query, key[..., part, :], value[..., part, :], state=state, return_state=True, **rows)

    left, state = piece(slice(None, cut), call.options.get("state")).by(f)
    right, _ = piece(slice(cut, None), tuple(state)).by(f)
    return equal(call.by(f), np.concatenate([left, right], axis=-2))


@law(PREFIX, ties=("uniform_attention",), statement="q = 0: out_k is the mean of the visible v_j, j <= k",
     fixed={"bias": None, **ALONE})  # fmt: skip
def prefixes_of_equal_scores_are_cumulative_means(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    rows = {name: mask[..., None, :] for name, mask in _of(call, "mask").items()}
    output = call.given(np.zeros_like(query), key, value, state=None).by(f)
    value = np.broadcast_to(value, (*output.shape[:-2], *value.shape[-2:]))
    return equal(output, f("uniform_attention", value, causal=True, **rows))


@law(PREFIX, statement='method="scan" is method="sequential"', fixed={"method": "scan", **ALONE})
def scanning_is_stepping(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f), call.given(method="sequential").by(f))


PLAIN = {"return_share": False}
SEEN = ("mask", "causal", "scale", "bias")


@law(TUNING, ties=("softmax_attention",), statement="= softmax attention over [prefix; content]",
     fixed={"bias": None, **PLAIN})  # fmt: skip
def a_learned_prefix_is_more_keys(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, prefix_key, prefix_value = call.arrays
    visible = visible_in(call)
    open_prefix = np.ones((*visible.shape[:-1], prefix_key.shape[-2]), dtype=bool)
    longer = (np.concatenate(pair, axis=-2) for pair in ((prefix_key, key), (prefix_value, value)))
    mask = np.concatenate([open_prefix, visible], axis=-1)
    return equal(call.by(f), f("softmax_attention", query, *longer, mask=mask, **_of(call, "scale")))


@law(TUNING, ties=("attention_partial", "merge_attention_partials", "finish_attention_partial"),
     statement="= finish(partial(prefix) ⊕ partial(content))", fixed=PLAIN)  # fmt: skip
def a_learned_prefix_is_merged(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, prefix_key, prefix_value = call.arrays
    options = _of(call, *SEEN)
    content = f("attention_partial", query, key, value, query_offset=key.shape[-2] - query.shape[-2], **options)
    prefix = f("attention_partial", query, prefix_key, prefix_value, **_of(call, "scale"))
    return equal(
        call.by(f), f("finish_attention_partial", tuple(f("merge_attention_partials", tuple(prefix), tuple(content))))
    )


@law(TUNING, ties=("softmax_attention", "attention_energy"),
     statement="out = a P + (1 − a) C, a = σ(E of the content − E of the prefix), p >= 1", least={"p": 1},
     fixed={"return_share": True})  # fmt: skip
def a_learned_prefix_is_a_mixture(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    call = filled(call)
    query, key, value, prefix_key, prefix_value = call.arrays
    content, prefix = _of(call, *SEEN), _of(call, "scale")
    output, share = call.by(f)
    energies = f("attention_energy", query, key, **content) - f("attention_energy", query, prefix_key, **prefix)
    of_prefix = f("softmax_attention", query, prefix_key, prefix_value, **prefix)
    of_content = f("softmax_attention", query, key, value, **content)
    a = share[..., None]
    return equal(share, expit(energies)), equal(output, a * of_prefix + (1 - a) * of_content)


@law(TUNING, ties=("softmax_attention",), statement="p = 1: out − C = a (prefix_value − C)", least={"p": 1},
     fixed={"return_share": True})  # fmt: skip
def one_prefix_pulls_towards_its_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, prefix_key, prefix_value = filled(call).arrays
    call = filled(call).given(query, key, value, prefix_key[..., :1, :], prefix_value[..., :1, :])
    output, share = call.by(f)
    content = f("softmax_attention", query, key, value, **_of(call, *SEEN))
    return equal(output - content, share[..., None] * (prefix_value[..., :1, :] - content))


@law(TUNING, ties=("softmax_attention",), statement="p = 0: softmax attention", fixed=PLAIN)
def no_prefix_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    *content, prefix_key, prefix_value = call.arrays
    output = call.given(*content, prefix_key[..., :0, :], prefix_value[..., :0, :]).by(f)
    return equal(output, f("softmax_attention", *content, **_of(call, *SEEN)))


@law(TUNING, ties=("softmax_attention",), statement="prefix scores → −∞: the content alone, where any is seen",
     fixed={"bias": None, "scale": 1.0, **PLAIN})  # fmt: skip
def a_hopeless_prefix_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, prefix_key, prefix_value = call.arrays
    query, key = np.clip(np.abs(query), 0, 8) + 1, np.clip(key, -8, 8)
    output = call.given(query, key, value, np.full_like(prefix_key, -1e4), prefix_value).by(f)
    seen = visible_in(call).any(axis=-1, keepdims=True)
    plain = f("softmax_attention", query, key, value, **_of(call, *SEEN))
    return equal(np.where(seen, output, 0), plain)


@law(TUNING, ties=("softmax_plus_n_attention",), statement="one prefix of zeros: softmax_plus_n with extra = 1",
     least={"p": 1}, fixed=PLAIN)  # fmt: skip
def a_prefix_of_zeros_is_extra_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    *content, prefix_key, prefix_value = call.arrays
    zeros = (np.zeros_like(x[..., :1, :]) for x in (prefix_key, prefix_value))
    plain = f("softmax_plus_n_attention", *content, extra=1.0, **_of(call, *SEEN))
    return equal(call.given(*content, *zeros).by(f), plain)


def _turned(call: Call) -> dict[str, Any]:
    """Mask and bias of the other direction."""
    return {name: np.atleast_2d(array).mT for name, array in _of(call, "mask", "bias").items()}


ONE = {"return_weights": False}


@law(MUTUAL, ties=("softmax_attention",), statement="first = attention(x₁, x₂, v₂), second = attention(x₂, x₁, v₁)",
     fixed=ONE)  # fmt: skip
def mutual_attention_goes_both_ways(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, second, first_value, second_value = spread_out(call)
    ahead = f("softmax_attention", first, second, second_value, **_of(call, "scale", "mask", "bias"))
    back = f("softmax_attention", second, first, first_value, **_of(call, "scale"), **_turned(call))
    return tuple(equal(out, plain) for out, plain in zip(call.by(f), (ahead, back), strict=True))


@law(MUTUAL, statement="f(x₂, x₁, v₂, v₁, maskᵀ, biasᵀ) = f(x₁, x₂, v₁, v₂, mask, bias), exchanged", fixed=ONE)
def mutual_attention_is_mutual(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, second, first_value, second_value = call.arrays
    exchanged = call.given(second, first, second_value, first_value, **_turned(call)).by(f)
    return tuple(equal(one, other) for one, other in zip(call.by(f), exchanged[::-1], strict=True))


@law(MUTUAL, statement="x₁ = x₂, v₁ = v₂: both outputs are equal", fixed={"mask": None, "bias": None, **ONE})
def one_sequence_attends_to_itself_alike(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    first, _, value, _ = call.arrays
    seen = rng.random((first.shape[-2],) * 2) < 0.6
    result = call.given(first, first, value, value, mask=seen | seen.T).by(f)
    return equal(*result)


@law(MUTUAL, ties=("attention_energy",), statement="w¹_ij e^{−E_i} = w²_ji e^{−E_j}: both hold the same scores",
     fixed={"mask": None, "bias": None, "scale": 0.5, "return_weights": True})  # fmt: skip
def both_directions_share_their_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    first, second, first_value, second_value = call.arrays
    first, second = np.clip(first, -1, 1), np.clip(second, -1, 1)
    result = call.given(first, second, first_value, second_value).by(f)
    rows = f("attention_energy", first, second, scale=0.5)[..., :, None]
    columns = f("attention_energy", second, first, scale=0.5)[..., None, :]
    return equal(result[2] * np.exp(-rows), result[3].mT * np.exp(-columns))


@law(RELATIONAL, statement="rotating (rq, rk) together, and (q, k) together, changes nothing", fixed=ONE)
def relations_feel_no_rotation(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, relation_query, relation_key, symbols = call.arrays
    turn, twist = (orthogonal(x.shape[-1], rng, x.dtype) for x in (query, relation_query))
    turned = call.given(query @ turn, key @ turn, relation_query @ twist, relation_key @ twist, symbols)
    return equal(turned.by(f), call.by(f))


def _side_by_side(heads: Any) -> Any:
    """Heads (..., h, m, e) as (..., m, h e)."""
    return np.moveaxis(heads, -3, -2).reshape(*heads.shape[:-3], heads.shape[-2], heads.shape[-3] * heads.shape[-1])


@law(DUAL, ties=("softmax_attention",), statement="it begins with softmax attention, head by head")
def dual_attention_begins_with_its_sensory_heads(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    output = call.by(f)
    heads = _side_by_side(f("softmax_attention", *spread_out(call)[:3], **_of(call, "scale", "mask", "causal")))
    first = output[..., : heads.shape[-1]]
    return equal(first, np.broadcast_to(heads, first.shape))


@law(DUAL, statement="without relational heads the sensory ones, without sensory heads the relational ones",
     least={"s": 1, "h": 1})  # fmt: skip
def dual_attention_may_have_one_kind_of_heads(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    *sensory, query, key, relation_query, relation_key, symbols = call.arrays
    weight, whole = call.options["relation_weight"], call.by(f)
    none = (x[..., :0, :, :] for x in (query, key))
    split = sensory[2].shape[-3] * sensory[2].shape[-1]
    alone = call.given(
        *sensory, *none, relation_query, relation_key, symbols[..., :0, :, :], relation_weight=weight[:0]
    )
    blind = call.given(*(x[..., :0, :, :] for x in sensory), query, key, relation_query, relation_key, symbols)
    left, right = alone.by(f), blind.by(f)
    return (
        equal(np.broadcast_to(left, whole[..., :split].shape), whole[..., :split]),
        equal(np.broadcast_to(right, whole[..., split:].shape), whole[..., split:]),
    )


@law(CONDITIONAL, ties=("softmax_attention",), statement="= softmax attention of [q, pq] and [k, pk] at 1/√(d + t)",
     fixed=ONE)  # fmt: skip
def conditional_attention_reads_what_and_where(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, where_query, where_key = call.arrays
    both = (np.concatenate(pair, axis=-1) for pair in ((query, where_query), (key, where_key)))
    return equal(call.by(f), f("softmax_attention", *both, value, **_of(call, *SEEN)))


@law(CONDITIONAL, ties=("softmax_attention",), statement="places of 0: attention to the contents at 1/√(d + t)",
     fixed={"scale": None, **ONE})  # fmt: skip
def without_places_only_contents_count(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    query, key, value, where_query, where_key = call.arrays
    output = call.given(query, key, value, 0 * where_query, where_key).by(f)
    scale = 1 / float(np.sqrt(query.shape[-1] + where_query.shape[-1]))
    return equal(output, f("softmax_attention", query, key, value, scale=scale, **_of(call, "mask", "bias", "causal")))
