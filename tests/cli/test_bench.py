"""The harness takes turns, checks what it timed, and reports what it says; how fast anything is, is not tested here."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from attlas.bench import harness, limits, machine, measure, memory, peers, report, roster, work
from attlas.bench.contestants import Contestant, engines_here, reference_contestant
from attlas.bench.draw import drawn_call
from attlas_ref.records import all_records, find
from attlas_ref.testing.budget import error_in_budgets, high_and_lows
from attlas_ref.testing.drawn import letters_of
from attlas_ref.testing.members import member

TIMED = [record.name for record in all_records() if record.kind != "U" and record.engines]
WITH_PEER = [record.name for record in all_records() if record.peer]
ENGINES = [engine.name for engine in engines_here()]
needs_torch = pytest.mark.skipif(not machine.installed("torch"), reason="PyTorch is not installed")


def small_limits(dtype="float32"):
    return limits.measure_limits(dtype, side=64, copied=2**16, repeats=1)


@pytest.fixture
def quick(monkeypatch):
    """Measure small limits on an idle machine: the structure of a report does not depend on them."""
    monkeypatch.setattr("attlas.cli.bench.measure_limits", small_limits)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)


def call_of(name, sizes=None, batch=(2,), dtype="float32", **options):
    return drawn_call(find(name), np.random.default_rng(3), sizes or {}, batch, dtype, options)


class Recorder:
    """Contestants that write down when they were called and on which inputs."""

    def __init__(self):
        self.log = []

    def contestant(self, name):
        def prepare(call):
            return lambda: self.log.append((name, float(call.arrays[0].flat[0]))) or name

        return Contestant(name, prepare, str.upper)


def draw_numbered(number):
    return call_of("attention_energy").given(np.full((1, 1), float(number)), np.zeros((1, 1)))


def test_contestants_take_turns_on_fresh_inputs(monkeypatch):
    monkeypatch.setattr(harness, "SHORT_SECONDS", 0.0)  # a call that does not count and one that does per turn
    recorder = Recorder()
    racers = [recorder.contestant(name) for name in "abc"]
    outcome = harness.race(racers, draw_numbered, min_rounds=4, max_rounds=4)
    calls = recorder.log[-24:]
    turns = calls[1::2]
    assert calls[::2] == turns
    assert ["".join(name for name, _ in turns[3 * r : 3 * r + 3]) for r in range(4)] == ["bca", "cab", "abc", "bca"]
    assert [number for _, number in turns] == [1.0] * 3 + [2.0] * 3 + [3.0] * 3 + [4.0] * 3
    assert {name: len(seconds) for name, seconds in outcome.seconds.items()} == {"a": 4, "b": 4, "c": 4}
    assert outcome.call.arrays[0].item() == 4.0
    assert outcome.results == {"a": "A", "b": "B", "c": "C"}


def test_rounds_end_with_the_budget_but_not_before_the_minimum():
    recorder = Recorder()
    racers = [recorder.contestant(name) for name in "ab"]
    outcome = harness.race(racers, draw_numbered, min_rounds=3, max_rounds=50, budget_seconds=0.0)
    assert len(outcome.seconds["a"]) == 3


def test_turns_begin_with_calls_that_do_not_count(monkeypatch):
    monkeypatch.setattr(harness, "SETTLE_SECONDS", 0.01)
    recorder = Recorder()
    start = time.perf_counter()
    outcome = harness.race([recorder.contestant("a")], draw_numbered, min_rounds=1, max_rounds=1)
    assert time.perf_counter() - start > 0.01
    assert len(recorder.log) > 20
    assert len(outcome.seconds["a"]) == 1


def test_short_calls_are_repeated_within_a_turn(monkeypatch):
    monkeypatch.setattr(harness, "SHORT_SECONDS", 0.002)
    recorder = Recorder()
    harness.race([recorder.contestant("a")], draw_numbered, min_rounds=1, max_rounds=1)
    assert len(recorder.log) > 20


def test_ratios_are_paired_round_by_round():
    outcome = harness.Race({"slow": (8.0, 30.0, 2.0), "fast": (4.0, 10.0, 2.0)}, None, {})
    assert outcome.speedup("fast", over="slow") == harness.Spread(median=2.0, low=1.5, high=2.5)
    assert outcome.time("fast").median == 4.0


def test_member_is_the_last_of_the_batch():
    call = call_of("softmax_attention", batch=(2, 3), mask=np.ones((5, 7), dtype=bool))
    one = member(call, (2, 3), (-1, -1))
    np.testing.assert_array_equal(one.arrays[1], call.arrays[1][-1, -1])
    assert one.options["mask"].shape == (5, 7)


SIZES = {"m": 6, "n": 9, "d": 4, "e": 5}


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("softmax_attention", 2 * 6 * 9 * (4 + 5)),
        ("attention_energy", 2 * 6 * 9 * 4),
        ("softmax_attention_vjp", 2 * 6 * 9 * (3 * 4 + 2 * 5)),
        ("merge_attention_partials", 0),
    ],
)
def test_operations_are_those_of_the_definition(name, operations):
    assert work.work_of(find(name), SIZES).operations == operations
    assert work.work_of(find(name), SIZES, batch=(2, 3)).operations == 6 * operations


@pytest.mark.parametrize(("m", "n"), [(6, 9), (9, 6), (1, 4), (4, 1)])
def test_pairs_in_the_future_are_no_work(m, n):
    pairs = sum(j <= i + n - m for i in range(m) for j in range(n))
    sizes = {**SIZES, "m": m, "n": n}
    counted = work.work_of(find("softmax_attention"), sizes, options={"causal": True})
    assert counted.operations == 2 * pairs * (4 + 5)


@pytest.mark.parametrize(("dtype", "itemsize"), [("float16", 2), ("float32", 4), ("float64", 8)])
def test_bytes_are_those_of_inputs_and_results(dtype, itemsize):
    counted = work.work_of(find("softmax_attention"), SIZES, (3,), dtype)
    assert counted.bytes == 3 * itemsize * (6 * 4 + 9 * 4 + 9 * 5 + 6 * 5)


@needs_torch
@pytest.mark.parametrize("name", WITH_PEER)
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"scale": 0.5}])
def test_peer_computes_what_the_reference_does(name, batch, options):
    if peers.lacking(find(name)) or not set(options) <= set(find(name).options):
        pytest.skip("there is no such peer or option here")
    sizes = {**dict.fromkeys(("m", "n", "n_1", "n_2"), 6), "d": 4, "e": 4}
    call = call_of(name, sizes, batch, **options)
    peer = peers.peer_contestant(find(name))
    result = peer.to_numpy(peer.prepare(call)())
    assert error_in_budgets(result, *high_and_lows(name, call.arrays, call.options)) <= 1


@needs_torch
def test_peer_refuses_an_option_that_it_would_ignore():
    call = call_of("relu_attention", squared=True)
    with pytest.raises(ValueError, match="does not take the option squared"):
        peers.peer_contestant(find("relu_attention")).prepare(call)


@pytest.mark.parametrize("record", [find(name) for name in WITH_PEER], ids=WITH_PEER)
def test_every_named_peer_exists(record):
    if peers.lacking(record):
        pytest.skip("the peer's package is not installed")
    assert peers.peer_contestant(record).name == "torch"


def test_contestants_are_found_by_name():
    for name in ("reference", *ENGINES):
        assert roster.contestant_named(find("softmax_attention"), name).name == name


needs_marks = pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="this system cannot set its mark back")


@needs_marks
def test_peak_memory_of_the_reference_holds_its_weights():
    m = n = 1024
    grown = memory.peak_memory("softmax_attention", "reference", {"m": m, "n": n, "d": 8, "e": 8}, (1,), "float32", {})
    assert grown is not None
    assert m * n * 4 < grown < 40 * m * n  # more than the weights, and less than ten of them


@needs_marks
def test_peak_memory_of_an_engine_does_not():
    m = n = 1024
    grown = memory.peak_memory("softmax_attention", "numba", {"m": m, "n": n, "d": 64, "e": 64}, (1,), "float32", {})
    assert grown is not None
    assert m * 64 * 4 <= grown < m * n * 4  # the result at least, and less than the weights


def test_fault_in_the_memory_process_is_reported():
    with pytest.raises(RuntimeError, match=r"could not be measured: .*nothing_like_it"):
        memory.peak_memory("nothing_like_it", "reference", {}, (), "float32", {})


def test_limits_are_positive_and_the_higher_count():
    one = limits.Limits("float32", 5.0, "numpy", 3.0)
    other = limits.Limits("float32", 7.0, "torch", 2.0)
    assert one.higher(other) == other.higher(one) == limits.Limits("float32", 7.0, "torch", 3.0)
    measured = small_limits()
    assert min(measured.operations_per_second, measured.bytes_per_second) > 0


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", TIMED)
def test_bench_reports_every_contestant(cli, quick, name):
    measured = cli.json("bench", name, "--n", "8,9", "--width", "4", "--heads", "2", "--seconds", "0", "--no-memory",
                        "--peer", "none")  # fmt: skip
    assert len(measured["results"]) == 2
    for point, length in zip(measured["results"], (8, 9), strict=True):
        assert {point["sizes"].get("m", length), point["sizes"].get("n", length)} == {length}
    for point in measured["results"]:
        assert set(point["sizes"]) == set(letters_of(find(name)))
        assert list(point["contestants"]) == ["reference", *ENGINES]
        for who, row in point["contestants"].items():
            assert row["error_in_budgets"] <= 1
            assert 0 < row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"]
            assert set(row["speedup"]) == {"reference", *ENGINES} - {who}
            assert row["product_share"] >= 0
            assert row["copy_share"] > 0
            assert row["peak_memory_bytes"] is None


def test_bench_says_that_the_machine_is_busy(cli, quick, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0), raising=False)
    result = cli("bench", "finish_attention_partial", "--n", "4", "--seconds", "0", "--no-memory")
    assert result.exit_code == 0
    assert result.stderr.startswith("attlas: this machine is busy (load 1000.0")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report of one small point with everything in it, written by a real process."""
    path = tmp_path_factory.mktemp("bench") / "new" / "benchmarks.json"
    options = ["--n", "32", "--width", "8", "--heads", "2", "--seconds", "0.01", "--write", str(path)]
    program = (
        "import os; from attlas.cli import bench, main; from attlas.bench.limits import measure_limits; "
        "os.getloadavg = lambda: (0.0, 0.0, 0.0); "
        "bench.measure_limits = lambda dtype: measure_limits(dtype, 64, 2**16, 1); main()"
    )
    command = [sys.executable, "-c", program, "bench", "softmax_attention", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.xdist_group("bench")
def test_bench_prints_a_table_within_80_columns(written):
    text, _ = written
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines()]
    assert all(any(line[:1] == [name] for line in lines) for name in ("reference", *ENGINES))


