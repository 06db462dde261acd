"""Records of bounds on a marginal likelihood."""

from typing import Any

import numpy as np

from ...contract.options import Array, Flag, Indices
from ..legal import draw_log_probabilities, normalized, samples_were_possible
from ..record import Draft, Record, Source

DENG = Source("Deng, Kim, Chiu, Guo & Rush", "Latent Alignment and Variational Attention", 2018, "1807.03756")
BURDA = Source("Burda, Grosse & Salakhutdinov", "Importance Weighted Autoencoders", 2015, "1509.00519")


def _log_distributions(prior: Any, likelihood: Any, posterior: Any, dtype: Any, mask: Any = None) -> tuple[Any, ...]:
    prior = draw_log_probabilities(prior, dtype, mask, impossible=True)
    return prior, likelihood, draw_log_probabilities(posterior, dtype, mask)


def _log_distributions_on_one_support(prior: Any, likelihood: Any, posterior: Any, **known: Any) -> tuple[Any, ...]:
    """Else q would go where p is 0 in most calls, and the bound would be minus infinity."""
    prior, likelihood, _ = _log_distributions(prior, likelihood, posterior, **known)
    possible = prior > -np.inf
    inside = possible if known["mask"] is None else possible & known["mask"]
    q = draw_log_probabilities(posterior, known["dtype"], inside)
    return prior, likelihood, np.where(possible, q, -np.inf)


def _draw_a_place(draft: Draft) -> None:
    draft.sizes["n"] = max(1, draft.sizes["n"])


RECORDS = (
    Record(
        name="latent_alignment_bounds",
        family="variational",
        title="Exact marginal, variational bound, hard-attention bound",
        formula="log Σ_z p(z) e^(L_z)  >=  Σ_z q(z) L_z − KL(q ‖ p)",
        signature="(n),(n),(n)->(),(),(),(),(),(n)",
        source=Source(DENG.authors, DENG.title, DENG.year, DENG.arxiv, "eqs (1)–(6)"),
        options={"mask": Array(core=("n",), boolean=True, broadcast=True, optional=True)},
        kind="C",
        checks=(normalized("log_prior", "log_posterior"),),
        valid=_log_distributions_on_one_support,
        valid_by=("dtype", "mask"),
        defaults_to={"log_posterior": "log_prior"},
    ),
    Record(
        name="importance_weighted_bound",
        family="variational",
        title="K-sample bound",
        formula="log (1/K) Σ_k exp(log p(z_k) + L_(z_k) − log q(z_k))",
        signature="(n),(n),(n)->()",
        source=BURDA,
        options={"samples": Indices(core=("K",), below="n"), "return_weights": Flag()},
        kind="C",
        checks=(samples_were_possible,),
        valid=_log_distributions,
        valid_by=("dtype",),
        positive=("K",),
        arrange=(_draw_a_place,),
    ),
    Record(
        name="soft_alignment_log_likelihood",
        family="variational",
        title="Decoder with soft attention, beside every hard alignment",
        formula="log softmax(tanh([x; Σ_j w_j m_j] W_c) W_s + b),  w = softmax(x W_a Mᵀ)",
        signature="(m,c),(n,h)->(m,V)",
        source=DENG,
        options={
            "w_score": Array(core=("c", "h"), batched=False),
            "w_output": Array(core=("c+h", "H"), batched=False),
            "w_vocab": Array(core=("H", "V"), batched=False),
            "b_vocab": Array(core=("V",), batched=False, optional=True),
            "mask": Array(core=("m", "n"), boolean=True, broadcast=True, optional=True),
            "return_details": Flag(),
        },
        kind="C",
        tier=2,
    ),
)
