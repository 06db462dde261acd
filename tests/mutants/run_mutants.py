"""The mutant lane: `make mutants`, or `python tests/mutants/run_mutants.py --lane reference --mutants 200`.

Plants one small fault after another in the sources (`mutant_edits`) and runs the tests of the formulations that use
what was changed (`mutant_lane`): a fault that no test notices is a survivor, which wants a better property, or an entry
in `mutant_equivalents` that says why it is none. What was found is added to `docs/benchmarks/mutants.json`, from which
the site's table is made.

Why no library does it: mutmut (3.8) makes no mutant of a function under a decorator, and every reference is under one;
it cannot see inside of what Numba compiles, either. cosmic-ray changes files on the disk and starts a process per
mutant: ten seconds of imports and thousands of drawn reference values each time, where the mutant itself is judged in
a fraction of a second. Here everything is loaded once. Per formulation one process computes what the reference says of
the drawn calls; each mutant is a fork of it, in which the changed module takes the place of the right one.

All mutants of a lane stand in a random order that is always the same, the families in turn, so that the first ones are
a fair sample: `--mutants` says how many, `--seconds` when to stop. Compiled kernels (`numba`) are compiled anew for
each mutant, in an empty cache; those of `numba-cuda` run in the simulator (`NUMBA_ENABLE_CUDASIM=1`).
"""

import argparse
import contextlib
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pytest
from harsh import poison_empty, shrink_blocks
from hypothesis import HealthCheck, Phase, settings
from mutant_children import TIMEOUT, in_child, one
from mutant_edits import Mutant, mutated
from mutant_equivalents import why_the_same
from mutant_lane import LANES, ROOT, Lane, family_of, module_of

from attlas_ref.records import all_records
from attlas_ref.testing import remembered
from attlas_ref.testing.zoo.bug import planted, remade

TARGET = ROOT / "docs" / "benchmarks" / "mutants.json"
KILLED, SURVIVED, UNREACHED, EQUIVALENT = "killed", "survived", "unreached", "equivalent"
PATIENCE = 20.0
"""Seconds that a mutant has, beside ten times what the right code takes."""
TURNS = 8
"""Formulations whose tests a survivor has to face."""
OWN = 600.0
"""Seconds for the tests of a lane's own, and for those of the contract."""
Found = dict[str, Any]
Checks = list[tuple[str, Callable[[], bool | None]]]


def main() -> None:
    """Run a lane."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lane", choices=list(LANES), action="append")
    parser.add_argument("--mutants", type=int, default=400, help="how many of the lane's mutants to run")
    parser.add_argument("--seconds", type=float, default=24 * 3600.0, help="when to stop")
    parser.add_argument("--only", default="", help="a part of the names of those to run")
    parser.add_argument("--write", action="store_true", help=f"keep what was found in {TARGET.relative_to(ROOT)}")
    parser.add_argument("--again", action="store_true", help="only those that lived the last time; keeps what is found")
    parser.add_argument("--explain", action="store_true", help="only look up anew which survivors compute the same")
    chosen = parser.parse_args()
    if chosen.explain:
        explain()
        return
    harsher()
    for name in chosen.lane or LANES:
        until, alive = time.monotonic() + chosen.seconds, last_alive(name)
        chooses = alive.__contains__ if chosen.again else lambda mutant: chosen.only in mutant
        report = run(LANES[name], len(alive) if chosen.again else chosen.mutants, until, chooses)
        if chosen.again:
            renew(name, report)
        elif chosen.write:
            keep(name, report)
        print(f"{name}: {summary(report)}", flush=True)


def harsher() -> None:
    """Make memory poisoned and blocks small, as the tests do, and draw the same calls at every run."""
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    remembered.KEPT = 2**14
    poison_empty(setattr)
    shrink_blocks(_shrunk, [lane.candidate for lane in LANES.values()])


SMALLER: dict[str, dict[str, Any]] = {}
"""What was made small, by module: a mutant's module begins with the blocks of users."""


