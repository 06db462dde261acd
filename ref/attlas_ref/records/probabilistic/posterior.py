"""Records of attention as a posterior over a latent edge."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..legal import host
from ..record import Draft, Record, Source
from ..shared import DENSE, VISIBILITY

SINGH = Source("Singh & Buckley", "Attention: Marginal Probability is All You Need?", 2023, "2304.04556")
GABBUR = Source("Gabbur, Bilkhu & Movellan", "Probabilistic Attention for Interactive Segmentation", 2021, "2106.15338")


def _finite_size(x: Any) -> Any:
    """Make of any numbers such as are neither negative nor infinite."""
    return np.where(np.isfinite(x), np.abs(x), 0)


PRIOR = Array(core=("m", "n"), broadcast=True, optional=True, valid=_finite_size)
PRECISION = Array(core=("n",), broadcast=True, valid=_finite_size)
HELD = Array(core=("n",), broadcast=True, optional=True, valid=_finite_size)
UPDATES = Integer(low=0, draw=(0, 3))


def visible_in(values: dict[str, Any]) -> Any:
    """Which pairs of a call are visible, broadcastable to (..., m, n)."""
    m, n = values["query"].shape[-2], values["key"].shape[-2]
    visible = np.ones((m, n), dtype=bool)
    if values.get("causal"):
        visible = np.arange(n) <= np.arange(m)[:, None] + n - m
    return visible if values["mask"] is None else visible & host(values["mask"])


def _no_visible_prior_is_negative(function: str, values: dict[str, Any]) -> None:
    prior = values["prior"]
    if prior is None or isinstance(prior, str):
        return
    prior = host(prior)
    once = prior[tuple(slice(0, 1) if step == 0 else slice(None) for step in prior.strides)]
    if once.size == 0 or once.min() >= 0:  # most priors are, and are not spread out for it
        return
    if bool(((prior < 0) & visible_in(values)).any()):
        raise ValueError(f"{function}: prior has a negative entry; it needs numbers of at least 0")


def _there_is_one_prior(function: str, values: dict[str, Any]) -> None:
    if values["prior"] is not None and values["log_prior"] is not None:
        raise ValueError(f"{function}: log_prior is given beside prior; it needs one of them")


def _no_visible_precision_is_negative(function: str, values: dict[str, Any]) -> None:
    seen = visible_in(values).any(axis=-2)
    for name in ("query_precision", "value_precision", "key_prior_precision", "value_prior_precision"):
        if values[name] is not None and bool(((host(values[name]) < 0) & seen).any()):
            raise ValueError(f"{function}: {name} has a negative entry; it needs numbers of at least 0")


def _fixed_values_come_with_their_mask(function: str, values: dict[str, Any]) -> None:
    fixed, of_whom = values["value_fixed"], values["value_fixed_mask"]
    if (fixed is None) != (of_whom is None):
        missing = "value_fixed" if fixed is None else "value_fixed_mask"
        raise ValueError(f"{function}: {missing} is None; it needs value_fixed and value_fixed_mask together")


def _draw_one_prior(draft: Draft) -> None:
    draft.options[("prior", "log_prior")[draft.rng.integers(2)]] = None


def _draw_fixed_values_with_their_mask(draft: Draft) -> None:
    draft.given.discard("value_fixed_mask")
    if "value_fixed" in draft.given:
        draft.given.add("value_fixed_mask")


def _prior(name: str, title: str, formula: str) -> Record:
    return Record(
        name=name,
        family="probabilistic",
        title=title,
        formula=formula,
        signature="->(m,n)",
        source=SINGH,
        kind="U",
        tier=2,
        file="priors",
        engines=(),
    )


RECORDS = (
    Record(
        name="structural_prior_attention",
        family="probabilistic",
        title="Attention as an expectation over a latent edge",
        formula="out_i = Σ_j w_ij v_j,  w_ij = π_ij exp(s_ij) / Σ_j' π_ij' exp(s_ij')",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=SINGH,
        options={
            "prior": PRIOR,
            "log_prior": Array(core=("m", "n"), broadcast=True, optional=True),
            **DENSE,
        },
        kind="C",
        checks=(_there_is_one_prior, _no_visible_prior_is_negative),
        arrange=(_draw_one_prior,),
    ),
    _prior("uniform_prior", "Uniform log prior", "log π_ij = 0"),
    _prior("causal_prior", "Causal log prior", "log π_ij = 0 if j ≤ i + n − m, else −∞"),
    _prior("gaussian_prior", "Gaussian log prior", "log π_ij = −(j − c_i)² / (2σ²)"),
    _prior(
        "geometric_prior",
        "Geometric log prior (recency)",
        "log π_ij = (i + n − m − j) log(1 − rate) if j ≤ i + n − m, else −∞",
    ),
    _prior("neighborhood_prior", "Log prior of the edges of a graph", "log π_ij = 0 if i ~ j, else −∞"),
    Record(
        name="iterative_attention",
        family="probabilistic",
        title="Descent on a collapsed energy: attention that moves its query",
        formula="x ← x − η (x − Σ_j w_j(x) k_j), steps times;  w(x) = softmax(β x Kᵀ + log π),  out = Σ_j w_j(x) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=SINGH,
        options={
            "steps": UPDATES,
            "scale": Number(low=0.0, open_low=True, optional=True),
            "step_size": Number(low=0.0, high=1.0, open_low=True, draw=(0.1, 1.0)),
            "prior": PRIOR,
            "mask": VISIBILITY["mask"],
            "causal": Flag(),
            "return_weights": Flag(),
            "return_energy": Flag(),
        },
        kind="C",
        checks=(_no_visible_prior_is_negative,),
        defaults_to={"value": None},
    ),
    Record(
        name="probabilistic_attention",
        family="probabilistic",
        title="Gaussian-mixture attention with adapting keys and values",
        formula="w_i = softmax_j(log π_ij − α_j|q_i − ζ_j|²/2 − β_j|v⁰_i − μ_j|²/2),  "
        "ζ_j ← (τ_j ζ*_j + α_j Σ_i w_ij q_i) / (τ_j + α_j Σ_i w_ij),  out_i = Σ_j w_ij μ_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=GABBUR,
        options={
            "query_precision": HELD,
            "value_precision": PRECISION,
            "prior": Array(core=("m", "n"), valid=_finite_size, words=("uniform", "magnitude")),
            "value_init": Array(core=("m", "e"), optional=True),
            "mask": VISIBILITY["mask"],
            "key_update_steps": UPDATES,
            "key_prior_precision": HELD,
            "value_fixed": Array(core=("m", "e"), optional=True),
            "value_fixed_mask": Array(core=("m",), boolean=True, optional=True),
            "value_update_steps": UPDATES,
            "value_prior_precision": HELD,
            "anchor": Choice(values=("initial", "current")),
            "return_weights": Flag(),
        },
        checks=(_no_visible_prior_is_negative, _no_visible_precision_is_negative, _fixed_values_come_with_their_mask),
        arrange=(_draw_fixed_values_with_their_mask,),
        peer="torch_probabilistic_attention",
    ),
)
