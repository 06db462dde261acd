"""All paths of a pointer that only moves forward, one by one, in exact fractions."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np


def paths(p: list[list[Fraction]], start: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every sequence of stops t_0 <= t_1 <= ... from `start`, n where the pointer ran off, and its chance.

    Each row is decided by itself: the pointer passes the keys between two stops, and stops.
    """
    m, n = len(p), len(p[0]) if p else 0

    def after(i: int, at: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
        if i == m:
            yield (), Fraction(1)
            return
        passed = Fraction(1)
        for stop in range(at, n + 1):
            here = passed * p[i][stop] if stop < n else passed
            for rest, chance in after(i + 1, stop):
                yield (stop, *rest), here * chance
            if stop < n:
                passed *= 1 - p[i][stop]

    yield from after(0, start)


def fractions(array: Any) -> Any:
    """Return the exact values of numbers as nested lists."""
    return [fractions(part) for part in array] if np.ndim(array) else Fraction(float(array))


def alignment_of_all_paths(p: Any, previous: Any = None, mask: Any = None) -> tuple[Any, list[Fraction]]:
    """The probability of each stop, (m, n), and of having run off by each row, by enumeration."""
    p = np.asarray(p) if mask is None else np.where(mask, p, 0)
    m, n = p.shape
    exact, start = fractions(p), [Fraction(int(j == 0)) for j in range(n)] if previous is None else fractions(previous)
    alignment = [[Fraction(0)] * n for _ in range(m)]
    off = [Fraction(0)] * m
    for begin, weight in enumerate(start):
        if weight == 0:
            continue
        for stops, chance in paths(exact, begin):
            for i, stop in enumerate(stops):
                if stop < n:
                    alignment[i][stop] += weight * chance
                else:
                    off[i] += weight * chance
    return alignment, off


def recursion_in_fractions(p: Any, previous: Any) -> list[list[Fraction]]:
    """The recursion of the definition in exact arithmetic, for sizes that are too large to enumerate."""
    before, rows = fractions(previous), []
    for chances in fractions(p):
        arriving, row = Fraction(0), []
        for j, chance in enumerate(chances):
            arriving = (arriving * (1 - chances[j - 1]) if j else Fraction(0)) + before[j]
            row.append(chance * arriving)
        before = row
        rows.append(row)
    return rows


def relative_errors(actual: Any, exact: Any) -> Any:
    """|actual / exact - 1| in units of rounding of float64, entry by entry; 0 / 0 counts as right."""
    unit = Fraction(1, 2**53)

    def error(a: float, e: Fraction) -> float:
        return float(abs(Fraction(float(a)) - e) / (e * unit)) if e else (0.0 if a == 0 else np.inf)

    return np.array([[error(a, e) for a, e in zip(*pair, strict=True)] for pair in zip(actual, exact, strict=True)])
