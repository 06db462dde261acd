"""Records of training-free edits of finished weights."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Labels, Number, Slice
from ..record import Draft, Record, Source

SHARE = Number(low=0.0, high=1.0, draw=(0.0, 1.0))


def _heads_exist(function: str, values: dict[str, Any]) -> None:
    heads, chosen = values["weights"].shape[-3], values["heads"]
    if chosen is not None and chosen.size and chosen.max() >= heads:
        raise ValueError(f"{function}: heads holds {chosen.max()}; it needs numbers below h = {heads}")


def _image_lies_in_the_keys(function: str, values: dict[str, Any]) -> None:
    n, sinks = values["weights"].shape[-1], values["sinks"]
    end = values["image_start"] + values["image_length"]
    if end > n:
        raise ValueError(f"{function}: the image ends at {end}; it needs to lie within the n = {n} keys (image_length)")
    if sinks.size and sinks.max() >= n:
        raise ValueError(f"{function}: sinks holds {sinks.max()}; it needs positions below n = {n}")


def _gains_are_above_minus_one(function: str, values: dict[str, Any]) -> None:
    if bool((values["gains"] <= -1).any()):
        raise ValueError(f"{function}: gains has an entry of at most -1; it needs numbers above -1")


def _general_map_can_be_divided_by(function: str, values: dict[str, Any]) -> None:
    if values["regularizer"] == 0 and bool((values["general"] <= 0).any()):
        raise ValueError(f"{function}: general has an entry that is not positive; it needs regularizer > 0 then")


def _there_are_targets(function: str, values: dict[str, Any]) -> None:
    n = values["weights"].shape[-1]
    if not range(n)[values["targets"]]:
        raise ValueError(f"{function}: targets is {values['targets']}; it needs to select one of the n = {n} keys")


def _mass_is_at_most_one(function: str, values: dict[str, Any]) -> None:
    weights = values["weights"]
    mass = (weights * values["impermissible"]).sum(axis=-1)
    if bool((mass > 1 + 1e-6).any()):
        raise ValueError(f"{function}: weights has a row with a mass of {mass.max():g} there; it needs at most 1")


def _region_is_a_share(function: str, values: dict[str, Any]) -> None:
    if bool((values["weights"] < 0).any()):
        raise ValueError(f"{function}: weights has a negative entry; it needs numbers of at least 0")
    region = np.asarray(values["region"])
    if region.dtype != np.bool_ and bool(((region < 0) | (region > 1)).any()):
        raise ValueError(f"{function}: region leaves the range 0 to 1; it needs shares or booleans")


def _own_key_has_its_value(function: str, values: dict[str, Any]) -> None:
    if (values["key"] is None) != (values["value"] is None):
        missing = "key" if values["key"] is None else "value"
        raise ValueError(f"{function}: {missing} is None; it needs key and value together")


def _distributions(weights: Any) -> tuple[Any]:
    """Make any matrix one of weights: rows that are not negative and sum to 1."""
    positive = np.abs(weights) + 1e-3
    return (positive / np.maximum(positive.sum(axis=-1, keepdims=True), 1e-3),)


def _less_than_distributions(weights: Any) -> tuple[Any]:
    """Leave room for the rounding of half precision: no row may sum to more than 1."""
    return (0.9 * _distributions(weights)[0],)


def _draw_an_image_within_the_keys(draft: Draft) -> None:
    n = draft.sizes["n"] = max(1, draft.sizes["n"])
    draft.options["image_start"] = 0
    draft.options["image_length"] = max(1, n // 2)


def _draw_a_key(draft: Draft) -> None:
    draft.sizes["n"] = max(1, draft.sizes["n"])


def _draw_key_and_value_together(draft: Draft) -> None:
    if draft.given & {"key", "value"}:
        draft.given |= {"key", "value"}


RECORDS = (
    Record(
        name="calibrate_attention_sinks",
        family="normalizers",
        title="ACT",
        formula="w'_it = β w_it at the sinks; what is freed goes to the rest of the row in proportion",
        signature="(h,n,n)->(h,n,n)",
        source=Source(
            "Yu, Wang, Fu, Shi et al.", "Unveiling and Harnessing Hidden Attention Sinks", 2024, "2406.15765"
        ),
        options={
            "threshold": Number(low=0.0, draw=(0.0, 0.5)),
            "beta": SHARE,
            "heads": Labels(optional=True, size="h"),
            "keep_first": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_heads_exist,),
        valid=_distributions,
    ),
    Record(
        name="redistribute_visual_attention",
        family="normalizers",
        title="VAR",
        formula="sinks keep a share of their weight; the rest goes to the image in proportion",
        signature="(h,m,n)->(h,m,n)",
        source=Source(
            "Kang, Kim, Kim & Hwang",
            "See What You Are Told: Visual Attention Sink in Large Multimodal Models",
            2025,
            "2503.03321",
        ),
        options={
            "sinks": Labels(size="n"),
            "image_start": Integer(low=0, draw=(0, 0)),
            "image_length": Integer(low=0, draw=(0, 1)),
            "keep": SHARE,
            "rho": Number(low=0.0, draw=(0.0, 1.0)),
            "threshold": Number(draw=(0.0, 0.5)),
            "first_query": Integer(low=0, optional=True, draw=(0, 3)),
        },
        kind="C",
        tier=2,
        checks=(_image_lies_in_the_keys,),
        valid=_distributions,
        arrange=(_draw_an_image_within_the_keys,),
    ),
    Record(
        name="visual_sink_tokens",
        family="normalizers",
        title="Detecting sink tokens from hidden states",
        formula="{i : max_c |x_ic| / rms(x_i) > τ}",
        signature="->(k)",
        source=Source(
            "Kang, Kim, Kim & Hwang",
            "See What You Are Told: Visual Attention Sink in Large Multimodal Models",
            2025,
            "2503.03321",
        ),
        kind="U",
        tier=3,
        engines=(),
    ),
    Record(
        name="split_softmax",
        family="normalizers",
        title="Giving a subset of keys more of the mass",
        formula="w' = w π^(τ−1) in the subset, w (1 − π^τ)/(1 − π) outside",
        signature="(n)->(n)",
        source=Source(
            "Li, Liu, Bashkansky, Bau et al.",
            "Measuring and Controlling Instruction (In)Stability in Language Model Dialogs",
            2024,
            "2402.10962",
        ),
        options={
            "subset": Array(core=("n",), boolean=True, broadcast=True),
            "exponent": Number(low=0.0, open_low=True),
        },
        kind="C",
        tier=2,
        valid=_distributions,
    ),
    Record(
        name="shift_along_direction",
        family="normalizers",
        title="Focus directions",
        formula="q' = q + α d_q,  k' = k + α d_k",
        signature="(m,d),(n,d)->(m,d),(n,d)",
        source=Source(
            "Zhu, Li, Ding, Liu et al.",
            "Focus Directions Make Your Language Models Pay More Attention to Relevant Contexts",
            2025,
            "2503.23306",
        ),
        options={
            "query_direction": Array(core=("1", "d"), broadcast=True),
            "key_direction": Array(core=("1", "d"), broadcast=True),
            "strength": Number(draw=(-2.0, 2.0)),
        },
        kind="C",
        tier=3,
    ),
    Record(
        name="amplify_heads",
        family="normalizers",
        title="Head-specific amplification",
        formula="w' ∝ w (1 + gain_h [j in tokens])",
        signature="(h,m,n)->(h,m,n)",
        source=Source(
            "Arif, Dip, Hussain, Zhang & Thomas",
            "Fixing Imbalanced Attention to Mitigate In-Context Hallucination of Large Vision-Language Model",
            2025,
            "2501.12206",
        ),
        options={
            "tokens": Array(core=("n",), boolean=True, broadcast=True),
            "gains": Array(core=("h",), valid=np.abs, batched=False),
            "renormalize": Flag(),
        },
        kind="C",
        tier=3,
        checks=(_gains_are_above_minus_one,),
        valid=_distributions,
    ),
    Record(
        name="contrastive_attention_map",
        family="normalizers",
        title="CARVE",
        formula="S_j = task_j / (general_j + λ)",
        signature="(n),(n)->(n)",
        source=Source("Ge et al.", "CARVE", 2025, "2509.06461"),
        options={"regularizer": Number(low=0.0, draw=(0.1, 1.0))},
        kind="C",
        tier=3,
        checks=(_general_map_can_be_divided_by,),
        valid=lambda task, general: (task, np.abs(general)),
    ),
    Record(
        name="transfer_attention",
        family="normalizers",
        title="Attention transition",
        formula="weak weights become 0; what they held goes to the targets",
        signature="(h,n,n)->(h,n,n)",
        source=Source("Gao et al.", "Attention Transition", 2023, "2307.13365"),
        options={
            "rows": Slice(),
            "targets": Slice(),
            "threshold": Number(low=0.0, draw=(0.0, 0.5)),
            "strength": Number(draw=(0.0, 1.0)),
            "kept_weight": Number(low=0.0, open_low=True),
            "dropped_weight": Number(low=0.0, open_low=True),
        },
        kind="C",
        tier=3,
        checks=(_there_are_targets,),
        valid=_distributions,
        arrange=(_draw_a_key,),
    ),
    Record(
        name="counterfactual_attention_map",
        family="normalizers",
        title="CausalMM",
        formula="the mean of w, max w − w, random numbers, or w shuffled",
        signature="->(m,n)",
        source=Source(
            "Zhou, Yan, Zou, Tian et al.",
            "Mitigating Modality Prior-Induced Hallucinations in Multimodal Large Language Models via Deciphering "
            "Attention Causality",
            2024,
            "2410.04780",
        ),
        kind="U",
        tier=2,
        engines=(),
    ),
    Record(
        name="interpolated_attention",
        family="normalizers",
        title="AID, inner and outer interpolation",
        formula="(1 − t) A(K_s, V_s) + t A(K_e, V_e), or A of the interpolated keys and values",
        signature="(m,d),(n,d),(n,e),(n,d),(n,e)->(m,e)",
        source=Source(
            "He, Wang, Liu & Yao", "AID: Attention Interpolation of Text-to-Image Diffusion", 2024, "2403.17924"
        ),
        options={
            "t": SHARE,
            "mode": Choice(values=("outer", "inner")),
            "key": Array(core=("p", "d"), optional=True),
            "value": Array(core=("p", "e"), optional=True),
            "scale": Number(optional=True, draw=(-2.0, 2.0)),
        },
        kind="C",
        tier=2,
        checks=(_own_key_has_its_value,),
        arrange=(_draw_key_and_value_together,),
    ),
    Record(
        name="soft_mask",
        family="normalizers",
        title="Text-driven soft masks",
        formula="m = max(floor, 1 − (r − min r)/(max r − min r))",
        signature="(n)->(n)",
        source=Source(
            "Park & Han", "Multi-Modal Representation Learning with Text-Driven Soft Masks", 2023, "2304.00719"
        ),
        options={"floor": SHARE},
        kind="U",
        tier=3,
        engines=(),
    ),
    Record(
        name="deceptive_attention_penalty",
        family="normalizers",
        title="Penalty on the mass of impermissible tokens",
        formula="R = −λ mean_i log(1 − Σ_{j in I} w_ij)",
        signature="(m,n)->()",
        source=Source(
            "Pruthi, Gupta, Dhingra, Neubig & Lipton",
            "Learning to Deceive with Attention-Based Explanations",
            2019,
            "1909.07913",
            "eq. (1)",
        ),
        options={
            "impermissible": Array(core=("n",), boolean=True, broadcast=True),
            "strength": Number(low=0.0),
            "reduction": Choice(values=("mean", "max")),
            "return_grad": Flag(),
        },
        kind="C",
        pools_batch=True,
        tier=2,
        checks=(_mass_is_at_most_one,),
        valid=_less_than_distributions,
    ),
    Record(
        name="region_attention_energy",
        family="normalizers",
        title="Energy of the attention inside a region",
        formula="E = (1 − Σ_j r_j w_j / Σ_j w_j)²",
        signature="(n)->()",
        source=Source(
            "Chen, Laina & Vedaldi",
            "Training-Free Layout Control with Cross-Attention Guidance",
            2023,
            "2304.03373",
        ),
        options={
            "region": Array(core=("n",), broadcast=True, valid=lambda r: np.minimum(np.abs(r), 1)),
            "return_grad": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_region_is_a_share,),
        valid=lambda weights: (np.abs(weights),),
    ),
    Record(
        name="attention_perturbation",
        family="normalizers",
        title="Adversarial perturbation of attention scores",
        formula="r = sign·size·g / max(‖g‖, eps)",
        signature="(n)->(n)",
        source=Source(
            "Kitada & Iyatomi",
            "Attention Meets Perturbations: Robust and Interpretable Attention with Adversarial Training",
            2020,
            "2009.12064",
        ),
        options={
            "size": Number(low=0.0),
            "sign": Number(draw=(-1.0, 1.0)),
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "eps": Number(low=0.0, open_low=True, draw=(1e-12, 2.0)),
        },
        kind="C",
        tier=2,
    ),
)
