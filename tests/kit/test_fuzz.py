"""The fuzz finds a fault that is planted, keeps it as a file, and the file shows the fault again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attlas_ref.records import find
from attlas_ref.testing import Candidate, Counterexample, Plan
from attlas_ref.testing import fuzz as module
from attlas_ref.testing.candidates import reference_candidate

NAME = "softmax_attention"


def faulty(*arrays: Any, **options: Any) -> Any:
    """Attention that is wrong where there are 3 keys and the call is causal."""
    result = find(NAME).reference(*arrays, **options)
    if arrays[1].shape[-2] != 3 or not options.get("causal"):
        return result
    return type(result)(result[0] + 1, *result[1:]) if isinstance(result, tuple) else result + 1


FAULTY = Candidate.of(faulty, NAME)


def the_first(candidate: Candidate, seconds: float = 60) -> Counterexample | None:
    return next(module.fuzz(candidate, seconds), None)


def test_a_planted_fault_is_shrunk_kept_and_shown_again(tmp_path: Path) -> None:
    found = next(found for found in module.fuzz(FAULTY, 60) if found.law is None)  # a law may break first
    assert found.plan.sizes == {"m": 1, "n": 3, "d": 1, "e": 1}
    assert (found.plan.batch, found.plan.mask, found.plan.layouts) == ((), None, ("contiguous",) * 5)
    again = Counterexample.load(found.save(tmp_path))
    assert again == found
    assert "faulty" in again.error
    with pytest.raises(AssertionError):
        again.check(FAULTY)
    again.check(reference_candidate())


def test_a_law_that_is_broken_is_kept_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAW_CALLS", 50)
    monkeypatch.setattr(module, "compare", lambda candidate, call: None)  # only laws are left to find it
    found = the_first(FAULTY)
    assert found is not None
    assert found.law is not None
    assert found.needs[0] == NAME
    again = Counterexample.load(found.save(tmp_path))
    with pytest.raises(AssertionError, match=found.law):
        again.check(FAULTY)
    again.check(reference_candidate())


def test_an_error_is_a_counterexample_too() -> None:
    def raising(*arrays: Any, **options: Any) -> Any:
        raise IndexError("no such row")

    found = the_first(Candidate.of(raising, NAME))
    assert found is not None
    assert found.error == "IndexError: no such row"


def test_what_is_right_is_drawn_until_the_time_is_up() -> None:
    assert the_first(Candidate.of(find(NAME).reference, NAME), seconds=1) is None


def test_what_a_file_cannot_keep_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        Counterexample(Plan(NAME, {"n": 1}, options={"scale": np.float32(1)})).save(tmp_path)
