"""Records of Hopfield networks and of sparse distributed memory."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Labels, Number
from ..record import Draft, Record, Source
from ..shared import DENSE

RAMSAUER = Source(
    "Ramsauer, Schäfl, Lehner, Seidl, Widrich et al.", "Hopfield Networks is All You Need", 2020, "2008.02217"
)
BRICKEN = Source("Bricken & Pehlevan", "Attention Approximates Sparse Distributed Memory", 2021, "2111.05498")

BETA = Number(low=0.0, open_low=True, optional=True)
ALPHA = Number(low=1.0, draw=(1.0, 3.0))
MOVES = Integer(low=1, draw=(1, 4))
VISIBLE = {name: DENSE[name] for name in ("mask", "bias", "causal")}
RADIUS = Integer(low=0, draw=(0, 9))
BITWISE = {
    "steps": Integer(low=0, draw=(0, 3)),
    "update": Choice(values=("sync", "async")),
    "order": Labels(optional=True, size="d", permutation=True),
    "return_field": Flag(),
}
"""How bits are updated."""


def _gradient_has_the_shape_of_the_output(function: str, values: dict[str, Any]) -> None:
    query, key, gradient = values["query"], values["key"], values["grad_output"]
    value = key if values["value"] is None else values["value"]
    leading = (tuple(array.shape[:-2]) for array in (query, key, value))
    needed = (*np.broadcast_shapes(*leading), query.shape[-2], value.shape[-1])
    if tuple(gradient.shape) != needed:
        raise ValueError(
            f"{function}: grad_output has shape {tuple(gradient.shape)}; it needs that of the output, {needed}"
        )


def _order_is_a_permutation(function: str, values: dict[str, Any]) -> None:
    order, d = values["order"], values["query"].shape[-1]
    if order is not None and not np.array_equal(np.sort(order), np.arange(d)):
        raise ValueError(f"{function}: order holds {len(order)} numbers; it needs each of 0 .. {d - 1} once")


def _radius_is_at_most_the_width(function: str, values: dict[str, Any]) -> None:
    radius, width = values["radius"], values["query"].shape[-1]
    if radius > width:
        raise ValueError(f"{function}: radius is {radius}; it needs to be at most b = {width}")


def _addresses_are_bits(function: str, values: dict[str, Any]) -> None:
    low = -1 if values.get("bipolar") else 0
    for name in ("query", "key", "neurons"):
        array: Any = values.get(name)
        if hasattr(array, "shape"):  # `neurons` may be their number
            array = array.copy_to_host() if hasattr(array, "copy_to_host") else array
            if not bool(((array == low) | (array == 1)).all()):
                raise ValueError(f"{function}: {name} holds something else than bits; it needs {low} and 1 alone")


def _neurons_come_with_uniforms(function: str, values: dict[str, Any]) -> None:
    neurons, uniforms = values["neurons"], values["uniforms"]
    if (neurons is None) != (uniforms is None):
        missing = "uniforms" if uniforms is None else "neurons"
        raise ValueError(f"{function}: {missing} is None; it needs neurons and uniforms together")
    if uniforms is not None and not bool(((uniforms >= 0) & (uniforms < 1)).all()):
        raise ValueError(f"{function}: uniforms leaves the range; it needs numbers of at least 0 and below 1")


def _there_is_a_sphere(function: str, values: dict[str, Any]) -> None:
    width = values["query"].shape[-1]
    if width < 2:
        raise ValueError(f"{function}: query has width d = {width}; it needs at least 2")


def _bits_and_values(query: Any, key: Any, value: Any) -> tuple[Any, ...]:
    return *((x > 0).astype(x.dtype) for x in (query, key)), value


def _bits_values_and_neurons(query: Any, key: Any, value: Any, neurons: Any, bipolar: bool) -> tuple[Any, ...]:
    query, key, neurons = (np.where(x > 0, 1.0, -1.0 if bipolar else 0.0) for x in (query, key, neurons))
    return query, key, value, neurons


def _draw_a_radius_within_the_width(draft: Draft) -> None:
    draft.options["radius"] = draft.options["radius"] * draft.sizes["b"] // 9


def _draw_uniforms_with_neurons(draft: Draft) -> None:
    if draft.options.get("neurons") is None:
        draft.given.discard("uniforms")
    else:
        draft.given.add("uniforms")


def _draw_a_sphere(draft: Draft) -> None:
    draft.sizes["d"] = max(2, draft.sizes["d"])


RECORDS = (
    Record(
        name="hopfield_attention",
        family="memory",
        title="Modern Hopfield retrieval",
        formula="ξ ← softmax(β ξ Kᵀ + bias) K, steps − 1 times;  out = softmax(β ξ Kᵀ + bias) V",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(RAMSAUER.authors, RAMSAUER.title, RAMSAUER.year, RAMSAUER.arxiv, "eqs (3) and (5)"),
        options={
            "beta": BETA,
            "steps": MOVES,
            "tol": Number(low=0.0, draw=(0.0, 0.5)),
            "alpha": ALPHA,
            **VISIBLE,
            "return_weights": Flag(),
            "return_steps": Flag(),
        },
        defaults_to={"value": "key"},
        vjp="hopfield_attention_vjp",
        peer="torch_hopfield_attention",
    ),
    Record(
        name="hopfield_attention_vjp",
        family="memory",
        title="Gradients of Hopfield retrieval",
        formula="G_(s−1) = β J_s(G_s V_sᵀ) K,  dK = Σ_s β J_s(G_s V_sᵀ)ᵀ ξ_(s−1) + Σ_(s<steps) w_sᵀ G_s",
        signature="(m,d),(n,d),(n,e),(m,e)->(m,d),(n,d),(n,e)",
        source=Source(RAMSAUER.authors, RAMSAUER.title, RAMSAUER.year, RAMSAUER.arxiv, "eq. (5), chain rule"),
        options={"beta": BETA, "steps": MOVES, "alpha": ALPHA, **VISIBLE},
        checks=(_gradient_has_the_shape_of_the_output,),
        defaults_to={"value": None},
    ),
    Record(
        name="hopfield_energy",
        family="memory",
        title="Energy of the modern Hopfield network",
        formula="E = −(1/β) log Σ_j exp(β <q, k_j>) + |q|²/2 + (log n)/β + max_j |k_j|²/2",
        signature="(m,d),(n,d)->(m)",
        source=Source(RAMSAUER.authors, RAMSAUER.title, RAMSAUER.year, RAMSAUER.arxiv, "eq. (3)"),
        options={"beta": BETA, "alpha": ALPHA, "mask": VISIBLE["mask"]},
        kind="C",
    ),
    Record(
        name="classical_hopfield",
        family="memory",
        title="Classical (binary) Hopfield network",
        formula="σ_c ← sign(Σ_c' σ_c' T_c'c),  T = Kᵀ K without its diagonal",
        signature="(m,d),(n,d)->(m,d)",
        source=Source(
            "Hopfield", "Neural networks and physical systems with emergent collective computational abilities", 1982
        ),
        options={"zero_diagonal": Flag(), **BITWISE},
        checks=(_order_is_a_permutation,),
    ),
    Record(
        name="dense_associative_memory",
        family="memory",
        title="Polynomial and exponential dense associative memory",
        formula="σ_c ← sign(Σ_μ F(x_μ·σ | σ_c = 1) − Σ_μ F(x_μ·σ | σ_c = −1)),  F(o) = o^p or e^o",
        signature="(m,d),(n,d)->(m,d)",
        source=Source("Krotov & Hopfield", "Dense Associative Memory for Pattern Recognition", 2016, "1606.01164"),
        options={
            "energy": Choice(values=("polynomial", "exp")),
            "degree": Integer(low=1, draw=(1, 4)),
            "rectified": Flag(),
            **BITWISE,
        },
        checks=(_order_is_a_permutation,),
    ),
    Record(
        name="sdm_circle_intersection",
        family="memory",
        title="Intersection of two Hamming balls",
        formula="I(v) = |{z : Ham(x, z) ≤ r, Ham(y, z) ≤ r}|,  v = Ham(x, y)",
        signature="->()",
        source=BRICKEN,
        kind="U",
        engines=(),
    ),
    Record(
        name="sdm_attention",
        family="memory",
        title="Sparse distributed memory, a neuron at every address",
        formula="out_i = Σ_μ I(Ham(q_i, k_μ)) v_μ / Σ_μ I(Ham(q_i, k_μ))",
        signature="(m,b),(n,b),(n,e)->(m,e)",
        source=BRICKEN,
        options={
            "radius": RADIUS,
            "neurons": Integer(low=1, optional=True, draw=(1, 200)),
            "uniforms": Array(core=("m", "n"), optional=True, valid=lambda x: 0.99 * (np.abs(x) % 1)),
            "threshold": Flag(),
            "return_weights": Flag(),
        },
        checks=(_radius_is_at_most_the_width, _addresses_are_bits, _neurons_come_with_uniforms),
        valid=_bits_and_values,
        exact=("query", "key"),
        arrange=(_draw_a_radius_within_the_width, _draw_uniforms_with_neurons),
        peer="torch_sdm_attention",
    ),
    Record(
        name="sdm_neuron_attention",
        family="memory",
        title="Sparse distributed memory: write, then read",
        formula="C = A V,  out = R C / R A 1;  A, R = [Ham(address, neuron) ≤ radius]",
        signature="(m,b),(n,b),(n,e),(r,b)->(m,e)",
        source=Source("Kanerva", "Sparse Distributed Memory", 1988),
        options={
            "radius": RADIUS,
            "threshold": Flag(),
            "bipolar": Flag(),
            "normalize": Flag(),
            "return_counters": Flag(),
        },
        checks=(_radius_is_at_most_the_width, _addresses_are_bits),
        valid=_bits_values_and_neurons,
        valid_by=("bipolar",),
        exact=("query", "key", "neurons"),
        arrange=(_draw_a_radius_within_the_width,),
    ),
    Record(
        name="sdm_cap_intersection",
        family="memory",
        title="Intersection of two spherical caps",
        formula="J = (1/π) ∫ (1 − cos²θ / cos²t)^((n−2)/2) dt from φ/2 to θ",
        signature="->()",
        source=BRICKEN,
        kind="U",
        tier=2,
        engines=(),
    ),
    Record(
        name="sdm_continuous_attention",
        family="memory",
        title="Sparse distributed memory on the sphere",
        formula="out_i = Σ_j J(cos(q_i, k_j)) v_j / Σ_j J(cos(q_i, k_j))",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=BRICKEN,
        options={
            "cap_cosine": Number(low=0.0, high=1.0, open_high=True, draw=(0.0, 0.9)),
            "return_weights": Flag(),
        },
        checks=(_there_is_a_sphere,),
        arrange=(_draw_a_sphere,),
        largest={"m": 33, "n": 65},
    ),
    Record(
        name="sdm_beta",
        family="memory",
        title="The softmax temperature that sparse distributed memory implies",
        formula="β = slope of log I(v) over the cosine 1 − 2v/b",
        signature="->()",
        source=BRICKEN,
        kind="U",
        engines=(),
    ),
    Record(
        name="sdm_radius",
        family="memory",
        title="Radius that reaches a given fraction of the addresses",
        formula="r = min {r : 2^−b Σ_(i≤r) C(b, i) ≥ fraction}",
        signature="->()",
        source=BRICKEN,
        kind="U",
        tier=2,
        engines=(),
    ),
    Record(
        name="sdm_optimal_radius",
        family="memory",
        title="Radius of the best signal-to-noise ratio",
        formula="r = sdm_radius((2 · patterns · neurons)^(−1/3))",
        signature="->()",
        source=BRICKEN,
        kind="U",
        tier=3,
        file="sdm_radius",
        engines=(),
    ),
)
