"""Records of expected and hard monotonic alignments, and of what reads behind the pointer."""

from typing import Any

from ...contract.options import Array, Choice, Flag, Integer, Number, Option
from ..legal import draw_uniform
from ..record import Draft, Record, Source
from ..shared import CHUNK, DENSE
from .chances import (
    between_zero_and_one,
    draw_masses,
    draw_probabilities,
    draw_probabilities_beside,
    previous_is_a_mass,
)
from .energies import (
    ENERGY,
    MASK,
    OFFSET,
    chunk_has_energies,
    draw_energies,
    draw_parameters,
    drop_what_is_not_given,
    score_has_its_parameters,
)

RAFFEL = Source(
    "Raffel, Luong, Liu, Weiss & Eck",
    "Online and Linear-Time Attention by Enforcing Monotonic Alignments",
    2017,
    "1704.00784",
)
CHIU = Source("Chiu & Raffel", "Monotonic Chunkwise Attention", 2018, "1712.05382")
MILK = Source(
    "Arivazhagan et al.",
    "Monotonic Infinite Lookback Attention for Simultaneous Machine Translation",
    2019,
    "1906.05218",
)
MMA = Source("Ma, Pino, Cross, Puzon & Gu", "Monotonic Multihead Attention", 2020, "1909.12406")

PREVIOUS = Array(core=("n",), optional=True, valid=draw_masses)
WALK: dict[str, Option] = {"previous": PREVIOUS, "mask": MASK}
"""Where a pointer starts, and where it may stop."""
ROWS: dict[str, Any] = {
    "valid": lambda p_choose, dtype: (draw_probabilities(p_choose, dtype),),
    "valid_by": ("dtype",),
    "exact": ("p_choose",),
    "positive": (),
    "largest": {"m": 17},
}
"""What the functions of probabilities to stop share."""
DRAWN_ROWS: dict[str, Any] = {
    **ROWS,
    "valid": lambda p_choose, dtype, uniform: (draw_probabilities_beside(p_choose, dtype, uniform),),
    "valid_by": ("dtype", "uniform"),
}
"""The same beside draws."""


def _kind_has_its_arrays(function: str, values: dict[str, Any]) -> None:
    kind = values["kind"]
    for name in ("soft_query", "soft_key"):
        if kind != "hard" and values[name] is None:
            raise ValueError(f"{function}: {name} is None; kind {kind!r} needs soft_query and soft_key")
    if kind == "chunkwise" and values["chunk_size"] is None:
        raise ValueError(f"{function}: chunk_size is None; kind 'chunkwise' needs a whole number of at least 1")


def _draw_soft_reading(draft: Draft) -> None:
    kind = draft.options.get("kind", "hard")
    if kind != "hard":
        draft.given |= {"soft_query", "soft_key"}
    if kind == "chunkwise":
        draft.options.setdefault("chunk_size", 3)


