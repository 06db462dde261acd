"""The same call gives the same bits, whatever else is in the batch; nothing is said on the side."""

import warnings
from typing import Any

import numpy as np
import pytest

from attlas_ref.contract.results import flat
from attlas_ref.testing import Call, Candidate, Plan, build, example_call
from attlas_ref.testing.laws.inputs import filled
from attlas_ref.testing.pairs import is_dense

DENSE = pytest.mark.formulations.with_args(
    is_dense, because="they have no mask between queries and keys, by which members of a batch are taken apart"
)


def _bits(result: Any) -> list[bytes]:
    return [part.tobytes() for part in flat(result)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_call_gives_the_same_bits(candidate: Candidate, name: str, dtype: str) -> None:
    call = example_call(name, np.random.default_rng(0), batch=(2, 2), dtype=dtype)
    assert _bits(call.by(candidate)) == _bits(call.by(candidate))


@DENSE
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rest_of_the_batch_does_not_change_the_bits(candidate: Candidate, name: str, dtype: str) -> None:
    size = min(candidate.largest, 33)
    call = filled(build(Plan(name, {"m": size, "n": size + 4, "d": 5, "e": 3}, batch=(3,), mask="random", dtype=dtype)))
    whole = call.by(candidate)
    for index in range(3):
        options = {key: value[index] if np.ndim(value) > 1 else value for key, value in call.options.items()}
        alone = Call(name, tuple(np.ascontiguousarray(array[index]) for array in call.arrays), options).by(candidate)
        parts = whole if isinstance(whole, tuple) else (whole,)
        assert _bits(alone) == [part[index].tobytes() for part in parts]


@pytest.mark.formulations.with_args(
    lambda record: record.name != "tensor_attention_lowrank",
    because="it has to warn where its error bound says nothing",
)
def test_nothing_is_warned_of(candidate: Candidate, name: str) -> None:
    # Not where a warning is part of the contract: of an approximation whose error bound says nothing.
    # Heavy tails, empty rows, infinities in the bias: legal inputs whose meaning the contract fixes.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for magnitude in ("cauchy", "loud", "negative"):
            for hidden in (None, "nan", "inf"):
                sizes = {"m": 3, "n": 4, "d": 2, "e": 2}
                plan = Plan(name, sizes, mask="rows", bias="hides", magnitude=magnitude, hidden=hidden)
                build(plan).by(candidate)
