"""Records of attention to tuples of tokens."""

import math
import os
from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integers, Number
from ..record import Draft, Record, Source
from ..shared import VISIBILITY

ALMAN = Source(
    "Alman & Song",
    "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker Computation",
    2023,
    "2310.04064",
)
CLIFT = Source("Clift, Doryn, Murfet & Wallbridge", "Logic and the 2-Simplicial Transformer", 2019, "1909.00668")
ROY = Source(
    "Roy, Chou, Duvvuri et al.",
    "Fast and Simplex: 2-Simplicial Attention in Triton",
    2025,
    "2507.02754",
)

LARGEST = {"m": 9, "d": 17, "e": 9, **dict.fromkeys(("n_1", "n_2", "n_3"), 9)}
"""The cost is the product of all of them."""
SCALE = VISIBILITY["scale"]
TUPLES = {
    "scale": SCALE,
    "mask": Array(core=("m", "n_r"), boolean=True, broadcast=True, optional=True),
    "causal": Flag(),
    "windows": Integers(optional=True),
}
PAIRS = {
    "scale": SCALE,
    "windows": Integers(length=2, optional=True),
    "causal": Flag(),
    "mask": Array(core=("m", "n_1", "n_2"), boolean=True, broadcast=True, optional=True),
    "key2_bias": Number(draw=(-1.0, 1.0)),
    "value2_bias": Number(draw=(-1.0, 1.0)),
    "score": Choice(values=("product", "determinant")),
}


def _a_window_per_array(function: str, values: dict[str, Any]) -> None:
    windows, keys = values["windows"], values["keys"]
    if windows is not None and len(windows) != len(keys):
        raise ValueError(f"{function}: windows has {len(windows)} entries and keys has {len(keys)}; they need as many")


def _triangles_have_three_corners(function: str, values: dict[str, Any]) -> None:
    if values["score"] == "strassen" and len(values["keys"]) != 2:
        raise ValueError(f"{function}: score is 'strassen' and keys has {len(values['keys'])} arrays; it needs 2")


def _triples_of_channels(function: str, values: dict[str, Any]) -> None:
    if values["score"] == "determinant" and values["query"].shape[-1] % 3:
        width = values["query"].shape[-1]
        raise ValueError(f"{function}: score is 'determinant' and query has width {width}; it needs a multiple of 3")


def _gradient_has_the_shape_of_the_output(function: str, values: dict[str, Any]) -> None:
    grad, query = values["grad_output"], values["query"]
    parts = [
        part for name, value in values.items() if name.startswith(("query", "key", "value")) for part in _each(value)
    ]
    width = next(part for name in ("values", "value1") if name in values for part in _each(values[name])).shape[-1]
    needed = (*np.broadcast_shapes(*(tuple(part.shape[:-2]) for part in parts)), query.shape[-2], width)
    if tuple(grad.shape) != needed:
        raise ValueError(
            f"{function}: grad_output has shape {tuple(grad.shape)}; it needs that of the output, {needed}"
        )


def _each(value: Any) -> tuple[Any, ...]:
    arrays = value if isinstance(value, tuple) else (value,)
    return tuple(array for array in arrays if hasattr(array, "shape"))


def _weights_fit_into_memory(function: str, values: dict[str, Any]) -> None:
    if not values["return_weights"] or not hasattr(os, "sysconf"):
        return
    keys = values["keys"] if "keys" in values else (values["key1"], values["key2"])
    leading = np.broadcast_shapes(*(tuple(array.shape[:-2]) for array in (values["query"], *keys)))
    shape = (*leading, values["query"].shape[-2], *(key.shape[-2] for key in keys))
    size, memory = 8 * math.prod(shape), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise ValueError(
            f"{function}: return_weights is True and the weights of shape {shape} take {size / 2**30:.3g} GiB; "
            f"it needs at most the {memory / 2**30:.3g} GiB of this machine"
        )


def _draw_pairs_for_triangles(draft: Draft) -> None:
    if "n_2" not in draft.sizes or "n_3" in draft.sizes:
        draft.options.pop("score", None)


