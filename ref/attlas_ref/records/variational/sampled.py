"""Records of sampled and relaxed alignments, and their gradients."""

from typing import Any

from ...contract.options import Array, Flag, Indices, Number
from ..legal import above_zero, draw_positive, draw_uniform, not_negative, uniform_numbers
from ..record import Draft, Record, Source
from ..shared import DENSE, POSITIVE
from .bounds import DENG

XU = Source(
    "Xu et al.", "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", 2015, "1502.03044"
)
JANG = Source("Jang, Gu & Poole", "Categorical Reparameterization with Gumbel-Softmax", 2016, "1611.01144")
WILLIAMS = Source(
    "Williams", "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992
)
PLACES = Array(core=("n",), boolean=True, broadcast=True, optional=True)


def _one_reward_per_place(function: str, values: dict[str, Any]) -> None:
    count, places = values["rewards"].shape[-1], values["logits"].shape[-1]
    if values["samples"] is None and count != places:
        raise ValueError(
            f"{function}: rewards has {count} entries; without samples it needs one per place, n = {places} entries"
        )


def _draw_as_many_rewards_as_needed(draft: Draft) -> None:
    sampled = draft.options.get("samples", "samples" in draft.given or None) is not None
    if not sampled:
        draft.sizes["K"] = draft.sizes["n"]
    elif draft.sizes["n"] == 0:
        draft.sizes["K"] = 0


RECORDS = (
    Record(
        name="hard_attention",
        family="variational",
        title="Argmax or sampled attention",
        formula="out_i = v_(z_i),  z_i = argmax_j s_ij  or  z_i ~ softmax(s_i / T)",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=XU,
        options={
            **DENSE,
            "uniform": Array(core=("m",), optional=True, valid=draw_uniform, widens=False),
            "temperature": POSITIVE,
            "return_index": Flag(),
        },
        checks=(uniform_numbers(closed=False, pairs=False),),
    ),
    Record(
        name="gumbel_softmax_attention",
        family="variational",
        title="Relaxed categorical attention",
        formula="w_i = softmax((log softmax(s_i) + g_i)/τ),  g = −log(−log(u + ε) + ε)",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=JANG,
        options={
            **DENSE,
            "uniform": Array(core=("m", "n"), valid=draw_uniform, widens=False),
            "temperature": POSITIVE,
            "hard": Flag(),
        },
        checks=(uniform_numbers(closed=True, pairs=True),),
    ),
    Record(
        name="alignment_score_gradient",
        family="variational",
        title="Exact and score-function gradients of an expected reward",
        formula="g_j = q_j (r_j − Σ_z q_z r_z)  or  g_j = mean_k (r_k − b)([z_k = j] − q_j)",
        signature="(n),(K)->(n)",
        source=WILLIAMS,
        options={
            "samples": Indices(core=("K",), below="n", optional=True),
            "baseline": Array(widens=False),
            "entropy_weight": Number(draw=(-1.0, 1.0)),
            "mask": PLACES,
        },
        kind="C",
        checks=(_one_reward_per_place,),
        arrange=(_draw_as_many_rewards_as_needed,),
    ),
    Record(
        name="dirichlet_attention",
        family="variational",
        title="Relaxed alignment with Dirichlet weights",
        formula="out_i = Σ_j w_ij v_j,  w_ij = a_ij / Σ_l a_il  or  γ_ij / Σ_l γ_il",
        signature="(m,n),(n,e)->(m,e)",
        source=DENG,
        options={
            "gamma": Array(core=("m", "n"), optional=True, valid=abs),
            "mask": DENSE["mask"],
            "return_weights": Flag(),
        },
        kind="C",
        checks=(above_zero("concentration"), not_negative("gamma")),
        valid=lambda concentration, value, dtype: (draw_positive(concentration, dtype), value),
        valid_by=("dtype",),
    ),
    Record(
        name="dirichlet_kl",
        family="variational",
        title="Divergence between Dirichlet alignments",
        formula="log Γ(a₀)/Γ(b₀) − Σ_j log Γ(a_j)/Γ(b_j) + Σ_j (a_j − b_j)(ψ(a_j) − ψ(a₀))",
        signature="(n),(n)->()",
        source=DENG,
        kind="C",
        checks=(above_zero("concentration", "prior_concentration"),),
        valid=lambda a, b, dtype: (draw_positive(a, dtype), draw_positive(b, dtype)),
        valid_by=("dtype",),
    ),
)
