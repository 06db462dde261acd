"""Simulated kernels where every size is one, just below, at and just above what a block holds."""

import os

import pytest

from attlas.engines import simulated

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda.blocks import SIMULATED
from attlas.numba_cuda.rows import ROW_SIMULATED
from attlas_ref.records import all_records, find
from attlas_ref.testing import Plan, build, compare
from attlas_ref.testing.candidates import candidates
from attlas_ref.testing.drawn import letters_of

[CANDIDATE] = candidates()
HELD = {SIMULATED.own, SIMULATED.other, SIMULATED.width, SIMULATED.depth, ROW_SIMULATED.count}
EDGES = sorted({1, *(held + beyond for held in HELD for beyond in (-1, 0, 1))})
"""Rows, columns and channels of a tile, channels at a time, threads of a row."""
KERNELS = [record.name for record in all_records() if record.kind == "K" and "numba-cuda" in record.engines]
THOROUGH = os.environ.get("ATTLAS_PROFILE") == "thorough"
"""Every edge of every kernel; otherwise one, the next kernel at the next one."""
CASES = [
    (name, size) for place, name in enumerate(KERNELS) for size in (EDGES if THOROUGH else [EDGES[place % len(EDGES)]])
]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_sizes_at_the_edge_of_a_block(name: str, size: int) -> None:
    record = find(name)
    sizes = {letter: min(size, record.largest.get(letter, size)) for letter in letters_of(record)}
    compare(CANDIDATE, build(Plan(name, sizes, batch=(2,), mask="random", bias="normal", seed=size)))


def test_the_edges_are_those_of_the_blocks() -> None:
    assert EDGES == [1, 2, 3, 4, 5]
