"""Records of softmax attention over prefixes, learned prefixes and pairs of sequences."""

from ...contract.options import Array, Choice, Flag, Partial
from ..record import Record, Source
from ..shared import DENSE, VISIBILITY

RECORDS = (
    Record(
        name="prefix_attention",
        family="dotproduct",
        title="Attention as an RNN: Aaren prefix scan",
        formula="out_k = Σ_{j≤k} exp(s_j) v_j / Σ_{j≤k} exp(s_j)",
        signature="(d),(n,d),(n,e)->(n,e)",
        source=Source(
            "Feng, Tung, Hajimirsadeghi, Ahmed, Bengio & Mori", "Attention as an RNN", 2024, "2405.13956", "§3.2 and §4"
        ),
        options={
            "scale": VISIBILITY["scale"],
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "bias": Array(core=("n",), broadcast=True, optional=True),
            "method": Choice(values=("scan", "sequential")),
            "state": Partial(cores=((), (), ("e",)), optional=True),
            "return_state": Flag(),
        },
    ),
    Record(
        name="prefix_tuning_attention",
        family="dotproduct",
        title="A learned prefix as a convex mixture",
        formula="out_i = a_i P_i + (1 − a_i) C_i,  a_i = σ(L_i of the prefix − L_i of the content)",
        signature="(m,d),(n,d),(n,e),(p,d),(p,e)->(m,e)",
        source=Source(
            "Petrov, Torr & Bibi",
            "When Do Prompting and Prefix-Tuning Work? A Theory of Capabilities and Limitations",
            2023,
            "2310.19698",
        ),
        options={**VISIBILITY, "return_share": Flag()},
        kind="C",
        tier=2,
    ),
    Record(
        name="mutual_attention",
        family="dotproduct",
        title="Two sequences that attend to each other with one score matrix",
        formula="first = softmax_j(S) v₂,  second = softmax_i(S)ᵀ v₁,  S = scale·x₁x₂ᵀ + bias",
        signature="(m,d),(n,d),(m,f),(n,g)->(m,g),(n,f)",
        source=Source("Li, Zhang, Zhang et al.", "Grounded Language-Image Pre-training", 2021, "2112.03857"),
        options={name: option for name, option in DENSE.items() if name != "causal"},
        kind="C",
        tier=2,
    ),
    Record(
        name="multi_source_attention",
        family="dotproduct",
        title="One set of queries, several sources, gates",
        formula="out = Σ_s g_s softmax(Q K_sᵀ) V_s, or one softmax over all sources",
        signature="->(m,e)",
        source=Source(
            "Ye, Zhang, Liu, Han & Yang",
            "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models",
            2023,
            "2308.06721",
        ),
        kind="U",
        tier=3,
        engines=(),
    ),
)
