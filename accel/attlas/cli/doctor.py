"""`attlas doctor`: which engines this machine has, and what it would take to have the others."""

from dataclasses import asdict

from rich.text import Text

from ..bench.machine import machine
from ..engines import TABLE, diagnose
from .output import console, print_json, table


def doctor_command(as_json: bool) -> None:
    """Print engines, versions, threads and the cache of compiled kernels."""
    diagnoses, about, cache = diagnose(), machine(), _cache()
    if as_json:
        engines = [{**asdict(diagnosis), "available": diagnosis.missing is None} for diagnosis in diagnoses]
        print_json({"engines": engines, "machine": about, "cache": cache})
        return
    out = console()
    grid = table("engine", "state", keep=("engine",))
    for diagnosis in diagnoses:
        ready = Text(f"ready: {diagnosis.device}", style="green")
        grid.add_row(diagnosis.engine, Text(f"lacks {diagnosis.missing}") if diagnosis.missing else ready)
    out.print(grid)
    out.print()
    facts = table("label", "text", keep=("label",), header=False)
    for label, value in {**about, "kernel cache": cache}.items():
        if label == "versions":
            facts.add_row("versions", "\n".join(f"{package} {number}" for package, number in value.items()))
        elif value is not None:
            facts.add_row(label.replace("memory_gib", "memory, GiB"), str(value))
    out.print(facts)


def _cache() -> str | None:
    if TABLE["numba"].missing():
        return None
    from ..numba_cpu.compile import cache_folder

    folder = cache_folder()
    return "none: no folder can be written, kernels are compiled in every process" if folder is None else str(folder)
