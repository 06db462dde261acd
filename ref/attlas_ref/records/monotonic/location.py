"""Records of the family monotonic: attention that knows where it looked last, and moves on from there."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number, WordOrNumber
from ..legal import shares
from ..record import Draft, Record, Source
from ..shared import DENSE, POSITIVE
from .moving import odd_width, past_weights, some_weights

CHOROWSKI = Source(
    "Chorowski, Bahdanau, Serdyuk, Cho & Bengio",
    "Attention-Based Models for Speech Recognition",
    2015,
    "1506.07503",
    "eq. (8) and (9)",
)
BATTENBERG = Source(
    "Battenberg et al.",
    "Location-Relative Attention Mechanisms for Robust Long-Form Speech Synthesis",
    2020,
    "1910.10288",
)
FORWARD = Source(
    "Zhang, Ling & Dai",
    "Forward Attention in Sequence-to-sequence Acoustic Modelling for Speech Synthesis",
    2018,
    "1807.06736",
)
SEEN = {"mask": DENSE["mask"], "return_weights": DENSE["return_weights"]}
SHIFT = Number(draw=(-1.0, 1.0))
FLOOR = Number(low=0.0, draw=(0.0, 0.05))
PREVIOUS = Array(core=("n",), optional=True, valid=some_weights)


def _channels_fit_the_feedback(function: str, values: dict[str, Any]) -> None:
    found, needed = values["conv"].shape[-2], 2 if values["feedback"] == "both" else 1
    if found != needed:
        feedback = values["feedback"]
        raise ValueError(f"{function}: conv has {found} channels; it needs {needed} with feedback {feedback!r}")


def _dynamic_kernels_are_odd(function: str, values: dict[str, Any]) -> None:
    columns, channels = values["w_dynamic"].shape[-1], values["w_feature"].shape[-2]
    if columns % channels or columns // channels % 2 == 0:
        raise ValueError(
            f"{function}: w_dynamic has {columns} columns for {channels} features; it needs an odd number for each"
        )


def _parameters_come_in_threes(function: str, values: dict[str, Any]) -> None:
    columns, mean = values["w_params"].shape[-1], values["initial_mean"]
    if columns % 3:
        raise ValueError(f"{function}: w_params has {columns} columns; it needs a multiple of 3")
    if mean is not None and mean.shape[-1] != columns // 3:
        raise ValueError(f"{function}: initial_mean has {mean.shape[-1]} entries; it needs K = {columns // 3}")


def _version_is_known(function: str, values: dict[str, Any]) -> None:
    version = values["version"]
    if version not in (0, 1, 2, "logistic"):
        raise ValueError(f"{function}: version is {version!r}; it needs one of (0, 1, 2, 'logistic')")


def _agent_has_weights(function: str, values: dict[str, Any]) -> None:
    w_agent, output = values["w_agent"], values["previous_output"]
    if values["agent"] and w_agent is None:
        raise ValueError(f"{function}: w_agent is None; it needs an array with agent=True")
    needed = values["value"].shape[-1] + values["query"].shape[-1] + (0 if output is None else output.shape[-1])
    if w_agent is not None and w_agent.shape[-1] != needed:
        raise ValueError(
            f"{function}: w_agent has {w_agent.shape[-1]} entries; it needs {needed}: one for each column of value, "
            "previous_output (where given) and query"
        )


def _convolution_is_whole(function: str, values: dict[str, Any]) -> None:
    for name, other in (("conv", "w_location"), ("w_location", "conv")):
        if values[name] is None and values[other] is not None:
            raise ValueError(f"{function}: {name} is None and {other} is given; it needs both or neither")


def _draw_odd(draft: Draft) -> None:
    for letter in ("k", "k_s"):
        if letter in draft.sizes:
            draft.sizes[letter] |= 1


def _draw_channels(draft: Draft) -> None:
    draft.sizes["h"] = 2 if draft.options.get("feedback") == "both" else 1


def _draw_dynamic_kernels(draft: Draft) -> None:
    draft.sizes["k_d"] = int(draft.rng.choice([1, 3, 5]))
    draft.sizes["c_d"], draft.sizes["L"] = max(1, draft.sizes["c_d"]), max(1, draft.sizes["L"])


def _draw_a_mixture(draft: Draft) -> None:
    version = draft.options.get("version", 2)
    draft.options["version"] = version if isinstance(version, str) else round(version)
    draft.sizes["w"] = 3 * draft.sizes["K"]


def _draw_an_agent(draft: Draft) -> None:
    if draft.given & {"conv", "w_location"}:
        draft.given |= {"conv", "w_location"}
    if draft.options.get("agent"):
        draft.given |= {"w_agent"}
    width = draft.sizes["e"] + draft.sizes["p"]
    draft.sizes["w"] = width + (draft.sizes["o"] if "previous_output" in draft.given else 0)


SCORE: dict[str, Any] = {
    "w_query": Array(core=("p", "a"), batched=False),
    "w_key": Array(core=("r", "a"), batched=False),
    "b_key": Array(core=("a",), batched=False, optional=True),
    "v": Array(core=("a",), batched=False),
    "b_v": SHIFT,
    "scale": Number(draw=(0.25, 4.0)),
}
"""The additive score."""

SMALL = {"a": 9, "c": 4, "k": 7, "c_s": 4, "k_s": 7, "c_d": 3, "L": 5, "K": 4, "m": 17, "n": 33}
"""Sizes in which drawn calls of a scan are quick."""

RECORDS = (
    Record(
        name="location_sensitive_attention",
        family="monotonic",
        title="Location-sensitive attention",
        formula="α_i = softmax(scale · e_i),  e_ij = v · tanh(q_i W_q + k_j W_k + b + (F * α_(i−1))_j W_f) + b_v",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=CHOROWSKI,
        options={
            **SCORE,
            "conv": Array(core=("c", "h", "k"), batched=False),
            "b_conv": Array(core=("c",), batched=False, optional=True),
            "w_location": Array(core=("c", "a"), batched=False),
            "feedback": Choice(values=("previous", "cumulative", "both")),
            "initial": Array(core=("n",), words=("uniform", "zeros", "first"), valid=some_weights),
            "previous": PREVIOUS,
            "cumulative": PREVIOUS,
            "normalize": Choice(values=("softmax", "sigmoid")),
            **SEEN,
        },
        checks=(odd_width("conv"), _channels_fit_the_feedback),
        arrange=(_draw_odd, _draw_channels),
        largest=SMALL,
        peer="torch_location_sensitive_attention",
    ),
    Record(
        name="dynamic_convolution_attention",
        family="monotonic",
        title="Dynamic convolution attention (DCA)",
        formula="α_i = softmax(v · tanh((F * α_(i−1)) U + (G(q_i) * α_(i−1)) T + b) + log max(P * α_(i−1), floor))",
        signature="(m,p),(n,e)->(m,e)",
        source=Source(BATTENBERG.authors, BATTENBERG.title, 2020, BATTENBERG.arxiv, "eq. (8) to (12)"),
        options={
            "w_query": Array(core=("p", "a"), batched=False),
            "b_query": Array(core=("a",), batched=False),
            "w_dynamic": Array(core=("a", "c_d*k_d"), batched=False),
            "conv": Array(core=("c_s", "1", "k_s"), batched=False),
            "w_static": Array(core=("c_s", "a"), batched=False),
            "w_feature": Array(core=("c_d", "a"), batched=False),
            "b_feature": Array(core=("a",), batched=False),
            "v": Array(core=("a",), batched=False),
            "prior": Array(core=("L",), batched=False, optional=True),
            "prior_length": Integer(low=1, draw=(1, 13)),
            "prior_alpha": POSITIVE,
            "prior_beta": POSITIVE,
            "prior_floor": Number(low=0.0, open_low=True, draw=(1e-6, 1e-2)),
            "initial": Array(core=("n",), words=("first", "uniform"), valid=some_weights),
            "previous": PREVIOUS,
            **SEEN,
        },
        positive=("c_d", "L"),
        checks=(odd_width("conv"), _dynamic_kernels_are_odd),
        arrange=(_draw_odd, _draw_dynamic_kernels),
        largest=SMALL,
        peer="torch_dynamic_convolution_attention",
    ),
    Record(
        name="beta_binomial_prior",
        family="monotonic",
        title="Beta-binomial prior of a step",
        formula="C(N, k) B(k + α, N − k + β) / B(α, β)",
        signature="->(n)",
        source=BATTENBERG,
        kind="U",
        tier=2,
        engines=(),
    ),
    Record(
        name="beta_binomial_alignment_prior",
        family="monotonic",
        title="Beta-binomial prior of an alignment",
        formula="P_ij = C(n − 1, j) B(j + α_i, n − 1 − j + β_i) / B(α_i, β_i),  α_i = s (i + 1), β_i = s (m − i)",
        signature="->(m,n)",
        source=Source("Badlani et al.", "One TTS Alignment To Rule Them All", 2021, "2108.10447"),
        kind="U",
        tier=3,
        file="beta_binomial_prior",
        engines=(),
    ),
    Record(
        name="gmm_attention",
        family="monotonic",
        title="GMM attention",
        formula="α_ij = Σ_k ω_ik / Z_ik exp(−(j − μ_ik)² / (2 σ_ik²)),  μ_i = μ_(i−1) + Δ_i",
        signature="(m,d),(n,e)->(m,e)",
        source=Source(BATTENBERG.authors, BATTENBERG.title, 2020, BATTENBERG.arxiv, "table 1"),
        options={
            "w_hidden": Array(core=("d", "a"), batched=False),
            "b_hidden": Array(core=("a",), batched=False),
            "w_params": Array(core=("a", "w"), batched=False),
            "b_params": Array(core=("w",), batched=False),
            "version": WordOrNumber(words=("logistic",), number=Number(low=0, high=2, draw=(0, 2))),
            "sigma_floor": Number(low=0.0, draw=(0.0, 1.0)),
            "initial_mean": Array(core=("K",), optional=True, valid=np.abs),
            "mask": DENSE["mask"],
            "normalize": Flag(),
            "return_weights": DENSE["return_weights"],
            "return_means": Flag(),
        },
        positive=(),
        checks=(_parameters_come_in_threes, _version_is_known),
        arrange=(_draw_a_mixture,),
        largest=SMALL,
        peer="torch_gmm_attention",
    ),
    Record(
        name="forward_attention",
        family="monotonic",
        title="Forward attention",
        formula="a_ij ∝ ((1 − u_i) a_(i−1,j) + u_i a_(i−1,j−1)) · softmax_j(e_ij)",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=FORWARD,
        tier=2,
        options={
            **SCORE,
            "conv": Array(core=("c", "1", "k"), batched=False, optional=True),
            "w_location": Array(core=("c", "a"), batched=False, optional=True),
            "agent": Flag(),
            "w_agent": Array(core=("w",), batched=False, optional=True),
            "b_agent": SHIFT,
            "previous_output": Array(core=("m", "o"), optional=True),
            "agent_moves": Flag(),
            "smooth": FLOOR,
            "floor": FLOOR,
            "initial_rest": FLOOR,
            "previous": PREVIOUS,
            "previous_agent": Array(core=(), optional=True, valid=lambda x: np.mod(x, 1)),
            **SEEN,
            "return_agent": Flag(),
            "return_next_agent": Flag(),
        },
        checks=(
            odd_width("conv"),
            _convolution_is_whole,
            _agent_has_weights,
            shares("previous_agent"),
            past_weights("previous"),
        ),
        arrange=(_draw_odd, _draw_an_agent),
        largest=SMALL,
        peer="torch_forward_attention",
    ),
    Record(
        name="attention_window_mask",
        family="monotonic",
        title="Window around the last peak",
        formula="last − backward ≤ j < last + forward",
        signature="->(n)",
        source=Source(
            "Ping et al.",
            "Deep Voice 3: Scaling Text-to-Speech with Convolutional Sequence Learning",
            2017,
            "1710.07654",
            "section 3.5",
        ),
        kind="U",
        tier=2,
        engines=(),
    ),
)
