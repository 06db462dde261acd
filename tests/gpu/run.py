"""`make test-gpu`: what only a GPU can show, and a record of it with the GPU's name in `docs/benchmarks/gpu/`.

The drawn tests on the engines of the GPU, with ten times the draws and sizes up to 257; one case of each kernel under
NVIDIA's compute-sanitizer, which looks for reads and writes out of bounds (memcheck) and for threads that do not wait
for each other (racecheck); the benchmark of all formulations. It ends with the first step that fails.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from attlas.engines import TABLE, diagnose

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "docs" / "benchmarks" / "gpu"
SANITIZER = "compute-sanitizer"
DRAWN = ("tests/test_equivalence.py", "tests/test_pairs.py", "tests/test_laws.py", "tests/contract")
ENGINES = ("numba-cuda", "cupy")


def lacking() -> str | None:
    """Say what this machine lacks for it, or return None."""
    for engine in ENGINES:
        missing = TABLE[engine].missing()
        if missing is not None:
            return f"the engine {engine} lacks {missing}"
    if shutil.which(SANITIZER) is None:
        return f"there is no {SANITIZER} on the path; it comes with the CUDA toolkit"
    return None


def steps(folder: Path) -> dict[str, Sequence[str]]:
    """Return the commands by the names of their records."""
    case = (sys.executable, "tests/gpu/each_kernel.py")
    return {
        "tests": (sys.executable, "-m", "pytest", "-n", "0", "--candidates", ",".join(ENGINES), *DRAWN),
        **{tool: (SANITIZER, "--tool", tool, "--error-exitcode", "1", *case) for tool in ("memcheck", "racecheck")},
        "benchmark": (
            str(Path(sys.executable).with_name("attlas")),
            "bench",
            "--all",
            "--write",
            str(folder / "benchmark.json"),
        ),
    }


def recorded(command: Sequence[str], record: Path, environment: Mapping[str, str]) -> int:
    """Run a command; what it says goes to the terminal and to a file."""
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        ) as process,
        record.open("w", encoding="utf-8") as file,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            file.write(line)
    return process.returncode


def main() -> None:
    """Run all steps, or say in one line why they cannot be run."""
    missing = lacking()
    if missing is not None:
        sys.exit(f"make test-gpu needs a CUDA GPU and its tools: {missing}. `attlas doctor` says more.")
    device = next(found.device for found in diagnose() if found.engine == ENGINES[0])
    folder = RECORDS / re.sub(r"[^a-z0-9]+", "-", str(device).lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in steps(folder).items():
        status = recorded(command, folder / f"{name}.txt", {**os.environ, "ATTLAS_PROFILE": "thorough"})
        if status:
            sys.exit(f"make test-gpu: {name} failed with status {status}; see {folder / name}.txt")


if __name__ == "__main__":
    main()
