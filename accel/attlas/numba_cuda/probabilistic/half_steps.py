"""The host's side of Sinkhorn's iteration: what its half-steps have in common, and how they are launched."""

from typing import Any

import numpy as np

from ..operands import shape_of
from ..rows import RowBlock, default_row_block
from ..target import allocate, launch, simulated, upload
from .entries import over_entries
from .transport import build_columns, build_finish, build_merge, build_rows, build_settle
from .transport_parts import build_logarithms, build_spread

COLUMNS_ON_GPU = RowBlock(32, 8)
"""The threads of a block that sums along columns: some columns, and turns along their rows."""
COLUMN_BLOCK = RowBlock(2, 2) if simulated() else COLUMNS_ON_GPU

ENOUGH = 3 if simulated() else 1024
"""Blocks that keep a GPU busy: as many chunks as give them, if chunks remain of some length."""

FEWEST = 2 if simulated() else 64
"""Rows of a chunk, at least."""


def chunk_of(m: int, n: int) -> int:
    """Return how many rows the chunks of one member have; its sizes alone decide."""
    chunks = max(1, ENOUGH // -(-n // COLUMN_BLOCK.across))
    return max(FEWEST, -(-m // chunks))


class HalfSteps:
    """Potentials of some members, (members, m) and (members, n), and half-steps that change them."""

    def __init__(
        self, costs: tuple[Any, Any, Any], members: int, shape: tuple[int, int], dtype: np.dtype[Any],
        factor: float, exponent: float = 1.0,
    ) -> None:  # fmt: skip
        """`costs`: the memories of the costs and of their mask, and the table of both."""
        self.costs, self.members, (self.m, self.n), self.dtype = costs, members, shape, dtype
        self.real: Any = dtype.type
        self.factor, self.exponent = self.real(factor), self.real(exponent)
        self.row_block = default_row_block()
        # A mass of 1 everywhere, until masses are given.
        self.log_rows, self.log_columns = self.zeros(self.m), self.zeros(self.n)
        self.of_rows, self.of_columns = self.zeros(self.m), self.zeros(self.n)
        self.moving = upload(np.ones(members, np.int64))
        self.per_chunk = chunk_of(*shape)
        self.chunks = -(-self.m // self.per_chunk)
        self.maximum, self.total = (allocate((members, self.chunks, self.n), dtype) for _ in range(2))
        self.errors = self.pending = self.maximum  # until steps are compared

    def zeros(self, size: int) -> Any:
        """Return a vector of zeros for each member."""
        return upload(np.zeros(self.members * size, self.dtype))

    def over_entries(self, compiled: Any, size: int, *arguments: Any) -> None:
        """Launch a kernel with a thread for each of `size` entries."""
        over_entries(compiled, self.dtype, size, *arguments)

    def over_rows(self, compiled: Any, blocks: int, *arguments: Any) -> None:
        """Launch a kernel with a block for each row, or each member."""
        launch(compiled, blocks, self.row_block.threads, *arguments)

    def masses(self, marginal: Any, other: Any, flags: Any, size: int, other_size: int) -> Any:
        """Return a marginal; if not given, spread the total of the other one evenly over what is marked by 1."""
        if marginal is not None:
            return marginal
        found = allocate((self.members, size), self.dtype)
        self.over_rows(
            build_spread(self.row_block, self.real), self.members,
            size, 0 if other is None else other_size, flags, flags if other is None else other, found,
        )  # fmt: skip
        return found

    def logarithms(self, masses: Any, size: int) -> Any:
        """Return the logarithms of masses, of `size` for each member."""
        found = allocate((self.members, size), self.dtype)
        self.over_entries(build_logarithms(self.real), self.members * size, masses, found)
        return found

    def rows(self, into: Any = None) -> None:
        """Renew the potentials of the rows, or note `into` a vector which rows have a pair."""
        self.over_rows(
            build_rows(self.row_block, self.real), self.members * self.m,
            self.m, self.n, *self.costs, self.factor, self.exponent, int(into is not None), self.log_rows,
            self.log_columns, self.moving, self.of_columns, self.of_rows if into is None else into,
        )  # fmt: skip

    def columns(self, into: Any = None, masses: Any = None, tolerance: float | None = None) -> None:
        """Renew the potentials of the columns, or note `into` a vector which columns have a pair.

        With a tolerance, only of those members whose columns do not have their masses yet.
        """
        launch(
            build_columns(COLUMN_BLOCK, self.real),
            self.members * self.chunks * -(-self.n // COLUMN_BLOCK.across), COLUMN_BLOCK.threads,
            self.m, self.n, self.per_chunk, self.chunks, *self.costs, self.factor, self.log_rows, self.log_columns,
            self.moving, self.of_rows, self.maximum, self.total,
        )  # fmt: skip
        target = self.of_columns if into is None else into
        if tolerance is not None:
            if self.errors is self.maximum:
                self.errors, self.pending = self.zeros(self.n), self.zeros(self.n)
            target = self.pending
        self.over_entries(
            build_merge(self.real), self.members * self.n,
            self.n, self.chunks, self.exponent, int(into is not None), int(tolerance is not None), self.log_columns,
            self.moving, self.maximum, self.total, self.log_columns if masses is None else masses, self.of_columns,
            self.errors, target,
        )  # fmt: skip
        if tolerance is not None:
            self.over_rows(
                build_settle(self.row_block, self.real), self.members,
                self.n, self.real(tolerance), self.moving, self.errors, self.pending, self.of_columns,
            )  # fmt: skip

    def finish(self, masses: Any, plan: Any) -> None:
        """Write the plan whose rows have their masses."""
        self.over_rows(
            build_finish(self.row_block, self.real), self.members * self.m,
            self.m, self.n, *self.costs, self.factor, self.log_rows, self.log_columns, masses, self.of_columns, plan,
        )  # fmt: skip


def is_empty(batch: tuple[int, ...], cost: Any) -> bool:
    """Whether there is no pair at all."""
    return 0 in (*batch, *shape_of(cost)[-2:])
