"""`attlas bench --suite`: the cases of a family beside their rivals, and which goals they reach."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attlas_ref.records import find

from ..bench import report as reports
from ..bench.limits import measure_limits
from ..bench.machine import machine
from ..bench.measure import with_shares
from ..bench.peers import MISSING, lacking
from ..bench.suite import run_case, summary
from ..bench.suites import SUITES
from .bench import hand_out, print_machine, same_threads_for_all, say_if_busy
from .output import console, progress, table
from .problem import Problem


def suite_command(name: str, seconds: float, write: Path | None, as_json: bool) -> None:
    """Measure every case of a suite, and print or write the report."""
    if name not in SUITES:
        raise Problem(f"--suite is {name!r}; it needs one of {', '.join(SUITES)}")
    records = [find(case.name) for group in SUITES[name] for case in group.cases]
    missing = {package for package in map(lacking, records) if package is not None}
    if missing:
        raise Problem(MISSING.format(" and ".join(sorted(missing))))
    same_threads_for_all()
    say_if_busy()
    groups = SUITES[name]
    dtypes = sorted({case.dtype for group in groups for case in group.cases})
    with progress() as bar:
        task = bar.add_task("the limits of this machine", total=2 + sum(len(group.cases) for group in groups))
        limits = {dtype: measure_limits(dtype) for dtype in dtypes}
        measured = []
        for group in groups:
            points = []
            for case in group.cases:
                bar.update(task, advance=1, description=f"{case.name}, {group.title[:30]}")
                points.append(run_case(case, budget_seconds=seconds))
            measured.append((group, points))
        bar.update(task, advance=1, description="the limits of this machine, again")
        limits = {dtype: limit.higher(measure_limits(dtype)) for dtype, limit in limits.items()}
    report = {
        "machine": machine(),
        "limits": [asdict(limit) for limit in limits.values()],
        "method": reports.METHOD,
        "suite": name,
        "groups": [
            {
                "title": group.title,
                "points": [with_shares(point, limits[point["dtype"]]) for point in points],
                "whole": summary(group, points, limits["float32"]),
            }
            for group, points in measured
        ],
    }
    hand_out(report, write, as_json, _print)


def _print(report: Mapping[str, Any]) -> None:
    out = console()
    print_machine(report)
    for group in report["groups"]:
        grid = table("case", "ms", "beside", "ratio", "goal", "", "product", "error",
                     right=("ms", "ratio", "goal", "product", "error"), keep=("case",), gap=1)  # fmt: skip
        for row in reports.goal_rows(group["points"]):
            grid.add_row(*row)
        out.print(f"\n[bold]{group['title']}[/]")
        out.print(grid)
        for whole in group["whole"]:
            out.print(f"{whole['what']}: {whole['reached']:.2f}, goal {whole['at_least']:.2f}", markup=False)
    out.print("\nratio: times as fast as the fastest peer of the goal, median (quartiles), paired round by round.")
    out.print("product: share of the matrix-product rate. error: in units of its budget.")
