"""The lane itself: what it changes, whom it asks, and that it tells a fault from none."""

import ast
import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest
from mutant_children import TIMEOUT, one
from mutant_edits import Mutant, mutants_of, mutated
from mutant_equivalents import EQUIVALENT, why_the_same
from mutant_lane import LANES, ROOT
from mutant_reach import uses
from run_mutants import KILLED, SURVIVED, fate, summary

from attlas_ref.records import find

simulated = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
pytestmark = pytest.mark.skipif(simulated, reason="the lane of references")
SOURCE = '''
def f(x: "a + b", y=1):
    """Docs."""
    if x < y and not y:
        raise ValueError(f"{x} + {y}")
    wait()
    x += 2
    return max(x, -y) if x else np.where(x, 3, y)
'''


def test_each_operator_makes_its_mutants() -> None:
    found = [f"{mutant.before} → {mutant.after}" for mutant in mutants_of("a.py", SOURCE)]
    assert "x < y → x <= y" in found
    assert "x < y and (not y) → x < y or not y" in found
    assert "wait() → (nothing)" in found
    assert "x += 2 → x = 2" in found
    assert "max → min" in found
    assert "np.where(x, 3, y) → np.where(x, y, 3)" in found
    one_line = [name for name in found if not name.startswith(("if", "def"))]
    assert not any(part in name for part in ("Error", "a + b", "Docs") for name in one_line)


def test_a_mutant_is_its_source_with_one_change() -> None:
    for mutant in mutants_of("a.py", SOURCE):
        text = ast.unparse(mutated(SOURCE, mutant.place))
        assert text != ast.unparse(ast.parse(SOURCE))
        assert compile(mutated(SOURCE, mutant.place), "a.py", "exec")


def test_a_formulation_uses_what_its_function_names() -> None:
    used = uses(find("memory_efficient_attention").reference)
    assert ("attlas_ref.dotproduct.attention_partial", "_rescale") in used
    assert ("attlas_ref.visibility", "visible_pairs") in used
    assert ("attlas_ref.normalizers.entmax", "entmax") not in used


def test_the_order_is_always_the_same_and_takes_families_in_turn() -> None:
    folders = ("ref/attlas_ref/variational", "ref/attlas_ref/visibility.py")
    lane = dataclasses.replace(LANES["reference"], folders=folders)
    first = lane.mutants()[:6]
    assert first == lane.mutants()[:6]
    assert [mutant.file.split("/")[2] for mutant in first] == ["variational", "visibility.py"] * 3
    assert len({mutant.file for mutant in first}) == 2


FILE = "ref/attlas_ref/memory/classical_hopfield.py"


@pytest.mark.parametrize(
    ("change", "status"),
    [("field == 0 → field != 0", KILLED), ("key.mT @ key → key.mT @ key", ""), ("UNUSED + 1 → UNUSED - 1", SURVIVED)],
)
def test_a_fault_is_told_from_none(change: str, status: str) -> None:
    source = (ROOT / FILE).read_text(encoding="utf-8") + "\nUNUSED = 1\nUNUSED = UNUSED + 1\n"
    named = {f"{mutant.before} → {mutant.after}": mutant for mutant in mutants_of(FILE, source)}
    assert (change in named) == bool(status)
    if status:
        assert apart(fate_of, named[change], source) == status


def test_what_does_not_end_is_stopped() -> None:
    assert apart(fate_of_what_does_not_end) == TIMEOUT


def apart(function: Callable[..., str], *arguments: object) -> str:
    """Call in a process of its own, since the lane forks, which one with threads should not."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def fate_of(mutant: Mutant, source: str) -> str:
    lane = LANES["reference"]
    checks = list(lane.checks("classical_hopfield"))
    return str(one(lambda: fate(lane, mutant, source, checks), 300)[0])


def fate_of_what_does_not_end() -> str:
    def forever() -> None:
        while True:
            pass

    return str(one(forever, 0.5)[0])


def test_the_share_leaves_out_what_computes_the_same() -> None:
    statuses = [KILLED, KILLED, TIMEOUT, SURVIVED, "equivalent", "unreached"]
    report = {"possible": 10, "results": [{"status": status} for status in statuses]}
    assert summary(report).startswith("75.0% of 4 killed")


def test_idioms_of_safe_division_are_known() -> None:
    assert why_the_same("a.py f: 1 → 2 in: return x / np.where(total == 0, 1, total)")
    assert why_the_same("a.py f: 1 → 2 in: return x / np.where(total == 1, 1, total)") is None
    assert why_the_same("a.py f: 0 → 1 in: top = np.where(top == -np.inf, 0, top)")


def test_each_mutant_that_computes_the_same_is_one_of_the_sources() -> None:
    files = {name.split(" ", 1)[0] for name in EQUIVALENT}
    known = {mutant.name for file in files for mutant in mutants_of(file, (ROOT / file).read_text(encoding="utf-8"))}
    assert set(EQUIVALENT) <= known
    assert all(EQUIVALENT.values())
