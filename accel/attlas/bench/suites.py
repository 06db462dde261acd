"""Suites: the cases of a family that are worth timing, and what is asked of an engine in each.

A goal is a ratio of two times of the same run, never a time. `attlas bench --suite dense` measures a suite on the CPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Goal:
    """To be so many times as fast as the fastest of some rivals."""

    at_least: float
    over: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One call to be timed, beside whom, and with which goals."""

    name: str
    sizes: Mapping[str, int]
    batch: tuple[int, ...] = (8,)
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[str, ...] = ()
    """The optional arrays that the call has."""
    key_bias: bool = False
    """Whether its bias is the same for all queries, (..., 1, n): as ALiBi's, which then takes no memory."""
    rivals: tuple[str, ...] = ("torch",)
    """Names of `peers.RIVALS`, and "softmax" for softmax attention by the same engine on the same arrays."""
    goals: tuple[Goal, ...] = (Goal(1.0, ("torch",)),)
    at_most_bytes: int | None = None
    """The most memory that the call may take beside its result."""


@dataclass(frozen=True)
class Group:
    """Cases that are told together."""

    title: str
    cases: tuple[Case, ...]
    geometric_mean: float | None = None
    """What the geometric mean of the first goals' ratios should be."""
    product_share: float | None = None
    """The share of the matrix-product rate that cases of width 64 from 2,048 queries on should reach."""


def _square(n: int, width: int = 64, **others: int) -> dict[str, int]:
    return {"m": n, "n": n, "d": width, "e": width, **others}


SOFTMAX = Group(
    "Softmax attention beside PyTorch's fused kernel",
    tuple(
        Case("softmax_attention", _square(n, width), options={"causal": causal})
        for width in (32, 64, 128)
        for n in (512, 1024, 2048, 4096, 8192)
        for causal in (False, True)
    ),
    geometric_mean=1.2,
    product_share=0.75,
)

OTHER_SHAPES = Group(
    "Other shapes, masks, precisions, gradients",
    (
        Case("softmax_attention", _square(64), batch=(64, 8)),
        Case("softmax_attention", _square(128), batch=(64, 8)),
        Case("softmax_attention", {"m": 1, "n": 65536, "d": 64, "e": 64}),
        Case("softmax_attention", _square(2048), arrays=("mask",)),
        Case("softmax_attention", _square(2048), arrays=("bias",)),
        Case("softmax_attention", _square(2048), dtype="float64"),
        Case("softmax_attention_vjp", _square(1024)),
        Case("softmax_attention_vjp", _square(2048), options={"causal": True}),
        Case("softmax_attention", _square(16384), batch=(), goals=(Goal(1.0, ("torch",)),), at_most_bytes=8_000_000),
    ),
)

LIKE_SOFTMAX = (Goal(1 / 1.15, ("softmax",)), Goal(2.0, ("torch", "flex")))

MAPS = Group(
    "Other scores and normalizers on the same tile",
    tuple(
        Case(name, _square(2048), options=options, key_bias=key_bias, rivals=("softmax", *rivals), goals=LIKE_SOFTMAX)
        for name, options, key_bias, rivals in (
            ("sigmoid_attention", {}, False, ("torch",)),
            ("softmax_plus_n_attention", {}, False, ("torch", "flex")),
            ("softcapped_attention", {"cap": 20.0}, False, ("torch", "flex")),
            ("distance_attention", {}, False, ("torch", "flex")),
            ("cosine_attention", {}, False, ("torch", "flex")),
            ("softmax_attention", {}, True, ("torch", "flex")),
        )
    ),
)

THREE_TIMES = (Goal(3.0, ("torch", "compiled")),)

LEARNED = Group(
    "Scores with hidden units, weights that depend on other pairs",
    (
        Case("additive_attention", {"m": 512, "n": 512}, rivals=("torch", "compiled"), goals=THREE_TIMES),
        Case("neural_attention", {"m": 512, "n": 512}, rivals=("torch", "compiled"), goals=THREE_TIMES),
        Case(
            "neural_attention", {"m": 512, "n": 512, "u": 32, "w": 32}, arrays=("weight2", "bias2"),
            rivals=("torch", "compiled"), goals=THREE_TIMES,
        ),
        Case(
            "graph_attention", {"m": 2048, "n": 2048},
            rivals=("torch", "compiled", "flex"), goals=(Goal(3.0, ("torch", "compiled", "flex")),),
        ),
        Case("graph_attention_v2", {"m": 512, "n": 512}, rivals=("torch", "compiled"), goals=THREE_TIMES),
        Case(
            "relational_attention", {"m": 1024, "n": 1024, "h": 8, "r": 8, "p": 64}, batch=(),
            options={"activation": "identity"}, rivals=("torch", "compiled"), goals=THREE_TIMES,
        ),
        Case("cog_attention", _square(2048), rivals=("torch", "compiled"), goals=THREE_TIMES),
        Case("selective_attention", {"h": 8, "n": 2048}, batch=(), rivals=("torch", "compiled"), goals=THREE_TIMES),
        Case(
            "multi_token_attention", {"h": 8, "n": 1024, "x": 6, "y": 11, "g": 4, "c": 2}, batch=(),
            arrays=("key_query_kernel", "head_kernel"), rivals=("torch", "compiled"), goals=THREE_TIMES,
        ),
    ),
)  # fmt: skip

SIMPLEX = Group(
    "Projections onto the simplex beside the entmax package",
    (
        Case("sparsemax", {"n": 1024}, batch=(8192,)),
        Case("sparsemax_vjp", {"n": 1024}, batch=(8192,)),
        Case("entmax", {"n": 1024}, batch=(8192,)),
        Case("entmax", {"n": 1024}, batch=(8192,), options={"alpha": 1.25}),
        Case("entmax_vjp", {"n": 1024}, batch=(8192,)),
        Case("sparsemax_attention", _square(1024)),
        Case("entmax_attention", _square(1024)),
    ),
)

SUITES: dict[str, tuple[Group, ...]] = {"dense": (SOFTMAX, OTHER_SHAPES, MAPS, LEARNED, SIMPLEX)}
