"""Random calls of all formulations until a time is up: `make fuzz`, which is no part of `make test`.

What fails is kept in `tests/counterexamples/` and is a test of every candidate from then on; how much was drawn is
written to `docs/benchmarks/fuzz.json`.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from attlas.bench.machine import machine
from attlas_ref.testing import Candidate, formulations
from attlas_ref.testing.fuzz import fuzz
from attlas_ref.testing.tally import TALLY

TESTS = Path(__file__).parent
COUNTEREXAMPLES = TESTS / "counterexamples"
FIGURES = TESTS.parent / "docs" / "benchmarks" / "fuzz.json"


@pytest.mark.parametrize("blocks", ["small", pytest.param("real", marks=pytest.mark.real_blocks)])
def test_fuzz(candidate: Candidate, blocks: str, pytestconfig: pytest.Config, capsys: Any) -> None:
    """Half of the time with blocks so small that calls have several, half with those that users have."""
    began, cases, saved = time.monotonic(), TALLY.cases, []
    for counterexample in fuzz(candidate, pytestconfig.getoption("--seconds") / 2):
        saved.append(str(counterexample.save(COUNTEREXAMPLES).relative_to(TESTS)))
        with capsys.disabled():
            print(f"\n{saved[-1]}\n{counterexample.error}")
    figures = {
        "cases": TALLY.cases - cases,
        "seconds": round(time.monotonic() - began),
        "formulations": len(formulations(candidate)),
        "counterexamples": saved,
    }
    _write(candidate.name, blocks, figures)
    assert not saved


def _write(candidate: str, blocks: str, figures: dict[str, Any]) -> None:
    report = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    report[candidate] = {**report.get(candidate, {}), blocks: figures, "machine": machine()}
    FIGURES.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
