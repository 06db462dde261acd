"""`attlas bench`: times, ratios, shares of the machine's limits and peak memory."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attlas_ref.records import Record, all_records

from ..bench import report as reports
from ..bench.contestants import on_host
from ..bench.limits import measure_limits
from ..bench.machine import machine
from ..bench.measure import measure, point_sizes, with_shares
from ..bench.peers import MISSING, lacking
from ..bench.roster import roster
from ..threads import get_num_threads
from . import inputs
from .catalog import record_named
from .output import console, note, print_json, progress, table
from .problem import Problem, as_problem

BUSY = 0.5
"""The load per thread above which a machine is busy with something else."""

PEERS = ("auto", "torch", "none")
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def bench_command(
    name: str | None,
    every: bool,
    peer: str,
    n: str,
    width: int,
    heads: int,
    dtype: str,
    seconds: float,
    memory: bool,
    option: Sequence[str],
    write: Path | None,
    as_json: bool,
) -> None:
    """Measure one formulation or all, and print or write the report."""
    same_threads_for_all()
    records = _chosen(name, every)
    lengths = inputs.parse_integers(n, "--n", low=1)
    inputs.known_dtype(dtype)
    contestants = {record.name: roster(record, _wants_peer(record, peer, every)) for record in records}
    options = {record.name: _options(record, option, every) for record in records}
    say_if_busy()
    points, too_large = [], []
    with progress() as bar:
        task = bar.add_task("the limits of this machine", total=2 + len(records) * len(lengths))
        limits = measure_limits(dtype)
        for record in records:
            for length in lengths:
                bar.update(task, advance=1, description=f"{record.name}, n = {length}")
                try:
                    point = measure(
                        record,
                        point_sizes(record, length, width),
                        (heads,),
                        dtype,
                        options[record.name],
                        contestants[record.name],
                        memory=[one.name for one in contestants[record.name] if on_host(one)] if memory else (),
                        budget_seconds=seconds,
                    )
                except MemoryError as error:  # the reference holds all pairs, and more where there are hidden units
                    too_large.append(f"{record.name}, n = {length}: {error}")
                else:
                    points.append(point)
        bar.update(task, advance=1, description="the limits of this machine, again")
        limits = limits.higher(measure_limits(dtype))
    if not points:
        raise Problem("; ".join(too_large))
    for text in too_large:
        note(f"left out: {text}")
    results = [with_shares(point, limits) for point in points]
    report = {"machine": machine(), "limits": [asdict(limits)], "method": reports.METHOD, "results": results}
    hand_out(report, write, as_json, _print)


def hand_out(report: Mapping[str, Any], write: Path | None, as_json: bool, show: Callable[[Any], None]) -> None:
    """Write a report if asked, and print it."""
    if write is not None:
        try:
            reports.write(report, write)
        except OSError as error:
            raise Problem(f"{write}: this cannot be written ({error.strerror})") from None
    if as_json:
        print_json(report)
    else:
        show(report)


def same_threads_for_all() -> None:
    """NumPy's BLAS reads its number of threads when it is loaded; the engines must not be given another one."""
    with as_problem(ValueError):
        threads = get_num_threads()
    wanted = next((os.environ[name] for name in BLAS_THREADS if name in os.environ), None)
    chosen = os.environ.get("ATTLAS_NUM_THREADS")
    if (wanted is None and chosen is not None) or (wanted is not None and wanted != str(threads)):
        raise Problem(
            f"the engines would use {threads} threads and NumPy's BLAS {wanted or 'its own number'}: "
            "set ATTLAS_NUM_THREADS and OMP_NUM_THREADS to the same number"
        )


def say_if_busy() -> None:
    """Figures from a machine that does something else are not worth keeping; say so before the waiting begins."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY * get_num_threads():
        note(f"this machine is busy (load {load:.1f} on {get_num_threads()} threads): the figures will be noisy")


def _chosen(name: str | None, every: bool) -> list[Record]:
    if (name is None) != every:
        raise Problem("give the NAME of a formulation, or --all")
    if name is None:
        return [record for record in all_records() if record.engines and record.kind != "U"]
    record = record_named(name)
    if record.kind == "U":
        raise Problem(f"{name} is a utility that exists once: there is nothing to time")
    return [record]


def _wants_peer(record: Record, peer: str, every: bool) -> bool:
    if peer not in PEERS:
        raise Problem(f"--peer is {peer!r}; it needs one of {', '.join(PEERS)}")
    if peer == "torch":
        package = lacking(record)
        if package is not None:
            raise Problem(MISSING.format(package))
        if record.peer is None and not every:
            raise Problem(f"{record.name} has no public peer")
    return peer != "none" and record.peer is not None and lacking(record) is None


def _options(record: Record, texts: Sequence[str], every: bool) -> dict[str, Any]:
    """With --all, an option is given to the formulations that have it."""
    if every:
        texts = [text for text in texts if text.partition("=")[0].strip() in record.options]
    return inputs.parse_options(record, texts)


def print_machine(report: Mapping[str, Any]) -> None:
    """Print what was measured on, and its limits."""
    out, about = console(), report["machine"]
    out.print(f"{about['processor']}, {about['threads']} threads, BLAS {about['blas']}, {about['date']}", markup=False)
    for limit in report["limits"]:
        out.print(
            f"limits, {limit['dtype']}: product {limit['operations_per_second'] / 1e9:.0f} GFLOP/s "
            f"({limit['product_by']}), copy {limit['bytes_per_second'] / 1e9:.1f} GB/s"
        )


def _print(report: Mapping[str, Any]) -> None:
    out = console()
    print_machine(report)
    numbers = ("ms", "vs reference", "vs peer", "product", "copy", "MB", "error")
    for point in report["results"]:
        out.print(f"\n[bold]{point['name']}[/]: {reports.describe(point)}")
        grid = table("", *numbers, right=numbers, keep=("",), gap=1)
        for name, row in point["contestants"].items():
            grid.add_row(
                name,
                reports.three(1e3 * row["seconds"]["median"]),
                reports.spread_text(row["speedup"].get("reference")),
                reports.spread_text(row["speedup"].get("torch")),
                reports.percent(row["product_share"]),
                reports.percent(row["copy_share"]),
                reports.megabytes(row["peak_memory_bytes"]),
                reports.error_text(row["error_in_budgets"]),
            )
        out.print(grid)
    out.print("\nvs: times as fast, median (quartiles). product, copy: share of the limits. MB: peak extra memory.")
    out.print("error: in units of its budget, at most 1 is within what the precision allows.")
