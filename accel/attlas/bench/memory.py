"""Peak extra memory of one call, measured and not computed.

The call runs in a process of its own. It is warmed up on tiny inputs, so that compilers and thread pools are in place;
then its inputs are made, the high-water mark of resident memory is set back (Linux: /proc/self/clear_refs), the call
runs, and the mark is read again. What is reported is the growth: temporaries and the result, not the inputs. Large
blocks are asked to be mapped one by one (MALLOC_MMAP_THRESHOLD_), so that memory freed before the call cannot hide
what the call takes. Elsewhere the mark cannot be set back; there the growth of the process's maximum is used, which
can only be too low. Memory of a GPU is not measured.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def peak_memory(
    name: str,
    contestant: str,
    sizes: Mapping[str, int],
    batch: tuple[int, ...],
    dtype: str,
    options: Mapping[str, Any],
    arrays: Collection[str] = (),
    seconds: float = 600.0,
) -> int | None:
    """Measure the peak extra memory of one call in a fresh process.

    Returns
    -------
    int or None
        Bytes; None where this system cannot tell.
    """
    request = {
        "name": name,
        "contestant": contestant,
        "sizes": dict(sizes),
        "batch": list(batch),
        "dtype": dtype,
        "options": dict(options),
        "arrays": list(arrays),
    }
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-m", "attlas.bench.memory"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=environment,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the memory of {name} on {contestant} could not be measured: {last}")
    grown: int | None = json.loads(done.stdout)
    return grown


def measured_growth(request: Mapping[str, Any]) -> int | None:
    """Run one call in this process and return by how much its resident memory grew at the peak."""
    from attlas_ref.records import find

    from .draw import drawn_call
    from .roster import contestant_named

    record = find(request["name"])
    batch = tuple(request["batch"])
    contestant = contestant_named(record, request["contestant"])

    def prepared(sizes: Mapping[str, int], leading: tuple[int, ...]) -> Any:
        rng = np.random.default_rng(0)
        call = drawn_call(record, rng, sizes, leading, request["dtype"], request["options"], request["arrays"])
        return contestant.prepare(call)

    prepared({letter: min(size, 8) for letter, size in request["sizes"].items()}, (1,) * len(batch))()
    run = prepared(request["sizes"], batch)
    before = _reset_and_read()
    result = run()
    after = _high_water_mark()
    del result
    return None if before is None or after is None else max(0, after - before)


def _reset_and_read() -> int | None:
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")  # the mark falls to what is resident now
    return _high_water_mark()


def _high_water_mark() -> int | None:
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(measured_growth(json.load(sys.stdin))))
