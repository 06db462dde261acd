"""Records of policies for a pointer: fixed, helped by a language model, one key at a time."""

from typing import Any

import numpy as np

from ...contract.options import Array, Flag, Integer, Number
from ..legal import host, mask_is_a_prefix, up_to_the_first
from ..record import Record, Source
from ..shared import DENSE
from .chances import between_zero_and_one, draw_masses, draw_probabilities, previous_is_a_mass

FUTURE = Source(
    "Zaidi, Indurthi et al.",
    "Infusing Future Information into Monotonic Attention Through Language Models",
    2021,
    "2109.03121",
)


def _tokens_are_not_negative(function: str, values: dict[str, Any]) -> None:
    if bool((host(values["lm_prob"]) < 0).any()):
        raise ValueError(f"{function}: lm_prob holds a negative number; it needs numbers of at least 0")


RECORDS: tuple[Record, ...] = (
    Record(
        name="waitk_p_choose",
        family="monotonic",
        title="The wait-k policy as probabilities",
        formula="p_ij = [j = i + k − 1]",
        signature="->(m,n)",
        source=Source(
            "Ma et al.",
            "STACL: Simultaneous Translation with Implicit Anticipation and Controllable Latency using "
            "Prefix-to-Prefix Framework",
            2019,
            "1810.08398",
        ),
        kind="U",
        tier=2,
        engines=(),
    ),
    Record(
        name="lm_augmented_monotonic_energy",
        family="monotonic",
        title="Future information from a language model",
        formula="e_ij = (1 − mix) (q_i W_q)·(k_j W_k)/√a + mix (f_i W_f)·(k_j W̃_k)/√a + r",
        signature="(m,d),(n,c),(m,f)->(m,n)",
        source=FUTURE,
        kind="C",
        tier=3,
        options={
            "w_query": Array(core=("d", "a"), batched=False),
            "w_key": Array(core=("c", "a"), batched=False),
            "w_future": Array(core=("f", "a"), batched=False),
            "w_future_key": Array(core=("c", "a"), batched=False),
            "r": Number(draw=(-2.0, 2.0)),
            "mix": Number(low=0.0, high=1.0, draw=(0.0, 1.0)),
            "noise": Array(core=("m", "n"), optional=True, widens=False),
            "mask": DENSE["mask"],
            "return_probability": Flag(),
        },
        positive=("d", "c", "f", "a"),
        engines=(),
    ),
    Record(
        name="future_representation",
        family="monotonic",
        title="Future representation from a language model",
        formula="f_i = ReLU(x_i W₁ + b₁) W₂ + b₂,  x_i = Σ_(t in top) π_it E_t / Σ_(t in top) π_it",
        signature="(m,V),(V,d)->(m,f)",
        source=FUTURE,
        kind="C",
        tier=3,
        file="lm_augmented_monotonic_energy",
        options={
            "w1": Array(core=("d", "s"), batched=False),
            "b1": Array(core=("s",), batched=False),
            "w2": Array(core=("s", "f"), batched=False),
            "b2": Array(core=("f",), batched=False),
            "top": Integer(low=1),
        },
        checks=(_tokens_are_not_negative,),
        valid=lambda lm_prob, embedding: (np.abs(lm_prob), embedding),
        exact=("lm_prob",),
        positive=(),
        engines=(),
    ),
    Record(
        name="stepwise_monotonic_alignment",
        family="monotonic",
        title="Stepwise monotonic attention",
        formula="α_ij = p_ij α_(i−1),j + (1 − p_i,(j−1)) α_(i−1),(j−1)",
        signature="(m,n)->(m,n)",
        source=Source(
            "He, Deng & He",
            "Robust Sequence-to-Sequence Acoustic Modeling with Stepwise Monotonic Attention for Neural TTS",
            2019,
            "1906.00672",
            "eq. (8)",
        ),
        options={
            "previous": Array(core=("n",), optional=True, valid=draw_masses),
            "mask": Array(core=("m", "n"), boolean=True, broadcast=True, optional=True, valid=up_to_the_first),
            "hard": Flag(),
            "absorb_last": Flag(),
        },
        checks=(between_zero_and_one("p_stay"), previous_is_a_mass, mask_is_a_prefix),
        valid=lambda p_stay, dtype: (draw_probabilities(p_stay, dtype),),
        valid_by=("dtype",),
        exact=("p_stay",),
        positive=(),
    ),
)
