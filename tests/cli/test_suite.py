"""Suites of benchmarks: every case can be made, and its peers compute what it computes."""

import dataclasses

import numpy as np
import pytest

from attlas.bench import report
from attlas.bench.contestants import Contestant
from attlas.bench.draw import drawn_call
from attlas.bench.limits import Limits
from attlas.bench.machine import installed
from attlas.bench.measure import with_shares
from attlas.bench.peers import lacking, peer_contestant
from attlas.bench.suite import run_case, summary
from attlas.bench.suites import SUITES, Case, Goal
from attlas_ref.records import find

CASES = [
    pytest.param(case, id=f"{name}-{case.name}-{number}")
    for name, groups in SUITES.items()
    for number, case in enumerate(case for group in groups for case in group.cases)
]


PLAIN_RIVALS = ("torch", "product", "features", "loop")
"""Those that need no compiler of PyTorch, and are checked."""


def small(case: Case, **changes: object) -> Case:
    """The case with few rows and heads, but some blocks where it has blocks; all other sizes are its own."""
    fewer = 8 if case.made or "block" in case.options else 64
    sizes = {
        letter: max(4, min(size, 1024) // fewer) if letter[0] in "mnrxy" and size > 1 else size
        for letter, size in case.sizes.items()
    }
    return dataclasses.replace(case, sizes=sizes, batch=tuple(min(size, 4) for size in case.batch), **changes)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", CASES)
def test_a_case_can_be_measured_and_its_peers_compute_what_it_computes(case):
    assert all(name in case.rivals for goal in case.goals for name in goal.over[:1])
    rivals = () if lacking(find(case.name)) else tuple(rival for rival in case.rivals if rival in PLAIN_RIVALS)
    case = small(case, rivals=rivals, goals=(Goal(0.0, rivals),) if rivals else (), at_most_bytes=None)
    point = run_case(case, budget_seconds=0)
    assert point["unable"] == {}
    assert set(point["contestants"]) == {"numba", *rivals}
    assert all(contestant["error_in_budgets"] <= 1 for contestant in point["contestants"].values())


@pytest.mark.skipif(not installed("torch"), reason="PyTorch is not installed")
def test_the_gradient_of_the_loss_is_the_posterior():
    record = find("ctc_posterior")
    call = drawn_call(record, np.random.default_rng(5), {"t": 20, "s": 6, "V": 5}, (2, 3), "float64", {})
    rival = peer_contestant(record, "loss")
    found = rival.to_numpy(rival.prepare(call)())
    # A difference of numbers with twice the digits keeps those of single precision.
    assert np.abs(found - record.reference(*call.arrays)).max() <= np.finfo(np.float32).eps


def test_a_suite_is_told_as_a_table_of_goals(monkeypatch):
    case = small(
        SUITES["dense"][0].cases[0], rivals=("softmax",), goals=(Goal(1e-9, ("softmax",)), Goal(1e9, ("softmax",)))
    )
    limits = Limits("float32", 1e12, "numpy", 1e10)
    group = dataclasses.replace(SUITES["dense"][0], product_share=None, cases=(case,))
    points = [with_shares(run_case(case, budget_seconds=0), limits)]
    met = [row[5] for row in report.goal_rows(points)]
    assert met == ["yes", "no"]
    (whole,) = summary(group, points, limits)
    assert whole["reached"] == pytest.approx(points[0]["goals"][0]["ratio"]["median"])


def test_a_peer_that_cannot_run_is_told(monkeypatch):
    def refuse():
        raise NotImplementedError("no such graph\nsecond line")

    monkeypatch.setattr(
        "attlas.bench.suite.peer_contestant", lambda record, rival: Contestant(rival, lambda call: refuse)
    )
    point = run_case(small(SUITES["dense"][0].cases[0]), budget_seconds=0)
    assert point["goals"] == []
    (row,) = report.goal_rows([with_shares(point, Limits("float32", 1e12, "numpy", 1e10))])
    assert row[2:6] == ["torch", "cannot run", "", "NotImplementedError: no such graph"]


def test_rates_of_a_group_may_have_to_be_flat():
    group = SUITES["memory"][3]
    case = small(group.cases[0])
    points = [run_case(case, budget_seconds=0) for _ in range(2)]
    (whole,) = summary(group, points, Limits("float32", 1e12, "numpy", 1e10))
    rates = [point["sizes"]["n"] / point["contestants"]["numba"]["seconds"]["median"] for point in points]
    assert whole["reached"] == pytest.approx(min(rates) / max(rates))


def test_extra_memory_is_a_goal(monkeypatch):
    monkeypatch.setattr("attlas.bench.measure.peak_memory", lambda *_: 10_000_000)
    point = run_case(small(SUITES["dense"][0].cases[0], rivals=(), goals=(), at_most_bytes=1000), budget_seconds=0)
    result = point["contestants"]["numba"]["result_bytes"]
    assert point["extra_bytes"] == 10_000_000 - result
    (row,) = report.goal_rows([with_shares(point, Limits("float32", 1e12, "numpy", 1e10))])
    assert row[5] == "no"


def test_an_unknown_suite_is_named(cli):
    result = cli("bench", "--suite", "sparse")
    assert result.exit_code != 0
    assert "--suite is 'sparse'; it needs one of dense, memory, kronecker" in result.stderr


@pytest.mark.skipif(installed("torch"), reason="PyTorch is installed")
def test_a_suite_says_which_peer_is_missing(cli):
    result = cli("bench", "--suite", "dense")
    assert result.exit_code != 0
    assert "not installed (pip install 'attlas[peers]')" in result.stderr
