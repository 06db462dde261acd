"""Runs the command line, in this process and as a real one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from attlas.cli.app import app
from attlas.engines import simulated

# Nothing here depends on how a GPU computes; under the simulator it has been tested already.
collect_ignore_glob = ["test_*.py"] if simulated() else []


class Cli:
    """Runs commands in this process."""

    def __call__(self, *args: str) -> Any:
        return CliRunner().invoke(app, list(map(str, args)), prog_name="attlas")

    def json(self, *args: str) -> Any:
        """Run a command that must succeed and parse what it prints."""
        result = self(*args, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refused(self, *args: str) -> str:
        """Run a command that must be refused with one line on stderr and nothing else; return the line."""
        result = self(*args)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("attlas: ")
        assert result.stderr.count("\n") == 1
        assert "Traceback" not in result.stderr
        return result.stderr


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one call per turn, without pauses: what a report says does not depend on it."""
    monkeypatch.setattr("attlas.bench.harness.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("attlas.bench.harness.SHORT_SECONDS", 0.0)


@pytest.fixture
def cli() -> Cli:
    return Cli()


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the installed script as a user does."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("attlas")
        return subprocess.run(
            [str(script), *map(str, args)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def heads() -> dict[str, np.ndarray]:
    """A small input of one's own: two heads of seven queries and nine keys."""
    rng = np.random.default_rng(20)
    shapes = {"query": (2, 7, 4), "key": (2, 9, 4), "value": (2, 9, 3)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
