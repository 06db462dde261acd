"""Scores and normalizers of dense attention."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .case import Case, Goal, Group, square


def linear_bias(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """(h, 1, n), linear in the key: the same for all queries, as ALiBi's, so it takes no memory."""
    slopes = np.geomspace(0.5, 2**-8, batch[-1], dtype=dtype)[:, None, None]
    return slopes * np.arange(sizes["n"], dtype=dtype)


SOFTMAX = Group(
    "Softmax attention beside PyTorch's fused kernel",
    tuple(
        Case("softmax_attention", square(n, width), options={"causal": causal})
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
        Case("softmax_attention", square(64), batch=(64, 8)),
        Case("softmax_attention", square(128), batch=(64, 8)),
        Case("softmax_attention", {"m": 1, "n": 65536, "d": 64, "e": 64}),
        Case("softmax_attention", square(2048), arrays=("mask",)),
        Case("softmax_attention", square(2048), arrays=("bias",)),
        Case("softmax_attention", square(2048), dtype="float64"),
        Case("softmax_attention_vjp", square(1024)),
        Case("softmax_attention_vjp", square(2048), options={"causal": True}),
        Case("softmax_attention", square(16384), batch=(), goals=(Goal(1.0, ("torch",)),), at_most_bytes=8_000_000),
    ),
)

LIKE_SOFTMAX = (Goal(1 / 1.15, ("softmax",)), Goal(2.0, ("torch", "flex")))

MAPS = Group(
    "Other scores and normalizers on the same tile",
    tuple(
        Case(name, square(2048), options=options, made=made, rivals=("softmax", *rivals), goals=LIKE_SOFTMAX)
        for name, options, made, rivals in (
            ("sigmoid_attention", {}, {}, ("torch",)),
            ("softmax_plus_n_attention", {}, {}, ("torch", "flex")),
            ("softcapped_attention", {"cap": 20.0}, {}, ("torch", "flex")),
            ("distance_attention", {}, {}, ("torch", "flex")),
            ("cosine_attention", {}, {}, ("torch", "flex")),
            ("softmax_attention", {}, {"bias": linear_bias}, ("torch", "flex")),
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
        Case("cog_attention", square(2048), rivals=("torch", "compiled"), goals=THREE_TIMES),
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
        Case("sparsemax_attention", square(1024)),
        Case("entmax_attention", square(1024)),
    ),
)

GROUPS = (SOFTMAX, OTHER_SHAPES, MAPS, LEARNED, SIMPLEX)
