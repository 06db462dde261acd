"""`attlas tour`: every formulation on real heads, a table and a report."""

import time
import webbrowser
from dataclasses import replace
from pathlib import Path

from attlas_ref.data import alice

from ..bench.report import error_text, spread_text, three
from ..tour.report import write_report
from ..tour.run import Tour, on_the_tour, run_tour
from .inputs import parse_integers
from .output import console, progress, table
from .problem import FAILED, Problem


def tour_command(output: Path, layers: str, heads: str, open_report: bool) -> int:
    """Take the tour and return the exit status: 1 if an error exceeds its budget."""
    there_are = alice().query.shape[:2]
    chosen_layers = _chosen(layers, "--layers", there_are[0])
    chosen_heads = _chosen(heads, "--heads", there_are[1])
    start = time.perf_counter()
    with progress() as bar:
        task = bar.add_task("", total=len(on_the_tour()), completed=-1)
        tour = run_tour(
            chosen_layers, chosen_heads, lambda name: bar.update(task, advance=1, description=f"{name:<28}")
        )
    tour = replace(tour, seconds=time.perf_counter() - start)
    try:
        path = write_report(tour, output)
    except OSError as error:
        raise Problem(f"{output}: the report cannot be written here ({error.strerror})") from None
    _print(tour, path)
    if open_report:
        webbrowser.open(path.resolve().as_uri())
    return 0 if tour.passed else FAILED


def _chosen(text: str, option: str, count: int) -> list[int]:
    numbers = list(dict.fromkeys(parse_integers(text, option)))
    if not numbers or max(numbers) >= count:
        raise Problem(f"{option} is {text!r}; it needs numbers from 0 to {count - 1}, separated by commas")
    return numbers


def _print(tour: Tour, path: Path) -> None:
    out = console()
    out.print(
        f"{len(tour.words)} words of Alice's Adventures in Wonderland, "
        f"{len(tour.layers) * len(tour.heads)} heads of a transformer that reads them (float32)"
    )
    numbers = ("error", "ref. ms", "ms", "times as fast")
    grid = table("formulation", "engine", *numbers, right=numbers, keep=("formulation", "engine"), gap=1)
    for stop in tour.stops:
        for c in stop.comparisons:
            if c.reference_time is None or c.time is None or c.speedup is None:
                grid.add_row(stop.record.name, c.engine, "failed")
            else:
                grid.add_row(
                    stop.record.name,
                    c.engine,
                    error_text(c.error),
                    three(1e3 * c.reference_time.median),
                    three(1e3 * c.time.median),
                    spread_text(vars(c.speedup)),
                )
    out.print(grid)
    for stop in tour.stops:
        for c in stop.comparisons:
            if c.fault:
                out.print(f"{stop.record.name} on {c.engine} failed: {c.fault}", markup=False)
    out.print("error: the largest, in units of its budget; at most 1 is within what the precision allows")
    verdict = "every error is within its budget" if tour.passed else "NOT every error is within its budget"
    out.print(f"{len(tour.stops)} formulations, {tour.seconds:.0f} s: {verdict}" if tour.engines else "no engine here")
    out.print(f"report: {path}", markup=False, soft_wrap=True)
