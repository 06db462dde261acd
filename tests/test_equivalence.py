"""Every candidate computes what the reference computes, whatever the call."""

import pytest

from attlas_ref.testing import BadCall, Candidate, Plan, bad_calls, build, check_equivalence, compare
from attlas_ref.testing.candidates import reference_candidate
from attlas_ref.testing.pairs import is_dense

EDGES = (
    (1, 1025),
    (33, 65),
    (63, 64),
    (64, 63),
    (95, 127),
    (96, 128),
    (97, 129),
    (129, 97),
    (193, 257),
    (385, 33),
    (1025, 2),
)
"""Queries and keys just below, at and above the blocks that kernels are likely to have."""

SMALL_EDGES = ((1, 9), (3, 5), (4, 4), (5, 8), (8, 5), (7, 9), (9, 1))
"""The same for simulated kernels, which have small blocks."""


def test_results_are_within_budget(candidate: Candidate, name: str) -> None:
    check_equivalence(candidate, name)


@pytest.mark.real_blocks
@pytest.mark.formulations.with_args(is_dense, because="they have no mask between queries and keys")
@pytest.mark.parametrize("mask", [None, "random"])
def test_the_last_partial_block_counts(candidate: Candidate, name: str, mask: str | None) -> None:
    edges = EDGES if candidate.largest > max(map(max, SMALL_EDGES)) else SMALL_EDGES
    for seed, (m, n) in enumerate(edges):
        plan = Plan(name, {"m": m, "n": n, "d": 3, "e": 2}, mask=mask, options={"causal": bool(seed % 2)}, seed=seed)
        compare(candidate, build(plan))


def test_a_bad_call_is_refused_as_the_reference_refuses_it(candidate: Candidate, name: str) -> None:
    for bad in bad_calls(name):
        expected, actual = _refusal(reference_candidate(), bad), _refusal(candidate, bad)
        assert type(actual) is type(expected), f"{candidate}: {bad} raises {actual!r}; it needs {expected!r}"
        assert str(actual) == str(expected), f"{candidate}: {bad} is explained otherwise than by the reference"


def _refusal(candidate: Candidate, bad: BadCall) -> Exception:
    with pytest.raises((TypeError, ValueError)) as caught:
        bad.by(candidate)
    return caught.value
