"""Records of Luong's attention, global and local, and of attention near a peak."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Indices, Integer, Number
from ..legal import host
from ..record import Draft, Record, Source
from ..shared import DENSE

LUONG = Source(
    "Luong, Pham & Manning",
    "Effective Approaches to Attention-based Neural Machine Translation",
    2015,
    "1508.04025",
    "section 3.1",
)
SCORES = ("dot", "general", "concat", "additive", "location")
NEEDED = {
    "dot": (),
    "general": ("w_score",),
    "concat": ("w_score", "v"),
    "additive": ("w_query", "w_key", "v"),
    "location": ("w_score",),
}
"""The parameters of each score."""
PARAMETERS: dict[str, Any] = {
    "w_score": Array(core=("u", "w"), batched=False, optional=True),
    "w_query": Array(core=("p", "a"), batched=False, optional=True),
    "w_key": Array(core=("r", "a"), batched=False, optional=True),
    "b_query": Array(core=("a",), batched=False, optional=True),
    "v": Array(core=("a",), batched=False, optional=True),
}


def _score_has_its_parameters(function: str, values: dict[str, Any]) -> None:
    score, (p, r, n) = values["score"], _sizes(values)
    for name in NEEDED[score]:
        if values[name] is None:
            raise ValueError(f"{function}: {name} is None; score {score!r} needs it")
    if score == "dot" and p != r:
        raise ValueError(f"{function}: key has {r} columns and query has {p}; score 'dot' needs as many")
    shape = None if values["w_score"] is None else tuple(values["w_score"].shape)
    if score == "general" and shape != (p, r):
        raise ValueError(f"{function}: w_score has shape {shape}; score 'general' needs (p, r) = {(p, r)}")
    if score == "concat" and shape != (p + r, values["v"].shape[0]):
        need = (p + r, values["v"].shape[0])
        raise ValueError(f"{function}: w_score has shape {shape}; score 'concat' needs (p + r, a) = {need}")
    if score == "location" and shape is not None and (shape[0] != p or shape[1] < n):
        raise ValueError(
            f"{function}: w_score has shape {shape}; score 'location' needs {p} rows and a column for each of {n} keys"
        )


def _sizes(values: dict[str, Any]) -> tuple[int, int, int]:
    return values["query"].shape[-1], values["key"].shape[-1], values["key"].shape[-2]


def _draw_what_the_score_needs(draft: Draft) -> None:
    sizes, score = draft.sizes, draft.options.get("score", "dot")
    draft.given |= set(NEEDED[score])
    if score == "dot":
        sizes["r"] = sizes["p"]
    rows = {"concat": sizes["p"] + sizes["r"]}
    columns = {"general": sizes["r"], "concat": sizes["a"], "location": max(sizes["n"], sizes["w"])}
    sizes["u"], sizes["w"] = rows.get(score, sizes["p"]), columns.get(score, sizes["w"])


def _attentional_has_its_weight(function: str, values: dict[str, Any]) -> None:
    if values["return_attentional"] and values["w_out"] is None:
        raise ValueError(f"{function}: w_out is None; return_attentional needs it")


def _draw_the_output_weight(draft: Draft) -> None:
    if draft.options.get("return_attentional"):
        draft.given.add("w_out")


def _center_can_be_found(function: str, values: dict[str, Any]) -> None:
    if values["alignment"] != "predictive":
        return
    if values["window"] < 1:
        raise ValueError(f"{function}: window is 0; alignment 'predictive' needs at least 1")
    for name in ("w_position", "v_position"):
        if values["center"] is None and values[name] is None:
            raise ValueError(f"{function}: {name} is None; alignment 'predictive' needs it, or center")


def _draw_what_the_center_needs(draft: Draft) -> None:
    if draft.options.get("alignment") == "predictive":
        draft.options["window"] = max(1, draft.options["window"])
        draft.given |= {"w_position", "v_position"}


def _gates_are_shares(function: str, values: dict[str, Any]) -> None:
    gate, mask = np.asarray(host(values["gate"])), values["mask"]
    seen = True if mask is None or not np.ndim(mask) else np.asarray(host(mask)).any(axis=-1)
    if not bool((((gate >= 0) & (gate <= 1)) | ~np.asarray(seen)).all()):
        raise ValueError(f"{function}: gate leaves the range; it needs numbers from 0 to 1")


def _shares(query: Any, key: Any, value: Any, gate: Any, dtype: str | None) -> tuple[Any, ...]:
    whole = str(dtype).startswith("int")
    return query, key, value, np.abs(gate) % 2 // 1 if whole else np.abs(np.sin(gate))


RECORDS: tuple[Record, ...] = (
    Record(
        name="luong_score",
        family="monotonic",
        title="The scores of Luong et al.",
        formula="s_ij = q_i·k_j,  q_i W·k_j,  v·tanh([q_i; k_j] W),  v·tanh(q_i W_q + b + k_j W_k)  or  (q_i W)_j",
        signature="(m,p),(n,r)->(m,n)",
        source=LUONG,
        options={"score": Choice(values=SCORES), **PARAMETERS},
        kind="C",
        tier=3,
        checks=(_score_has_its_parameters,),
        arrange=(_draw_what_the_score_needs,),
        positive=(),
    ),
    Record(
        name="luong_attention",
        family="monotonic",
        title="Luong's global attention",
        formula="c_i = Σ_j softmax_j(score(q_i, k_j)) v_j,  h̃_i = tanh([c_i; q_i] W_c + b)",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=LUONG,
        options={
            "score": Choice(values=SCORES),
            **PARAMETERS,
            "mask": DENSE["mask"],
            "w_out": Array(core=("e+p", "o"), batched=False, optional=True),
            "b_out": Array(core=("o",), batched=False, optional=True),
            "return_weights": Flag(),
            "return_attentional": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_score_has_its_parameters, _attentional_has_its_weight),
        arrange=(_draw_what_the_score_needs, _draw_the_output_weight),
        positive=(),
    ),
    Record(
        name="luong_local_attention",
        family="monotonic",
        title="Luong's local attention",
        formula="out_i = Σ_j softmax_j(s_ij) [exp(−(j − p_i)²/2σ²)] v_j  over  |j − round(p_i)| ≤ D",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=Source(LUONG.authors, LUONG.title, LUONG.year, LUONG.arxiv, "section 3.2"),
        options={
            "window": Integer(low=0, draw=(0, 6)),
            "alignment": Choice(values=("monotonic", "predictive")),
            "center": Array(core=("m",), optional=True, valid=lambda x: 3 * np.abs(x), widens=False),
            "w_position": Array(core=("p", "c"), batched=False, optional=True),
            "b_position": Array(core=("c",), batched=False, optional=True),
            "v_position": Array(core=("c",), batched=False, optional=True),
            "sigma": Number(low=0.0, open_low=True, optional=True),
            "center_offset": Number(draw=(-2.0, 2.0)),
            "score": Choice(values=SCORES[:-1]),
            **PARAMETERS,
            "mask": DENSE["mask"],
            "lengths": Indices(core=(), optional=True),
            "return_weights": Flag(),
            "return_center": Flag(),
        },
        checks=(_score_has_its_parameters, _center_can_be_found),
        arrange=(_draw_what_the_score_needs, _draw_what_the_center_needs),
        positive=(),
    ),
    Record(
        name="context_aware_cross_attention",
        family="monotonic",
        title="Attention everywhere and near its peak",
        formula="w_i = g_i softmax(s_i) + (1 − g_i) softmax_(|j − c_i| ≤ r)(s_i),  c_i = argmax_j s_ij",
        signature="(m,d),(n,d),(n,e),(m)->(m,e)",
        source=Source(
            "Ding et al.", "Context-Aware Cross-Attention for Non-Autoregressive Translation", 2020, "2011.00770"
        ),
        options={
            "radius": Integer(low=0, draw=(0, 5)),
            "center": Indices(core=("m",), optional=True),
            **{name: DENSE[name] for name in ("scale", "mask", "bias", "return_weights")},
        },
        kind="C",
        tier=2,
        checks=(_gates_are_shares,),
        valid=_shares,
        valid_by=("dtype",),
    ),
)
