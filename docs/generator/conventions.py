"""The table of conventions, from what `attlas.interop` knows of each library."""

from attlas.interop.conventions import (
    CONVENTIONS,
    DOCUMENTED,
    FUNCTIONS,
    LIBRARIES,
    MEASURED_WITH,
    Cell,
)

from . import text


def table() -> str:
    """Return a row per matter and a column per library."""
    heads = " | ".join(f"{name}: {FUNCTIONS[library]}" for library, name in LIBRARIES.items())
    lines = [f"| matter | here | {heads} |", f"| --- | --- |{' --- |' * len(LIBRARIES)}"]
    for row in CONVENTIONS:
        cells = " | ".join(shown(row.cells[library]) for library in LIBRARIES)
        lines.append(f"| **{row.title}** | {text.one_line(row.ours)} | {cells} |")
    return "\n".join([*lines, "", versions()])


def shown(cell: Cell) -> str:
    """Return a cell: a tick where it is as here, italics where it was read and not run."""
    words = text.one_line(cell.text)
    words = words if cell.measured else f"*{words}*"
    return f"✓ {words}" if cell.same else words


def versions() -> str:
    """Say what was run, and what was read."""
    run = ", ".join(f"{LIBRARIES[library]} {version}" for library, version in MEASURED_WITH.items())
    return (
        f"✓ as here. Measured with {run}, on a CPU. *In italics*: from the documentation of {LIBRARIES['flash']} "
        f"{DOCUMENTED}, which needs a GPU."
    )
