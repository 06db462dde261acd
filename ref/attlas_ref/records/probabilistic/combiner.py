"""Records of full attention by structured factorization."""

from typing import Any

from ...contract.options import Choice, Flag, Integer
from ..record import Draft, Record, Source
from ..shared import VISIBILITY

COMBINER = Source("Ren et al.", "Combiner: Full Attention Transformer with Sparse Computation Cost", 2021, "2107.05768")
BLOCK = Integer(low=1, draw=(1, 5))
SUMMARY = Choice(values=("max", "mean"))
SCALE = VISIBILITY["scale"]


def _block_divides_the_length(function: str, values: dict[str, Any]) -> None:
    block, n = values["block"], values["query"].shape[-2]
    if n % block:
        raise ValueError(f"{function}: block is {block}; it needs to divide n = {n}")


def _draw_whole_blocks(draft: Draft) -> None:
    """Take a part of the length as the block, or all of it."""
    n, block = draft.sizes["n"], draft.options["block"]
    draft.options["block"] = max(part for part in range(1, block + 1) if n % part == 0)
    if n and draft.rng.integers(8) == 0:
        draft.options["block"] = n


RECORDS: tuple[Record, ...] = (
    Record(
        name="combiner_fixed_attention",
        family="probabilistic",
        title="Combiner-Fixed",
        approximates="softmax_attention",
        formula="out_i = Σ_{j in own block} p(j|i) v_j + Σ_{r earlier} p(Ω_r|i) Σ_{j in Ω_r} p(j|Ω_r) v_j",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=COMBINER,
        options={"block": BLOCK, "causal": Flag(), "summary": SUMMARY, "scale": SCALE, "return_weights": Flag()},
        checks=(_block_divides_the_length,),
        arrange=(_draw_whole_blocks,),
        largest={"n": 33},
        peer="torch_combiner_fixed_attention",
    ),
    Record(
        name="combiner_logsparse_attention",
        family="probabilistic",
        title="Combiner-Logsparse",
        approximates="softmax_attention",
        formula="out_i = p(i|i) v_i + Σ_{bits l of i} p(Ω_l|i) Σ_{j in Ω_l} p(j|Ω_l) v_j,  |Ω_l| = 2^l",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=COMBINER,
        options={"summary": SUMMARY, "scale": SCALE, "return_weights": Flag()},
        largest={"n": 33},
        peer="torch_combiner_logsparse_attention",
    ),
    Record(
        name="combiner_axial_attention",
        family="probabilistic",
        title="Combiner-Axial, row-major",
        approximates="softmax_attention",
        formula="out_rc = Σ_{u ≤ c} p(ru|rc) v_ru + Σ_{t < r} p(tc|rc) Σ_u P_tcu v_tu,  P_tc = softmax_u(q_tc · k_tu)",
        signature="(n,d),(n,d),(n,e),(n,d)->(n,e)",
        source=COMBINER,
        options={"block": BLOCK, "scale": SCALE, "return_weights": Flag()},
        checks=(_block_divides_the_length,),
        arrange=(_draw_whole_blocks,),
        defaults_to={"summary_key": None},
        largest={"n": 33},
        peer="torch_combiner_axial_attention",
    ),
    Record(
        name="combiner_mixture_attention",
        family="probabilistic",
        title="Combiner-Mixture, rows and columns",
        approximates="softmax_attention",
        formula="out_i = Σ_{own row, own column} p(j|i) v_j + Σ_{other columns, earlier rows} p(Ω|i) Σ_j p(j|Ω) v_j",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=COMBINER,
        options={"block": BLOCK, "summary": SUMMARY, "scale": SCALE, "return_weights": Flag()},
        tier=3,
        checks=(_block_divides_the_length,),
        arrange=(_draw_whole_blocks,),
        largest={"n": 17},
    ),
)
