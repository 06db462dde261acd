"""Runs the threads of Numba's CUDA simulator in turn, each up to its next barrier, in an order that keeps changing.

The simulator starts an operating system's thread for each thread of a block and asks in a loop which of them wait.
Taking turns is many times faster, is the same in every run, and finds a missing barrier more surely: what one thread
reads of another is there or not as the order has it, and the order is another one after each barrier.

`child` imports this file by itself, and so it imports nothing of Attlas.
"""

import random
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numba.cuda.simulator import kernel, kernelapi
from numba.cuda.simulator.kernelapi import Dim3


class Turn(greenlet):
    """One thread of a block: what the simulator asks its own threads for."""

    def __init__(self, function: Callable[..., None], manager: Any, block: Any, place: tuple[int, ...]) -> None:
        super().__init__(function)
        self.manager, self.place = manager, place
        self.blockIdx, self.threadIdx = Dim3(*block), Dim3(*place)
        across, down, _ = manager.block_dim
        self.thread_id = place[0] + across * (place[1] + down * place[2])

    def syncthreads(self) -> None:
        """Let the others come as far."""
        assert self.parent is not None
        self.parent.switch()

    def syncthreads_count(self, value: Any) -> int:
        """Say for how many threads a value is true."""
        self.manager.votes[self.place] = value
        self.syncthreads()
        count = int(np.count_nonzero(self.manager.votes))
        self.syncthreads()
        return count

    def syncthreads_and(self, value: Any) -> int:
        """Say whether a value is true for all threads."""
        return int(self.syncthreads_count(value) == self.manager.votes.size)

    def syncthreads_or(self, value: Any) -> int:
        """Say whether a value is true for any thread."""
        return int(self.syncthreads_count(value) > 0)


class Turns:
    """Runs one block."""

    def __init__(self, function: Callable[..., None], grid: Any, block: Any, debug: bool) -> None:
        self.function, self.block_dim = function, (*block, 1, 1)[:3]
        self.votes = np.zeros(self.block_dim, dtype=bool)

    def run(self, block: Any, *arguments: Any) -> None:
        """Let every thread come to the next barrier until all have ended; a thread's exception ends the block."""
        order = random.Random(0)
        function = partial(self.function, *arguments)
        alive = [Turn(function, self, block, place) for place in np.ndindex(*self.block_dim)]
        try:
            while alive:
                order.shuffle(alive)
                for thread in alive:
                    thread.switch()
                alive = [thread for thread in alive if not thread.dead]
        finally:  # where one failed the others end too: the next kernel would get their shared memory
            for thread in alive:
                if not thread.dead:
                    thread.throw()


def take_turns() -> None:
    """Replace the simulator's threads."""
    kernel.BlockManager = Turns
    kernelapi.threading = SimpleNamespace(current_thread=getcurrent)
