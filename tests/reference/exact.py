"""Every formulation once more, as loops over scalars in 50 digits: slow, plain and independent of the references."""

from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 50
Matrix = list[list[Any]]


def numbers(array: np.ndarray) -> Matrix:
    """A matrix as mpmath numbers, exactly."""
    return [[mp.mpf(float(x)) for x in row] for row in array]


class Problem:
    """One small problem without leading axes, in exact numbers."""

    def __init__(self, query: np.ndarray, key: np.ndarray, value: np.ndarray, **options: Any) -> None:
        self.query, self.key, self.value = numbers(query), numbers(key), numbers(value)
        self.m, self.n, self.d, self.e = len(query), len(key), query.shape[1], value.shape[1]
        scale = options.get("scale")
        self.scale = 1 / mp.sqrt(self.d) if scale is None else mp.mpf(scale)
        self.options = options

    def sees(self, i: int, j: int) -> bool:
        mask = self.options.get("mask")
        if mask is not None and not mask[i, j]:
            return False
        return not self.options.get("causal") or j <= i + self.n - self.m

    def visible(self, i: int) -> list[int]:
        return [j for j in range(self.n) if self.sees(i, j)]

    def score(self, i: int, j: int) -> Any:
        bias = self.options.get("bias")
        dot = mp.fsum(self.query[i][c] * self.key[j][c] for c in range(self.d))
        return self.scale * dot + (0 if bias is None else mp.mpf(float(bias[i, j])))

    def distance_score(self, i: int, j: int) -> Any:
        bias = self.options.get("bias")
        square = mp.fsum((self.query[i][c] - self.key[j][c]) ** 2 for c in range(self.d))
        return -self.scale * square + (0 if bias is None else mp.mpf(float(bias[i, j])))

    def softmax(self, score: Any) -> Matrix:
        rows = []
        for i in range(self.m):
            terms = {j: mp.exp(score(i, j)) for j in self.visible(i)}
            total = mp.fsum(terms.values())
            rows.append([terms[j] / total if j in terms else mp.mpf(0) for j in range(self.n)])
        return rows

    def weights(self, name: str) -> Matrix:
        """The weights of a formulation."""
        option = self.options
        if name in ("softmax_attention", "memory_efficient_attention"):
            return self.softmax(lambda i, j: self.score(i, j) / mp.mpf(option.get("temperature", 1)))
        if name == "distance_attention":
            return self.softmax(self.distance_score)
        if name == "softcapped_attention":
            cap = mp.mpf(option["cap"])
            return self.softmax(lambda i, j: cap * mp.tanh(self.score(i, j) / cap))
        rows = [[mp.mpf(0)] * self.n for _ in range(self.m)]
        for i in range(self.m):
            for j in self.visible(i):
                if name == "sigmoid_attention":
                    offset = option.get("offset")
                    offset = -mp.log(self.n) if offset is None else mp.mpf(offset)
                    rows[i][j] = 1 / (1 + mp.exp(-(self.score(i, j) + offset)))
                else:
                    rows[i][j] = max(self.score(i, j), mp.mpf(0)) ** (2 if option.get("squared") else 1)
            if name == "relu_attention":
                normalize = option.get("normalize", "length")
                divisor = {
                    "length": mp.mpf(self.n) ** mp.mpf(option.get("length_power", 1)),
                    "sum": mp.fsum(rows[i]) or mp.mpf(1),
                    None: mp.mpf(1),
                }[normalize]
                rows[i] = [weight / divisor for weight in rows[i]]
        return rows

    def output(self, weights: Matrix) -> Matrix:
        return [[mp.fsum(row[j] * self.value[j][c] for j in range(self.n)) for c in range(self.e)] for row in weights]

    def energy(self) -> list[Any]:
        temperature = mp.mpf(self.options.get("temperature", 1))
        sums = (mp.fsum(mp.exp(self.score(i, j) / temperature) for j in self.visible(i)) for i in range(self.m))
        return [-temperature * mp.log(total) if total else mp.inf for total in sums]

    def partial(self) -> tuple[list[Any], list[Any], Matrix]:
        maximum, total, accumulator = [], [], []
        for i in range(self.m):
            scores = {j: self.score(i, j) for j in self.visible(i)}
            top = max(scores.values(), default=-mp.inf)
            terms = {j: mp.exp(s - top) for j, s in scores.items()}
            maximum.append(top)
            total.append(mp.fsum(terms.values()))
            accumulator.append([mp.fsum(t * self.value[j][c] for j, t in terms.items()) for c in range(self.e)])
        return maximum, total, accumulator
