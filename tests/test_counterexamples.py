"""Calls on which an engine once failed stay tests of every candidate."""

from pathlib import Path

import pytest

from attlas_ref.testing import Candidate, Counterexample

FILES = sorted((Path(__file__).parent / "counterexamples").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_failed_once_holds(candidate: Candidate, path: Path, request: pytest.FixtureRequest) -> None:
    counterexample = Counterexample.load(path)
    if not all(map(candidate.covers, counterexample.needs)):
        pytest.skip(f"{candidate} does not compute {', '.join(counterexample.needs)}")
    if max(counterexample.plan.sizes.values(), default=0) > candidate.largest:
        pytest.skip(f"{candidate} is tried on small calls only")
    if candidate.name in counterexample.open:  # strict: what is mended has to be taken out
        request.applymarker(pytest.mark.xfail(reason=counterexample.open[candidate.name]))
    counterexample.check(candidate)
