"""The lanes: which files are mutated, who runs them, and which tests a mutant has to survive."""

import functools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from documented import check_defaults
from mutant_edits import Mutant, mutants_of
from mutant_reach import uses

from attlas.engines import TABLE
from attlas_ref.records import FAMILIES, Record, find
from attlas_ref.testing import Candidate, formulations, laws_of
from attlas_ref.testing.candidates import candidates, reference_candidate
from attlas_ref.testing.checks import check_equivalence, check_law

ROOT = Path(__file__).parents[2]
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
BUNDLE = 6
"""Mutants of one file that are run one after the other."""
SHARED = "shared"
"""The family of files that several families use."""


@dataclass(frozen=True)
class Lane:
    """One engine whose sources are mutated."""

    name: str
    folders: tuple[str, ...]
    """Below the root of the repository."""
    candidate: str
    """Who runs the mutants."""
    draws: int
    """Calls that are compared with the reference, a tenth as many for each law."""
    function: Callable[[Record], Any]
    """What the engine runs for a formulation."""
    own: str
    """The files with tests of the lane's own, which a survivor has to face at last."""

    def mutants(self) -> list[Mutant]:
        """Return every mutant of the lane, in a random order that is always the same.

        Families take turns. Within a family the first few mutants of each file come before the next few of the first
        file: what the reference says of a formulation's calls is worth more than one mutant.
        """
        by_family: dict[str, list[Mutant]] = {}
        for folder in self.folders:
            for path in [ROOT / folder] if folder.endswith(".py") else sorted((ROOT / folder).rglob("*.py")):
                if path.stem.endswith("lanes") and SIMULATED:  # what is compiled, which the simulator is not
                    continue
                file = path.relative_to(ROOT).as_posix()
                for mutant in mutants_of(file, path.read_text(encoding="utf-8")):
                    by_family.setdefault(family_of(file), []).append(mutant)
        ordered = [_in_bundles(mutants) for mutants in by_family.values()]
        return [mutant for turn in zip_longest(*ordered) for mutant in turn if mutant is not None]

    @property
    def runner(self) -> Candidate:
        """The candidate itself."""
        return next(candidate for candidate in candidates() if candidate.name == self.candidate)

    @functools.cache  # noqa: B019 (a lane lives as long as the process)
    def users(self) -> dict[tuple[str, str], list[str]]:
        """Return the formulations that use a function, by its module and name."""
        table: dict[tuple[str, str], list[str]] = {}
        for name in formulations(self.runner):
            record = find(name)
            function = self.function(record) if record.kind != "U" or self.name == "reference" else None
            if function is not None:
                for place in uses(function):
                    table.setdefault(place, []).append(name)
        return table

    def formulations_of(self, mutant: Mutant) -> list[str]:
        """Return the formulations that use what is mutated, the nearest first; none for what no call reaches."""
        module = module_of(mutant.file)
        owners = [mutant.owner] if mutant.owner else re.findall(r"^\w+", mutant.before)
        names = self.users().get((module, owners[0]), []) if owners else []
        own = Path(mutant.file).stem
        return sorted(
            names,
            key=lambda name: (
                name != mutant.owner,
                name != own,
                own not in name,
                zlib.crc32(f"{mutant.name}{name}".encode()),
            ),
        )

    def last_tests(self, mutant: Mutant, name: str) -> Iterator[tuple[str, ...]]:
        """Yield what tells pytest of tests that a survivor has to face."""
        own = self.own_tests(mutant, name)
        if own:
            yield own
        if name:
            yield (str(ROOT / "tests" / "contract"), "-k", name, "--candidates", self.candidate)

    def own_tests(self, mutant: Mutant, name: str = "") -> tuple[str, ...]:
        """Return the files of the lane's own tests, those that name a formulation or what is mutated.

        What no formulation uses is tested with the public functions of its file.
        """
        public = re.findall(r"^def ([a-z]\w+)", (ROOT / mutant.file).read_text(encoding="utf-8"), re.MULTILINE)
        names = {name, mutant.owner} & {name, *public} - {""} if name else set(public)
        words = re.compile(rf"\b({'|'.join(sorted(names)) or '(?!)'})\b")
        return tuple(str(path) for path in sorted(ROOT.glob(self.own)) if words.search(with_helpers(path)))

    def checks(self, name: str) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield the tests of one formulation, with what they are called."""
        fewer, engine = max(self.draws // 10, 2), self.runner
        runner = self._judged()
        able = set(formulations(runner))
        laws = [
            (law.name, functools.partial(check_law, runner, law, subject, fewer))
            for law in laws_of(name)
            for subject in law.subjects
            if name in law.tied_with(subject) and set(law.tied_with(subject)) <= able
        ]
        own = [check for check in laws if check[1].args[2] == name] or laws
        compared = []
        if find(name).kind != "U" and engine.covers(name):
            compared = [("equivalence", functools.partial(check_equivalence, engine, name, self.draws))]
        defaults = ("defaults", functools.partial(check_defaults, name))
        yield from (*own, *compared, defaults) if self.name == "reference" else (*compared, *own)

    def _judged(self) -> Candidate:
        """The candidate whose laws are checked.

        A reference is not compared with itself: its laws come first, then an engine that was written apart from it.
        """
        return reference_candidate() if self.name == "reference" else self.runner


def with_helpers(tests: Path) -> str:
    """Return the text of a file of tests, and of the modules beside it that it imports."""
    text = tests.read_text(encoding="utf-8")
    beside = (tests.with_name(f"{name}.py") for name in re.findall(r"^from (\w+) import", text, re.MULTILINE))
    return "\n".join([text, *(helper.read_text(encoding="utf-8") for helper in beside if helper.exists())])


def _in_bundles(mutants: list[Mutant]) -> list[Mutant]:
    """Shuffle the mutants of each file, and the files, and take a few of each file in turn."""
    by_file: dict[str, list[Mutant]] = {}
    for mutant in sorted(mutants, key=lambda mutant: zlib.crc32(f"{mutant.name} {mutant.place}".encode())):
        by_file.setdefault(mutant.file, []).append(mutant)
    files = sorted(by_file, key=lambda file: zlib.crc32(file.encode()))
    bundles = [
        (start, by_file[file][start : start + BUNDLE])
        for file in files
        for start in range(0, len(by_file[file]), BUNDLE)
    ]
    return [mutant for _, bundle in sorted(bundles, key=lambda pair: pair[0]) for mutant in bundle]


def family_of(file: str) -> str:
    """Return the family whose folder a file is in."""
    parts = (*Path(file).parts, Path(file).stem)
    return next((part for part in parts if part in FAMILIES), SHARED)


def module_of(file: str) -> str:
    """Return the full name of a module.

    >>> module_of("ref/attlas_ref/memory/ffn_memory.py")
    'attlas_ref.memory.ffn_memory'
    """
    return ".".join(Path(file).with_suffix("").parts[1:]).removesuffix(".__init__")


def _engine(name: str) -> Callable[[Record], Any]:
    def function(record: Record) -> Any:
        """The function that was written: a composition without where it runs."""
        found = TABLE[name].function(record) if name in record.engines else None
        return found.func if isinstance(found, functools.partial) else found

    return function


REF = tuple(
    f"ref/attlas_ref/{part}" for part in (*FAMILIES, "visibility.py", "log_space.py", "norms.py", "feedback.py")
)
LANES = {
    lane.name: lane
    for lane in (
        Lane("reference", REF, "cupy-as-numpy", 100, lambda record: record.reference, "tests/reference/test_*.py"),
        Lane(
            "composites",
            ("accel/attlas/composites",),
            "cupy-as-numpy",
            100,
            _engine("cupy"),
            "tests/engines/test_*_compos*.py",
        ),
        Lane("cupy", ("accel/attlas/cupy_gpu",), "cupy-as-numpy", 100, _engine("cupy"), "tests/engines/test_[!n]*.py"),
        Lane("numba", ("accel/attlas/numba_cpu",), "numba", 100, _engine("numba"), "tests/engines/test_*.py"),
        Lane(
            "numba-cuda",
            ("accel/attlas/numba_cuda",),
            "numba-cuda-simulator",
            16,
            _engine("numba-cuda"),
            "tests/engines/test_*.py",
        ),
    )
    if (lane.name == "numba-cuda") == SIMULATED
}
