"""What copying and pointing with a sentinel obey.

| in the specification | law |
| --- | --- |
| rows sum to 1 if both inputs do | `a_mixture_keeps_the_mass`, `a_sentinel_keeps_the_mass` |
| gate = 1 gives the vocabulary padded with 0, gate = 0 pure copying | `the_gate_leads_from_copying_to_the_vocabulary` |
| invariant to permuting sources together with ids | `sources_may_be_permuted` |
| ids beyond the vocabulary | `unknown_words_make_room_for_themselves` |
| duplicates add | `a_word_said_twice_collects_both_weights` |
| ids (..., 1, n) | `words_may_stand_in_a_row_of_their_own` |
| = log of `copy_mixture` at the target | `the_log_likelihood_is_that_of_the_mixture` |
| -inf if the target is in neither | `a_word_from_nowhere_is_impossible` |
| zero weights give σ(b) | `an_untrained_copy_gate_knows_its_bias_alone` |
| in (0, 1) | `a_copy_gate_turned_around_is_the_other_share` |
| = `copy_mixture(vocab_prob, a/(1 − g), g, source_ids)` | `pointers_beside_a_sentinel_are_a_copy_mixture` |
| no visible key: g = 1 | `without_a_past_the_vocabulary_speaks` |
| what a mask hides cannot leak | `hidden_sources_are_not_pointed_to` |

The limits of the sentinel's score and what is never built are tests, in `tests/reference/test_pointer_copying.py`.
"""

from typing import Any

import numpy as np

from ...records import find
from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

MIXTURE, LOG_PROB, GATE = "copy_mixture", "copy_log_prob", "copy_gate"
SENTINEL, SOFTMAX = "pointer_sentinel_mixture", "softmax_attention"


def _spread(call: Call) -> tuple[Any, ...]:
    """The arrays of a mixture with the same leading axes."""
    cores = (2, 2, 1, 1, 1)
    arrays = list(zip(call.arrays, cores, strict=False))
    leading = np.broadcast_shapes(*(array.shape[: array.ndim - core] for array, core in arrays))
    return tuple(np.broadcast_to(array, (*leading, *array.shape[array.ndim - core :])) for array, core in arrays)


@law(MIXTURE, statement="Σ_w P_i(w) = g_i Σ_w vocab_i(w) + (1 − g_i) Σ_j w_ij")
def a_mixture_keeps_the_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    vocab, weights, gate, ids = _spread(call)
    found = call.given(vocab, weights, gate, ids).by(f)
    return equal(found.sum(axis=-1), gate * vocab.sum(axis=-1) + (1 - gate) * weights.sum(axis=-1))


