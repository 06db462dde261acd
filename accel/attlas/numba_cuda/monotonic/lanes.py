"""Every kernel of alignments that move forward, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..assemble import build_assemble
from ..blocks import Block
from ..pairs import WEIGHTS, build_pairs
from ..rows import ROW_ON_GPU
from ..rules import Real
from .alignment import build_alignment, build_alignment_vjp, build_clamped
from .energy import ENERGIES, lowest_if_hidden
from .lookback import build_chunked, build_lookback, build_moving
from .stops import build_stepwise, build_stops, is_below, reaches


def kernels(block: Block, real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    row = ROW_ON_GPU
    for rule in ENERGIES:
        yield f"weights_{rule.__name__}", build_pairs(block, real, rule, WEIGHTS), True
    yield "assemble_lowest_if_hidden", build_assemble(real, lowest_if_hidden), False
    yield "alignment", build_alignment(row, real), True
    yield "alignment_clamped", build_clamped(row, real), True
    yield "alignment_vjp", build_alignment_vjp(row, real), True
    for good in (reaches, is_below):
        yield f"stops_{good.__name__}", build_stops(row, real, good), True
    yield "stepwise", build_stepwise(row, real), False
    yield "chunked", build_chunked(row, real), False
    yield "lookback", build_lookback(row, real), True
    yield "moving_sum", build_moving(real), False
