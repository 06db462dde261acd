"""Records of the maps from scores to weights."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..record import Draft, Record, Source
from ..shared import DENSE, POSITIVE

MARTINS = Source(
    "Martins & Astudillo",
    "From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label Classification",
    2016,
    "1602.02068",
)
PETERS = Source("Peters, Niculae & Martins", "Sparse Sequence-to-Sequence Models", 2019, "1905.05702")
ALPHA = Number(low=1.0, draw=(1.0, 3.0))
PROJECTION = {
    "axis": Integer(low=None, draw=(-1, -1)),
    "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
}


def _axis_exists(function: str, values: dict[str, Any]) -> None:
    rank, axis = len(values["scores"].shape), values["axis"]
    if not -rank <= axis < rank:
        raise ValueError(f"{function}: axis is {axis}; it needs one of the {rank} axes of scores")


def _gradient_has_the_shape_of_the_scores(function: str, values: dict[str, Any]) -> None:
    scores, gradient = tuple(values["scores"].shape), tuple(values["grad_output"].shape)
    if scores != gradient:
        raise ValueError(f"{function}: grad_output has shape {gradient}; it needs that of scores, {scores}")


def _sorting_knows_alpha(function: str, values: dict[str, Any]) -> None:
    if values["method"] == "sort" and values["alpha"] not in (1.5, 2.0):
        raise ValueError(f"{function}: method is 'sort' and alpha {values['alpha']}; it needs an alpha of 1.5 or 2")


def _sinks_have_heads(function: str, values: dict[str, Any]) -> None:
    sink, sink_value = values["sink"], values["sink_value"]
    if len(sink.shape) < 2 and len(values["query"].shape) > 2:
        raise ValueError(f"{function}: sink has shape {tuple(sink.shape)}; it needs heads, (..., h, r)")
    if bool(np.isnan(np.asarray(sink, dtype=np.float64)).any()):
        raise ValueError(f"{function}: sink holds a NaN; it needs numbers or -inf")
    if sink_value is not None and len(sink_value.shape) < 3 and len(values["query"].shape) > 2:
        raise ValueError(f"{function}: sink_value has shape {tuple(sink_value.shape)}; it needs (..., h, r, e)")


def _draw_heads(draft: Draft) -> None:
    draft.batch = draft.batch or (2,)


def _draw_an_alpha_that_sorts(draft: Draft) -> None:
    if draft.options.get("method") == "sort":
        draft.options["alpha"] = 2.0 if draft.options.get("alpha", 1.5) > 1.75 else 1.5


RECORDS = (
    Record(
        name="softmax_plus_n_attention",
        family="normalizers",
        title="Softmax1, off-by-one, quiet attention",
        formula="out_i = Σ_j exp(s_ij) v_j / (extra + Σ_j exp(s_ij))",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Miller", "Attention Is Off By One", 2023, where="blog"),
        kind="C",
        options={"extra": Number(low=0.0, draw=(0.0, 4.0)), **DENSE},
        peer="torch_softmax_plus_n_attention",
    ),
    Record(
        name="sink_attention",
        family="normalizers",
        title="Learned sink logits",
        formula="out_i = Σ_j exp(s_ij) v_j / (Σ_j exp(s_ij) + Σ_t exp(sink_t))",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Xiao, Tian, Chen, Han & Lewis",
            "Efficient Streaming Language Models with Attention Sinks",
            2023,
            "2309.17453",
        ),
        kind="C",
        options={"sink": Array(core=("r",)), "sink_value": Array(core=("r", "e"), optional=True), **DENSE},
        checks=(_sinks_have_heads,),
        arrange=(_draw_heads,),
    ),
    Record(
        name="sigmoid_attention",
        family="normalizers",
        title="Elementwise logistic weights",
        formula="out_i = Σ_j σ(s_ij + offset) v_j,  offset = −log n by default",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Ramapuram, Danieli, Dhekane, Weers, Busbridge et al.",
            "Theory, Analysis, and Best Practices for Sigmoid Self-Attention",
            2024,
            "2409.04431",
            "eq. (3)",
        ),
        options={"offset": Number(optional=True, draw=(-4.0, 4.0)), **DENSE},
        peer="torch_sigmoid_attention",
    ),
    Record(
        name="relu_attention",
        family="normalizers",
        title="Rectified weights",
        formula="out_i = Σ_j max(s_ij, 0)^r / N_i v_j,  r = 1 or 2,  N_i = n^p, Σ_j max(s_ij, 0)^r or 1",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Wortsman, Lee, Gilmer & Kornblith",
            "Replacing softmax with ReLU in Vision Transformers",
            2023,
            "2309.08586",
        ),
        options={
            "length_power": Number(draw=(0.0, 2.0)),
            "squared": Flag(),
            "normalize": Choice(values=("length", "sum", None)),
            **DENSE,
        },
        peer="torch_relu_attention",
    ),
    Record(
        name="softcapped_attention",
        family="normalizers",
        title="Tanh logit capping",
        formula="out_i = Σ_j softmax_j(cap·tanh(s_ij / cap)) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Gemma Team", "Gemma 2: Improving Open Language Models at a Practical Size", 2024, "2408.00118"),
        options={"cap": POSITIVE, **DENSE},
        tier=2,
        peer="torch_softcapped_attention",
    ),
    Record(
        name="sparsemax",
        family="normalizers",
        title="Euclidean projection on the simplex",
        formula="p = [x − τ]₊,  τ such that Σ p = 1",
        signature="(n)->(n)",
        source=MARTINS,
        options=PROJECTION,
        checks=(_axis_exists,),
        vjp="sparsemax_vjp",
        peer="package_sparsemax",
    ),
    Record(
        name="entmax",
        family="normalizers",
        title="Tsallis-entropy projections",
        formula="p = [(α − 1) x − τ]₊^(1/(α − 1)),  τ such that Σ p = 1",
        signature="(n)->(n)",
        source=PETERS,
        options={
            "alpha": ALPHA,
            **PROJECTION,
            "method": Choice(values=("auto", "sort", "bisect")),
            "iterations": Integer(low=1, draw=(60, 60)),
        },
        checks=(_axis_exists, _sorting_knows_alpha),
        arrange=(_draw_an_alpha_that_sorts,),
        vjp="entmax_vjp",
        peer="package_entmax",
    ),
    Record(
        name="sparsemax_vjp",
        family="normalizers",
        title="Gradient of sparsemax",
        formula="dx = g − mean of g over the support; 0 off it",
        signature="(n),(n)->(n)",
        source=MARTINS,
        options=PROJECTION,
        tier=2,
        file="sparsemax",
        checks=(_gradient_has_the_shape_of_the_scores, _axis_exists),
        peer="package_sparsemax_vjp",
    ),
    Record(
        name="entmax_vjp",
        family="normalizers",
        title="Gradient of entmax",
        formula="dx = u (g − u·g / Σu),  u = p^(2 − α) on the support",
        signature="(n),(n)->(n)",
        source=PETERS,
        options={"alpha": ALPHA, **PROJECTION},
        tier=2,
        file="entmax",
        checks=(_gradient_has_the_shape_of_the_scores, _axis_exists),
        peer="package_entmax_vjp",
    ),
    Record(
        name="sparsemax_attention",
        family="normalizers",
        title="Attention with sparsemax",
        formula="out_i = Σ_j sparsemax_j(s_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=MARTINS,
        options=DENSE,
        peer="package_sparsemax_attention",
    ),
    Record(
        name="entmax_attention",
        family="normalizers",
        title="Attention with entmax",
        formula="out_i = Σ_j entmax_j(s_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=PETERS,
        options={"alpha": ALPHA, **DENSE},
        peer="package_entmax_attention",
    ),
    Record(
        name="pladis_attention",
        family="normalizers",
        title="Sparse-dense extrapolation",
        formula="out_i = Σ_j (softmax + strength·(entmax − softmax))_j v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Kim & Sim",
            "PLADIS: Pushing the Limits of Attention in Diffusion Models at Inference Time by Leveraging Sparsity",
            2025,
            "2503.07677",
        ),
        options={"alpha": ALPHA, "strength": Number(draw=(-1.0, 3.0)), **DENSE},
        kind="C",
        tier=2,
    ),
    Record(
        name="cosine_attention",
        family="normalizers",
        title="Softmax over cosine similarity",
        formula="out_i = Σ_j softmax_j(scale·cos(q_i, k_j) + bias_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Henry, Dachapally, Pawar & Chen", "Query-Key Normalization for Transformers", 2020, "2010.04245"
        ),
        options={
            "eps": Number(low=0.0, open_low=True, draw=(1e-12, 1e-3)),
            **DENSE,
            "scale": Number(draw=(-5.0, 20.0)),
        },
        kind="C",
        tier=2,
        peer="torch_cosine_attention",
    ),
    Record(
        name="cog_attention",
        family="normalizers",
        title="Negative weights",
        formula="out_i = Σ_j sign(s_ij) softmax_j(|s_ij|) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Lv, Xie, Liu, Kang et al.", "More Expressive Attention with Negative Weights", 2024, "2411.07176"
        ),
        options=DENSE,
        tier=2,
        peer="torch_cog_attention",
    ),
    Record(
        name="differential_attention",
        family="normalizers",
        title="Difference of two softmax maps",
        formula="out_i = Σ_j (softmax_j(s¹_ij) − strength·softmax_j(s²_ij)) v_j",
        signature="(m,d),(n,d),(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Ye, Dong, Xia, Sun et al.", "Differential Transformer", 2024, "2410.05258"),
        options={
            "strength": Array(core=("1", "1"), broadcast=True),
            "norm_eps": Number(low=0.0, optional=True, draw=(1e-6, 1e-3)),
            "norm_scale": Number(),
            **DENSE,
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="differential_strength",
        family="normalizers",
        title="Strength of the second map",
        formula="λ = exp(q₁·k₁) − exp(q₂·k₂) + λ_initial",
        signature="(d),(d),(d),(d)->()",
        source=Source("Ye, Dong, Xia, Sun et al.", "Differential Transformer", 2024, "2410.05258"),
        options={"initial": Number(draw=(0.2, 0.8))},
        kind="U",
        tier=3,
        file="differential_attention",
        engines=(),
    ),
    Record(
        name="topk_softmax_attention",
        family="normalizers",
        title="Focal or top-k softmax",
        formula="out_i = Σ_{j in the top k} softmax_j(s_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Zhao, Lin, Zhang, Ren, Su & Sun", "Explicit Sparse Transformer", 2019, "1912.11637"),
        options={"top_k": Integer(low=1, draw=(1, 9)), **DENSE},
        tier=2,
    ),
    Record(
        name="reversed_attention",
        family="normalizers",
        title="Normalizing over the queries",
        formula="out_i = Σ_j gate_j softmax_i(s_ij) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Ding, Shen, Ma, Chen et al.",
            "Visual Dependency Transformers: Dependency Tree Emerges from Reversed Attention",
            2023,
            "2304.03282",
        ),
        options={
            "sender_gate": Array(core=("n",), optional=True),
            "renormalize": Flag(),
            "eps": Number(low=0.0, open_low=True, draw=(1e-8, 1e-3)),
            **DENSE,
        },
        tier=2,
    ),
)