RECORDS = (
    Record(
        name="monotonic_energy",
        family="monotonic",
        title="Energies and selection probabilities",
        formula="p_ij = σ(e_ij + noise_ij),  e_ij = g (v/|v|) · tanh(q_i W_q + k_j W_k + b) + r",
        signature="(m,d),(n,c)->(m,n)",
        source=Source(RAFFEL.authors, RAFFEL.title, RAFFEL.year, RAFFEL.arxiv, "eqs (16)-(17)"),
        options={**ENERGY, "return_probability": Flag()},
        checks=(score_has_its_parameters,),
        arrange=(drop_what_is_not_given, draw_parameters),
        positive=("d", "c", "a"),
    ),
    Record(
        name="monotonic_alignment",
        family="monotonic",
        title="Expected alignment of hard monotonic attention",
        formula="α_ij = p_ij q_ij,  q_ij = (1 − p_i,(j−1)) q_i,(j−1) + α_(i−1),j",
        signature="(m,n)->(m,n)",
        source=Source(RAFFEL.authors, RAFFEL.title, RAFFEL.year, RAFFEL.arxiv, "eqs (8)-(13)"),
        options={
            **WALK,
            "method": Choice(values=("recursive", "parallel")),
            "eps": Number(low=0.0, draw=(0.0, 1e-3)),
        },
        checks=(between_zero_and_one("p_choose"), previous_is_a_mass),
        **ROWS,
        vjp="monotonic_alignment_vjp",
        peer="torch_monotonic_alignment",
    ),
    Record(
        name="monotonic_alignment_vjp",
        family="monotonic",
        title="Gradient of the expected alignment",
        formula="p̄_ij = q_ij (ḡ_ij − q̄_i,(j+1)),  q̄_ij = p_ij ḡ_ij + (1 − p_ij) q̄_i,(j+1),  ḡ_ij = G_ij + q̄_(i+1),j",
        signature="(m,n),(m,n)->(m,n),(n)",
        source=RAFFEL,
        options=WALK,
        checks=(between_zero_and_one("p_choose"), previous_is_a_mass),
        valid=lambda p_choose, grad_output, dtype: (draw_probabilities(p_choose, dtype), grad_output),
        valid_by=("dtype",),
        exact=("p_choose",),
        positive=(),
        largest={"m": 9, "n": 33},
    ),
    Record(
        name="monotonic_hard_alignment",
        family="monotonic",
        title="Hard (test-time) process",
        formula="α_ij = [j = t_i],  t_i = min {j ≥ t_(i−1) : p_ij ≥ threshold}",
        signature="(m,n)->(m,n)",
        source=Source(RAFFEL.authors, RAFFEL.title, RAFFEL.year, RAFFEL.arxiv, "algorithm 1"),
        options={
            "threshold": Number(low=0.0, open_low=True, high=1.0, draw=(0.1, 0.9)),
            **WALK,
            "stay_on_last": Flag(),
            "return_index": Flag(),
        },
        checks=(between_zero_and_one("p_choose"), previous_is_a_mass),
        **ROWS,
    ),
    Record(
        name="sampled_monotonic_alignment",
        family="monotonic",
        title="Hard process with Bernoulli draws",
        formula="α_ij = [j = t_i],  t_i = min {j ≥ t_(i−1) : u_ij < p_ij}",
        signature="(m,n)->(m,n)",
        source=Source(RAFFEL.authors, RAFFEL.title, RAFFEL.year, RAFFEL.arxiv, "section 2.2"),
        tier=2,
        options={
            "uniform": Array(core=("m", "n"), valid=draw_uniform, widens=False),
            **WALK,
            "stay_on_last": Flag(),
            "return_index": Flag(),
        },
        checks=(
            between_zero_and_one("p_choose"),
            between_zero_and_one("uniform", closed=False),
            previous_is_a_mass,
        ),
        **DRAWN_ROWS,
    ),
    Record(
        name="monotonic_attention",
        family="monotonic",
        title="Monotonic attention",
        formula="out_i = Σ_j α_ij v_j,  α = the alignment of p = σ(e)",
        signature="(m,d),(n,c),(n,e)->(m,e)",
        source=RAFFEL,
        kind="C",
        options={
            **ENERGY,
            "hard": Flag(),
            "mass_preservation": Flag(),
            "previous": PREVIOUS,
            "return_weights": Flag(),
        },
        checks=(score_has_its_parameters, previous_is_a_mass),
        arrange=(drop_what_is_not_given, draw_parameters),
        positive=("d", "c", "a"),
        largest={"m": 17, "n": 33},
    ),
    Record(
        name="mass_preservation",
        family="monotonic",
        title="Give the residual to the last key",
        formula="α_i,last = 1 − clip(Σ_(j ≠ last) α_ij, 0, 1)",
        signature="(m,n)->(m,n)",
        source=MILK,
        kind="C",
        tier=2,
        options={"mask": MASK},
        valid=lambda alignment: (draw_masses(alignment),),
        positive=(),
    ),
    Record(
        name="mocha_weights",
        family="monotonic",
        title="Monotonic chunkwise attention, expected",
        formula="β_ij = Σ_(k=j..j+w−1) α_ik exp(u_ij) / Σ_(l=k−w+1..k) exp(u_il)",
        signature="(m,n),(m,n)->(m,n)",
        source=Source(CHIU.authors, CHIU.title, CHIU.year, CHIU.arxiv, "eqs (16)-(20)"),
        options={"chunk_size": CHUNK, "mask": MASK},
        valid=lambda alignment, energy: (draw_masses(alignment), energy),
        positive=(),
        peer="torch_mocha_weights",
    ),
    Record(
        name="mocha_attention",
        family="monotonic",
        title="MoChA from query, key, value",
        formula="out_i = Σ_j β_ij v_j,  β = the chunkwise weights of α and u",
        signature="(m,d),(n,c),(n,e)->(m,e)",
        source=CHIU,
        kind="C",
        options={
            "chunk_size": CHUNK,
            "energy": Array(core=("m", "n"), optional=True),
            **ENERGY,
            "hard": Flag(),
            "previous": PREVIOUS,
            "return_weights": Flag(),
        },
        checks=(score_has_its_parameters, chunk_has_energies, previous_is_a_mass),
        arrange=(drop_what_is_not_given, draw_energies, draw_parameters),
        positive=("d", "c", "a"),
        largest={"m": 17, "n": 33},
        peer="torch_mocha_attention",
    ),
    Record(
        name="infinite_lookback_weights",
        family="monotonic",
        title="Monotonic infinite lookback",
        formula="β_ij = Σ_(k ≥ j) α_ik exp(u_ij) / Σ_(l ≤ k) exp(u_il)",
        signature="(m,n),(m,n)->(m,n)",
        source=Source(MILK.authors, MILK.title, MILK.year, MILK.arxiv, "eqs (7)-(8)"),
        options={"mask": MASK},
        valid=lambda alignment, energy: (draw_masses(alignment), energy),
        positive=(),
    ),
    Record(
        name="moving_sum",
        family="monotonic",
        title="Windowed sums",
        formula="y_j = Σ_(l = j−back+1 .. j+forward−1) x_l",
        signature="(n)->(n)",
        source=Source(CHIU.authors, CHIU.title, CHIU.year, CHIU.arxiv, "eq. (21)"),
        tier=2,
        options={"back": CHUNK, "forward": CHUNK},
        positive=(),
    ),
    Record(
        name="monotonic_multihead_attention",
        family="monotonic",
        title="Monotonic multihead attention",
        formula="out_hi = Σ_j β_hij v_hj,  β_h = the weights of α_h: itself, with infinite lookback, or by chunks",
        signature="(h,m,d),(h,n,d),(h,n,e)->(h,m,e)",
        source=MMA,
        kind="C",
        options={
            "soft_query": Array(core=("h", "m", "c"), optional=True),
            "soft_key": Array(core=("h", "n", "c"), optional=True),
            "kind": Choice(values=("hard", "infinite_lookback", "chunkwise")),
            "chunk_size": Integer(low=1, optional=True),
            "energy_bias": OFFSET,
            "noise": Array(core=("h", "m", "n"), optional=True, widens=False),
            "scale": DENSE["scale"],
            "mask": Array(core=("h", "m", "n"), boolean=True, broadcast=True, optional=True),
            "mass_preservation": Flag(),
            "streaming": Flag(),
            "return_weights": Flag(),
            "return_alignment": Flag(),
            "return_probability": Flag(),
            "return_reads": Flag(),
        },
        checks=(_kind_has_its_arrays,),
        arrange=(_draw_soft_reading,),
        positive=("d", "c"),
        largest={"h": 4, "m": 17, "n": 33},
    ),
)
