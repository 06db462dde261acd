"""Records of attention by polynomials."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer
from ..record import Record, Source
from ..shared import TILES_OF_A_BATCH, VISIBILITY
from .tensor import ALMAN, LARGEST

GERAMI = Source(
    "Gerami, Hoover, Dulepet & Duraiswami",
    "FAST: Factorizable Attention for Speeding up Transformers",
    2024,
    "2402.07901",
)
LARGEST_WIDTH = 5
"""There are C(d + p, p) monomials of degree at most p."""
ORDER = Integer(low=0, draw=(0, 4))
FASTMAX = {
    "order": ORDER,
    "scale": VISIBILITY["scale"],
    "causal": Flag(),
    "key_mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
}


def _gradient_has_the_shape_of_the_output(function: str, values: dict[str, Any]) -> None:
    query, value, gradient = values["query"], values["value"], values["grad_output"]
    leading = (tuple(values[name].shape[:-2]) for name in ("query", "key", "value"))
    needed = (*np.broadcast_shapes(*leading), query.shape[-2], value.shape[-1])
    if tuple(gradient.shape) != needed:
        raise ValueError(
            f"{function}: grad_output has shape {tuple(gradient.shape)}; it needs that of the output, {needed}"
        )


RECORDS = (
    Record(
        name="fastmax_attention",
        family="kronecker",
        title="FAST: a truncated exponential that factorizes",
        approximates="softmax_attention",
        formula="out_i = Σ_j f_p(s_ij) v_j / Σ_j f_p(s_ij),  f_p(s) = Σ_{l≤p} s^l / l!",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=GERAMI,
        options={
            **FASTMAX,
            "normalize": Choice(values=(None, "token_mean_max_norm", "feature_mean_max_norm")),
            "return_weights": Flag(),
        },
        largest={"d": LARGEST_WIDTH},
        vjp="fastmax_attention_vjp",
        peer="torch_fastmax_attention",
    ),
    Record(
        name="fastmax_attention_vjp",
        family="kronecker",
        title="Gradients of Fastmax",
        formula="ds_ij = f_{p−1}(s_ij) (<g_i, v_j> − <g_i, out_i>) / Σ_j f_p(s_ij);  dq = scale·ds k,  dv = wᵀ g",
        signature="(m,d),(n,d),(n,e),(m,e)->(m,d),(n,d),(n,e)",
        source=GERAMI,
        options=FASTMAX,
        file="fastmax_attention",
        checks=(_gradient_has_the_shape_of_the_output,),
        largest={"d": LARGEST_WIDTH},
    ),
    Record(
        name="tensor_attention_lowrank",
        family="kronecker",
        title="Near-linear polynomial approximation for bounded entries",
        approximates="tensor_attention",
        formula="out_i = Σ_a β_a q_i^a Π_r Σ_j (k^r_j)^a v^r_j / the same with v = 1,  β_a = scale^|a| / a!",
        signature="(m,d),{(n_r,d)},{(n_r,e)}->(m,e)",
        source=ALMAN,
        options={"degree": ORDER, "scale": VISIBILITY["scale"], "kernel": Choice(values=("taylor",))},
        rounds_with_the_batch=TILES_OF_A_BATCH,
        largest=LARGEST | {"d": LARGEST_WIDTH},
    ),
    Record(
        name="high_order_attention",
        family="kronecker",
        title="HOA of the mixed high-order attention network",
        formula="out = x · (1/R) Σ_r σ(relu(Π_{s≤r} x P_rs) U_r)",
        signature="(n,w),(R,R,w,c),(R,c,w)->(n,w)",
        source=Source(
            "Chen, Deng & Hu",
            "Mixed High-Order Attention Network for Person Re-Identification",
            2019,
            "1908.05819",
        ),
        options={"return_weights": Flag()},
        kind="C",
        largest={"R": 4, "w": 17, "c": 9},
        positive=("R",),
    ),
)
