"""Attention as memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .case import Case, Goal, Group, square

STEPS = 3
BLOCK = 64


def every_64th(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """True at every 64th token, the last of its block."""
    return np.arange(sizes["n"]) % BLOCK == BLOCK - 1


def small_steps(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """1/(64 d) for every token: with keys of length √d, small enough for a chunk of 64 and momentum 0.9."""
    return np.full(sizes["n"], 1 / (64 * sizes["d"]), dtype=dtype)


def nine_tenths(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """0.9 for every token."""
    return np.full(sizes["n"], 0.9, dtype=dtype)


def one_hundredth(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """0.01 for every token."""
    return np.full(sizes["n"], 0.01, dtype=dtype)


RATES = {"lr": small_steps, "momentum": nine_tenths, "decay": one_hundredth}

HOPFIELD = Group(
    "Hopfield retrieval beside the loop of PyTorch, and beside softmax attention as often as it has steps",
    tuple(
        Case(
            "hopfield_attention", square(n), options={"steps": STEPS}, rivals=("torch", "softmax"),
            goals=(Goal(3.0, ("torch",)), Goal(1 / (1.1 * STEPS), ("softmax",))),
        )
        for n in (512, 2048)
    ),
)  # fmt: skip

SDM = Group(
    "Sparse distributed memory beside PyTorch: bits compared one by one, and as a matrix product",
    tuple(
        Case(
            "sdm_attention", {"m": 512, "n": n, "b": bits, "e": 64}, batch=(), options={"radius": radius},
            rivals=("torch", "product"), goals=(Goal(20.0, ("torch",)), Goal(1.0, ("product",))),
        )
        for n, bits, radius in ((4096, 64, 24), (4096, 256, 110), (4096, 1024, 480))
    ),
)  # fmt: skip

LINEAR = Group(
    "A linear memory beside a loop over tokens in PyTorch",
    tuple(
        Case(
            "titans_memory", {"n": 1024, "d": 64, "e": 64}, options={"chunk_size": chunk}, made=RATES, checked="first",
            goals=(Goal(5.0, ("torch",)),),
        )
        for chunk in (1, 64)
    ),
)  # fmt: skip

LONG = Group(
    "A linear memory from a thousand to a quarter of a million tokens",
    tuple(
        Case(
            "titans_memory", {"n": n, "d": 64, "e": 64}, options={"chunk_size": 64}, made=RATES, checked="first",
            rivals=(), goals=(),
        )
        for n in (1024, 16384, 262144)
    ),
    flat_rate=0.8,
)  # fmt: skip

LANDMARK = Group(
    "Landmark attention",
    tuple(
        Case(
            "landmark_attention", {"n": n, "d": 64, "e": 64}, made={"is_landmark": every_64th},
            goals=(Goal(3.0, ("torch",)),),
        )
        for n in (1024, 2048)
    ),
)  # fmt: skip

GROUPS = (HOPFIELD, SDM, LINEAR, LONG, LANDMARK)
