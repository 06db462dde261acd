"""What attention in pieces obeys: partial attentions form a monoid, and any way of putting them together is attention.

| in the specification | law |
| --- | --- |
| chunk sizes do not matter, 1 and non-dividing ones included | `the_chunk_sizes_change_nothing` |
| equals `softmax_attention` | `memory_efficient_attention_is_softmax_attention` |
| scores of 1e4 stay finite | `loud_scores_stay_finite` (in `softmax`) |
| a fully masked chunk is harmless | `a_hidden_chunk_is_harmless` |
| M + log S = −E | `the_energy_is_minus_the_log_of_the_total` (in `energy`) |
| shifting all scores by c shifts M by c only | `a_shift_of_the_scores_moves_the_maximum_only` |
| finish(partial) = softmax | `a_finished_partial_is_softmax_attention` |
| offsets place a block | `only_the_difference_of_the_offsets_matters` |
| associative, commutative | `merging_is_associative`, `merging_is_commutative` |
| identity | `the_empty_partial_is_neutral` |
| any tree over any partition | `any_tree_over_any_partition_is_softmax_attention` |
| A / S | `a_finished_partial_is_the_mean_that_it_holds` |
"""

import numpy as np

from ..plan import Call
from .inputs import along, filled, take
from .law import Evaluate, Relation, equal, law, same

MERGE, FINISH = "merge_attention_partials", "finish_attention_partial"


@law(
    "memory_efficient_attention",
    statement="the result is the same for every query_chunk_size and key_chunk_size",
)
def the_chunk_sizes_change_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    whole = call.given(query_chunk_size=1024, key_chunk_size=4096).by(f)
    rows, columns = rng.integers(1, 6, 2).tolist()
    odd = call.given(query_chunk_size=rows, key_chunk_size=columns).by(f)
    single = call.given(query_chunk_size=1, key_chunk_size=1).by(f)
    return equal(odd, whole), equal(single, whole)


@law(
    "memory_efficient_attention",
    ties=("softmax_attention",),
    statement="memory_efficient_attention(q, k, v) = softmax_attention(q, k, v)",
)
def memory_efficient_attention_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    options = {name: value for name, value in call.options.items() if not name.endswith("chunk_size")}
    return equal(call.by(f), f("softmax_attention", *call.arrays, **options))


@law(
    "memory_efficient_attention",
    statement="a chunk of keys that nobody sees may as well be left out",
    fixed={"causal": False, "mask": "shared", "key_chunk_size": 2},
)
def a_hidden_chunk_is_harmless(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    n = call.arrays[1].shape[-2]
    hidden = np.isin(np.arange(n) // 2, rng.integers(0, n // 2 + 1, 2))
    masked = call.given(mask=call.options["mask"] & ~hidden)
    return equal(masked.by(f), along(call, "n", take(np.flatnonzero(~hidden))).by(f))


@law("attention_partial", statement="partial(bias + c) = (M + c, S, A)")
def a_shift_of_the_scores_moves_the_maximum_only(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    shift = np.full((1, 1), rng.uniform(-50, 50), dtype=call.arrays[0].dtype)
    bias = call.options.get("bias")
    moved = call.given(bias=shift if bias is None else bias + shift).by(f)
    here = call.by(f)
    return (
        equal(moved.maximum, here.maximum + shift[0]),
        equal(moved.total, here.total),
        equal(moved.accumulator, here.accumulator),
    )


@law(
    "attention_partial",
    ties=(FINISH, "softmax_attention"),
    statement="finish(partial(q, k, v, query_offset = n − m)) = softmax_attention(q, k, v)",
)
def a_finished_partial_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, _ = call.arrays
    options = {name: value for name, value in call.options.items() if not name.endswith("_offset")}
    partial = f("attention_partial", *call.arrays, query_offset=key.shape[-2] - query.shape[-2], **options)
    return equal(f(FINISH, tuple(partial)), f("softmax_attention", *call.arrays, **options))


@law(
    "attention_partial",
    statement="partial(query_offset + c, key_offset + c) is the same for every c",
    fixed={"causal": True},
)
def only_the_difference_of_the_offsets_matters(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    offset = int(rng.integers(-9, 10))
    moved = {name: call.options.get(name, 0) + offset for name in ("query_offset", "key_offset")}
    return tuple(same(a, b) for a, b in zip(call.by(f), call.given(**moved).by(f), strict=True))


@law(MERGE, statement="(a ⊕ b) ⊕ c = a ⊕ (b ⊕ c)")
def merging_is_associative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, second = call.arrays
    third = (second[0][..., ::-1], second[1][..., ::-1], 2 * second[2][..., ::-1, :])
    left = f(MERGE, tuple(f(MERGE, first, second)), third)
    right = f(MERGE, first, tuple(f(MERGE, second, third)))
    return tuple(equal(a, b) for a, b in zip(left, right, strict=True))


@law(MERGE, statement="a ⊕ b = b ⊕ a")
def merging_is_commutative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, second = call.arrays
    return tuple(equal(a, b) for a, b in zip(f(MERGE, first, second), f(MERGE, second, first), strict=True))


@law(MERGE, ties=("empty_attention_partial",), statement="a ⊕ (−∞, 0, 0) = a = (−∞, 0, 0) ⊕ a, exactly")
def the_empty_partial_is_neutral(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    partial, _ = call.arrays
    leading = np.broadcast_shapes(partial[0].shape, partial[1].shape, partial[2].shape[:-1])
    full = [np.broadcast_to(part, (*leading, *part.shape[part.ndim :])) for part in partial[:2]]
    accumulator = np.broadcast_to(partial[2], (*leading, partial[2].shape[-1]))
    whole = (*full, accumulator)
    empty = tuple(
        part.astype(accumulator.dtype) for part in f("empty_attention_partial", leading, accumulator.shape[-1])
    )
    return tuple(
        same(merged, part)
        for result in (f(MERGE, whole, empty), f(MERGE, empty, whole))
        for merged, part in zip(result, whole, strict=True)
    )


@law(
    "softmax_attention",
    ties=("attention_partial", MERGE, FINISH),
    statement="finish(⊕ over any tree over any partition of the keys) = softmax_attention",
    fixed={"temperature": 1.0},
    least={"n": 1},
)
def any_tree_over_any_partition_is_softmax_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    whole = filled(call)
    n = whole.arrays[1].shape[-2]
    block = rng.integers(0, 4, n)
    pieces = []
    for b in np.unique(block):
        piece = along(whole, "n", take(np.flatnonzero(block == b)))
        options = {k: v for k, v in piece.options.items() if k not in ("temperature", "return_weights")}
        pieces.append(tuple(f("attention_partial", *piece.arrays, **options)))
    while len(pieces) > 1:
        a, b = (pieces.pop(int(rng.integers(len(pieces)))) for _ in range(2))
        pieces.append(tuple(f(MERGE, a, b)))
    return equal(f(FINISH, pieces[0]), call.by(f))


@law(FINISH, statement="finish(M, S, S u) = u where S > 0, 0 where S = 0, whatever M")
def a_finished_partial_is_the_mean_that_it_holds(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    maximum, total, held = call.arrays[0]
    accumulator = total[..., None] * held
    maximum, total = (np.broadcast_to(x, accumulator.shape[:-1]) for x in (maximum, total))
    expected = np.where(total[..., None] > 0, np.broadcast_to(held, accumulator.shape), 0)
    result = f(FINISH, (maximum, total, accumulator))
    other = f(FINISH, (np.zeros_like(maximum), total, accumulator))
    return equal(result, expected), same(result, other)
