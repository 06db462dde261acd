"""The tables that pages are made of say what the records, the conversions and the measurements say."""

from typing import Any

import pytest
from built_site import ROOT

from attlas.interop import CONVENTIONS
from attlas_ref.records import FAMILIES, all_records
from attlas_ref.testing.zoo import BUGS


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generator import accuracy, conventions, mutants, promises, properties, zoo

    modules = (accuracy, conventions, mutants, promises, properties, zoo)
    return {module.__name__.split(".")[-1]: module for module in modules}


def rows(table: str) -> list[list[str]]:
    """The cells of the body of a Markdown table."""
    lines = [line.strip() for line in table.splitlines() if line.strip().startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("\\|", "¦").split("|")] for line in lines[2:]]


def test_properties_are_those_of_the_records(generator: Any) -> None:
    found = {row[0].split("`")[1]: row for row in rows(generator["properties"].table())}
    assert list(found) == [record.name for record in all_records()]
    assert found["softmax_attention"][1:9] == ["dotproduct", "exact", "yes", "yes", "yes", "yes", "–", "all"]
    assert found["fastmax_attention"][2] == "for `softmax_attention`"
    assert found["hard_attention"][2] == "draws"
    assert found["titans_memory"][7] == "yes"
    assert found["causal_mask"][8] == "NumPy"


def test_counts_and_coverage_have_every_family(generator: Any) -> None:
    counts = rows(generator["properties"].families())
    assert [row[0].split("]")[0] for row in counts] == [f"[{family}" for family in FAMILIES]
    assert sum(int(row[1]) for row in counts) == len(all_records())
    coverage = generator["properties"].coverage()
    assert all(f"[`{record.name}`]" in coverage for record in all_records())


def test_conventions_tick_what_is_the_same_and_slant_what_was_read(generator: Any) -> None:
    table = rows(generator["conventions"].table())
    assert len(table) == len(CONVENTIONS)
    causal = next(row for row in table if "causal with" in row[0])
    assert causal[2].startswith("✓ *")
    assert causal[3].startswith("the first query")


def test_errors_are_shown_by_family_and_engine(generator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = generator["accuracy"]
    dtypes = {dtype: {"ulp": 0.25, "budgets": 0.5} for dtype in accuracy.DTYPES}
    machine = {"date": "2001-02-03", "processor": "A", "system": "B", "versions": {"numpy": "2", "numba": "0"}}
    report = {"machine": machine, "engines": {"numba": {record.name: dtypes for record in all_records()}}}
    monkeypatch.setattr(accuracy, "report", lambda: report)
    assert rows(accuracy.ulps())[0][1:] == ["`numba`", *["0.2 · 0.2"] * 4]
    assert rows(accuracy.ulps())[0][0].startswith("[dotproduct]")
    assert rows(accuracy.budgets())[-1][2] == "0.50 · 0.50"
    monkeypatch.setattr(accuracy, "report", lambda: None)
    assert "measure_accuracy.py" in accuracy.ulps()


def test_every_bug_has_been_hunted_and_stands_on_the_page(generator: Any) -> None:
    entries, table = generator["zoo"].entries(), rows(generator["zoo"].table())
    assert set(generator["zoo"].report()) == {bug.name for bug in BUGS}
    assert entries.count("```diff") == len(BUGS)
    assert int(table[-1][1]) == len(BUGS)
    for bug in BUGS:
        assert f"Killed by `{bug.law}`" in entries


def test_killed_mutants_are_counted_by_family_and_engine(generator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutants = generator["mutants"]
    counts = {"memory": {"killed": 7, "timeout": 1, "survived": 2, "equivalent": 5}, "shared": {"unreached": 1}}
    alive = [{"name": "a.py f: 1 → 2", "line": 3, "status": "survived", "by": ""}]
    report = {"cupy": {"possible": 1000, "families": counts, "alive": alive}}
    monkeypatch.setattr(mutants, "report", lambda: report)
    table = {row[0].strip("*[").split("]")[0]: row[1] for row in rows(mutants.table())}
    assert table["memory"] == "8 / 10"
    assert table["all"] == "8 / 10 (80%)"
    assert table["mutants that were run"] == "16 of 1,000"
    assert "`cupy`, on NumPy: `a.py f: 1 → 2` (line 3)" in mutants.alive()


def test_what_was_measured_is_within_its_budget(generator: Any) -> None:
    report = generator["accuracy"].report()
    assert report is not None
    for engine, entries in report["engines"].items():
        for name, entry in entries.items():
            errors = {dtype: entry[dtype]["budgets"] for dtype in generator["accuracy"].DTYPES if dtype in entry}
            assert max(errors.values()) <= 1, (engine, name, errors)


def test_bits_are_promised_as_the_records_say(generator: Any) -> None:
    table = {row[0]: row[1:] for row in rows(generator["promises"].bits())}
    memories = [record for record in all_records("memory") if record.kind != "U"]
    on_numba = [record for record in memories if "numba" in record.engines]
    shares = [f"{len(records)} of {len(records)}" for records in (memories, on_numba)]
    assert table["[memory](atlas/memory/index.md)"][:2] == shares
    assert table["[`landmark_attention`](atlas/memory/landmark_attention.md)"][3].startswith("within the budget")
    assert table["[`softmax_attention`](atlas/dotproduct/softmax_attention.md)"] == ["equal"] * 4


def test_what_was_measured_is_as_promised(generator: Any) -> None:
    found = generator["promises"].report()
    assert found is not None
    assert all(entry["same"] and entry["seconds"] < 0.1 for entry in found["interrupts"])
    assert all(entry["bytes"] < 2**20 and entry["threads"] <= 0 for entry in found["calls"])
    assert all(entry["bytes"] < 500e6 for entry in found["large"].values())
    for entry in found["growth"].values():
        assert entry["fitted_time"] < entry["time"] + 0.25
        assert entry["fitted_memory"] < entry["memory"] + 0.25
