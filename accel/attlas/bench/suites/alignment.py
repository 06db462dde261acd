"""Pointers that move forward, and the dynamic programs of alignments."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .case import Case, Goal, Group

POINTER = (Goal(5.0, ("torch",)), Goal(1.0, ("loop",)))
"""The clamped form is timed beside them, but computes something else: see the page."""
LOOP = (Goal(1.0, ("loop",)),)
DOT = {"score": "dot", "w_query": None, "w_key": None, "v": None}
"""Energies that cost one product; additive ones would hide the pointer behind their hidden layer."""

EAGER = (Goal(5.0, ("torch",)),)
TAPS, FEATURES = 21, 8
"""Of the dynamic filters in the paper's settings."""


def eight_filters_of_21_taps(sizes: Mapping[str, int], batch: tuple[int, ...], dtype: str) -> Any:
    """Weights that make dynamic kernels, (a, 8 * 21), always the same."""
    numbers = np.random.default_rng(0).standard_normal((sizes["a"], FEATURES * TAPS))
    return (numbers / np.sqrt(sizes["a"])).astype(dtype)


EXPECTED = Group(
    "Expected alignments beside PyTorch, by anti-diagonals and by the closed form with clamps, and beside a loop",
    tuple(
        Case("monotonic_alignment", {"m": m, "n": n}, batch=(b,), rivals=("torch", "clamped", "loop"), goals=POINTER)
        for b, m, n in ((16, 64, 256), (32, 128, 512), (8, 256, 1024))
    ),
)

CHUNKS = Group(
    "Chunks that end where a pointer stops",
    (
        *(
            Case("mocha_weights", {"m": 128, "n": 512}, batch=(32,), options={"chunk_size": width},
                 rivals=("torch", "loop"), goals=(Goal(5.0, ("torch",)), Goal(1.0, ("loop",))))
            for width in (2, 8)
        ),
        *(
            Case("mocha_attention", {"m": m, "n": n, "d": 64, "c": 64, "e": 64}, batch=(b,),
                 options={"chunk_size": 8, **DOT}, rivals=("torch", "clamped"),
                 goals=(Goal(5.0, ("torch",)),))
            for b, m, n in ((32, 128, 512), (8, 256, 1024))
        ),
    ),
)  # fmt: skip

LATTICES = Group(
    "How often CTC hears each symbol, beside the loss of PyTorch with its gradient",
    tuple(
        Case("ctc_posterior", {"t": t, "s": s, "V": symbols}, batch=(b,), rivals=("loss",),
             goals=(Goal(1.0, ("loss",)),))
        for b, t, s, symbols in ((16, 200, 40, 32), (16, 800, 100, 64), (4, 400, 60, 1024))
    ),
)  # fmt: skip

SEARCHES = Group(
    "Monotonic alignment search beside the loop of public code",
    tuple(
        Case("monotonic_alignment_search", {"x": x, "y": y}, batch=(b,), rivals=("loop",), goals=LOOP)
        for b, x, y in ((16, 100, 500), (32, 200, 1000))
    ),
)

WARPING = Group(
    "Soft time warping beside tslearn, the cost alone and with its alignment",
    tuple(
        Case("soft_dtw", {"r": n, "c": n}, batch=(b,), dtype="float64", options=options, goals=(Goal(1.0, ("torch",)),))
        for b, n in ((16, 64), (8, 200))
        for options in ({}, {"return_alignment": True})
    ),
)

READER = {"m": 200, "n": 100, "p": 256, "r": 256, "a": 128, "e": 256}
"""A synthesizer's steps, letters and widths; hidden layers as in the papers."""

LOCATIONS = Group(
    "Attention that moves on from where it looked last, beside loops in PyTorch",
    (
        Case("location_sensitive_attention", {**READER, "h": 1, "c": 32, "k": 31}, options={"initial": "uniform"},
             goals=EAGER),
        Case("dynamic_convolution_attention", {**READER, "c_s": FEATURES, "k_s": TAPS, "c_d": FEATURES},
             options={"initial": "first"}, made={"w_dynamic": eight_filters_of_21_taps}, goals=EAGER),
        Case("gmm_attention", {"m": 200, "n": 100, "d": 256, "a": 128, "e": 256, "K": 5, "w": 15}, goals=EAGER),
        Case("forward_attention", READER, goals=EAGER),
        Case("forward_attention", {**READER, "w": READER["e"] + READER["p"]}, options={"agent": True},
             arrays=("w_agent",), goals=EAGER),
        Case("monotonic_location_attention", {"m": 200, "n": 100, "p": 64, "d": 64, "e": 64}, goals=EAGER),
    ),
)  # fmt: skip

GROUPS = (EXPECTED, CHUNKS, LATTICES, SEARCHES, WARPING, LOCATIONS)
