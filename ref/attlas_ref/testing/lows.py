"""Evaluations that are made when they are asked for.

A budget grows with every evaluation in the precision of the call: the error of one more can only be larger, and an
entry about which one more disagrees is no longer judged. So a result that passes beside the first evaluations passes
beside all of them, and only one that fails needs the others. One that fails by little, or by a choice, may do so
because the evaluations were lucky, which they all are once in some ten thousand calls: it is judged beside many more.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

IN_DOUBT = 4
"""Errors of up to so many budgets are in doubt, and infinite ones, since a choice is never wrong by little."""
MORE = 8
"""Times as many evaluations there are for an error in doubt."""


class Lows(Sequence[Any]):
    """Evaluations of one call in its own precision; each is made once.

    Examples
    --------
    >>> lows = Lows(iter([1.5, 2.5, 3.5]), count=3)
    >>> [len(some) for some in lows.growing()], lows[0]
    ([1, 2, 3], 1.5)
    """

    def __init__(self, evaluations: Iterator[Any], count: int, most: int | None = None) -> None:
        """`most`: so many are there for an error in doubt."""
        self._evaluations, self._count, self._most = evaluations, count, most or count
        self._made: list[Any] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, which: Any) -> Any:
        last = range(self._count)[which]
        self._first(max(last, default=-1) + 1 if isinstance(which, slice) else last + 1)
        return self._made[: self._count][which]

    def _first(self, count: int) -> list[Any]:
        while len(self._made) < count:
            self._made.append(next(self._evaluations))
        return self._made[:count]

    def growing(self) -> Iterator[list[Any]]:
        """Give the first one, then twice as many each time: all of them once, and up to the most there are."""
        count = 1
        while count < self._count:
            yield self[:count]
            count *= 2
        count = self._count
        while count <= self._most:
            yield self._first(count)
            count *= 2


def least_error(error: Callable[[Sequence[Any]], float], lows: Sequence[Any]) -> float:
    """Return an error in budgets beside as few evaluations as it passes with, beside all if it does not.

    What is in doubt beside all is judged beside more.
    """
    if not isinstance(lows, Lows):
        return error(lows)
    for some in lows.growing():
        try:
            found = error(some)
        except AssertionError:  # of another form than these evaluations; another one may have it
            if len(some) >= len(lows):
                raise
        else:
            if found <= 1 or (len(some) >= len(lows) and IN_DOUBT < found < np.inf):
                break
    return found
