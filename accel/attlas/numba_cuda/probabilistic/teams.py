"""Teams of threads: a block for each problem, or a thread for each where problems are small.

A kernel is written once, for a team whose threads take the items of a problem in turns, wait for each other and agree
on sums. A thread that is alone takes all items, waits for nobody and agrees with itself.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..bands import ceil
from ..rows import RowBlock, build_combine
from ..rules import Real
from ..target import cuda, device, device_using_cuda, simulated

SCRATCH = 2**25
"""Numbers that the problems of one launch may use beside their results; more problems take several launches."""


@dataclass(frozen=True)
class Team:
    """Who computes a problem."""

    block: RowBlock
    alone: bool = False
    """Whether every thread of the block has a problem for itself."""

    @property
    def across(self) -> int:
        """Threads of a problem that stand side by side."""
        return 1 if self.alone else self.block.across

    @property
    def down(self) -> int:
        """How many such groups a problem has."""
        return 1 if self.alone else self.block.down

    @property
    def count(self) -> int:
        """How many threads a problem has."""
        return self.across * self.down

    @property
    def board(self) -> tuple[int, int, int]:
        """The shape of the shared memory in which they agree; one number, which nobody reads, for threads alone."""
        return (1, 1, 1) if self.alone else (3, self.block.down, self.block.across + 1)

    def blocks(self, problems: int) -> int:
        """Return how many blocks of threads so many problems take."""
        return ceil(problems, self.block.count) if self.alone else problems


WARP = Team(RowBlock(2, 1) if simulated() else RowBlock(8, 4))
"""For problems of some dozen items at a time."""
CROWD = Team(RowBlock(2, 1) if simulated() else RowBlock(16, 8))
"""For tables: 16 threads side by side read a row."""
LONERS = Team(RowBlock(2, 1) if simulated() else RowBlock(32, 2), alone=True)


@functools.cache
def build_seat(team: Team) -> Callable[..., Any]:
    """Build seat(first): the number of the thread's problem, and where the thread stands in its team."""
    across, count = team.block.across, team.block.count

    @device_using_cuda
    def seat(first):
        return first + cuda.blockIdx.x, cuda.threadIdx.x, cuda.threadIdx.y

    @device_using_cuda
    def own_seat(first):
        return (first + cuda.blockIdx.x) * count + cuda.threadIdx.y * across + cuda.threadIdx.x, 0, 0

    return own_seat if team.alone else seat


@functools.cache
def build_wait(team: Team) -> Callable[..., Any]:
    """Build wait(): until all threads of the team have written what they have to."""

    @device_using_cuda
    def wait():
        cuda.syncthreads()

    @device
    def go_on():
        return

    return go_on if team.alone else wait


@functools.cache
def build_agree(team: Team, real: Real, operation: Any) -> Callable[..., Any]:
    """Build agree(board, number): all numbers of the team combined, the same for each of them; it waits for all."""
    combine = build_combine(team.block, operation, operation, operation)
    zero = real(0)

    @device_using_cuda
    def agree(board, number):
        number, _, _ = combine(board, number, zero, zero)
        return number

    @device
    def keep(board, number):
        return number

    return keep if team.alone else agree


def in_turns(problems: int, numbers: int) -> Iterator[tuple[int, int]]:
    """Cut problems that need so many numbers each into launches: the first one, and how many.

    >>> list(in_turns(5, 2**24))
    [(0, 2), (2, 2), (4, 1)]
    """
    at_once = max(1, SCRATCH // max(1, numbers))
    for first in range(0, problems, at_once):
        yield first, min(at_once, problems - first)


def most_at_once(problems: int, numbers: int) -> int:
    """Return how many problems the largest of these launches has."""
    return max((count for _, count in in_turns(problems, numbers)), default=0)
