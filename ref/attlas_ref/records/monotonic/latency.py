"""Records of the metrics of latency."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Integer, Number
from ..legal import host
from ..record import Record, Source

MMA = Source("Ma, Pino, Cross, Puzon & Gu", "Monotonic Multihead Attention", 2019, "1909.12406", "section 2.3")


def _lengths_are_positive(function: str, values: dict[str, Any]) -> None:
    for name in ("source_length", "target_length"):
        length = values.get(name)
        if length is not None and not bool((np.asarray(host(length)) > 0).all()):
            raise ValueError(f"{function}: {name} holds a length that is not above 0; it needs lengths above 0")


def _divisor_is_known(function: str, values: dict[str, Any]) -> None:
    if values["ddof"] > 1:
        raise ValueError(f"{function}: ddof is {values['ddof']}; it needs 0 or 1")


def _draw_length(x: Any) -> Any:
    return 1 + np.abs(x)


LENGTHS = {
    "source_length": Array(valid=_draw_length, widens=False),
    "target_length": Array(valid=_draw_length, widens=False, optional=True),
}
METRIC: dict[str, Any] = {
    "family": "monotonic",
    "signature": "(m)->()",
    "options": LENGTHS,
    "tier": 2,
    "checks": (_lengths_are_positive,),
    "valid": lambda delays: (np.abs(delays),),
    "positive": ("m",),
}
"""What the metrics of a row of delays share."""

RECORDS: tuple[Record, ...] = (
    Record(
        name="average_lagging",
        title="Average lagging (AL)",
        formula="AL = (1/τ) Σ_(i<τ) (g_i − i X/Y),  τ = 1 + min{i : g_i ≥ X}",
        source=Source(
            "Ma et al.",
            "STACL: Simultaneous Translation with Implicit Anticipation and Controllable Latency using "
            "Prefix-to-Prefix Framework",
            2018,
            "1810.08398",
            "eq. (8)",
        ),
        kind="U",
        engines=(),
        **METRIC,
    ),
    Record(
        name="length_adaptive_average_lagging",
        title="Length-adaptive average lagging (LAAL)",
        formula="LAAL = (1/τ) Σ_(i<τ) (g_i − i X/max(m, Y)),  τ = 1 + min{i : g_i ≥ X}",
        source=Source(
            "Papi, Gaido, Negri & Turchi",
            "Over-Generation Cannot Be Rewarded: Length-Adaptive Average Lagging for Simultaneous Speech Translation",
            2022,
            "2206.05807",
        ),
        kind="U",
        file="average_lagging",
        engines=(),
        **METRIC,
    ),
    Record(
        name="average_proportion",
        title="Average proportion (AP)",
        formula="AP = Σ_i g_i / (X Y)",
        source=Source(
            "Cho & Esipova", "Can Neural Machine Translation Do Simultaneous Translation?", 2016, "1606.02012"
        ),
        kind="U",
        file="average_lagging",
        engines=(),
        **METRIC,
    ),
    Record(
        name="differentiable_average_lagging",
        title="Differentiable average lagging (DAL)",
        formula="DAL = (1/m) Σ_i (g'_i − i/γ),  g'_i = max(g_i, g'_(i−1) + 1/γ),  γ = m/X",
        source=Source(
            "Arivazhagan et al.",
            "Monotonic Infinite Lookback Attention for Simultaneous Machine Translation",
            2019,
            "1906.05218",
            "eqs. (10)-(11)",
        ),
        kind="C",
        **METRIC,
    ),
    Record(
        name="expected_delay",
        family="monotonic",
        title="Expected number of source positions read",
        formula="g_i = Σ_j (j + 1) α_ij",
        signature="(m,n)->(m)",
        source=MMA,
        kind="C",
        tier=2,
        positive=(),
    ),
    Record(
        name="latency_loss",
        family="monotonic",
        title="Latency of several heads",
        formula="λ Σ_h softmax_h(C(g^h)) C(g^h),  g^h_i = Σ_j (j + 1) α^h_ij",
        signature="(h,m,n)->()",
        source=MMA,
        options={
            "source_length": LENGTHS["source_length"],
            "metric": Choice(values=("dal", "al", "ap")),
            "gather": Choice(values=("weighted_average", "average", "max", "paper")),
            "weight": Number(low=0.0, draw=(0.0, 2.0)),
        },
        kind="C",
        tier=2,
        checks=(_lengths_are_positive,),
        positive=("h", "m"),
        largest={"h": 5, "m": 17, "n": 17},
    ),
    Record(
        name="latency_variance",
        family="monotonic",
        title="Spread of the heads' delays",
        formula="(1/m) Σ_i Var_h(g^h_i),  g^h_i = Σ_j (j + 1) α^h_ij",
        signature="(h,m,n)->()",
        source=MMA,
        options={"ddof": Integer(low=0, draw=(0, 1))},
        kind="C",
        tier=3,
        file="latency_loss",
        engines=(),
        checks=(_divisor_is_known,),
        positive=("h", "m"),
    ),
)
