"""Speed and memory, formulation by formulation: run when asked for, on a machine that has nothing else to do.

    python -m pytest tests/benchmarks/bench_formulations.py

`attlas bench --all` prints the figures; here they are held against what the project promises: the error stays within
its budget after timing, a kernel is faster than the reference, and its memory does not grow with m n.
"""

import pytest

from attlas.bench.contestants import engines_for, on_host
from attlas.bench.measure import measure, point_sizes
from attlas.bench.peers import lacking
from attlas.bench.roster import roster
from attlas_ref.records import all_records

HEADS = 8
WIDTH = 64
RECORDS = [record for record in all_records() if record.kind != "U"]
KERNELS = [record for record in RECORDS if record.kind == "K"]


def measured(record, n, memory=False, **more):
    contestants = roster(record, record.peer is not None and lacking(record) is None)
    wanted = [contestant.name for contestant in contestants if memory and on_host(contestant)]
    return measure(record, point_sizes(record, n, WIDTH), (HEADS,), "float32", {}, contestants, memory=wanted, **more)


@pytest.mark.parametrize("n", [256, 1024])
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_timed_results_are_within_their_budget(record, n):
    point = measured(record, n, budget_seconds=0.5)
    assert {name: row for name, row in point["contestants"].items() if row["error_in_budgets"] > 1} == {}


@pytest.mark.parametrize("record", KERNELS, ids=lambda record: record.name)
def test_kernel_is_faster_than_the_reference(record):
    point = measured(record, 1024)
    for engine in engines_for(record):
        assert point["contestants"][engine.name]["speedup"]["reference"]["low"] > 1


@pytest.mark.parametrize("record", KERNELS, ids=lambda record: record.name)
def test_kernel_never_holds_the_weights(record):
    n = 2048
    weights = HEADS * n * n * 4
    rows = measured(record, n, memory=True, budget_seconds=0.0)["contestants"]
    for engine in engines_for(record):
        peak = rows[engine.name]["peak_memory_bytes"]
        assert peak is None or peak < weights / 4
