"""The tables of what was compiled, drawn and tested say what the files and the tests say."""

from typing import Any

import pytest
from built_site import ROOT

from attlas_ref.testing import formulations
from attlas_ref.testing.candidates import reference_candidate

EVERY = formulations(reference_candidate())


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generator import contract, evidence

    return {"contract": contract, "evidence": evidence}


def test_every_row_of_the_contract_names_tests_that_are_there(generator: Any) -> None:
    contract = generator["contract"]
    for tests in contract.ROWS.values():
        for module, name in tests:
            chosen, reason = contract.condition(module, name)
            assert reason or all(chosen(contract.find(one)) for one in EVERY), (module, name)


def test_counts_and_exceptions_are_shown(generator: Any) -> None:
    lines = generator["contract"].table().splitlines()
    whole = next(line for line in lines if "`test_each_argument_in_every_layout`" in line)
    assert f"| {len(EVERY)} of {len(EVERY)} | – |" in whole
    warned = next(line for line in lines if "`test_nothing_is_warned_of`" in line)
    assert "`tensor_attention_lowrank`: it has to warn" in warned


def test_resources_and_counterexamples_are_counted(generator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = generator["evidence"]
    taken = {"7.5": [10, 2048, 0], "8.0": [20, 0, 0], "9.0": [30, 0, 4], "10.0": [40, 0, 0]}
    entries = {"one": {"module": "tile", **taken}, "two": {"module": "memory.sdm", **taken, "7.5": [99, 0, 0]}}
    machine = {"date": "2001-02-03", "versions": {"numba-cuda": "1"}}
    run = {"cases": 12345, "counterexamples": ["a"], "formulations": 7, "seconds": 900}
    reports = {"kernels": {"machine": machine, "of": 3, "kernels": entries}, "fuzz": {"numba": {"small": run}}}
    monkeypatch.setattr(evidence, "report", reports.get)
    assert "| memory | 1 | 99 · 0.0 · 0 | 20 · 0.0 · 0 | 30 · 0.0 · 4 | 40 · 0.0 · 0 |" in evidence.kernels()
    assert "So far 2 of 3 kernels compiled on 2001-02-03" in evidence.kernels()
    assert "    | `one` | 10 · 2.0 · 0 |" in evidence.kernels()
    assert "| `numba` | a few rows | 15 | 7 | 12,345 | 1 |" in evidence.fuzz()
    monkeypatch.setattr(evidence, "report", {}.get)
    assert "make kernels" in evidence.kernels()
    assert "make fuzz" in evidence.fuzz()
