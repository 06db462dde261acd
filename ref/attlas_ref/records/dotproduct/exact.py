"""Records of softmax attention and its exact evaluation."""

from typing import Any

import numpy as np

from ...contract.options import Flag, Integer, Number
from ..record import Record, Source
from ..shared import CHUNK, DENSE, POSITIVE, VISIBILITY

VASWANI = Source(
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser & Polosukhin",
    "Attention Is All You Need",
    2017,
    "1706.03762",
    "eq. (1)",
)
RABE = Source("Rabe & Staats", "Self-attention Does Not Need O(n²) Memory", 2021, "2112.05682")


def _legal_partials(*partials: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """A total is a sum of exponentials: never negative, and 0 only where nothing is visible."""
    legal = []
    for maximum, total, accumulator in partials:
        empty = np.isneginf(maximum)
        total = np.where(empty, 0, np.abs(total) + 1)
        legal.append((maximum, total.astype(accumulator.dtype), np.where(empty[..., None], 0, accumulator)))
    return tuple(legal)


def _totals_are_sums(function: str, values: dict[str, Any]) -> None:
    for name, (_, total, _) in values.items():
        # Numba's device arrays cannot be compared where they are.
        if bool(((total.copy_to_host() if hasattr(total, "copy_to_host") else total) < 0).any()):
            raise ValueError(f"{function}: {name}[total] has a negative entry; it needs sums of exponentials, >= 0")


def _gradient_has_the_shape_of_the_output(function: str, values: dict[str, Any]) -> None:
    query, value, gradient = values["query"], values["value"], values["grad_output"]
    leading = (tuple(values[name].shape[:-2]) for name in ("query", "key", "value"))
    needed = (*np.broadcast_shapes(*leading), query.shape[-2], value.shape[-1])
    if tuple(gradient.shape) != needed:
        raise ValueError(
            f"{function}: grad_output has shape {tuple(gradient.shape)}; it needs that of the output, {needed}"
        )


RECORDS = (
    Record(
        name="softmax_attention",
        family="dotproduct",
        title="Scaled dot-product attention",
        formula="out_i = Σ_j softmax_j((scale·<q_i, k_j> + bias_ij) / temperature) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=VASWANI,
        options={"temperature": POSITIVE, **DENSE},
        vjp="softmax_attention_vjp",
        peer="scaled_dot_product_attention",
    ),
    Record(
        name="attention_energy",
        family="dotproduct",
        title="Log-sum-exp energy of attention",
        formula="E_i = −T log Σ_j exp((scale·<q_i, k_j> + bias_ij) / T)",
        signature="(m,d),(n,d)->(m)",
        source=Source(
            "Ramsauer, Schäfl, Lehner, Seidl, Widrich et al.", "Hopfield Networks is All You Need", 2020, "2008.02217"
        ),
        options={**VISIBILITY, "temperature": POSITIVE},
        peer="torch_logsumexp",
    ),
    Record(
        name="softmax_attention_vjp",
        family="dotproduct",
        title="Gradients of softmax attention, with recomputation",
        formula="ds_ij = w_ij (<g_i, v_j> − <g_i, out_i>) / T;  dq = scale·ds k,  dk = scale·dsᵀ q,  dv = wᵀ g",
        signature="(m,d),(n,d),(n,e),(m,e)->(m,d),(n,d),(n,e)",
        source=Source(
            "Dao, Fu, Ermon, Rudra & Ré",
            "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness",
            2022,
            "2205.14135",
            "Algorithm 4",
        ),
        options={
            "temperature": POSITIVE,
            **VISIBILITY,
            "key_chunk_size": Integer(low=1, optional=True),
            "return_grad_bias": Flag(),
        },
        checks=(_gradient_has_the_shape_of_the_output,),
        peer="scaled_dot_product_attention_backward",
    ),
    Record(
        name="memory_efficient_attention",
        family="dotproduct",
        title="Self-attention does not need O(n²) memory",
        formula="out = finish(merge over key chunks of partial(query, chunk))",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(RABE.authors, RABE.title, RABE.year, RABE.arxiv, "eqs (1)–(5) and Fig. 1"),
        options={"query_chunk_size": CHUNK, "key_chunk_size": CHUNK, **VISIBILITY},
        vjp="softmax_attention_vjp",
        peer="scaled_dot_product_attention",
    ),
    Record(
        name="attention_partial",
        family="dotproduct",
        title="Partial softmax attention over a block of keys",
        formula="M = max_j s_j,  S = Σ_j exp(s_j − M),  A = Σ_j exp(s_j − M) v_j",
        signature="(m,d),(n,d),(n,e)->(m),(m),(m,e)",
        source=RABE,
        options={
            **VISIBILITY,
            "query_offset": Integer(low=None, draw=(-3, 9)),
            "key_offset": Integer(low=None, draw=(-3, 9)),
        },
        keeps_accumulators=True,
    ),
    Record(
        name="empty_attention_partial",
        family="dotproduct",
        title="Identity of the monoid of partial attentions",
        formula="(M, S, A) = (−∞, 0, 0)",
        signature="->(m),(m),(m,e)",
        source=RABE,
        kind="U",
        tier=2,
        file="attention_partial",
    ),
    Record(
        name="merge_attention_partials",
        family="dotproduct",
        title="The monoid of partial attentions",
        formula="M = max(M₁, M₂),  c_r = exp(M_r − M),  S = c₁S₁ + c₂S₂,  A = c₁A₁ + c₂A₂",
        signature="{(m),(m),(m,e)},{(m),(m),(m,e)}->(m),(m),(m,e)",
        source=RABE,
        kind="C",
        file="attention_partial",
        checks=(_totals_are_sums,),
        valid=_legal_partials,
        keeps_accumulators=True,
    ),
    Record(
        name="finish_attention_partial",
        family="dotproduct",
        title="Output of a partial attention",
        formula="out = A / S, 0 where S = 0",
        signature="{(m),(m),(m,e)}->(m,e)",
        source=RABE,
        kind="C",
        file="attention_partial",
        checks=(_totals_are_sums,),
        valid=_legal_partials,
    ),
    Record(
        name="distance_attention",
        family="dotproduct",
        title="Negative squared distance scores",
        formula="out_i = Σ_j softmax_j(−scale·‖q_i − k_j‖² + bias_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Nadaraya", "On Estimating Regression", 1964, where="with a Gaussian kernel"),
        options={**DENSE, "scale": Number(low=0.0, optional=True, draw=(0.0, 2.0))},
        tier=2,
        peer="torch_distance_attention",
    ),
)
