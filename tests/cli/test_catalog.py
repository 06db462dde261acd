"""`list`, `show` and `doctor` say what the records and the machine say."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from attlas.engines import TABLE
from attlas_ref.records import FAMILIES, all_records, find
from attlas_ref.testing.laws import laws_of

NAMES = [record.name for record in all_records()]


def test_list_shows_every_formulation_within_80_columns(cli):
    result = cli("list")
    assert result.exit_code == 0
    assert all(f" {name} " in result.stdout for name in NAMES)
    assert all(family in result.stdout for family in FAMILIES)
    assert max(map(cell_len, result.stdout.splitlines())) <= 80


def test_list_as_json(cli):
    listed = cli.json("list")
    assert [entry["name"] for entry in listed] == NAMES
    assert {entry["name"]: entry["engines"] for entry in listed}["softmax_attention"] == list(TABLE)


@pytest.mark.parametrize("family", FAMILIES)
def test_list_of_one_family(cli, family):
    assert [entry["name"] for entry in cli.json("list", "--family", family)] == [r.name for r in all_records(family)]


@pytest.mark.parametrize("name", NAMES)
def test_show_tells_what_the_record_knows(cli, name):
    record, result = find(name), cli("show", name)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    for part in (record.title, record.formula, record.source.title, *record.options):
        assert " ".join(part.split()) in text
    assert all(law.name in text for law in laws_of(name))
    assert max(map(cell_len, result.stdout.splitlines())) <= 80


def test_show_as_json(cli):
    shown = cli.json("show", "relu_attention")
    assert shown["signature"] == "(m,d),(n,d),(n,e)->(m,e)"
    assert shown["call"].startswith("relu_attention(query, key, value, *, length_power=1.0, squared=False")
    assert shown["options"]["normalize"] == "one of length, sum, None"
    assert shown["cost"] == "m n (d + e) multiplications in a single pass."
    assert {law["name"] for law in shown["laws"]} == {law.name for law in laws_of("relu_attention")}


def test_every_formulation_states_its_cost(cli):
    assert [name for name in NAMES if find(name).kind != "U" and not cli.json("show", name)["cost"]] == []


def test_doctor_knows_every_engine(cli):
    said = cli.json("doctor")
    assert [engine["engine"] for engine in said["engines"]] == list(TABLE)
    for engine in said["engines"]:
        assert engine["available"] == (engine["missing"] is None) == (TABLE[engine["engine"]].missing() is None)
    assert said["machine"]["threads"] >= 1
    assert {"python", "numpy", "numba"} <= set(said["machine"]["versions"])


def test_doctor_in_words(cli):
    text = " ".join(cli("doctor").stdout.split())
    for engine in TABLE.values():
        assert f"{engine.name} {'lacks ' + engine.missing() if engine.missing() else 'ready'}" in text


def test_help_of_a_real_process_lists_the_commands_and_imports_no_engine(process):
    done = process("--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("list", "show", "compare", "bench", "doctor", "tour"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"numba", "torch", "cupy", "scipy", "hypothesis"}


def test_version(process):
    import attlas

    assert process("--version").stdout == f"attlas {attlas.__version__}\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_reader_that_stops_early_hears_nothing_on_stderr(options):
    script = Path(sys.executable).with_name("attlas")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([script, "list", *options], **pipes) as listing:
        listing.stdout.close()
        assert listing.stderr.read() == b""
        assert listing.wait(60) == 1
