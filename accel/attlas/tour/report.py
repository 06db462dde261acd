"""The report of a tour: one HTML file that needs nothing else.

Style, script and data stand inside the file; it loads nothing, works offline, in light and dark, and on a phone.
Weights are kept as one byte each (its cube root, which gives small weights most of the 256 steps), deflated.
"""

import base64
import html
import json
import zlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..bench.compare import Comparison
from ..bench.machine import machine
from ..bench.report import error_text, spread_text, three
from .colors import DARK_PAGE, LIGHT_PAGE, color_map
from .run import Stop, Tour

NAME = "attlas.html"


def write_report(tour: Tour, folder: Path) -> Path:
    """Write the report into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(page(tour), encoding="utf-8")
    return path


def page(tour: Tour) -> str:
    """Return the report as HTML."""
    slots = {
        "style": _part("tour.css"),
        "script": _part("tour.js"),
        "data": json.dumps(_data(tour), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
        "verdict": _verdict(tour),
        "tiles": _tiles(tour),
        "table": _table(tour.stops),
        "machine": _machine(tour),
    }
    text = _part("tour.html")
    for name, content in slots.items():
        text = text.replace(f"<!--slot:{name}-->", content)
    return text


def _part(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _data(tour: Tour) -> dict[str, Any]:
    """What the script draws."""
    shown = [stop for stop in tour.stops if stop.weights is not None]
    levels = np.stack([weight_levels(stop.weights) for stop in shown]) if shown else np.zeros((0,), np.uint8)
    return {
        "words": list(tour.words),
        "layers": list(tour.layers),
        "heads": list(tour.heads),
        "formulations": [{"name": stop.record.name, "title": stop.record.title} for stop in shown],
        "weights": base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode(),
        "light": color_map(LIGHT_PAGE).tobytes().hex(),
        "dark": color_map(DARK_PAGE).tobytes().hex(),
    }


def weight_levels(weights: Any) -> Any:
    """Weights in 0 to 1 as bytes: the cube root of each, in 255 steps; what lies outside is clipped."""
    return np.rint(255 * np.cbrt(np.clip(weights, 0, 1))).astype(np.uint8)


def _verdict(tour: Tour) -> str:
    if tour.passed:
        words = f"Every result is within its error budget; the largest error is {tour.largest_error:.2f} of 1."
    elif not tour.comparisons:
        words = "This machine has no engine to compare."
    else:
        failed = [f"{s.record.name} on {c.engine}" for s in tour.stops for c in s.comparisons if not c.passed]
        words = f"Not within the error budget: {', '.join(failed)}."
    return f'<p class="verdict {"pass" if tour.passed else "fail"}">{html.escape(words)}</p>'


def _tiles(tour: Tour) -> str:
    facts = [
        (len(tour.stops), "formulations"),
        (len(tour.engines), f"engine{'s' * (len(tour.engines) != 1)}: {', '.join(tour.engines) or 'none'}"),
        (len(tour.layers) * len(tour.heads), "heads of a transformer"),
        (len(tour.words), "words and word pieces"),
        (sum(stop.calls * len(stop.comparisons) for stop in tour.stops), "calls compared"),
        (f"{tour.seconds:.0f} s", "for the whole tour"),
    ]
    return "".join(f"<li><b>{number}</b> {html.escape(label)}</li>" for number, label in facts)


def _table(stops: Iterable[Stop]) -> str:
    return "".join(_rows(stop) for stop in stops)


def _rows(stop: Stop) -> str:
    options = "".join(f"; {name} = {_short(value)}" for name, value in stop.options.items())
    name, title = html.escape(stop.record.name), html.escape(stop.record.title + options)
    head = f'<th scope="row"><code>{name}</code><span>{title}</span></th>'
    if not stop.comparisons:
        return f'<tr>{head}<td data-label="engine" colspan="5">no engine of this machine computes it</td></tr>'
    return "".join(f"<tr>{head}{_cells(comparison)}</tr>" for comparison in stop.comparisons)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cells(c: Comparison) -> str:
    if c.reference_time is None or c.time is None or c.speedup is None:
        fault = html.escape(c.fault)
        return f'<td data-label="engine">{c.engine}</td><td class="fail" data-label="error" colspan="4">{fault}</td>'
    filled = min(c.error, 1.0)
    bar = f'<i class="bar" style="--share:{filled:.3f}"></i>'
    verdict = "" if c.passed else ' class="fail"'
    return (
        f'<td data-label="engine">{c.engine}</td>'
        f'<td data-label="error, of its budget"{verdict}><span class="meter">{bar}{error_text(c.error)}</span></td>'
        f'<td data-label="reference, ms">{three(1e3 * c.reference_time.median)}</td>'
        f'<td data-label="engine, ms">{three(1e3 * c.time.median)}</td>'
        f'<td data-label="times as fast">{spread_text(vars(c.speedup))}</td>'
    )


def _machine(tour: Tour) -> str:
    about = machine()
    first = sum(comparison.first_seconds for comparison in tour.comparisons)
    facts: Sequence[tuple[str, Any]] = (
        ("processor", about["processor"]),
        ("threads", about["threads"]),
        ("memory", about["memory_gib"] and f"{about['memory_gib']} GiB"),
        ("GPU", about["gpu"]),
        ("BLAS", about["blas"]),
        ("system", about["system"]),
        ("versions", ", ".join(f"{name} {number}" for name, number in about["versions"].items())),
        ("first calls", f"{first:.1f} s together, compilation included"),
        ("date", about["date"]),
    )
    return "".join(f"<dt>{label}</dt><dd>{html.escape(str(value))}</dd>" for label, value in facts if value)
