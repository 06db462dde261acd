"""Records of the family monotonic: attention by place alone, and encodings of place."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Indices, Integer, Number
from ..legal import shares
from ..record import Draft, Record, Source
from ..shared import DENSE

RAY_CHOWDHURY = Source(
    "Ray Chowdhury & Caragea", "Monotonic Location Attention for Length Generalization", 2023, "2305.20019"
)
SEEN = {"mask": DENSE["mask"], "return_weights": DENSE["return_weights"]}
STEPS = ("sigmoid", "relu", "controlled_relu", "softstair", "free")


def _mixture_has_contents(function: str, values: dict[str, Any]) -> None:
    if values["w_mix"] is None:
        return
    for name in ("key", "content_query"):
        if values[name] is None:
            raise ValueError(f"{function}: {name} is None; it needs an array with w_mix")


def _rho_fits_the_form(function: str, values: dict[str, Any]) -> None:
    found, needed = values["w_rho"].shape[-1], 2 if values["simplified"] else 3
    if found != needed:
        raise ValueError(
            f"{function}: w_rho has {found} columns; it needs {needed} with simplified={values['simplified']}"
        )


def _distances_come_in_pairs(function: str, values: dict[str, Any]) -> None:
    width = values["w_position"].shape[-2]
    if width % 2:
        raise ValueError(f"{function}: w_position has D = {width} rows; it needs an even number of them")


def _draw_contents(draft: Draft) -> None:
    if "w_mix" in draft.given:
        draft.given |= {"key", "content_query"}


def _draw_rho(draft: Draft) -> None:
    draft.sizes["r"] = 2 if draft.options.get("simplified", True) else 3


def _draw_pairs(draft: Draft) -> None:
    draft.sizes["D"] += draft.sizes["D"] % 2


def _gate_between_0_and_1(encoded: Any, gate: Any) -> tuple[Any, ...]:
    return encoded, np.clip(np.abs(gate), 0, 1)


LOCATOR: dict[str, Any] = {
    "w_state": Array(core=("p", "d")),
    "b_state": Array(core=("d",)),
    "w_sigma": Array(core=("d",)),
}
"""What makes the state of the locator and the width of its bell; heads are a leading axis."""

STREAM: dict[str, Any] = {
    "previous": Array(core=(), optional=True, valid=lambda x: np.mod(x, 1)),
    **SEEN,
    "return_position": Flag(),
}
STAIRS = Number(low=0.0, open_low=True, draw=(5.0, 30.0))
SMALL = {"p": 9, "d": 9, "D": 8, "m": 17, "n": 33}

RECORDS = (
    Record(
        name="monotonic_location_attention",
        family="monotonic",
        title="Monotonic location attention (OneStepAttn, MonoAttn)",
        formula="α_ij ∝ exp(−(x_j − μ_i)² / (2 σ_i²)),  μ_i = ς_i δ + Σ_j α_(i−1,j) x_j,  x_j = j δ",
        signature="(m,p),(n,e)->(m,e)",
        source=RAY_CHOWDHURY,
        options={
            "key": Array(core=("n", "d"), optional=True),
            "content_query": Array(core=("m", "d"), optional=True),
            **LOCATOR,
            "w_rho": Array(core=("d",)),
            "step": Choice(values=STEPS),
            "step_bias": Number(draw=(-3.0, 3.0)),
            "softstair_temperature": STAIRS,
            "w_mix": Array(core=("p",), optional=True),
            "b_mix": Number(draw=(-1.0, 1.0)),
            "position_past": Flag(),
            **STREAM,
        },
        checks=(_mixture_has_contents,),
        arrange=(_draw_contents,),
        largest=SMALL,
        peer="torch_monotonic_location_attention",
    ),
    Record(
        name="location_attender",
        family="monotonic",
        title="Location attention of Dubois et al.",
        formula="μ̂_i = softstair(ρ_0) δ + x̄_(i−1) + [i = 0] σ(ρ_1),  α_ij ∝ exp(−(x_j − μ_i)² / (2 σ_i²))",
        signature="(m,p),(n,e)->(m,e)",
        source=Source(
            "Dubois, Dagan, Hupkes & Bruni",
            "Location Attention for Extrapolation to Longer Sequences",
            2020,
            "1911.03872",
        ),
        tier=2,
        options={
            **LOCATOR,
            "w_rho": Array(core=("d", "r")),
            "simplified": Flag(),
            "steps": Choice(values=("softstair", "sigmoid5")),
            "softstair_temperature": STAIRS,
            **STREAM,
        },
        checks=(_rho_fits_the_form,),
        arrange=(_draw_rho,),
        largest=SMALL,
    ),
    Record(
        name="relative_position_cross_attention",
        family="monotonic",
        title="Relative cross attention",
        formula="s_ij = [(q_i + u) · k_j + (q_i + v) · (r(j − i) W)] / √d",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Dai et al.",
            "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context",
            2019,
            "1901.02860",
        ),
        kind="C",
        tier=2,
        options={
            "w_position": Array(core=("D", "d")),
            "content_bias": Array(core=("d",)),
            "position_bias": Array(core=("d",)),
            "query_offset": Integer(low=-(2**53), high=2**53, draw=(-9, 9)),
            **SEEN,
        },
        checks=(_distances_come_in_pairs,),
        arrange=(_draw_pairs,),
        largest=SMALL,
    ),
    Record(
        name="bidirectional_encoding",
        family="monotonic",
        title="Encoding mixed with its reversal",
        formula="out_j = g x_j + (1 − g) [j < L] x_(L−1−j)",
        signature="(n,d),()->(n,d)",
        source=RAY_CHOWDHURY,
        kind="C",
        tier=3,
        options={"lengths": Indices(core=(), below="n+1", optional=True)},
        positive=(),
        checks=(shares("gate"),),
        valid=_gate_between_0_and_1,
    ),
)
