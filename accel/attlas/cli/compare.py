"""`attlas compare`: one call, the reference and every engine of this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call

from ..bench.compare import Comparison, compare
from ..bench.contestants import engines_for
from ..bench.report import error_text, spread_text, three
from . import inputs
from .catalog import record_named
from .output import console, print_json, progress, table
from .problem import FAILED, Problem


def compare_command(
    name: str,
    input_file: Path | None,
    real: bool,
    output: Path | None,
    size: str,
    batch: str,
    dtype: str | None,
    seed: int,
    option: Sequence[str],
    as_json: bool,
) -> int:
    """Compare and return the exit status: 1 if an engine exceeds its budget."""
    record = record_named(name)
    if record.kind == "U":
        raise Problem(f"{name} is a utility that exists once: there is nothing to compare")
    options = inputs.parse_options(record, option)
    call = _call(record, input_file, real, size, batch, dtype, seed, options)
    if output is not None and output.suffix != ".npz":
        raise Problem(f"--output is {str(output)!r}; it needs a name that ends in .npz")
    engines = engines_for(record)
    with progress() as bar:
        bar.add_task(f"{name} on {', '.join(engine.name for engine in engines) or 'no engine'}", total=None)
        comparisons = compare(record, [call], engines)
    if output is not None:
        _write(record, call, comparisons, output)
    if as_json:
        print_json({"name": name, "input": _shapes(record, call), "engines": [_row(c) for c in comparisons]})
    else:
        _print(record, call, comparisons)
    return 0 if all(comparison.passed for comparison in comparisons) else FAILED


def _call(
    record: Record,
    input_file: Path | None,
    real: bool,
    size: str,
    batch: str,
    dtype: str | None,
    seed: int,
    options: Mapping[str, Any],
) -> Call:
    if input_file is not None and real:
        raise Problem("--input and --real each give the input; choose one")
    if input_file is not None:
        return inputs.from_file(record, input_file, dtype, options)
    if real:
        from ..tour.inputs import real_call

        return inputs.checked(record, real_call(record, dtype=inputs.known_dtype(dtype or "float32"), **options))
    return inputs.drawn(record, size, batch, dtype or "float32", seed, options)


def _write(record: Record, call: Call, comparisons: Sequence[Comparison], path: Path) -> None:
    results = {"reference": record.reference(*call.arrays, **call.options)}
    results |= {c.engine: c.result for c in comparisons if not c.fault}
    named = {f"{who}.{part}": array for who, result in results.items() for part, array in _parts(result).items()}
    try:
        with path.open("wb") as file:
            np.savez(file, **named)
    except OSError as error:
        raise Problem(f"{path}: this cannot be written ({error.strerror})") from None


def _parts(result: Any) -> dict[str, Any]:
    return result._asdict() if hasattr(result, "_fields") else {"output": result}


def _shapes(record: Record, call: Call) -> list[str]:
    named = [*zip(record.takes, call.arrays, strict=True), *call.options.items()]
    return [f"{name} = {_shape(value)}" for name, value in named]


def _shape(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shape, value))})"
    return f"{value.dtype} {value.shape}" if hasattr(value, "shape") else str(value)


def _row(comparison: Comparison) -> dict[str, Any]:
    seconds = {
        "reference_seconds": comparison.reference_time,
        "seconds": comparison.time,
        "speedup": comparison.speedup,
    }
    return {
        "engine": comparison.engine,
        "error_in_budgets": comparison.error,
        "passed": comparison.passed,
        "fault": comparison.fault or None,
        "first_seconds": comparison.first_seconds,
        **{name: None if spread is None else spread.median for name, spread in seconds.items()},
    }


def _print(record: Record, call: Call, comparisons: Sequence[Comparison]) -> None:
    out = console()
    out.print(f"[bold]{record.name}[/]: {record.title}")
    for line in _shapes(record, call):
        out.print(f"  {line}", markup=False)
    out.print()
    if not comparisons:
        out.print("This machine has no engine for it; `attlas doctor` says why.")
        return
    numbers = ("error / budget", "reference ms", "engine ms", "times as fast")
    grid = table("engine", *numbers, right=numbers, keep=("engine",))
    for c in comparisons:
        if c.reference_time is None or c.time is None or c.speedup is None:
            grid.add_row(c.engine, "failed")
        else:
            grid.add_row(
                c.engine,
                error_text(c.error),
                three(1e3 * c.reference_time.median),
                three(1e3 * c.time.median),
                spread_text(vars(c.speedup)),
            )
    out.print(grid)
    for c in comparisons:
        if c.fault:
            out.print(f"{c.engine} failed: {c.fault}", markup=False)
        elif not c.passed:
            out.print(f"{c.engine} exceeds the budget: {error_text(c.error)}")
