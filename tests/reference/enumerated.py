"""All structures of a small size, one by one, and what they weigh together."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

Heads = tuple[int, ...]
"""The head of each token, -1 for the root."""


def sequences(n: int, labels: int) -> Iterator[tuple[int, ...]]:
    """Every labeling of n positions."""
    return itertools.product(range(labels), repeat=n)


def segmentations(n: int, longest: int, labels: int) -> Iterator[list[tuple[int, int, int, int]]]:
    """Every segmentation as a list of (start, length, label, label before), with any label before the first."""

    def continued(start: int, before: int) -> Iterator[list[tuple[int, int, int, int]]]:
        if start == n:
            yield []
        for length in range(1, min(longest, n - start) + 1):
            for label in range(labels):
                for rest in continued(start + length, label):
                    yield [(start, length, label, before), *rest]

    for before in range(labels):
        yield from continued(0, before)


def trees(n: int, *, multi_root: bool = False, projective: bool = False) -> Iterator[Heads]:
    """Every dependency tree of n tokens."""
    for heads in itertools.product(range(-1, n), repeat=n):
        roots = heads.count(-1)
        is_tree = all(_reaches_root(heads, token) for token in range(n))
        if is_tree and (roots == 1 or multi_root or not n) and not (projective and _crosses(heads)):
            yield heads


def _reaches_root(heads: Heads, token: int) -> bool:
    for _ in heads:
        token = heads[token]
        if token == -1:
            return True
    return False


def _crosses(heads: Heads) -> bool:
    """Whether two arcs cross, the root standing to the left of the first token."""
    arcs = [(min(head, token), max(head, token)) for token, head in enumerate(heads)]
    return any(a < c < b < d for a, b in arcs for c, d in arcs)


def summed(
    structures: Iterable[Any], score: Callable[[Any], float], parts: Callable[[Any], Iterable[Any]], shape: Any
) -> tuple[float, np.ndarray]:
    """Return log Z, and how much of Z goes through structures with each part, an array of a shape."""
    every = list(structures)
    scores = [score(one) for one in every]
    top = max(scores, default=-math.inf)
    if top == -math.inf:
        return -math.inf, np.zeros(shape)
    log_partition = top + math.log(math.fsum(math.exp(s - top) for s in scores))
    marginals = np.zeros(shape)
    for one, s in zip(every, scores, strict=True):
        for part in parts(one):
            marginals[part] += math.exp(s - log_partition)
    return log_partition, marginals


def chain_score(unary: np.ndarray, pairwise: np.ndarray, labels: tuple[int, ...]) -> float:
    own = sum(unary[t, label] for t, label in enumerate(labels))
    return float(own + sum(pairwise[t, labels[t], labels[t + 1]] for t in range(len(labels) - 1)))


def chain_by_enumeration(unary: np.ndarray, pairwise: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    n, c = unary.shape
    known = [
        summed(sequences(n, c), lambda z: chain_score(unary, pairwise, z), parts, shape)
        for parts, shape in (
            (lambda z: enumerate(z), unary.shape),
            (lambda z: zip(range(n - 1), z[:-1], z[1:], strict=True), pairwise.shape),
        )
    ]
    return known[0][0], known[0][1], known[1][1]
