"""What this machine is, in the words that a figure needs beside it."""

import importlib.util
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..engines import TABLE, simulated
from ..threads import get_num_threads


def installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    return importlib.util.find_spec(module) is not None


def versions() -> dict[str, str]:
    """The versions of what computes here, Python first; packages that are not installed are left out."""
    engines = [package for engine in TABLE.values() for package in engine.distributions]
    found = {"python": platform.python_version()}
    for package in dict.fromkeys(("attlas", "numpy", "scipy", *engines, "torch")):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Describe the machine: processor, threads that may be used, memory, BLAS, system, versions, date."""
    return {
        "processor": _processor(),
        "threads": get_num_threads(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "blas": _blas(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _gpu() -> str | None:
    able = [engine for engine in TABLE.values() if engine.arrays != "numpy" and engine.missing() is None]
    return None if simulated() else next((engine.device() for engine in able), None)


def _blas() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