@law(
    (MIXTURE, SENTINEL),
    statement="words that are not in the vocabulary: size = None is the largest of them + 1",
    fixed={"size": None, "mask": None},
    least={"m": 1, "n": 1},
)
def unknown_words_make_room_for_themselves(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *arrays, ids = call.arrays
    ids = np.asarray(ids)  # words are whole numbers in noisy arithmetic too
    known = arrays[find(call.name).takes.index("vocab_prob")].shape[-1]
    unknown = call.given(*arrays, ids + known)
    return equal(unknown.by(f), unknown.given(size=int(ids.max()) + known + 1).by(f))


@law(MIXTURE, statement="g = 1: [vocab, 0];  g = 0: Σ_{j: id_j = w} w_j;  between them linear in g")
def the_gate_leads_from_copying_to_the_vocabulary(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    vocab, weights, gate, ids = _spread(call)
    found = call.given(vocab, weights, gate, ids).by(f)
    generated, copied = (call.given(vocab, weights, np.full_like(gate, share), ids).by(f) for share in (1, 0))
    words = (np.asarray(ids)[..., None] == np.arange(found.shape[-1])).astype(weights.dtype)  # (..., n, size)
    known = vocab.shape[-1]
    return (
        equal(generated[..., :known], vocab),
        same(generated[..., known:] == 0, np.ones(generated[..., known:].shape, dtype=bool)),
        equal(copied, weights @ words),
        equal(found, gate[..., None] * generated + (1 - gate[..., None]) * copied),
    )


@law((MIXTURE, SENTINEL, LOG_PROB), statement="f(w[P], id[P]) = f(w, id) for every permutation P of the sources")
def sources_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arrays, options = list(call.arrays), {}
    ids = 4 if call.name == SENTINEL else 3
    order = rng.permutation(arrays[ids].shape[-1])
    arrays[ids] = arrays[ids][..., order]
    arrays[1] = arrays[1][..., order, :] if call.name == SENTINEL else arrays[1][..., order]
    if call.options.get("mask") is not None:
        mask = call.options["mask"]
        options["mask"] = np.broadcast_to(mask, (*mask.shape[:-1], len(order)))[..., order]
    return equal(call.given(*arrays, **options).by(f), call.by(f))


@law(MIXTURE, statement="f([s w, (1 − s) w], [id, id]) = f(w, id)")
def a_word_said_twice_collects_both_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    vocab, weights, gate, ids = call.arrays
    share = rng.uniform(0, 1, weights.shape[-1]).astype(weights.dtype)
    both = np.concatenate([share * weights, (1 - share) * weights], axis=-1)
    return equal(call.given(vocab, both, gate, np.concatenate([ids, ids], axis=-1)).by(f), call.by(f))


@law((MIXTURE, LOG_PROB), statement="f(id (..., n)) = f(id (..., 1, n))")
def words_may_stand_in_a_row_of_their_own(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    vocab, weights, gate, ids, *target = _spread(call)
    return same(
        call.given(vocab, weights, gate, ids[..., None, :], *target).by(f),
        call.given(vocab, weights, gate, ids, *target).by(f),
    )


@law(LOG_PROB, ties=(MIXTURE,), statement="exp f(target) = copy_mixture(...)[target]")
def the_log_likelihood_is_that_of_the_mixture(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    vocab, weights, gate, ids, target = _spread(call)
    known = vocab.shape[-1]
    # Every other word is one that the vocabulary lacks.
    ids, target = (np.asarray(words).astype(np.int64) for words in (ids, target))
    ids, target = (words + known * (words % 2) for words in (ids, target))
    found = call.given(vocab, weights, gate, ids, target).by(f)
    mixture = f(MIXTURE, vocab, weights, gate, ids, size=2 * known)
    return equal(np.exp(found), np.take_along_axis(mixture, target[..., None], axis=-1)[..., 0])


@law(LOG_PROB, statement="target in neither branch: −inf")
def a_word_from_nowhere_is_impossible(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    *arrays, target = call.arrays
    found = call.given(*arrays, np.full_like(target, 2 * arrays[0].shape[-1] + 3)).by(f)
    return same(found, np.full_like(found, -np.inf))


@law(GATE, statement="w = 0: σ(b)")
def an_untrained_copy_gate_knows_its_bias_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    none = {name: np.zeros_like(call.options[name]) for name in ("w_context", "w_state", "w_embedded")}
    found = call.given(**none).by(f)
    bias = np.full(found.shape, call.options.get("b", 0.0), dtype=found.dtype)
    return equal(found, 1 / (1 + np.exp(-bias)))


@law(GATE, statement="0 <= f <= 1;  f(−w, −b) + f(w, b) = 1")
def a_copy_gate_turned_around_is_the_other_share(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    found = call.by(f)
    around = {name: -call.options[name] for name in ("w_context", "w_state", "w_embedded")}
    other = call.given(**around, b=-call.options.get("b", 0.0)).by(f)
    return equal(other + found, np.ones_like(found)), same(
        (found >= 0) & (found <= 1), np.ones(found.shape, dtype=bool)
    )


@law(SENTINEL, statement="Σ_w P_i(w) = g_i Σ_w vocab_i(w) + 1 − g_i, 0 <= g <= 1", fixed={"return_gate": True})
def a_sentinel_keeps_the_mass(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, gate = call.by(f)
    total = gate * call.arrays[3].sum(axis=-1) + (1 - gate)
    return equal(output.sum(axis=-1), total), at_most(gate, np.ones_like(gate)), at_most(np.zeros_like(gate), gate)


@law(SENTINEL, ties=(MIXTURE, SOFTMAX), statement="= copy_mixture(vocab, a / (1 − g), g, id), [a, g] = softmax",
     fixed={"return_gate": True})  # fmt: skip
def pointers_beside_a_sentinel_are_a_copy_mixture(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, key, sentinel, vocab, ids = call.arrays
    output, gate = call.by(f)
    leading, m, n = output.shape[:-2], query.shape[-2], key.shape[-2]
    asked = np.tanh(query @ call.options["w_query"] + call.options["b_query"])
    items = np.zeros((*leading, n + 1, key.shape[-1]), dtype=key.dtype)
    items[..., :n, :], items[..., n, :] = key, sentinel
    seen = np.ones((*leading, m, n + 1), dtype=bool)
    seen[..., :n] = True if call.options.get("mask") is None else call.options["mask"]
    if not key.shape[-1]:  # keys of no width all fit alike
        asked, items = np.zeros((*leading, m, 1), dtype=key.dtype), np.zeros((*leading, n + 1, 1), dtype=key.dtype)
    plain = f(SOFTMAX, asked, items, items[..., :0], scale=1.0, mask=seen, return_weights=True).weights
    plain = np.broadcast_to(plain, seen.shape)
    share = np.minimum(plain[..., n], 1)
    left = np.where(share < 1, 1 - share, 1)
    words = np.broadcast_to(ids, (*leading, n))
    mixture = f(MIXTURE, vocab, plain[..., :n] / left[..., None], share, words, size=output.shape[-1])
    return equal(gate, share), equal(output, mixture)


@law(SENTINEL, statement="no visible key: g = 1, P = [vocab, 0]", fixed={"return_gate": True})
def without_a_past_the_vocabulary_speaks(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    output, gate = call.given(mask=np.zeros((1, 1), dtype=bool)).by(f)
    known = call.arrays[3].shape[-1]
    vocab = np.broadcast_to(call.arrays[3], (*output.shape[:-1], known))
    return (
        same(gate, np.ones_like(gate)),
        equal(output[..., :known], vocab),
        same(output[..., known:] == 0, np.ones(output[..., known:].shape, dtype=bool)),
    )


@law(SENTINEL, statement="f does not depend on keys and ids that no step sees, NaN and negative ids included")
def hidden_sources_are_not_pointed_to(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, sentinel, vocab, ids = call.arrays
    seen = rng.random(key.shape[-2]) < 0.6
    size = {"size": call.options.get("size") or vocab.shape[-1]}
    plain, fouled = (
        call.given(
            query, np.where(seen[:, None], key, key.dtype.type(what)), sentinel, vocab,
            np.where(seen, ids, ids.dtype.type(word)), mask=seen[None], **size,
        )
        for what, word in ((0, 0), (np.nan, -3))
    )  # fmt: skip
    return equal(plain.by(f), fouled.by(f))
