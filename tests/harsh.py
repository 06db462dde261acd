"""Harsher surroundings than users have: poisoned memory, blocks of a few rows."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

Set = Callable[[Any, str, Any], None]
"""`setattr`, or one that takes it back."""


def poison_empty(set_: Set) -> None:
    """Fill `numpy.empty` with NaN."""

    def poison(array: Any) -> Any:
        if array.dtype.kind in "fc":
            array.fill(np.nan)
        elif array.dtype.kind in "iu":
            array.fill(np.iinfo(array.dtype).max)
        return array

    empty, empty_like = np.empty, np.empty_like
    set_(np, "empty", lambda *args, **kwargs: poison(empty(*args, **kwargs)))
    set_(np, "empty_like", lambda *args, **kwargs: poison(empty_like(*args, **kwargs)))


def shrink_blocks(set_: Set, candidates: Collection[str], on_the_cpu: bool = True) -> None:
    """Make the blocks of the candidates small."""
    if "cupy-as-numpy" in candidates:
        from attlas.composites import shapes
        from attlas.cupy_gpu import tile
        from attlas.cupy_gpu.kronecker import factorized, fastmax

        set_(shapes, "ENTRIES", 16)
        set_(factorized, "CHUNK", 2)
        set_(fastmax, "GAIN", 3)
        set_(tile, "ROWS", 4)
        set_(tile, "MATRIX_ENTRIES", 16)
        set_(tile, "TILE_ENTRIES", 48)
    if "numba-cuda-simulator" in candidates:
        from attlas.numba_cuda.kronecker import chunks
        from attlas.numba_cuda.kronecker import fastmax as cuda_fastmax

        set_(chunks, "CHUNK", 2)
        set_(cuda_fastmax, "GAIN", 3)
    if "numba" in candidates and on_the_cpu:
        from attlas.numba_cpu import backward, few, members, operands, product
        from attlas.numba_cpu.probabilistic import competitive

        set_(operands, "QUERIES_PER_BLOCK", 5)
        set_(operands, "KEYS_PER_BLOCK", 3)
        set_(backward, "SLAB", 4)
        set_(few, "KEYS_PER_CHUNK", 4)
        set_(product, "SMALL", 1)
        set_(members, "NEAR", 1)
        set_(competitive, "BLOCKS_PER_CHUNK", 2)
