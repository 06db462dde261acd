"""Pieces that several compositions have in common."""

from typing import Any

from ..shapes import joined


def stacked(xp: Any, *parts: Any) -> Any:
    """Return rows one after the other; leading axes broadcast."""
    rows = parts[0]
    for part in parts[1:]:
        rows = joined(xp, rows, part)
    return rows
