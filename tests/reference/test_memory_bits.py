"""Networks of bits: against loops over whole numbers, and what only an example can show."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

import attlas_ref

RNG = np.random.default_rng(31)


def bits(*shape: int) -> np.ndarray:
    return RNG.choice([-1, 1], size=shape)


def recall(state: list[int], field: Any, steps: int, update: str, order: list[int]) -> tuple[list[int], list[Any]]:
    """Update bit after bit, by the definition."""
    fields: list[Any] = [field(state, c) for c in range(len(state))] if steps == 0 else [None] * len(state)
    for _ in range(steps):
        seen = list(state)
        for c in order if update == "async" else range(len(state)):
            fields[c] = field(state if update == "async" else seen, c)
            state[c] = state[c] if fields[c] == 0 else (1 if fields[c] > 0 else -1)
    return state, fields


def classical_field(key: np.ndarray, zero_diagonal: bool) -> Any:
    hebb = sum(np.outer(x, x) for x in key)

    def field(state: list[int], c: int) -> int:
        return int(sum(state[b] * hebb[b, c] for b in range(len(state)) if not (zero_diagonal and b == c)))

    return field


def dense_field(key: np.ndarray, term: Any) -> Any:
    def energy(state: list[int]) -> Any:
        return -sum(map(term, sorted(int(x @ np.array(state)) for x in key)))  # equal terms make equal sums

    def field(state: list[int], c: int) -> Any:
        up, down = ([*state[:c], side, *state[c + 1 :]] for side in (1, -1))
        return energy(down) - energy(up)

    return field


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize(("update", "steps"), [("sync", 0), ("sync", 1), ("sync", 3), ("async", 1), ("async", 3)])
def test_classical_recall_is_its_definition(update: str, steps: int, zero_diagonal: bool) -> None:
    query, key, order = bits(5, 7), bits(4, 7), RNG.permutation(7).tolist()
    options = {"update": update, "steps": steps, "zero_diagonal": zero_diagonal, "order": order}
    output, field = attlas_ref.classical_hopfield(query, key, return_field=True, **options)
    for row, state in enumerate(query.tolist()):
        expected = recall(state, classical_field(key, zero_diagonal), steps, update, order)
        np.testing.assert_array_equal([output[row], field[row]], expected)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize(("update", "steps"), [("sync", 0), ("sync", 2), ("async", 2)])
def test_dense_recall_is_its_definition(update: str, steps: int, degree: int, rectified: bool) -> None:
    query, key, order = bits(5, 6), bits(4, 6), RNG.permutation(6).tolist()
    options = {"update": update, "steps": steps, "degree": degree, "rectified": rectified, "order": order}
    output, field = attlas_ref.dense_associative_memory(query, key, return_field=True, **options)

    def term(overlap: int) -> int:
        return (max(overlap, 0) if rectified else overlap) ** degree

    for row, state in enumerate(query.tolist()):
        expected = recall(state, dense_field(key, term), steps, update, order)
        np.testing.assert_array_equal([output[row], field[row]], expected)


@pytest.mark.parametrize("update", ["sync", "async"])
def test_exponential_recall_is_its_definition(update: str) -> None:
    query, key, order = bits(5, 6), bits(4, 6), RNG.permutation(6).tolist()
    output = attlas_ref.dense_associative_memory(query, key, energy="exp", steps=2, update=update, order=order)
    for row, state in enumerate(query.tolist()):
        np.testing.assert_array_equal(output[row], recall(state, dense_field(key, math.exp), 2, update, order)[0])


def test_a_field_of_zero_keeps_the_bit() -> None:
    key = np.array([[1, 1], [1, -1]])
    for memory in (attlas_ref.classical_hopfield, attlas_ref.dense_associative_memory):
        output, field = memory(np.array([[1, -1]]), key, return_field=True)
        np.testing.assert_array_equal([output[0], field[0]], [[1, -1], [0, 0]])


def test_all_bits_at_once_may_end_in_a_cycle() -> None:
    key = np.array([[1, -1]])
    states = [attlas_ref.classical_hopfield(np.array([[1, 1]]), key, steps=steps)[0].tolist() for steps in range(4)]
    assert states == [[1, 1], [-1, -1], [1, 1], [-1, -1]]
    settled = attlas_ref.classical_hopfield(np.array([[1, 1]]), key, update="async")
    np.testing.assert_array_equal(settled, [[-1, 1]])


@pytest.mark.parametrize("n", [1, 5, 16])
def test_orthogonal_patterns_are_stable_up_to_as_many_as_bits(n: int) -> None:
    patterns = hadamard(16)[:n]
    output, field = attlas_ref.classical_hopfield(patterns, patterns, return_field=True)
    np.testing.assert_array_equal(output, patterns)
    np.testing.assert_array_equal(field, (16 - n) * patterns)


def test_odd_degrees_break_the_symmetry_and_rectified_ones_do_too() -> None:
    pattern = bits(1, 9)
    kept = {
        (degree, rectified): attlas_ref.dense_associative_memory(-pattern, pattern, degree=degree, rectified=rectified)
        for degree, rectified in itertools.product((2, 3), (False, True))
    }
    np.testing.assert_array_equal(kept[2, False], -pattern)  # the negative is as stable as the pattern
    np.testing.assert_array_equal(kept[3, False], pattern)  # every bit turns where the energy falls
    np.testing.assert_array_equal(
        kept[2, True], -pattern
    )  # no overlap, no field: the negative is not stored, but stays
    field = attlas_ref.dense_associative_memory(-pattern, pattern, degree=2, rectified=True, return_field=True).field
    np.testing.assert_array_equal(field, np.zeros((1, 9)))


@pytest.mark.parametrize("update", ["sync", "async"])
def test_hundreds_of_separated_patterns_are_fixed_points_of_the_exponential(update: str) -> None:
    patterns = bits(500, 64)
    overlap = patterns @ patterns.T - 128 * np.eye(500)
    assert overlap.max() <= 64 - 3 - np.log(500)
    output = attlas_ref.dense_associative_memory(patterns, patterns, energy="exp", update=update)
    np.testing.assert_array_equal(output, patterns)
    classical = attlas_ref.classical_hopfield(patterns, patterns)
    assert (classical != patterns).any(axis=-1).all()  # far above 0.138 d


def test_without_patterns_every_bit_stays() -> None:
    query, none = bits(3, 4), np.zeros((0, 4), dtype=int)
    for memory, options in (
        (attlas_ref.classical_hopfield, {}),
        (attlas_ref.dense_associative_memory, {"degree": 3}),
        (attlas_ref.dense_associative_memory, {"energy": "exp"}),
    ):
        output, field = memory(query, none, return_field=True, **options)
        np.testing.assert_array_equal(output, query)
        np.testing.assert_array_equal(field, np.zeros_like(query))
