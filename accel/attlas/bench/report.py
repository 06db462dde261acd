"""The benchmark report: a run over formulations and sizes, written as JSON, shown as Markdown.

The pages of the documentation are made from a committed JSON file, so that a figure on a page always comes with the
machine, the versions and the date that it was measured with.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

METHOD = (
    "Contestants take turns in one process with the same threads, on fresh inputs every round; "
    "times are medians, ranges are quartiles, ratios are paired round by round. "
    "After timing, the last results are checked against the float64 reference; an error is given in units of its "
    "budget, so 1 is the most that is allowed. Peak memory is what a call adds to its inputs in a process of its own. "
    "The shares are of ceilings measured in the same run: a matrix product and a memory copy."
)


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown: the machine, its ceilings, and a table for every size."""
    lines = [*_machine_lines(report["machine"]), "", *_limit_lines(report["limits"]), "", METHOD, ""]
    for title, points in _by_size(report["results"]).items():
        lines += [f"### {title}", "", *_table(points), ""]
    return "\n".join(lines)


def _machine_lines(machine: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    gpu = f"; GPU: {machine['gpu']}" if machine["gpu"] else ""
    return [
        f"Measured on {machine['date']}: {machine['processor']}, {machine['threads']} threads{memory}, "
        f"{machine['system']}{gpu}. BLAS: {machine['blas']}. Versions: {versions}."
    ]


def _limit_lines(limits: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"- Ceilings, {limit['dtype']}: matrix product {limit['operations_per_second'] / 1e9:.0f} GFLOP/s "
        f"(by {limit['product_by']}), copy {limit['bytes_per_second'] / 1e9:.1f} GB/s read and written."
        for limit in limits
    ]


def _by_size(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in results:
        groups.setdefault(describe(point), []).append(point)
    return groups


def describe(point: Mapping[str, Any]) -> str:
    """The size of a point in words, the same for formulations of other shapes."""
    sizes = point["sizes"]
    rows = sizes.get("n", sizes.get("m"))
    widths = sorted({size for letter, size in sizes.items() if letter not in "mn"})
    parts = [f"{'×'.join(map(str, point['batch']))} heads"] if point["batch"] else []
    parts += [f"m = {sizes['m']}"] if sizes.get("m", rows) != rows else []
    parts += [f"n = {rows}", f"width {', '.join(map(str, widths))}"] if widths else [f"n = {rows}"]
    parts += [point["dtype"], *(f"with {name}" for name in point.get("arrays", ()))]
    return ", ".join([*parts, *(f"{name} = {value}" for name, value in point["options"].items())])


def _table(points: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| formulation | contestant | ms | times as fast as the reference | as the peer | of the matrix product |"
        " of the copy | peak memory, MB | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for point in points:
        for name, row in point["contestants"].items():
            label = f"`{point['name']}`" if name == "reference" else ""
            who = f"torch: {point['peer']}" if name == "torch" else name
            cells = [
                label,
                who,
                spread_text(row["seconds"], 1e3),
                spread_text(row["speedup"].get("reference")),
                spread_text(row["speedup"].get("torch")),
                percent(row["product_share"]),
                percent(row["copy_share"]),
                megabytes(row["peak_memory_bytes"]),
                error_text(row["error_in_budgets"]),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def suite_markdown(report: Mapping[str, Any]) -> str:
    """Return the report of a suite as Markdown: the machine, and a table of goals for every group."""
    lines = [*_machine_lines(report["machine"]), "", *_limit_lines(report["limits"]), "", report["method"], ""]
    for group in report["groups"]:
        lines += [
            f"### {group['title']}",
            "",
            "| case | ms | beside | ratio | goal | reached | of the matrix product | error |",
            "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: |",
            *("| " + " | ".join(row) + " |" for row in goal_rows(group["points"], code="`")),
            "",
            *(f"- {whole['what']}: {whole['reached']:.2f} (goal {whole['at_least']:.2f})" for whole in group["whole"]),
            "",
        ]
    return "\n".join(lines)


def goal_rows(points: Sequence[Mapping[str, Any]], code: str = "") -> list[list[str]]:
    """The cells of a table of goals: case, ms, rival, ratio, goal, whether it is reached, share, error."""
    rows = []
    for point in points:
        own = point["contestants"][point["engine"]]
        case = [f"{code}{point['name']}{code}, {describe(point)}", spread_text(own["seconds"], 1e3)]
        end = [percent(own["product_share"]), error_text(own["error_in_budgets"])]
        for goal in point["goals"]:
            ratio = goal["ratio"]
            met = "yes" if ratio["median"] >= goal["at_least"] else "no"
            rows.append([*case, goal["over"], spread_text(ratio), f"{goal['at_least']:.2f}", met, *end])
            case, end = ["", ""], ["", ""]
        for rival, reason in point["unable"].items():
            rows.append([*case, rival, "cannot run", "", reason, *end])
            case, end = ["", ""], ["", ""]
        if "extra_bytes" in point:
            extra, most = point["extra_bytes"], point["at_most_bytes"]
            cells = [megabytes(extra), megabytes(most), "yes" if extra <= most else "no"]
            rows.append(["", "", "extra memory, MB", *cells, "", ""])
    return rows


def spread_text(spread: Mapping[str, float] | None, factor: float = 1.0) -> str:
    """A median with its quartiles: ``1.25 (1.20–1.31)``."""
    if spread is None:
        return "–"
    median, low, high = (three(factor * spread[part]) for part in ("median", "low", "high"))
    return f"{median} ({low}–{high})"


def three(number: float) -> str:
    """A number above 0 with three significant digits and no exponent: ``0.0123``, ``45.7``, ``1234``."""
    decimals = 2 - math.floor(math.log10(number)) if number > 0 else 0
    return f"{number:.{max(0, decimals)}f}"


def error_text(error: float) -> str:
    """An error in units of its budget: two decimals, and an exponent where it is far too large."""
    return f"{error:.2f}" if error < 1000 else f"{error:.0e}"


def percent(share: float) -> str:
    """A share as a percentage; a dash where the limit does not apply."""
    return f"{100 * share:.0f}%" if share else "–"


def megabytes(size: int | None) -> str:
    """Bytes in units of 10⁶."""
    return "–" if size is None else three(size / 1e6)
