"""Attention as inference."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .case import Case, Goal, Group, square

STRUCT = (Goal(20.0, ("torch",)),)
TREES = (Goal(5.0, ("torch",)),)
EXPRESSION = (Goal(3.0, ("torch",)),)
LIKE_SOFTMAX = (Goal(1 / 1.15, ("softmax",)),)


def one_for_all_queries(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """A log prior of the keys, (1, n): the same for every query."""
    return np.linspace(-1, 0, sizes["n"], dtype=dtype)[None]


def one_for_each_pair(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """A log prior of pairs, (m, n): nearer keys are likelier."""
    distance = np.arange(sizes["m"])[:, None] - np.arange(sizes["n"])
    return -np.abs(distance).astype(dtype) / sizes["n"]


CHAINS = Group(
    "Chains beside torch-struct",
    tuple(
        Case(name, {"n": n, "c": c}, batch=(b,), goals=STRUCT)
        for name in ("linear_chain_marginals", "linear_chain_argmax")
        for b, n, c in ((16, 128, 16), (8, 256, 32), (64, 64, 4))
    ),
)  # fmt: skip

SEGMENTS = Group(
    "Segments beside torch-struct",
    (Case("semi_markov_marginals", {"n": 32, "k": 6, "c": 8}, batch=(8,), goals=STRUCT),),
)

TREES_OF_SENTENCES = Group(
    "Dependency trees beside torch-struct",
    (
        *(
            Case("tree_attention_marginals", {"n": n}, batch=(b,), options={"multi_root": multi_root}, goals=TREES)
            for b, n in ((16, 20), (16, 40), (8, 100))
            for multi_root in (False, True)
        ),
        *(Case("projective_tree_marginals", {"n": n}, batch=(16,), goals=TREES) for n in (20, 40)),
    ),
)

TRANSPORT = Group(
    "Entropic transport beside POT, a hundred steps",
    tuple(
        Case(
            "sinkhorn_plan", {"m": 1000, "n": 1000}, batch=(), dtype=dtype, options={"epsilon": 0.3, "steps": 100},
            rivals=("torch", "logs"), goals=(Goal(3.0, ("torch",)), Goal(3.0, ("logs",))),
        )
        for dtype in ("float32", "float64")
    ),
)  # fmt: skip

STREAMED = Group(
    "Attention with a transport plan that is never kept: 16 MiB it would be",
    (
        Case(
            "sinkhorn_attention", square(2048), batch=(), options={"epsilon": 1.0, "steps": 10}, rivals=("softmax",),
            goals=(Goal(1 / 22, ("softmax",)),), at_most_bytes=4 * 2**20,
        ),
    ),
)  # fmt: skip

MIXTURES = Group(
    "Mixtures, slots and Combiner beside their PyTorch expression",
    (
        *(
            Case("probabilistic_attention", square(2048), batch=(4,), options={"prior": "uniform", **more},
                 goals=EXPRESSION)
            for more in ({}, {"key_update_steps": 1, "key_prior_precision": 1.0})
        ),
        Case("competitive_attention", {"m": 7, "n": 4096}, goals=EXPRESSION),
        Case("slot_attention", {"n": 4096, "k": 7, "D": 64, "d": 64, "f": 128}, goals=EXPRESSION),
        *(
            Case(f"combiner_{kind}_attention", {"n": 4096}, options=options, checked="first", goals=EXPRESSION)
            for kind, options in (("fixed", {"block": 64}), ("axial", {"block": 64}), ("logsparse", {}))
        ),
    ),
)  # fmt: skip

PRIORS = Group(
    "A prior over edges beside softmax attention without one",
    tuple(
        Case("structural_prior_attention", square(2048), made={"log_prior": make}, rivals=("softmax",),
             goals=LIKE_SOFTMAX)
        for make in (one_for_all_queries, one_for_each_pair)
    ),
)  # fmt: skip

GROUPS = (CHAINS, SEGMENTS, TREES_OF_SENTENCES, TRANSPORT, STREAMED, MIXTURES, PRIORS)
