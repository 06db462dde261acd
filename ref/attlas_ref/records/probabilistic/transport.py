"""Records of transport plans and attention with them."""

from functools import partial
from typing import Any

import numpy as np

from ...contract.binding import dtype_name
from ...contract.options import Array, Flag, Integer, Number
from ..record import Draft, Record, Source
from ..shared import DENSE, POSITIVE

CUTURI = Source("Cuturi", "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", 2013, "1306.0895")
SINKFORMERS = Source(
    "Sander, Ablin, Blondel & Peyré",
    "Sinkformers: Transformers with Doubly Stochastic Attention",
    2021,
    "2110.11773",
)
CHIZAT = Source(
    "Chizat, Peyré, Schmitzer & Vialard",
    "Scaling Algorithms for Unbalanced Optimal Transport Problems",
    2016,
    "1607.05816",
)
UNITER = Source("Chen et al.", "UNITER: UNiversal Image-TExt Representation Learning", 2019, "1909.11740")

TOTAL = 120
"""The sum of every marginal that is drawn: whole masses keep it in any dtype."""
ROUNDING = {"float16": 2.0**-8, "bfloat16": 2.0**-5}
"""How far totals may differ, relative, where a dtype does not hold the masses to 1e-6."""


def _whole_masses(drawn: Any) -> Any:
    """Make of any numbers (..., n) whole masses that add up to `TOTAL`, some of them 0."""
    sizes = np.minimum(np.abs(drawn), 3)
    sizes = np.where(sizes < 0.05, 0, sizes)
    total = sizes.sum(axis=-1, keepdims=True)
    sizes = np.where(total == 0, 1, sizes)
    shares = np.cumsum(sizes / np.maximum(sizes.sum(axis=-1, keepdims=True), 1), axis=-1)
    shares = shares / np.where(total == 0, 1, shares[..., -1:]) if shares.shape[-1] else shares
    return np.diff(np.rint(TOTAL * shares), axis=-1, prepend=0)


def _draw_few_pairs_of_marginals(draft: Draft, *, column: str) -> None:
    """Leave one marginal to its default more often than chance would."""
    if draft.rng.integers(2) == 0:
        draft.given.discard(column)


def _draw_few_steps(draft: Draft) -> None:
    """Leave the default, which is for real sizes, to the tests of the reference."""
    draft.options.setdefault("steps", int(draft.rng.integers(1, 9)))


def _masses_are_not_negative(function: str, values: dict[str, Any], *, names: tuple[str, ...]) -> None:
    for name in names:
        masses = values[name]
        if masses is not None and not bool((masses >= 0).all()):
            raise ValueError(f"{function}: {name} holds a negative number or NaN; it needs numbers of at least 0")


def _totals_agree(function: str, values: dict[str, Any], *, row: str, column: str) -> None:
    a, b = values[row], values[column]
    if a is None or b is None or 0 in (a.shape[-1], b.shape[-1]):
        return
    given, needed = a.sum(-1), b.sum(-1)
    rounding = max(ROUNDING.get(dtype_name(masses), 1e-6) for masses in (a, b))
    if not bool((abs(given - needed) <= rounding * abs(needed)).all()):
        raise ValueError(f"{function}: {row} and {column} have different totals; both need the same mass")


def _marginals(row: str, column: str) -> dict[str, Any]:
    """What a record says about two marginals."""
    return {
        "checks": (
            partial(_masses_are_not_negative, names=(row, column)),
            partial(_totals_agree, row=row, column=column),
        ),
        "arrange": (partial(_draw_few_pairs_of_marginals, column=column), _draw_few_steps),
        "largest": {"m": 17, "n": 17},
    }


EPSILON = POSITIVE
ITERATED = {"steps": Integer(low=1, draw=(1, 20)), "tolerance": Number(low=0.0, optional=True, draw=(1e-3, 0.1))}
MASKS = {
    f"{side}_mask": Array(core=(letter,), boolean=True, broadcast=True, optional=True)
    for side, letter in (("row", "m"), ("column", "n"))
}

