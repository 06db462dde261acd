"""What the commands print: tables and JSON on stdout, progress and notes on stderr."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


def console() -> Console:
    """The console of results."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=False)


def note(message: str) -> None:
    """Say something on stderr."""
    print(f"attlas: {message}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print JSON that every parser reads: what is not finite becomes null."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(
    *columns: str, right: Sequence[str] = (), keep: Sequence[str] = (), gap: int = 2, header: bool = True
) -> Table:
    """A plain table; columns in `right` hold numbers, columns in `keep` are never wrapped."""
    grid = Table(box=None, padding=(0, gap, 0, 0), header_style="bold", pad_edge=False, show_header=header)
    for column in columns:
        grid.add_column(
            column, justify="right" if column in right else "left", no_wrap=column in keep or column in right
        )
    return grid


def progress() -> Progress:
    """A progress bar on stderr; nothing where stderr is not a terminal."""
    shown = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )
