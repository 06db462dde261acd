"""Compile every CUDA kernel for four generations of GPUs: `make kernels`, up to an hour; no GPU is needed.

Writes `docs/benchmarks/kernels.json`, from which the page on engines is made: registers, shared memory and spilled
bytes of each kernel, as NVIDIA's linker counts them. What the file holds already is not compiled again;
`python docs/measure_kernels.py --anew` begins with nothing.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from attlas.bench.machine import machine
from attlas.numba_cuda import lanes
from attlas.numba_cuda.resources import resources

TARGET = Path(__file__).parent / "benchmarks" / "kernels.json"


def main() -> None:
    """Compile what the file lacks; leave out kernels that are no more."""
    known = json.loads(TARGET.read_text(encoding="utf-8"))["kernels"] if TARGET.exists() else {}
    if "--anew" in sys.argv:
        known = {}
    every = list(lanes.kernels())
    kernels: dict[str, Any] = {}
    try:
        for index, lane in enumerate(every):
            print(f"\r{index + 1} of {len(every)}, {lane.name:40}", end="", file=sys.stderr, flush=True)
            name = f"{lane.name}-{lane.dtype}"
            kernels[name] = known.get(name) or described(lane)
    finally:  # what has been compiled is kept: the next run goes on behind it
        print(file=sys.stderr)
        kept = kernels if len(kernels) == len(every) else {**known, **kernels}
        report = {"machine": machine(), "of": len(every), "kernels": kept}
        TARGET.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def described(lane: lanes.Lane) -> dict[str, Any]:
    """Return the module of a kernel and what it takes on each generation."""
    module = lane.kernel.py_func.__module__.removeprefix("attlas.numba_cuda.")
    taken = {f"{major}.{minor}": list(dataclasses.astuple(one)) for (major, minor), one in resources(lane).items()}
    return {"module": module, **taken}


if __name__ == "__main__":
    main()
