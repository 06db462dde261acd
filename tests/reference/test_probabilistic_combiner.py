"""Combiner against its definition, set by set."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(41)
ENOUGH = {"operations": 1000}
"""Sums of at most thirty terms, weights of at most 1."""


def fixed(n: int, block: int, causal: bool = True) -> Iterator[tuple[list[int], list[range]]]:
    for i in range(n):
        own = i // block
        direct = range(own * block, i + 1 if causal else (own + 1) * block)
        blocks = range(own) if causal else range(n // block)
        yield list(direct), [range(r * block, (r + 1) * block) for r in blocks]


def logsparse(n: int) -> Iterator[tuple[list[int], list[range]]]:
    for i in range(n):
        groups, end = [], i
        while end:  # take the lowest bit off: the group just before
            start = end & (end - 1)
            groups.append(range(start, end))
            end = start
        yield [i], groups


def mixture(n: int, block: int) -> Iterator[tuple[list[int], list[range]]]:
    for i in range(n):
        r, c = divmod(i, block)
        direct = [t * block + c for t in range(r)] + [r * block + u for u in range(c + 1)]
        groups = [range(u, r * block, block) for u in range(block) if u != c]
        groups += [range(t * block, t * block + c) for t in range(r)]
        groups += [range(t * block + c + 1, (t + 1) * block) for t in range(r)]
        yield direct, [group for group in groups if len(group)]


def by_definition(query: Any, key: Any, sets: Any, summary: str, scale: float) -> np.ndarray:
    """The weights, one probability at a time."""
    represent = {"max": max, "mean": lambda x: sum(x) / len(x)}[summary]
    n, d = query.shape
    weights = np.zeros((n, n))

    def score(a: Any, b: Any) -> float:
        return math.exp(scale * sum(x * y for x, y in zip(a, b, strict=True)))

    for i, (direct, groups) in enumerate(sets):
        masses = {j: score(query[i], key[j]) for j in direct}
        met = []
        for group in groups:
            group_query, group_key = ([represent([x[j, c] for j in group]) for c in range(d)] for x in (query, key))
            inner = {j: score(group_query, key[j]) for j in group}
            met.append((score(query[i], group_key), inner))
        total = sum(masses.values()) + sum(mass for mass, _ in met)
        for j, mass in masses.items():
            weights[i, j] += mass / total
        for mass, inner in met:
            for j, share in inner.items():
                weights[i, j] += mass / total * share / sum(inner.values())
    return weights


SETS = [
    ("combiner_fixed_attention", {"block": 3}, fixed(12, 3)),
    ("combiner_fixed_attention", {"block": 4, "causal": False}, fixed(12, 4, causal=False)),
    ("combiner_logsparse_attention", {}, logsparse(12)),
    ("combiner_mixture_attention", {"block": 4}, mixture(12, 4)),
    ("combiner_mixture_attention", {"block": 3}, mixture(12, 3)),
]


@pytest.mark.parametrize("summary", ["max", "mean"])
@pytest.mark.parametrize(("name", "options", "sets"), [(name, options, list(sets)) for name, options, sets in SETS])
def test_weights_are_those_of_the_factorization(name: str, options: Any, sets: Any, summary: str) -> None:
    query, key, value = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
    result = getattr(attlas_ref, name)(query, key, value, **options, summary=summary, scale=0.6, return_weights=True)
    expected = by_definition(query, key, sets, summary, 0.6)
    assert_equal_up_to_rounding(result.weights, expected, **ENOUGH)
    assert_equal_up_to_rounding(result.output, expected @ value, magnitude=5.0, **ENOUGH)


@pytest.mark.parametrize("own_keys", [True, False])
def test_axial_weights_are_those_of_the_definition(own_keys: bool) -> None:
    rows, block, scale = 3, 4, 0.6
    query, key, value = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
    given = RNG.normal(size=(12, 3)) if own_keys else None
    expected = np.zeros((12, 12))
    for i in range(12):
        r, c = divmod(i, block)
        masses = {j: math.exp(scale * query[i] @ key[j]) for j in range(r * block, i + 1)}
        above = []
        for t in range(r):
            here, reader = range(t * block, (t + 1) * block), t * block + c
            inner = np.array([math.exp(scale * query[reader] @ key[j]) for j in here])
            inner /= inner.sum()
            summary = inner @ key[here] if given is None else given[reader]
            above.append((math.exp(scale * query[i] @ summary), here, inner))
        total = sum(masses.values()) + sum(mass for mass, *_ in above)
        for j, mass in masses.items():
            expected[i, j] = mass / total
        for mass, here, inner in above:
            expected[i, here] = mass / total * inner
    assert rows * block == len(expected)
    result = attlas_ref.combiner_axial_attention(
        query, key, value, given, block=block, scale=scale, return_weights=True
    )
    assert_equal_up_to_rounding(result.weights, expected, **ENOUGH)
    assert_equal_up_to_rounding(result.output, expected @ value, magnitude=5.0, **ENOUGH)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 17, 33, 64])
def test_groups_cut_the_past_without_overlap(n: int) -> None:
    # Scores of 0: each token and each group of a query has the same share, and its members equal parts of it. The last
    # token of n = 2^k + 1 has one group, which the released code loses.
    zeros = np.zeros((n, 1))
    weights = attlas_ref.combiner_logsparse_attention(zeros, zeros, zeros, return_weights=True).weights
    for i, (_, groups) in enumerate(logsparse(n)):
        assert sorted([i, *(j for group in groups for j in group)]) == list(range(i + 1))
        assert all(len(group) & (len(group) - 1) == 0 for group in groups)
        expected = np.zeros(n)
        expected[i] = 1 / (1 + len(groups))
        for group in groups:
            expected[group] = 1 / (1 + len(groups)) / len(group)
        assert_equal_up_to_rounding(weights[i], expected, **ENOUGH)


def test_without_the_past_all_blocks_are_groups() -> None:
    zeros = np.zeros((6, 1))
    weights = attlas_ref.combiner_fixed_attention(
        zeros, zeros, zeros, block=2, causal=False, return_weights=True
    ).weights
    # Two direct keys and three groups; the own block is both.
    expected = np.kron(np.eye(3), np.full((2, 2), 1 / 5)) + np.full((6, 6), 1 / 5 / 2)
    assert_equal_up_to_rounding(weights, expected, **ENOUGH)


@pytest.mark.parametrize("name", ["fixed", "axial", "mixture"])
def test_blocks_must_divide_the_length(name: str) -> None:
    function = getattr(attlas_ref, f"combiner_{name}_attention")
    x = np.zeros((6, 2))
    with pytest.raises(ValueError, match=f"combiner_{name}_attention: block is 4; it needs to divide n = 6"):
        function(x, x, x, block=4)
    with pytest.raises(ValueError, match="key has 5 rows"):
        function(x, x[:5], x[:5], block=3)
    assert function(x[:0], x[:0], x[:0], block=3).shape == (0, 2)


@pytest.mark.parametrize("name", ["fixed", "logsparse", "axial", "mixture"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_nan_reaches_exactly_those_who_see_it(name: str, which: int) -> None:
    arrays = [RNG.normal(size=(8, 2)) for _ in range(3)]
    arrays[which][5] = np.nan
    options = {} if name == "logsparse" else {"block": 2}
    output = getattr(attlas_ref, f"combiner_{name}_attention")(*arrays, **options)
    reached = np.isnan(output).all(axis=-1)
    np.testing.assert_array_equal(reached[:5], False)
    assert reached[5]
    # Every later token has a way to the key and the value. As a query it decides how its group is shared out; in a grid
    # only those of another column (mixture) or of its own (axial) read through it.
    later = {"mixture": [True, False], "axial": [False, True]}.get(name, [True, True])
    np.testing.assert_array_equal(reached[6:], later if which == 0 else [True, True])
