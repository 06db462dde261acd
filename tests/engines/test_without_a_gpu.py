"""What is made for a GPU says so where there is none, and is ready for one."""

import subprocess
import sys
from pathlib import Path

import pytest

from attlas.engines import TABLE

ROOT = Path(__file__).parents[2]
NO_GPU = pytest.mark.skipif(TABLE["numba-cuda"].missing() is None, reason="there is a GPU")


@NO_GPU
def test_without_a_gpu_the_lane_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "tests/gpu/run.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("make test-gpu needs a CUDA GPU and its tools: the engine numba-cuda lacks ")
    assert done.stderr.count("\n") == 1


def test_the_steps_of_the_lane_name_files_that_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "gpu"))
    import run

    steps = run.steps(tmp_path)
    assert list(steps) == ["tests", "memcheck", "racecheck", "benchmark"]
    assert Path(steps["benchmark"][0]).exists()
    paths = [word for command in steps.values() for word in command if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def test_what_a_command_says_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "gpu"))
    import run

    status = run.recorded([sys.executable, "-c", "print('seen'); raise SystemExit(3)"], tmp_path / "said.txt", {})
    assert (status, (tmp_path / "said.txt").read_text()) == (3, "seen\n")
