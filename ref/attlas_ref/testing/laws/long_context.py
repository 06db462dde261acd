"""What attention with compressed memories and with evicting memories obeys.

| in the specification | law |
| --- | --- |
| compressed: one block | `one_block_is_causal_attention` |
| compressed: no memory tokens | `blocks_without_memory_stay_apart` |
| compressed: merge=None is a mask | `a_memory_side_by_side_is_a_mask` |
| compressed: merging one earlier block | `one_earlier_block_is_its_own_mean` |
| compressed: recurrent evaluation equals the parallel form | `blocks_may_come_one_after_the_other` |
| evicting: memory_size >= n, no delay | `a_memory_for_all_is_causal_by_chunks` |
| evicting: memory_size >= n, query_delay >= n | `queries_that_wait_for_all_see_all` |
| evicting: fifo | `first_in_first_out_is_a_window` |
| evicting: top_k=None equals top_k >= alive for fifo | `a_top_k_of_all_entries_is_none` |
| evicting: the kept set has size <= memory_size | `no_more_is_kept_than_there_is_room` |
| causal | `tokens_to_come_have_no_effect` (in `titans`) |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, equal, law, same

COMPRESSED, EVICTING = "compressed_memory_attention", "evicting_memory_attention"


def _scale(call: Call) -> dict[str, Any]:
    return {"scale": call.options.get("scale")}


@law(COMPRESSED, ties=("softmax_attention",), statement="one block: softmax_attention(q, k, v, causal=True)")
def one_block_is_causal_attention(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    block = np.full(len(call.options["block"]), int(rng.integers(3)))
    return equal(call.given(block=block).by(f), f("softmax_attention", *call.arrays, causal=True, **_scale(call)))


@law(
    COMPRESSED,
    ties=("softmax_attention",),
    statement="no memory tokens: softmax_attention(q, k, v, mask = [j <= i and b_j = b_i])",
)
def blocks_without_memory_stay_apart(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    block = np.asarray(call.options["block"], dtype=int)
    mask = np.tri(len(block), dtype=bool) & (block[:, None] == block)
    none = np.zeros(len(block), dtype=bool)
    return equal(call.given(is_memory=none).by(f), f("softmax_attention", *call.arrays, mask=mask, **_scale(call)))


@law(
    COMPRESSED,
    ties=("softmax_attention",),
    statement="merge=None: softmax_attention(q, k, v, mask = [j <= i, and b_j = b_i or memory_j])",
    fixed={"merge": None, "return_weights": True},
)
def a_memory_side_by_side_is_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    block = np.asarray(call.options["block"], dtype=int)
    mask = np.tri(len(block), dtype=bool) & ((block[:, None] == block) | call.options["is_memory"])
    plain = f("softmax_attention", *call.arrays, mask=mask, return_weights=True, **_scale(call))
    return tuple(equal(a, b) for a, b in zip(call.by(f), plain, strict=True))


@law(COMPRESSED, statement="two blocks, memory in the first: f(merge) = f(merge=None) for every merge")
def one_earlier_block_is_its_own_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n = len(call.options["block"])
    block = (np.arange(n) >= rng.integers(n + 1)).astype(int)
    call = call.given(block=block, is_memory=(rng.random(n) < 0.5) & (block == 0))
    return equal(call.by(f), call.given(merge=None).by(f))


@law(
    COMPRESSED,
    ties=("softmax_attention",),
    statement="f = softmax_attention of each block to [K̄; K_b], then K̄ = (1 − a) K̄ + a K_memory; mean: a = 1/blocks",
)
def blocks_may_come_one_after_the_other(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    block, merge = np.asarray(call.options["block"], dtype=int), call.options.get("merge")
    memory_key, memory_value = key[..., :0, :], value[..., :0, :]
    outputs, blocks = [f("softmax_attention", query[..., :0, :], key, value)], 0
    for b in np.unique(block):
        rows, written = block == b, (block == b) & call.options["is_memory"]
        slots = memory_key.shape[-2]
        keys, values = (
            np.concatenate([memory, array[..., rows, :]], axis=-2)
            for memory, array in ((memory_key, key), (memory_value, value))
        )
        mask = np.tri(int(rows.sum()), keys.shape[-2], slots, dtype=bool)
        outputs.append(f("softmax_attention", query[..., rows, :], keys, values, mask=mask, **_scale(call)))
        if not written.any():
            continue
        blocks += 1
        notes = key[..., written, :], value[..., written, :]
        if merge is None:
            memory_key, memory_value = (
                np.concatenate(pair, axis=-2) for pair in zip((memory_key, memory_value), notes, strict=True)
            )
        elif blocks == 1:
            memory_key, memory_value = notes
        else:
            rate = 1 / blocks if merge == "mean" else merge
            memory_key, memory_value = (
                (1 - rate) * memory + rate * note
                for memory, note in zip((memory_key, memory_value), notes, strict=True)
            )
    return equal(call.by(f), np.concatenate(outputs, axis=-2))


def _chunk_end(call: Call) -> Any:
    """The first token after the chunk of each token, (n, 1)."""
    size = call.options["chunk_size"]
    return ((np.arange(call.arrays[1].shape[-2]) // size + 1) * size)[:, None]


def _roomy(call: Call, **options: Any) -> Call:
    """The call with room for every entry."""
    return call.given(memory_size=call.arrays[1].shape[-2], **options)


PLAIN = {"top_k": None, "causal": False}


@law(EVICTING, ties=("softmax_attention",), statement="memory_size >= n: softmax_attention(mask = chunks so far)",
     fixed={"query_delay": 0, **PLAIN})  # fmt: skip
def a_memory_for_all_is_causal_by_chunks(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    mask = np.arange(call.arrays[1].shape[-2]) < _chunk_end(call)
    return equal(_roomy(call).by(f), f("softmax_attention", *call.arrays, mask=mask, **_scale(call)))


@law(EVICTING, ties=("softmax_attention",), statement="memory_size >= n, query_delay >= n: softmax_attention(q, k, v)",
     fixed=PLAIN)  # fmt: skip
def queries_that_wait_for_all_see_all(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    patient = _roomy(call, query_delay=call.arrays[1].shape[-2])
    return equal(patient.by(f), f("softmax_attention", *call.arrays, **_scale(call)))


@law(
    EVICTING,
    ties=("softmax_attention",),
    statement="fifo of w entries: softmax_attention(mask = [first of the chunk − w <= j < end of the chunk])",
    fixed={"policy": "fifo", "query_delay": 0, **PLAIN},
)
def first_in_first_out_is_a_window(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    j, end = np.arange(call.arrays[1].shape[-2]), _chunk_end(call)
    mask = (j < end) & (j >= end - call.options["chunk_size"] - call.options["memory_size"])
    return equal(call.by(f), f("softmax_attention", *call.arrays, mask=mask, **_scale(call)))


@law(
    EVICTING,
    statement="fifo, top_k >= memory_size + chunk_size: as without top_k",
    fixed={"policy": "fifo", "top_k": None},
)
def a_top_k_of_all_entries_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alive = call.options["memory_size"] + call.options["chunk_size"]
    return equal(call.given(top_k=alive).by(f), call.by(f))


@law(EVICTING, statement="Σ_j kept_j = min(n, memory_size)", fixed={"return_kept": True})
def no_more_is_kept_than_there_is_room(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    kept = call.by(f).kept
    return same(kept.sum(axis=-1), np.full(kept.shape[:-1], min(kept.shape[-1], call.options["memory_size"])))