RECORDS: tuple[Record, ...] = (
    Record(
        name="sinkhorn_plan",
        family="probabilistic",
        title="Entropic optimal transport",
        formula="P = diag(u) e^(−C/ε) diag(v);  v ← b / Kᵀu,  u ← a / Kv",
        signature="(m,n)->(m,n)",
        source=CUTURI,
        options={
            "epsilon": EPSILON,
            "row_marginal": Array(core=("m",), optional=True, valid=_whole_masses),
            "column_marginal": Array(core=("n",), optional=True, valid=_whole_masses),
            **ITERATED,
            "mask": DENSE["mask"],
        },
        **_marginals("row_marginal", "column_marginal"),
        peer="pot_sinkhorn_plan",
    ),
    Record(
        name="sinkhorn_attention",
        family="probabilistic",
        title="Attention with a transport plan",
        formula="w_ij = P_ij / a_i,  P = sinkhorn_plan(−s, ε, a, b)",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=SINKFORMERS,
        options={
            "epsilon": EPSILON,
            "query_marginal": Array(core=("m",), optional=True, valid=_whole_masses),
            "key_marginal": Array(core=("n",), optional=True, valid=_whole_masses),
            **ITERATED,
            **DENSE,
        },
        kind="C",
        **_marginals("query_marginal", "key_marginal"),
    ),
    Record(
        name="unbalanced_sinkhorn_plan",
        family="probabilistic",
        title="Transport with relaxed marginals",
        formula="P = diag(u) K diag(v),  K = e^(−C/ε) ⊙ a bᵀ;  u ← (a/Kv)^(λ/(λ+ε)),  v ← (b/Kᵀu)^(λ/(λ+ε))",
        signature="(m,n)->(m,n)",
        source=CHIZAT,
        options={
            "row_marginal": Array(core=("m",), valid=np.abs),
            "column_marginal": Array(core=("n",), valid=np.abs),
            "epsilon": EPSILON,
            "marginal_penalty": POSITIVE,
            "steps": Integer(low=1, draw=(1, 20)),
        },
        tier=3,
        checks=(partial(_masses_are_not_negative, names=("row_marginal", "column_marginal")),),
        arrange=(_draw_few_steps,),
        largest={"m": 17, "n": 17},
    ),
    Record(
        name="optimal_transport_distance",
        family="probabilistic",
        title="Exact transport cost",
        formula="min_P <P, C>,  P1 = a,  Pᵀ1 = b,  P ≥ 0",
        signature="->()",
        source=Source("Kantorovich", "On the Translocation of Masses", 1942),
        kind="U",
        tier=3,
        engines=(),
    ),
    Record(
        name="ipot_plan",
        family="probabilistic",
        title="Inexact proximal transport",
        formula="Q = e^(−C/β) ⊙ P;  v ← 1/(n Qᵀu),  u ← 1/(m Qv);  P ← diag(u) Q diag(v)",
        signature="(m,n)->(m,n)",
        source=Source(UNITER.authors, UNITER.title, UNITER.year, UNITER.arxiv, "IPOT: Xie et al., arXiv 1802.04307"),
        options={
            **MASKS,
            "beta": POSITIVE,
            "steps": Integer(low=1, draw=(1, 9)),
            "inner_steps": Integer(low=1, draw=(1, 4)),
            "return_distance": Flag(),
        },
        tier=2,
        arrange=(_draw_few_steps,),
        largest={"m": 17, "n": 17},
    ),
    Record(
        name="cosine_cost",
        family="probabilistic",
        title="One minus cosine similarity",
        formula="C_ij = 1 − <x_i, y_j> / (|x_i| |y_j|)",
        signature="(m,d),(n,d)->(m,n)",
        source=UNITER,
        options={"eps": Number(low=0.0, open_low=True, draw=(1e-5, 0.1))},
        kind="C",
        tier=2,
    ),
    Record(
        name="conditional_transport",
        family="probabilistic",
        title="Forward and backward navigators",
        formula="ρ Σ a_i π(y_j|x_i) C_ij + (1−ρ) Σ b_j π(x_i|y_j) C_ij,  π(y_j|x_i) ∝ b_j e^N_ij",
        signature="(m,n),(m,n)->(),(),()",
        source=Source(
            "Zheng & Zhou",
            "Exploiting Chain Rule and Bayes' Theorem to Compare Probability Distributions",
            2020,
            "2012.14100",
        ),
        options={
            "forward_weight": Number(low=0.0, high=1.0, draw=(0.0, 1.0)),
            "row_weights": Array(core=("m",), optional=True, valid=np.abs),
            "column_weights": Array(core=("n",), optional=True, valid=np.abs),
            **MASKS,
            "return_plans": Flag(),
        },
        kind="C",
        tier=2,
        checks=(partial(_masses_are_not_negative, names=("row_weights", "column_weights")),),
        defaults_to={"navigator_scores": None},
    ),
)
