"""A call's bits depend on the call alone: not on the run, the threads, or the rest of the batch. Nothing is said on the
side.

Where a member's last bits may follow the size of its batch the record says so (`rounds_with_the_batch`), and the page
on accuracy has it from there; the budget holds all the same, as `test_equivalence` asserts.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from attlas import set_num_threads
from attlas_ref.contract.results import flat
from attlas_ref.records import find
from attlas_ref.testing import Call, Candidate, Plan, build, example_call, formulations
from attlas_ref.testing.candidates import candidates
from attlas_ref.testing.members import changed, member, of_members

THREADED = {candidate.name: candidate for candidate in candidates()}.get("numba")
BATCH = 3


def _bits(result: Any) -> list[bytes]:
    return [np.ascontiguousarray(part).tobytes() for part in flat(result)]


def _call(name: str, candidate: Candidate, dtype: str) -> Call:
    """A batch of calls with several blocks of everything, a random mask where one is taken."""
    record = find(name)
    most = min(candidate.largest, 33)
    sizes = {letter: min(size, record.largest.get(letter, size)) for letter, size in {"m": most, "n": most + 4}.items()}
    return build(Plan(name, {**sizes, "d": 5, "e": 3}, batch=(BATCH,), mask="random", dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_call_gives_the_same_bits(candidate: Candidate, name: str, dtype: str) -> None:
    call = example_call(name, np.random.default_rng(0), batch=(2, 2), dtype=dtype)
    assert _bits(call.by(candidate)) == _bits(call.by(candidate))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Set how many threads take part in even the smallest call."""
    from attlas.numba_cpu import launch, multi_token, operands, selective

    for module in (operands, multi_token, selective, launch):
        monkeypatch.setattr(module, "WORTH_A_THREAD", 0)
    yield set_num_threads
    set_num_threads(None)


@pytest.mark.skipif(THREADED is None, reason="the CPU engine does not run here: it alone has threads")
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.xdist_group(one)) for one in (formulations(THREADED) if THREADED else ())],
)
def test_the_number_of_threads_does_not_change_the_bits(name: str, threads: Callable[[int], None]) -> None:
    assert THREADED is not None
    for dtype in ("float32", "float64"):
        call = _call(name, THREADED, dtype)
        results = []
        for count in (1, 2, 7):
            threads(count)
            results.append(_bits(call.by(THREADED)))
        assert results[0] == results[1] == results[2]


def _rolled(call: Call) -> Call:
    """Every member one place further."""
    return _batched(call, lambda array: np.roll(array, 1, axis=0))


def _among_nans(call: Call, index: int) -> Call:
    """The other members' numbers replaced by NaN, where numbers are free."""
    others = np.arange(BATCH) != index

    def poisoned(array: Any) -> Any:
        if array.dtype.kind != "f":
            return array
        return np.where(others.reshape(-1, *[1] * (array.ndim - 1)), np.array(np.nan, array.dtype), array)

    return Call(call.name, _batched(call, poisoned).arrays, call.options)


def _batched(call: Call, change: Callable[[Any], Any]) -> Call:
    return changed(call, lambda array, core: change(array) if array.ndim == 1 + len(core) else array)


ENGINE_OF = {"cupy-as-numpy": "cupy", "numba-cuda-simulator": "numba-cuda"}
"""What a candidate is called in a record, if not by its own name."""


def _members(name: str, result: Any) -> list[list[bytes]]:
    parts = of_members(find(name), result)
    return [[np.ascontiguousarray(part[index]).tobytes() for part in parts] for index in range(BATCH)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rest_of_the_batch_does_not_change_the_bits(candidate: Candidate, name: str, dtype: str) -> None:
    record, call = find(name), _call(name, candidate, dtype)
    whole = _members(name, call.by(candidate))
    rolled = _members(name, _rolled(call).by(candidate))
    assert [*rolled[1:], rolled[0]] == whole, "another place in the batch"
    if ENGINE_OF.get(candidate.name, candidate.name) in record.rounds_with_the_batch:
        return
    free = record.valid is None and not record.checks and not record.labels
    for index in range(BATCH):
        alone = of_members(record, member(call, (BATCH,), (index,)).by(candidate))
        assert [np.ascontiguousarray(part).tobytes() for part in alone] == whole[index], "alone"
        if free:
            assert _members(name, _among_nans(call, index).by(candidate))[index] == whole[index], "among NaNs"


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
