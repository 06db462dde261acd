"""How the work of a tile is split over the threads of a block.

A block of `across * down` threads holds a tile of `own` rows (those whose results it accumulates) by `other` rows
(those that it streams over). Each thread keeps `rows * columns` pairs of the tile and `rows * outputs` results in
registers. Rows are dealt out in turns (thread y has rows y, y + down, ...), so that neighbouring threads read
neighbouring memory.
"""

from dataclasses import dataclass

import numpy as np

from .target import simulated


@dataclass(frozen=True)
class Block:
    """Threads of a block, and what each of them holds."""

    across: int
    """Threads along the other rows and along the results' channels (x)."""
    down: int
    """Threads along the own rows (y)."""
    rows: int
    """Own rows per thread."""
    columns: int
    """Other rows per thread."""
    outputs: int
    """Channels of the result per thread."""
    depth: int
    """Channels of the two factors that stand in shared memory at a time."""

    @property
    def own(self) -> int:
        """Own rows of a tile."""
        return self.down * self.rows

    @property
    def other(self) -> int:
        """Other rows of a tile."""
        return self.across * self.columns

    @property
    def width(self) -> int:
        """Channels of the result that one block computes; wider results take more blocks, there is no limit."""
        return self.across * self.outputs

    @property
    def threads(self) -> tuple[int, int]:
        """The shape of the block, x first."""
        return self.across, self.down


# 256 threads with at most 34 KB of shared memory in single precision and 38 KB in double: below the 48 KB that every
# GPU grants without asking. Chosen by counting multiply-adds per load from shared memory, not yet by measurement.
ON_GPU = {"float32": Block(16, 16, 4, 2, 4, 32), "float64": Block(16, 16, 2, 2, 2, 32)}
# The simulator pays for every thread at every barrier.
SIMULATED = Block(2, 2, 2, 2, 2, 4)


def default_block(dtype: np.dtype) -> Block:
    """Return the block for a compute dtype: the GPU's, or a small one in the simulator."""
    return SIMULATED if simulated() else ON_GPU[dtype.name]
