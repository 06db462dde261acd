"""Few rows in which every pair of choices occurs.

Most faults need one option, or two that meet: a bias with a causal mask, a stride with a broadcast. All combinations
are too many; a table in which every value of every parameter meets every value of every other one is short.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Pair = frozenset[tuple[str, int]]


def pairwise(parameters: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows (one value per parameter) that cover every pair of values of every two parameters.

    Greedy and deterministic: each row begins with the first pair that is still missing and gives every further
    parameter the value that adds most new pairs.

    Parameters
    ----------
    parameters : mapping of str to sequence
        The values of each parameter.

    Returns
    -------
    list of dict

    Examples
    --------
    Three switches need eight rows for all combinations and four for all pairs:

    >>> switch = [False, True]
    >>> rows = pairwise({"a": switch, "b": switch, "c": switch})
    >>> len(rows), {(row["a"], row["c"]) for row in rows} == {(x, y) for x in switch for y in switch}
    (4, True)
    """
    indices = {name: range(len(values)) for name, values in parameters.items()}
    missing = dict.fromkeys(_pairs(indices))  # a set that keeps its order
    rows: list[dict[str, int]] = []
    if len(indices) == 1:  # there are no pairs to cover, but values
        rows = [{name: i} for name, values in indices.items() for i in values]
    while missing:
        row: dict[str, int] = dict(next(iter(missing)))
        for name in indices:
            if name not in row:
                row[name] = max(indices[name], key=lambda i: _gain(row, name, i, missing))
        for pair in combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        rows.append(row)
    return [{name: parameters[name][row[name]] for name in parameters} for row in rows]


def _pairs(indices: Mapping[str, range]) -> Iterator[Pair]:
    for (a, values_a), (b, values_b) in combinations(indices.items(), 2):
        for i, j in product(values_a, values_b):
            yield frozenset(((a, i), (b, j)))


def _gain(row: Mapping[str, int], name: str, value: int, missing: Mapping[Pair, Any]) -> int:
    return sum(frozenset(((name, value), other)) in missing for other in row.items())
