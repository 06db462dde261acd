"""Records of the attentions of image captioning."""

from typing import Any

from ...contract.options import Array, Choice, Flag, Number
from ..record import Draft, Record, Source
from .sampled import XU

LU = Source(
    "Lu, Xiong, Parikh & Socher",
    "Knowing When to Look: Adaptive Attention via a Visual Sentinel for Image Captioning",
    2016,
    "1612.01887",
)


def _weight(*core: str, optional: bool = False) -> Array:
    """A learned matrix or vector, the same for the whole batch."""
    return Array(core=core, batched=False, optional=optional)


def _seen(*core: str) -> Array:
    return Array(core=core, boolean=True, broadcast=True, optional=True)


def _gate_is_whole(function: str, values: dict[str, Any]) -> None:
    gate, bias, width = values["w_gate"], values["b_gate"], values["annotations"].shape[-1]
    if gate is None and bias is not None:
        raise ValueError(f"{function}: w_gate is None; it needs an array where there is a b_gate")
    if gate is not None and gate.shape[-1] not in (1, width):
        raise ValueError(f"{function}: w_gate has {gate.shape[-1]} columns; it needs 1 or D = {width}")


def _draw_a_whole_gate(draft: Draft) -> None:
    draft.sizes["g"] = draft.sizes["D"] if draft.rng.integers(2) else 1
    if "b_gate" in draft.given:
        draft.given.add("w_gate")


RECORDS = (
    Record(
        name="show_attend_attention",
        family="variational",
        title="Gated additive attention of Show, Attend and Tell",
        formula="out_t = σ(h_t W_g + b_g) ⊙ Σ_i α_ti a_i,  α_t = softmax_i(tanh(a_i W_a + b_a + h_t W_h + b_h)·u)",
        signature="(T,h),(L,D)->(T,D)",
        source=XU,
        options={
            "w_annotation": _weight("D", "a"),
            "b_annotation": _weight("a"),
            "w_hidden": _weight("h", "a"),
            "b_hidden": _weight("a"),
            "w_score": _weight("a"),
            "b_score": Number(draw=(-2.0, 2.0)),
            "w_gate": _weight("h", "g", optional=True),
            "b_gate": _weight("g", optional=True),
            "activation": Choice(values=("tanh", "relu")),
            "mask": _seen("T", "L"),
            "return_weights": Flag(),
            "return_gate": Flag(),
        },
        checks=(_gate_is_whole,),
        arrange=(_draw_a_whole_gate,),
    ),
    Record(
        name="doubly_stochastic_penalty",
        family="variational",
        title="Every region is looked at once",
        formula="Σ_i (target − Σ_t α_ti)²",
        signature="(T,L)->()",
        source=Source(XU.authors, XU.title, XU.year, XU.arxiv, "section 4.2.1"),
        options={"target": Number(draw=(0.25, 2.0)), "mask": _seen("L")},
        kind="C",
        tier=2,
    ),
    Record(
        name="sentinel_gate",
        family="variational",
        title="The visual sentinel",
        formula="s_t = σ(x_t W_x + h_(t−1) W_h) ⊙ tanh(m_t)",
        signature="(T,i),(T,h),(T,h)->(T,h)",
        source=Source(LU.authors, LU.title, LU.year, LU.arxiv, "eqs (9) and (10)"),
        options={"w_input": _weight("i", "h"), "w_hidden": _weight("h", "h")},
        kind="C",
        tier=2,
    ),
    Record(
        name="visual_sentinel_attention",
        family="variational",
        title="Adaptive attention with a sentinel",
        formula="out_t = β_t s_t + (1 − β_t) Σ_i α_ti v_i,  α_t = softmax(z_t),  β_t = softmax([z_t; ẑ_t])_(k+1)",
        signature="(T,d),(k,D),(T,D)->(T,D)",
        source=Source(LU.authors, LU.title, LU.year, LU.arxiv, "eqs (6)–(13)"),
        options={
            "w_feature": _weight("D", "a"),
            "w_hidden": _weight("d", "a"),
            "w_sentinel": _weight("D", "a"),
            "w_score": _weight("a"),
            "mask": _seen("T", "k"),
            "return_weights": Flag(),
            "return_sentinel": Flag(),
        },
        positive=(),
    ),
)