def _draw_triples_of_channels(draft: Draft) -> None:
    if draft.options.get("score") == "determinant":
        draft.sizes["d"] = 3 * -(-draft.sizes["d"] // 3)


RECORDS = (
    Record(
        name="tensor_attention",
        family="kronecker",
        title="Order-p (Kronecker, p-simplicial) attention",
        formula="out_i = Σ_{j₁…jₚ} softmax_{j₁…jₚ}(scale·Σ_c q_ic Π_r k^r_{j_r c}) Π_r v^r_{j_r}",
        signature="(m,d),{(n_r,d)},{(n_r,e)}->(m,e)",
        source=ALMAN,
        options={**TUPLES, "score": Choice(values=("product", "sum", "strassen")), "return_weights": Flag()},
        checks=(_a_window_per_array, _triangles_have_three_corners, _weights_fit_into_memory),
        largest=LARGEST,
        arrange=(_draw_pairs_for_triangles,),
        vjp="tensor_attention_vjp",
        peer="torch_tensor_attention",
    ),
    Record(
        name="tensor_attention_vjp",
        family="kronecker",
        title="Gradients of tensor attention",
        formula="ds = w (G − Σ w G);  dk^r_j = scale·Σ_{i, J: j_r=j} ds_iJ q_i Π_{s≠r} k^s_{j_s};  dv^r likewise",
        signature="(m,d),{(n_r,d)},{(n_r,e)},(m,e)->(m,d),{(n_r,d)},{(n_r,e)}",
        source=ALMAN,
        options=TUPLES,
        file="tensor_attention",
        checks=(_gradient_has_the_shape_of_the_output, _a_window_per_array),
        largest=LARGEST,
    ),
    Record(
        name="khatri_rao",
        family="kronecker",
        title="Row-wise product of all tuples of rows",
        formula="out[(j₁, …, jₚ)] = Π_r arrays_r[j_r]",
        signature="{(n_r,d)}->(n_r*,d)",
        source=ALMAN,
        kind="C",
        largest=LARGEST,
        positive=(),
    ),
    Record(
        name="simplicial_attention",
        family="kronecker",
        title="2-simplicial attention",
        formula="out_i = Σ_jk softmax_jk(scale·Σ_c q_ic k₁_jc (k₂_kc + b_k)) v₁_j (v₂_k + b_v)",
        signature="(m,d),(n_1,d),(n_2,d),(n_1,e),(n_2,e)->(m,e)",
        source=CLIFT,
        options={**PAIRS, "return_weights": Flag()},
        checks=(_triples_of_channels, _weights_fit_into_memory),
        largest=LARGEST,
        arrange=(_draw_triples_of_channels,),
        vjp="simplicial_attention_vjp",
    ),
    Record(
        name="simplicial_attention_vjp",
        family="kronecker",
        title="Gradients of 2-simplicial attention",
        formula="ds = w (G − Σ w G);  dk₁_j = scale·Σ_ik ds_ijk q_i (k₂_k + b_k);  dv₁_j = Σ_ik w_ijk g_i (v₂_k + b_v)",
        signature="(m,d),(n_1,d),(n_2,d),(n_1,e),(n_2,e),(m,e)->(m,d),(n_1,d),(n_2,d),(n_1,e),(n_2,e)",
        source=ROY,
        options=PAIRS,
        file="simplicial_attention",
        checks=(_gradient_has_the_shape_of_the_output, _triples_of_channels),
        largest=LARGEST,
        arrange=(_draw_triples_of_channels,),
    ),
    Record(
        name="tri_directional_attention",
        family="kronecker",
        title="One trilinear cube, three outputs",
        formula="out₁_i = Σ_jk softmax_jk(scale·Σ_c k₁_ic k₂_jc k₃_kc) v₂_j v₃_k, and two more in turn",
        signature="(n_1,d),(n_1,e),(n_2,d),(n_2,e),(n_3,d),(n_3,e)->(n_1,e),(n_2,e),(n_3,e)",
        source=Source("Phil Wang", "simplicial-attention", 2025, where="`tri_directional_attend`, software"),
        options={"scale": SCALE},
        largest=LARGEST,
    ),
)
