"""Measure how far the engines are from the references: `python docs/measure_accuracy.py`, a good quarter of an hour.

Writes `docs/benchmarks/accuracy.json`, from which the page on accuracy is made: for every formulation, engine and dtype
the largest error in units in the last place and in budgets. What the file holds already is not measured again, unless
it is named: `python docs/measure_accuracy.py softmax_attention`. The CUDA kernels run in Numba's simulator, in a
process of their own: `NUMBA_ENABLE_CUDASIM=1 python docs/measure_accuracy.py` adds them.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attlas.bench.machine import machine
from attlas_ref.contract.results import flat
from attlas_ref.records import Record, all_records
from attlas_ref.testing.budget import agreeing, error_in_budgets, high_and_lows, rounded, unit
from attlas_ref.testing.candidates import Candidate, candidates
from attlas_ref.testing.checks import formulations
from attlas_ref.testing.drawn import Call, example_call

TARGET = Path(__file__).parent / "benchmarks" / "accuracy.json"
DTYPES = ("float16", "bfloat16", "float32", "float64")
SIZES = {"m": 33, "n": 65, "d": 16, "e": 16}
"""Rows and widths of a call, unless its record says that its cost grows faster."""
SIMULATED = {"m": 3, "n": 5, "d": 4, "e": 3}


def main() -> None:
    """Measure every engine of this process and put it beside what is there already."""
    report: dict[str, Any] = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {"engines": {}}
    report["machine"] = machine()
    chosen = sys.argv[1:]
    engines = candidates()
    computed = {engine.name: set(formulations(engine)) for engine in engines}
    kept = {engine.name: report["engines"].setdefault(engine.name, {}) for engine in engines}
    records = [record for record in all_records() if record.kind != "U" and (not chosen or record.name in chosen)]
    try:
        for index, record in enumerate(records):
            print(f"\r{index + 1} of {len(records)}, {record.name:40}", end="", file=sys.stderr, flush=True)
            able = [engine for engine in engines if record.name in computed[engine.name]]
            if able and (chosen or any(record.name not in kept[engine.name] for engine in able)):
                for engine, entry in measured(able, record).items():
                    kept[engine][record.name] = entry
    finally:  # what has been measured is kept: the next run goes on behind it
        print(file=sys.stderr)
        TARGET.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measured(engines: Sequence[Candidate], record: Record) -> dict[str, dict[str, Any]]:
    """Return the errors by dtype of one formulation, for each engine."""
    simulated = "simulator" in engines[0].name
    entries: dict[str, dict[str, Any]] = {engine.name: {} for engine in engines}
    for dtype in DTYPES:
        try:
            calls = drawn(record, dtype, SIMULATED if simulated else SIZES)
            exact = [high_and_lows(call.name, call.arrays, call.options) for call in calls]
        except ValueError:  # the numbers of a valid call, rounded: shares that sum to more than 1, draws of 1
            continue
        for engine in engines:
            errors = [errors_of(engine, call, *known) for call, known in zip(calls, exact, strict=True)]
            entries[engine.name][dtype] = {name: max(error[name] for error in errors) for name in ("ulp", "budgets")}
    return entries


def drawn(record: Record, dtype: str, sizes: Mapping[str, int]) -> list[Call]:
    """Draw the calls of one formulation: plain, and with a mask and the causal rule where it takes them."""
    sizes = {letter: min(size, record.largest.get(letter, size)) for letter, size in sizes.items()}
    given = {"mask"} & set(record.options)
    options = {"causal": True} if "causal" in record.options else {}
    rng = np.random.default_rng(0)
    calls = [example_call(record.name, rng, sizes, (2,), dtype)]
    if given or options:
        calls.append(example_call(record.name, rng, sizes, (2,), dtype, given=given, **options))
    return calls


def errors_of(engine: Candidate, call: Call, high: Any, lows: Sequence[Any]) -> dict[str, float]:
    """Return the largest error of a call, in units in the last place of the largest entry and in budgets."""
    actual = call.by(engine)
    parts = zip(flat(actual), flat(high), zip(*map(flat, lows), strict=True), strict=True)
    ulps = [ulp(*part) for part in parts if np.asarray(part[0]).dtype.kind not in "biu"]
    return {"ulp": max(ulps, default=0.0), "budgets": float(error_in_budgets(actual, high, lows))}


def ulp(actual: Any, high: Any, lows: Sequence[Any]) -> float:
    """Return the largest error of one result, in units in the last place of the largest entry of its head."""
    actual, dtype = np.asarray(actual), np.asarray(actual).dtype
    if any(np.shape(low) != np.shape(high) for low in lows) or actual.size == 0:
        return 0.0
    high = rounded(high, dtype)
    judged = agreeing(high, lows) & np.isfinite(high) & np.isfinite(actual.astype(float))
    axes = tuple(range(max(high.ndim - 2, 0), high.ndim))

    def largest(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.where(judged, np.abs(x), 0).max(axis=axes, initial=0))

    with np.errstate(invalid="ignore"):
        error, size = largest(actual.astype(float) - high), largest(high)
    return float(np.divide(error, unit(dtype) * size, out=np.zeros_like(error), where=size > 0).max(initial=0))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