@pytest.mark.xdist_group("bench")
def test_written_report_says_where_it_was_measured(written):
    _, measured = written
    assert measured["machine"] == machine.machine() | {"date": measured["machine"]["date"]}
    assert [limit["dtype"] for limit in measured["limits"]] == ["float32"]


@needs_marks
@pytest.mark.xdist_group("bench")
def test_written_report_holds_memory_and_peer(written):
    (point,) = written[1]["results"]
    assert all(row["peak_memory_bytes"] is not None for row in point["contestants"].values())
    if machine.installed("torch"):
        assert point["contestants"]["torch"]["error_in_budgets"] <= 1


@pytest.mark.xdist_group("bench")
def test_markdown_shows_every_contestant_of_a_report(written):
    _, measured = written
    page = report.markdown(measured)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    (point,) = measured["results"]
    assert len(rows) == 2 + len(point["contestants"])
    assert len({line.count("|") for line in rows}) == 1
    assert measured["machine"]["processor"] in page
    assert measured["machine"]["date"] in page


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0123456, "0.0123"), (0.0, "0"), (0.5, "0.500"), (1.234, "1.23"), (45.67, "45.7"), (1234.5, "1234")],
)
def test_numbers_have_three_digits_and_no_exponent(number, text):
    assert report.three(number) == text


def test_reference_is_called_as_it_is():
    call = call_of("relu_attention", squared=True)
    reference = reference_contestant(find("relu_attention"))
    expected = find("relu_attention").reference(*call.arrays, squared=True)
    np.testing.assert_array_equal(reference.to_numpy(reference.prepare(call)()), expected)


def test_what_does_not_fit_into_memory_is_left_out_and_told(cli, quick, monkeypatch):
    measured = measure.measure

    def small_only(record, sizes, *arguments, **options):
        if sizes["n"] > 8:
            raise MemoryError("Unable to allocate 128. GiB")
        return measured(record, sizes, *arguments, **options)

    monkeypatch.setattr("attlas.cli.bench.measure", small_only)
    result = cli("bench", "softmax_attention", "--peer", "none", "--n", "8,16", "--seconds", "0", "--json")
    assert [point["sizes"]["n"] for point in json.loads(result.stdout)["results"]] == [8]
    assert "left out: softmax_attention, n = 16: Unable to allocate 128. GiB" in " ".join(result.stderr.split())
    result = cli("bench", "softmax_attention", "--peer", "none", "--n", "16", "--seconds", "0")
    assert result.exit_code != 0
    assert "Unable to allocate 128. GiB" in " ".join(result.stderr.split())
