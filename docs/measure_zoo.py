"""Hunt the famous bugs: `python docs/measure_zoo.py`, some ten minutes.

Writes `docs/benchmarks/zoo.json`, from which the page on bugs is made: for every bug of `attlas_ref.testing.zoo`
whether its rows of weights still sum to one, and the smallest call with which its law does not hold. Bugs named on the
command line are hunted anew, the others only if the file does not have them. Those of kernels live in Numba's
simulator, in a process of their own: `NUMBA_ENABLE_CUDASIM=1 python docs/measure_zoo.py` adds them.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings

from attlas_ref.testing.laws.law import Relation
from attlas_ref.testing.plan import Call
from attlas_ref.testing.zoo import BUGS, Bug, hunt

TARGET = Path(__file__).parent / "benchmarks" / "zoo.json"
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
LARGEST = 6
"""Entries of an array that a line shows."""
SIGNS = {"equal": "≠", "same": "≠", "at most": ">"}


def main(names: list[str]) -> None:
    """Hunt those that are named, and those that are not in the file."""
    settings.register_profile("zoo", derandomize=True, database=None)
    settings.load_profile("zoo")
    found: dict[str, Any] = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
    for bug in BUGS:
        if bug.in_a_kernel == SIMULATED and (bug.name in names or bug.name not in found):
            print(bug.name, flush=True)
            with bug.planted() if SIMULATED else contextlib.nullcontext():
                found[bug.name] = measured(bug)
            found = {bug.name: found[bug.name] for bug in BUGS if bug.name in found}
            TARGET.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measured(bug: Bug) -> dict[str, Any]:
    """Return what is known of a bug that lives."""
    candidate = hunt.candidate_of(bug)
    broken = hunt.killed_by_its_law(bug, candidate)
    assert broken is not None, f"{bug.name} lives"
    return {
        "rows_sum_to_one": hunt.rows_sum_to_one(bug, candidate),
        "call": said(broken.call),
        "broken": difference(broken.relation),
    }


def said(call: Call) -> str:
    """Return a call in few words: sizes, what has few entries, what is not as usual."""
    assert call.plan is not None
    parts = [", ".join(f"{letter} = {size}" for letter, size in call.plan.sizes.items())]
    parts += [f"batch {call.plan.batch}"] if call.plan.batch else []
    parts += [call.plan.magnitude] if call.plan.magnitude != "normal" else []
    for name, value in call.options.items():
        if name.startswith("return_") or value is None:
            continue
        if not hasattr(value, "shape"):
            parts.append(f"{name} = {round(value, 3) if isinstance(value, float) else value}")
        elif value.size <= LARGEST and name in ("mask", "bias", "uniform", "previous"):
            parts.append(
                f"{name} = {(value if value.dtype.kind == 'b' else np.round(value.astype(float), 3)).tolist()}"
            )
    return "; ".join(parts)


def difference(relation: Relation) -> str:
    """Return the entry where two sides of a law are furthest from it."""
    left, right = (np.asarray(side, np.float64) for side in (relation.left, relation.right))
    left, right = np.broadcast_arrays(left, right)
    with np.errstate(invalid="ignore"):
        apart = np.nan_to_num(left - right if relation.kind == "at most" else np.abs(left - right), nan=np.inf)
    apart = np.where((left == right) | (np.isnan(left) & np.isnan(right)), -np.inf, apart)
    worst = np.unravel_index(apart.argmax(), apart.shape)
    return f"{number(left[worst])} {SIGNS[relation.kind]} {number(right[worst])}"


def number(value: float) -> str:
    """Return a number with the digits that a reader needs.

    >>> number(float("-inf")), number(0.123456)
    ('−∞', '0.1235')
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}".replace("-", "−")


if __name__ == "__main__":
    main(sys.argv[1:])
