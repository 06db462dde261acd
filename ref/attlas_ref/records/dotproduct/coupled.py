"""Records of scores that are coupled across positions or heads."""

from typing import Any

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..record import Draft, Record, Source
from ..shared import VISIBILITY


def _select_head_exists(function: str, values: dict[str, Any]) -> None:
    heads, chosen = values["query"].shape[-3], values["select_head"]
    if chosen >= heads:
        raise ValueError(f"{function}: select_head is {chosen}; it needs a head below h = {heads}")


def _kernels_fit(function: str, values: dict[str, Any]) -> None:
    for name in ("key_query_kernel", "post_kernel"):
        kernel = values[name]
        if kernel is not None and values["pad_key"] == "both" and kernel.shape[-1] % 2 == 0:
            raise ValueError(f"{function}: {name} has {kernel.shape[-1]} key taps; it needs an odd number with 'both'")
    heads, kernel = values["query"].shape[-3], values["head_kernel"]
    if kernel is not None:
        if values["post_head_mixing"] is not None:
            raise ValueError(f"{function}: head_kernel and post_head_mixing are both given; it needs one of them")
        if kernel.shape[0] * kernel.shape[1] != heads:
            raise ValueError(f"{function}: head_kernel has shape {kernel.shape}; it needs g·c = h = {heads}")


def _inverse_temperature_is_not_negative(function: str, values: dict[str, Any]) -> None:
    if bool((values["inverse_temperature"] < 0).any()):
        raise ValueError(f"{function}: inverse_temperature has a negative entry; it needs numbers of at least 0")


def _draw_a_head(draft: Draft) -> None:
    draft.sizes["h"] = max(1, draft.sizes["h"])


def _draw_kernels_that_fit(draft: Draft) -> None:
    sizes = draft.sizes
    for letter in ("x", "y", "u", "w"):
        sizes[letter] = max(1, min(sizes[letter], 4))
    if draft.options.get("pad_key", "both") == "both":
        sizes["y"], sizes["w"] = sizes["y"] | 1, sizes["w"] | 1
    if "post_head_mixing" in draft.given:
        draft.given.discard("head_kernel")
    sizes["g"], sizes["c"] = 1, sizes["h"]


RECORDS = (
    Record(
        name="selective_attention",
        family="dotproduct",
        title="Selective attention",
        formula="out_i = Σ_{j≤i} softmax_j(s_ij − Σ_{l<i} max(s^select_lj, 0)) v_j",
        signature="(h,n,d),(h,n,d),(h,n,e)->(h,n,e)",
        source=Source(
            "Leviathan, Kalman & Matias", "Selective Attention Improves Transformer", 2024, "2410.02703", "§3"
        ),
        options={
            "select_head": Integer(low=0, draw=(0, 0)),
            "keep_first": Flag(),
            "scale": VISIBILITY["scale"],
            "bias": Array(core=("h", "n", "n"), broadcast=True, optional=True),
            "return_weights": Flag(),
        },
        tier=2,
        checks=(_select_head_exists,),
        arrange=(_draw_a_head,),
        peer="torch_selective_attention",
    ),
    Record(
        name="multi_token_attention",
        family="dotproduct",
        title="Multi-token attention",
        formula="out = mix(conv(softmax(mix(conv(s))))) v",
        signature="(h,n,d),(h,n,d),(h,n,e)->(h,n,e)",
        source=Source("Golovneva, Wang, Weston & Sukhbaatar", "Multi-Token Attention", 2025, "2504.00927", "§3"),
        options={
            "key_query_kernel": Array(core=("h", "x", "y"), batched=False, optional=True),
            "post_kernel": Array(core=("h", "u", "w"), batched=False, optional=True),
            "pre_head_mixing": Array(core=("h", "h"), batched=False, optional=True),
            "head_kernel": Array(core=("g", "c", "c"), batched=False, optional=True),
            "post_head_mixing": Array(core=("h", "h"), batched=False, optional=True),
            "norm_weight": Array(core=("e",), batched=False, optional=True),
            "norm_eps": Number(low=0.0, open_low=True, draw=(1e-6, 1e-3)),
            "norm_scale": Number(),
            "pad_key": Choice(values=("both", "left", "right")),
            "scale": VISIBILITY["scale"],
            "return_weights": Flag(),
        },
        tier=2,
        checks=(_kernels_fit,),
        arrange=(_draw_kernels_that_fit,),
        peer="torch_multi_token_attention",
    ),
    Record(
        name="threshold_relative_attention",
        family="dotproduct",
        title="Threshold relative attention",
        formula="out_i = Σ_{kept j} softmax_j(s_ij + log σ(f_i)·#{kept l ≥ j}) v_j",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=Source(
            "Opper, Fernandez, Smolensky & Gao",
            "TRA: Better Length Generalization with Threshold Relative Attention",
            2025,
            "2503.23174",
        ),
        options={
            "forget": Array(core=("n",)),
            "qk_norm": Flag(),
            "norm_eps": Number(low=0.0, draw=(1e-6, 1e-3)),
            "threshold": Number(draw=(-0.5, 0.5)),
            "scale": VISIBILITY["scale"],
            "return_weights": Flag(),
        },
        tier=2,
    ),
    Record(
        name="stacked_cross_attention",
        family="dotproduct",
        title="Word and region cross-attention with column-normalized similarities",
        formula="out_i = Σ_j softmax_j(λ_i r_ij / (‖r_·j‖ + eps)) v_j,  r = LeakyReLU(<q_i, k_j>)",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Lee, Chen, Hua, Hu & He", "Stacked Cross Attention for Image-Text Matching", 2018, "1803.08024"),
        options={
            "inverse_temperature": Array(core=("m",), broadcast=True, valid=abs),
            "factors": Array(core=("m", "d"), optional=True),
            "slope": Number(low=0.0, draw=(0.0, 1.0)),
            "eps": Number(low=0.0, draw=(1e-8, 1e-3)),
            "mask": VISIBILITY["mask"],
            "return_weights": Flag(),
        },
        tier=3,
        defaults_to={"value": "key"},
        checks=(_inverse_temperature_is_not_negative,),
    ),
)