def _shrunk(module: Any, name: str, value: Any) -> None:
    SMALLER.setdefault(module.__name__, {})[name] = value
    setattr(module, name, value)


def run(lane: Lane, count: int, until: float, chooses: Callable[[str], bool]) -> Found:
    """Run the first mutants of a lane whose names are chosen, and return what became of them.

    A mutant that survives the tests of the nearest formulation goes on to the next one that uses what was changed.
    """
    every = lane.mutants()
    left = [mutant for mutant in every if chooses(mutant.name)][:count]
    found: dict[tuple[str, int], Found] = {}
    for turn in range(TURNS):
        by_formulation: dict[str, list[Mutant]] = {}
        for mutant in left:
            users = lane.formulations_of(mutant) or [""] * bool(lane.own_tests(mutant))
            if turn < len(users):
                by_formulation.setdefault(users[turn], []).append(mutant)
            elif not users:
                found[mutant.file, mutant.place] = judged(mutant, UNREACHED)
        # In the order of the sample, should the time run out.
        for name, mutants in by_formulation.items():
            if time.monotonic() > until:
                break
            for result in in_child(lambda: bench(lane, name, mutants), until - time.monotonic() + 600):  # noqa: B023
                if "note" in result:
                    print(result["note"], file=sys.stderr, flush=True)
                    continue
                print(f"{result['status']:10} {result['name']} [{name}: {result['by']}]", flush=True)
                found[result["file"], result["place"]] = result
        left = [mutant for mutant in left if found.get((mutant.file, mutant.place), {}).get("status") == SURVIVED]
    return {"possible": len(every), "results": list(found.values())}


def bench(lane: Lane, name: str, mutants: list[Mutant]) -> Iterator[Found]:
    """Judge the mutants of one formulation, or of none, once the right code has passed."""
    checks, start = list(lane.checks(name)) if name else [], time.monotonic()
    sources = {mutant.file: (ROOT / mutant.file).read_text(encoding="utf-8") for mutant in mutants}
    for what, check in list(checks):
        try:
            if lane.name == "numba":  # a mutant must find nothing compiled, so the right code runs elsewhere
                one(check, OWN)
            else:
                check()
        except Exception as error:  # a rare draw of the kit itself, which says nothing of mutants
            checks.remove((what, check))
            yield {"note": f"{name} without {what}, which fails as it is: {error}"[:300]}
    limit = PATIENCE + 10 * (time.monotonic() - start) + (120 if lane.name == "numba" else 0)
    for mutant in mutants:
        status, by = one(lambda: fate(lane, mutant, sources[mutant.file], checks), limit)  # noqa: B023
        for tests in lane.last_tests(mutant, name):
            fails = any_fails(tests)
            if status == SURVIVED and one(fails, OWN) is False:
                last = f"tests/{Path(tests[0]).relative_to(ROOT / 'tests').parts[0]}", fails
                status, by = one(lambda: fate(lane, mutant, sources[mutant.file], [last]), OWN)  # noqa: B023
        if status == SURVIVED and (why := why_the_same(mutant.name)):
            status, by = EQUIVALENT, why
        yield judged(mutant, status, by)


def judged(mutant: Mutant, status: str, by: str = "") -> Found:
    """Return what became of a mutant, in plain types."""
    return {"name": mutant.name, "family": family_of(mutant.file), **asdict(mutant), "status": status, "by": by}


