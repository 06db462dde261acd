"""Timing in turn: every contestant runs on the same fresh inputs, one after the other, in one process.

A machine drifts: its clock, its neighbors, its caches. Contestants that take turns (A B A B ...) drift together, so
the ratio of two times of the same round says more than two means taken one after the other. What is reported is the
median and the quartiles over the rounds. After timing, the very results of the last timed round are handed back, to
be checked: a fast wrong answer is not a result.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.testing.drawn import Call

from .contestants import Contestant

SETTLE_SECONDS = 0.1
"""Each turn begins with calls that do not count, one at least, until this much time has passed.

Waiting threads of the contestant before go on asking for work, on processors that this one needs: OpenMP's some 5 ms
after the last of it, OpenBLAS's some 90. A pause would let them sleep, but the clock of an idle processor drops.
"""

SHORT_SECONDS = 0.005
"""Shorter calls are repeated within a turn until this much time has passed."""

WARMING = 5
"""Calls that say how long a short one takes once its code and memory are in the caches."""


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarize a sample."""
        low, median, high = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(low), float(high))


@dataclass(frozen=True)
class Race:
    """The times of one race, and what is needed to check its results."""

    seconds: dict[str, tuple[float, ...]]
    """For each contestant the time of one call, round by round."""
    call: Call
    """The inputs of the last round."""
    results: dict[str, Any]
    """What each contestant made of them, as NumPy arrays."""

    def time(self, name: str) -> Spread:
        """Seconds per call."""
        return Spread.of(self.seconds[name])

    def speedup(self, name: str, over: str) -> Spread:
        """How many times faster `name` is than `over`, paired round by round."""
        pairs = zip(self.seconds[over], self.seconds[name], strict=True)
        return Spread.of([slow / fast for slow, fast in pairs])


def race(
    contestants: Sequence[Contestant],
    draw: Callable[[int], Call],
    *,
    min_rounds: int = 5,
    max_rounds: int = 30,
    budget_seconds: float = 3.0,
) -> Race:
    """Time contestants in turn.

    Parameters
    ----------
    contestants : sequence of Contestant
        Who takes part; names are distinct.
    draw : callable
        Makes the inputs of a round from its number.
    min_rounds, max_rounds : int
        Bounds on the rounds.
    budget_seconds : float
        No further round begins when this much time has been measured and `min_rounds` are done.
    """
    call = draw(0)
    repeats = {c.name: _repeats(c.prepare(call)) for c in contestants}

    seconds: dict[str, list[float]] = {c.name: [] for c in contestants}
    results: dict[str, Any] = {}
    spent, number = 0.0, 0
    while number < min_rounds or (number < max_rounds and spent < budget_seconds):
        number += 1
        call = draw(number)
        turn = number % len(contestants)  # nobody always follows the same one
        for contestant in (*contestants[turn:], *contestants[:turn]):
            run = contestant.prepare(call)
            spent += _settle(run)
            start = time.perf_counter()
            for _ in range(repeats[contestant.name]):
                result = run()
            elapsed = time.perf_counter() - start
            seconds[contestant.name].append(elapsed / repeats[contestant.name])
            results[contestant.name] = result
            spent += elapsed
    finished = {c.name: c.to_numpy(results[c.name]) for c in contestants}
    return Race({name: tuple(values) for name, values in seconds.items()}, call, finished)


def _settle(run: Callable[[], Any]) -> float:
    """Call without keeping the time; how long it took altogether."""
    start = time.perf_counter()
    run()
    while time.perf_counter() - start < SETTLE_SECONDS:
        run()
    return time.perf_counter() - start


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _repeats(run: Callable[[], Any]) -> int:
    """How many calls fill a turn. The first call may compile and is not looked at; of short ones the fastest counts."""
    run()
    fastest = _seconds(run)
    if fastest < SHORT_SECONDS:
        fastest = min(fastest, *(_seconds(run) for _ in range(WARMING)))
    return max(1, round(SHORT_SECONDS / max(fastest, 1e-7)))
