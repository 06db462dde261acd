"""Building the site in a copy of the documentation, so that the working tree stays as it is."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the repository."""


@dataclass(frozen=True)
class Site:
    """A built site, and what its build had to say."""

    folder: Path
    log: str

    @property
    def pages(self) -> list[Path]:
        """Every page but the one for addresses that do not exist."""
        return sorted(page for page in self.folder.rglob("*.html") if page.name != "404.html")


def run(*command: str, folder: Path) -> str:
    """Run a Python program, which must succeed, and return everything it printed."""
    # Threads of BLAS that wait for work would take the cores of other tests.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(copy: Path) -> Site:
    """Generate and build the site in an empty folder, with warnings as errors."""
    shutil.copytree(ROOT / "docs", copy / "docs", ignore=shutil.ignore_patterns("atlas", "lessons", "__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", copy)
    (ROOT / ".docs_cache").mkdir(exist_ok=True)  # what the tests have drawn and executed is not made again
    for folder in ("ref", "accel", "tests", "tutorials", ".docs_cache"):
        (copy / folder).symlink_to(ROOT / folder, target_is_directory=True)
    run("docs/generate.py", folder=copy)
    log = run("-m", "mkdocs", "build", "--strict", folder=copy)
    return Site(copy / "site", log)