def fate(lane: Lane, mutant: Mutant, source: str, checks: Checks) -> tuple[str, str]:
    """Return what becomes of a mutant in this process, and which test did it; one that returns True has failed."""
    module = module_of(mutant.file)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if lane.name == "numba":
            forget_machine_code(folder)
        try:
            copy = remade(module, mutated(source, mutant.place))
            vars(copy).update(SMALLER.get(module, {}))
            stack.enter_context(planted(copy))
            for record in all_records():  # what they know of signatures: a default may be what is changed
                for known in ("form", "python_signature"):
                    vars(record).pop(known, None)
        except Exception as error:
            return KILLED, f"does not load: {type(error).__name__}"
        for what, check in checks:
            try:
                if check():
                    return KILLED, what
            except AssertionError:
                return KILLED, what
            except BaseException as error:
                return KILLED, f"{what}: {type(error).__name__}"
    return SURVIVED, ""


@functools.cache
def any_fails(tests: tuple[str, ...]) -> Callable[[], bool]:
    """Return what runs tests, which pytest is told of, and says whether any fails."""
    # Both plain assertions and no plugin of Hypothesis, which would warn that all has been imported already.
    options = ["-x", "-q", "--assert=plain", *("-p", "no:cacheprovider"), *("-p", "no:hypothesispytest")]
    return lambda: pytest.main([*options, *tests]) == pytest.ExitCode.TESTS_FAILED


def forget_machine_code(folder: str) -> None:
    """Compile all anew, into an empty folder."""
    from attlas.numba_cpu import compile as compiling

    os.environ["ATTLAS_CACHE_DIR"] = folder
    compiling.cache_folder.cache_clear()
    compiling._names.clear()


def summary(report: Found) -> str:
    """Return the figures of a lane in one line."""
    statuses = [result["status"] for result in report["results"]]
    counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
    killed = counts.get(KILLED, 0) + counts.get(TIMEOUT, 0)
    judged_ = killed + counts.get(SURVIVED, 0)
    share = f"{killed / judged_:.1%}" if judged_ else "nothing"
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{share} of {judged_} killed ({said}); {len(statuses)} of {report['possible']} mutants"


def keep(lane: str, report: Found) -> None:
    """Put the figures of a lane, and the names of what is not killed, into the file."""
    found = known()
    families: dict[str, dict[str, int]] = {}
    for result in report["results"]:
        counts = families.setdefault(result["family"], {})
        counts[result["status"]] = counts.get(result["status"], 0) + 1
    alive = [
        {key: result[key] for key in ("name", "line", "status", "by")}
        for result in report["results"]
        if result["status"] != KILLED
    ]
    found[lane] = {"possible": report["possible"], "families": families, "alive": alive}
    write(found)


def last_alive(lane: str) -> set[str]:
    """Return the names of the mutants of a lane that no test has noticed, or none could."""
    alive = known().get(lane, {"alive": []})["alive"]
    return {mutant["name"] for mutant in alive if mutant["status"] in (SURVIVED, UNREACHED)}


def renew(lane: str, report: Found) -> None:
    """Put into the file what has become of mutants that were alive."""
    found = known()
    for result in report["results"]:
        for mutant in found[lane]["alive"]:
            if mutant["name"] == result["name"]:
                change(found[lane], mutant, result["status"], result["by"])
    write(found)


def explain() -> None:
    """Go through the survivors in the file, once somebody has said of some why they compute the same."""
    found = known()
    for lane in found.values():
        for mutant in lane["alive"]:
            why = why_the_same(mutant["name"])
            if why and mutant["status"] == SURVIVED:
                change(lane, mutant, EQUIVALENT, why)
    write(found)


def change(lane: Found, mutant: Found, status: str, by: str) -> None:
    """Count a mutant of the file otherwise than before; one that is dead is no longer listed."""
    counts = lane["families"][family_of(mutant["name"].split(" ")[0])]
    counts[mutant["status"]] -= 1
    counts[status] = counts.get(status, 0) + 1
    mutant["status"], mutant["by"] = status, by
    lane["alive"] = [one for one in lane["alive"] if one["status"] != KILLED]


def known() -> Found:
    """Return what the file holds."""
    found: Found = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
    return found


def write(found: Found) -> None:
    """Write the file."""
    TARGET.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
