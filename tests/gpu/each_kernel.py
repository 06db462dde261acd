"""Launch each kernel of the engine `numba-cuda` once or a few times, for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python tests/gpu/each_kernel.py

Of many drawn calls those are made that launch a kernel which none before has launched; the host finds them without
launching anything. Under the sanitizer kernels run hundreds of times slower than usual, so there are few calls, and
small ones; results are compared elsewhere.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
from dry_runs import ENGINE, recipe, recorded

from attlas.dispatch import call_on
from attlas.engines import TABLE
from attlas.numba_cuda import lanes
from attlas_ref.records import all_records
from attlas_ref.testing import Call, build
from attlas_ref.testing.strategies import BYTES, plan_of

NAMES = [record.name for record in all_records() if record.kind != "U" and "numba-cuda" in record.engines]
DRAWS = 30
"""Drawn calls of each formulation and precision."""


def calls(reached: set[Any]) -> Iterator[Call]:
    """Find calls that launch kernels which are not among those reached, and add these."""
    for name in NAMES:
        rng = np.random.default_rng(0)
        for dtype in ("float32", "float64") * DRAWS:
            call = build(plan_of(rng.bytes(BYTES), name, dtypes=(dtype,), largest=33))
            with recorded() as found:
                call_on(ENGINE, name, *call.arrays, **call.options)
            launched = {recipe(launch.kernel) for launch in found}
            if launched - reached:
                reached |= launched
                yield call


def main() -> None:
    """Make the calls on the GPU; say how many of the kernels they have launched."""
    reached: set[Any] = set()
    every = {recipe(lane.kernel): f"{lane.name}-{lane.dtype}" for lane in lanes.kernels()}
    count = 0
    for call in calls(reached):
        call.by(lambda name, *arrays, **options: call_on(TABLE["numba-cuda"], name, *arrays, **options))
        count += 1
    missed = sorted(name for kernel, name in every.items() if kernel not in reached)
    print(
        f"{count} calls launched {len(every) - len(missed)} of {len(every)} kernels; not {', '.join(missed) or 'one'}"
    )


if __name__ == "__main__":
    main()
