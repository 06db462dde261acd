"""Evaluations that are made when they are asked for.

A budget grows with every evaluation in the precision of the call: the error of one more can only be larger, and an
entry about which one more disagrees is no longer judged. So a result that passes beside the first evaluations passes
beside all of them, and only one that fails needs the others.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Lows(Sequence[Any]):
    """Evaluations of one call in its own precision; each is made once.

    Examples
    --------
    >>> lows = Lows(iter([1.5, 2.5, 3.5]), count=3)
    >>> [len(some) for some in lows.growing()], lows[0]
    ([1, 2, 3], 1.5)
    """

    def __init__(self, evaluations: Iterator[Any], count: int) -> None:
        self._evaluations, self._count = evaluations, count
        self._made: list[Any] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, which: Any) -> Any:
        last = range(self._count)[which]
        wanted = max(last, default=-1) if isinstance(which, slice) else last
        while len(self._made) <= wanted:
            self._made.append(next(self._evaluations))
        return self._made[which]

    def growing(self) -> Iterator[list[Any]]:
        """Give the first one, then twice as many each time, up to all of them."""
        count = 1
        while count < self._count:
            yield self[:count]
            count *= 2
        yield self[:]


def least_error(error: Callable[[Sequence[Any]], float], lows: Sequence[Any]) -> float:
    """Return an error in budgets beside as few evaluations as it passes with, beside all if it does not."""
    if not isinstance(lows, Lows):
        return error(lows)
    for some in lows.growing():
        try:
            found = error(some)
        except AssertionError:  # of another form than these evaluations; another one may have it
            if len(some) == len(lows):
                raise
        else:
            if found <= 1:
                break
    return found
