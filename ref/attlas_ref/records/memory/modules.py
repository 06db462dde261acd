"""Records of memories for long context and of layers that are memories."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Indices, Integer, Number, WordOrNumber
from ..record import Draft, Record, Source
from ..shared import CHUNK, TILES_OF_A_BATCH, VISIBILITY

LANDMARK = Source(
    "Mohtashami & Jaggi",
    "Landmark Attention: Random-Access Infinite Context Length for Transformers",
    2023,
    "2305.16300",
)
TITANS = Source(
    "Behrouz, Zhong & Mirrokni", "Titans: Learning to Memorize at Test Time", 2025, "2501.00663", "eqs (9)-(14)"
)
COMPRESSED = Source(
    "Kim, Yeom, Yun & Song",
    "Compressed Context Memory for Online Language Model Interaction",
    2023,
    "2312.03414",
)
METAMIXER = Source("Yun, Lee & Ro", "MetaMixer Is All You Need", 2024, "2406.02021")

FLAGS = Array(core=("n",), boolean=True, batched=False)
SCALE = VISIBILITY["scale"]


def _small(rate: Any) -> Any:
    """Make any number a rate at which keys of usual length do not diverge."""
    return 0.01 * np.abs(rate) / (1 + np.abs(rate))


def _share(number: Any) -> Any:
    """Make any number one between 0 and 1."""
    return np.abs(number) / (1 + np.abs(number))


def _rates(letter: str = "n", *, broadcast: bool = False) -> dict[str, Array]:
    return {
        name: Array(core=(letter,), broadcast=broadcast, valid=valid)
        for name, valid in (("lr", _small), ("momentum", _share), ("decay", _share))
    }


STATE = {name: Array(core=("d", "e"), optional=True) for name in ("memory", "surprise")}
WIRED_STATE = {name: Array(core=("c", "D"), optional=True) for name in ("memory", "surprise")}
NORMS = {name: Array(core=("D",), optional=True, batched=False) for name in ("norm_weight", "memory_norm_weight")}
WIRED = "(n,D),(p,D),(H,D,d),(H,D,d),(H,D,e),(H,e,D),(D,c),(D,c),(D,D)->(n,D)"


def _shares_lie_between_0_and_1(function: str, values: dict[str, Any]) -> None:
    for name in ("momentum", "decay"):
        if not bool(((values[name] >= 0) & (values[name] <= 1)).all()):
            raise ValueError(f"{function}: {name} leaves the range 0 to 1; it needs numbers between them")


def _kernels_are_odd(function: str, values: dict[str, Any]) -> None:
    for name in ("kernel_key", "kernel_value"):
        rows, columns = values[name].shape[-3:-1]
        if rows % 2 == 0 or columns % 2 == 0:
            raise ValueError(f"{function}: {name} is {rows} by {columns}; it needs an odd height and width")


def _blocks_that_merge_are_alike(function: str, values: dict[str, Any]) -> None:
    if values["merge"] is None:
        return
    counts = np.bincount(values["block"][np.asarray(values["is_memory"])])
    found = sorted(set(counts[counts > 0].tolist()))
    if len(found) > 1:
        raise ValueError(
            f"{function}: is_memory marks {found[0]} tokens in one block and {found[-1]} in another; "
            f"it needs the same number in each that has any, with merge"
        )


def _gentle(*arrays: Any) -> tuple[Any, ...]:
    """Keep weights, all arrays but the first two, and rows from making long keys, with which memories diverge."""
    return (*map(_short, arrays[:2]), *(w / np.maximum(1, np.sqrt((w**2).sum())) for w in arrays[2:]))


def _short(rows: Any) -> Any:
    """Shorten rows to a length of 4: 2 lr |k|² stays below 2, beyond which errors grow from token to token."""
    return rows / np.maximum(1, np.sqrt((rows**2).sum(axis=-1, keepdims=True)) / 4)


def _draw_odd_kernels(draft: Draft) -> None:
    for letter in "pqrs":
        draft.sizes[letter] |= 1


def _draw_blocks_with_equal_memories(draft: Draft) -> None:
    n, rng = draft.sizes["n"], draft.rng
    block = np.sort(rng.integers(0, 4, n))
    memory = np.zeros(n, dtype=bool)
    last = np.flatnonzero(np.diff(block, append=5))  # the last token of each block
    memory[last[rng.random(len(last)) < 0.8]] = True
    draft.options |= {"block": block.tolist(), "is_memory": memory}


def _draw_a_name_if_there_is_one(draft: Draft) -> None:
    if draft.sizes["n"] == 0:
        draft.given.discard("index")


RECORDS = (
    Record(
        name="landmark_attention",
        family="memory",
        title="Grouped softmax with landmark tokens",
        formula="out_i = Σ_{j in own block} p_j v_j + Σ_c p_{landmark of c} Σ_{j in c} softmax_c(s)_j v_j",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=LANDMARK,
        options={
            "is_landmark": FLAGS,
            "scale": SCALE,
            "top_k": Integer(low=0, optional=True, draw=(0, 4)),
            "return_weights": Flag(),
        },
        tier=2,
        rounds_with_the_batch=TILES_OF_A_BATCH,
        vjp="landmark_attention_vjp",
        peer="torch_landmark_attention",
    ),
    Record(
        name="landmark_attention_vjp",
        family="memory",
        title="Gradients of landmark attention",
        formula="ds = p (dp − <p, dp>) in the group, r (dr − <r, dr>) in each earlier block",
        signature="(n,d),(n,d),(n,e),(n,e)->(n,d),(n,d),(n,e)",
        source=LANDMARK,
        options={"is_landmark": FLAGS, "scale": SCALE},
        tier=2,
        rounds_with_the_batch=TILES_OF_A_BATCH,
        file="landmark_attention",
    ),
    Record(
        name="titans_memory",
        family="memory",
        title="Linear neural long-term memory",
        formula="S_t = η S_{t−1} − θ 2 kᵀ(k C − v),  M_t = (1 − α) M_{t−1} + S_t,  out_t = q_t M_t",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=TITANS,
        options={**_rates(), **STATE, "chunk_size": CHUNK, "return_state": Flag()},
        tier=2,
        checks=(_shares_lie_between_0_and_1,),
        peer="torch_titans_memory",
    ),
    Record(
        name="titans_mlp_memory",
        family="memory",
        title="Two-layer neural long-term memory",
        formula="W_t = (1 − α) W_{t−1} + S_t for both layers of M(x) = gelu(x W₁) W₂,  out_t = M_t(q_t)",
        signature="(n,d),(n,d),(n,e),(d,h),(h,e)->(n,e)",
        source=TITANS,
        options={
            **_rates(),
            "chunk_size": CHUNK,
            "activation": Choice(values=("gelu", "identity")),
            "return_state": Flag(),
        },
        tier=2,
        checks=(_shares_lie_between_0_and_1,),
        valid=lambda query, key, value, *weights: (query, *_gentle(key, value, *weights)),
    ),
    Record(
        name="memory_as_context",
        family="memory",
        title="Titans MAC: the memory's answer as extra tokens",
        formula="y = MHA(S, [P; h; S]),  h = (S W_q) M,  out = N(y) σ(N(titans(y)))",
        signature=WIRED,
        source=TITANS,
        options={
            "segment": CHUNK,
            **_rates(broadcast=True),
            "chunk_size": Integer(low=1, optional=True),
            **NORMS,
            "causal": Flag(),
            "scale": SCALE,
            **WIRED_STATE,
            "return_state": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_shares_lie_between_0_and_1,),
        valid=_gentle,
    ),
    Record(
        name="memory_as_gate",
        family="memory",
        title="Titans MAG: the memory beside a sliding window",
        formula="out = N(MHA_window(x, [P; x])) σ(N(titans([P; x])))",
        signature=WIRED,
        source=TITANS,
        options={
            "window": CHUNK,
            **_rates("p+n", broadcast=True),
            "chunk_size": CHUNK,
            **NORMS,
            "scale": SCALE,
            **WIRED_STATE,
            "return_state": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_shares_lie_between_0_and_1,),
        valid=_gentle,
    ),
    Record(
        name="memory_as_layer",
        family="memory",
        title="Titans MAL: the memory before a sliding window",
        formula="y = titans([P; x]),  out = MHA_window(y, y)",
        signature=WIRED,
        source=TITANS,
        options={
            "window": CHUNK,
            **_rates("p+n", broadcast=True),
            "chunk_size": CHUNK,
            "scale": SCALE,
            **WIRED_STATE,
            "return_state": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_shares_lie_between_0_and_1,),
        valid=_gentle,
    ),
    Record(
        name="compressed_memory_attention",
        family="memory",
        title="Compressed context memory (CCM)",
        formula="softmax over the own block so far and the memory tokens of earlier blocks, or their mean",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=COMPRESSED,
        options={
            "block": Indices(core=("n",), batched=False, ordered=True),
            "is_memory": FLAGS,
            "merge": WordOrNumber(
                optional=True, words=("mean",), number=Number(low=0.0, high=1.0, open_low=True, draw=(0.1, 1.0))
            ),
            "scale": SCALE,
            "return_weights": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_blocks_that_merge_are_alike,),
        arrange=(_draw_blocks_with_equal_memories,),
    ),
    Record(
        name="compressed_memory_mask",
        family="memory",
        title="Visibility of the concatenated compressed memory",
        formula="j ≤ i, and b_j = b_i or memory_j",
        signature="->(n,n)",
        source=COMPRESSED,
        kind="U",
        tier=3,
        engines=(),
        file="compressed_memory_attention",
    ),
    Record(
        name="conditional_lora",
        family="memory",
        title="Adapter that acts on the memory tokens only",
        formula="y_j = x_j W + [memory_j] scaling (x_j A) B",
        signature="(n,d),(d,o),(d,r),(r,o)->(n,o)",
        source=COMPRESSED,
        options={"is_memory": FLAGS, "scaling": Number(draw=(-2.0, 2.0))},
        kind="C",
        tier=3,
    ),
    Record(
        name="evicting_memory_attention",
        family="memory",
        title="FIFO, LRA and LFA key/value memory with a query memory",
        formula="out_i = Σ_{j alive at t(i)} softmax_j(s_ij) v_j",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=Source(
            "Yang & Hua",
            "Attendre: Wait To Attend By Retrieval With Evicted Queries in Memory-Based Transformers for Long Context "
            "Processing",
            2024,
            "2401.04881",
        ),
        options={
            "chunk_size": CHUNK,
            "memory_size": Integer(low=0, draw=(0, 9)),
            "policy": Choice(values=("fifo", "lra", "lfa")),
            "query_delay": Integer(low=0, draw=(0, 9)),
            "top_k": Integer(optional=True),
            "scale": SCALE,
            "causal": Flag(),
            "return_kept": Flag(),
        },
        tier=3,
        engines=(),
    ),
    Record(
        name="scratchpad_write",
        family="memory",
        title="Keeping notes: a decoder that edits its encoder states",
        formula="m_t ← a_t m_t + (1 − a_t) tanh([s; c] W_u + b_u),  a_t = σ(w_g·[s; c; m_t] + b_g)",
        signature="(n,e),(s),(e)->(n,e)",
        source=Source(
            "Benmalek, Khabsa, Desu, Cardie & Banko",
            "Keeping Notes: Conditional Natural Language Generation with a Scratchpad Mechanism",
            2019,
            "1906.05275",
        ),
        options={
            "w_gate": Array(core=("s+2e",), batched=False),
            "b_gate": Number(draw=(-2.0, 2.0)),
            "w_update": Array(core=("s+e", "e"), batched=False),
            "b_update": Array(core=("e",), batched=False),
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="ffn_memory",
        family="memory",
        title="Feed-forward layer as key-value memory",
        formula="out = act(Q Kᵀ) V",
        signature="(m,d),(h,d),(h,e)->(m,e)",
        source=Source(
            "Geva, Schuster, Berant & Levy",
            "Transformer Feed-Forward Layers Are Key-Value Memories",
            2021,
            "2012.14913",
        ),
        options={
            "activation": Choice(values=("gelu", "relu", "silu", "identity", "softmax")),
            "return_weights": Flag(),
        },
        tier=2,
    ),
    Record(
        name="ffnified_attention",
        family="memory",
        title="FFNified attention (MetaMixer)",
        formula="out = act(query ⋆ K + b_K) ⋆ V + b_V, per channel",
        signature="(H,W,C),(p,q,C),(r,s,C)->(H,W,C)",
        source=METAMIXER,
        options={
            "bias_key": Array(core=("C",), optional=True, batched=False),
            "bias_value": Array(core=("C",), optional=True, batched=False),
            "activation": Choice(values=("gelu", "relu", "silu", "identity")),
            "return_weights": Flag(),
        },
        tier=2,
        checks=(_kernels_are_odd,),
        largest=dict.fromkeys("pqrs", 5),
        arrange=(_draw_odd_kernels,),
    ),
    Record(
        name="tensor_brain_step",
        family="memory",
        title="Index layer and representation layer",
        formula="P = softmax(a₀ + A σ(q)),  q ← q + A_k, or q + Σ P_k A_k",
        signature="(r),(n,r)->(r),(n)",
        source=Source(
            "Tresp, Sharifzadeh, Konopatzki & Ma",
            "The Tensor Brain: Semantic Decoding for Perception and Memory",
            2020,
            "2001.11027",
        ),
        options={
            "bias": Array(core=("n",), optional=True, batched=False),
            "index": Indices(optional=True, below="n"),
        },
        kind="C",
        tier=3,
        arrange=(_draw_a_name_if_there_is_one,),
    ),
)
