"""Attention to tuples as loops over scalars in 50 digits."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
from exact import Matrix, numbers

mp.mp.dps = 50
Score = Callable[[Any, tuple[Any, ...]], Any]
"""The unscaled score of a query's row and one row of each key set."""


def product_score(q: Any, rows: tuple[Any, ...]) -> Any:
    return mp.fsum(x * math.prod(row[c] for row in rows) for c, x in enumerate(q))


def dot(a: Any, b: Any) -> Any:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def sum_score(q: Any, rows: tuple[Any, ...]) -> Any:
    return mp.fsum(dot(q, row) for row in rows)


def strassen_score(q: Any, rows: tuple[Any, ...]) -> Any:
    return dot(q, rows[0]) + dot(q, rows[1]) + dot(rows[0], rows[1])


def determinant_score(q: Any, rows: tuple[Any, ...]) -> Any:
    """The determinants of the 3 by 3 matrices of consecutive channels, by Leibniz's sum over permutations."""
    total = mp.mpf(0)
    for t in range(0, len(q), 3):
        columns = q[t : t + 3], rows[0][t : t + 3], rows[1][t : t + 3]
        for a, b, c in itertools.permutations(range(3)):
            sign = (b - a) * (c - a) * (c - b) // 2
            total += sign * columns[0][a] * columns[1][b] * columns[2][c]
    return total


SCORES: dict[str, Score] = {
    "product": product_score,
    "sum": sum_score,
    "strassen": strassen_score,
    "determinant": determinant_score,
}


class Tuples:
    """One small problem without leading axes, in exact numbers."""

    def __init__(
        self,
        query: np.ndarray,
        keys: Sequence[np.ndarray],
        values: Sequence[np.ndarray],
        *,
        scale: float | None = None,
        mask: np.ndarray | None = None,
        causal: bool = False,
        windows: tuple[int, ...] | None = None,
        score: str = "product",
    ) -> None:
        self.query, self.keys, self.values = numbers(query), [numbers(k) for k in keys], [numbers(v) for v in values]
        self.m, self.sizes, self.e = len(query), tuple(map(len, keys)), values[0].shape[1]
        self.scale = 1 / mp.sqrt(query.shape[1]) if scale is None else mp.mpf(scale)
        self.mask, self.causal, self.windows, self.kind = mask, causal, windows, SCORES[score]

    def sees(self, i: int, members: tuple[int, ...]) -> bool:
        if self.mask is not None and not self.mask[(i, *members)]:
            return False
        last = [i + n - self.m for n in self.sizes]  # the position of query i among the keys of each set
        if self.windows is not None:
            windows = zip(members, last, self.windows, strict=True)
            return all(end - width < j <= end for j, end, width in windows)
        return not self.causal or all(j <= end for j, end in zip(members, last, strict=True))

    def score(self, i: int, members: tuple[int, ...]) -> Any:
        rows = tuple(key[j] for key, j in zip(self.keys, members, strict=True))
        return self.scale * self.kind(self.query[i], rows)

    def value(self, members: tuple[int, ...]) -> list[Any]:
        rows = [value[j] for value, j in zip(self.values, members, strict=True)]
        return [math.prod(row[c] for row in rows) for c in range(self.e)]

    def tuples(self) -> list[tuple[int, ...]]:
        return list(itertools.product(*map(range, self.sizes)))

    def weights(self) -> list[dict[tuple[int, ...], Any]]:
        rows = []
        for i in range(self.m):
            terms = {members: mp.exp(self.score(i, members)) for members in self.tuples() if self.sees(i, members)}
            total = mp.fsum(terms.values())
            rows.append({members: term / total for members, term in terms.items()})
        return rows

    def weight_array(self) -> np.ndarray:
        array = np.zeros((self.m, *self.sizes))
        for i, row in enumerate(self.weights()):
            for members, weight in row.items():
                array[(i, *members)] = float(weight)
        return array

    def output(self) -> Matrix:
        values = {members: self.value(members) for members in self.tuples()}
        return [
            [mp.fsum(weight * values[members][c] for members, weight in row.items()) for c in range(self.e)]
            for row in self.weights()
        ]

    def bound(self) -> dict[str, Any]:
        """How far rounding can carry an output.

        One entry takes a score (p factors in each of d channels), an exponential, a sum over all tuples and a product
        of values; an absolute error of the score becomes a relative one of the weight.
        """
        every = self.tuples()
        largest = max((abs(self.score(i, members)) for i in range(self.m) for members in every), default=0)
        values = [abs(x) for members in every for x in self.value(members)]
        steps = len(self.keys) * len(self.query[0] if self.query else ()) + len(every) + 8
        return {"operations": int(4 * steps * (1 + largest)), "magnitude": float(max(1, mp.fsum(values)))}
