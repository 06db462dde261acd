"""Exercises as they stand in the repository: where they are, and what a master holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from attlas_ref.records import Record, find

HERE = Path(__file__).parent
BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
"""The markers of nbgrader, which takes a master as it is."""

MISSING = "exercises need PyYAML and Hypothesis: pip install 'attlas[grading]'"


class MasterError(ValueError):
    """A master that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Exercise:
    """One master source."""

    path: Path
    text: str
    """The whole source."""
    formulation: str
    """The record that grades it; the function has the same name."""
    options: tuple[str, ...]
    """The options that the student implements; others are not drawn."""
    lines: int
    """The expected length of the solution."""
    minutes: int
    points: float
    mistakes: Mapping[str, str]
    """Functions below the solution, each with one mistake, and what to say where a student's result equals theirs."""
    forbidden: tuple[str, ...] = ()
    """Functions of allowed packages that are the answer, by their dotted names."""
    broadcast: bool = True
    """Whether arrays are drawn whose leading axes differ and broadcast."""
    hidden: bool = False
    """Whether NaN and infinity are drawn behind masks."""
    largest: int = 17
    """The largest size that is drawn."""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def group(self) -> str:
        """The folder: a family, or kernels."""
        return self.path.parent.name

    @property
    def title(self) -> str:
        """The first heading."""
        found = re.search(r"^# # (.+)$", self.text, flags=re.MULTILINE)
        return found.group(1) if found else self.name

    @property
    def record(self) -> Record:
        """The record that grades it."""
        return find(self.formulation)

    @property
    def simulated(self) -> bool:
        """Whether it is a kernel for CUDA, which is run thread by thread in Numba's simulator."""
        return "cuda.jit" in self.text

    @property
    def solution(self) -> str:
        """The code of the master as a student would hand it in, right."""
        return _without(self.body, BEGIN_HIDDEN, END_HIDDEN)

    @property
    def with_mistakes(self) -> str:
        """The code of the master with the functions of `mistakes`."""
        return self.body

    @property
    def body(self) -> str:
        """The source below the front matter."""
        return self.text.split("# ---\n", 2)[2]


REQUIRED = ("formulation", "options", "lines", "minutes", "points", "mistakes")
OPTIONAL = ("forbidden", "broadcast", "hidden", "largest")


def read(path: Path) -> Exercise:
    """Read a master, and check that its parts are there."""
    text = path.read_text(encoding="utf-8")
    matter = front_matter(text, path).get("attlas")
    if not isinstance(matter, dict):
        raise MasterError(f"{path}: the front matter has no part attlas; it needs {', '.join(REQUIRED)}")
    missing = [key for key in REQUIRED if key not in matter]
    unknown = [key for key in matter if key not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        raise MasterError(
            f"{path}: the front matter lacks {', '.join(missing) or 'nothing'} and does not know "
            f"{', '.join(unknown) or 'nothing'}; it has {', '.join(REQUIRED)}, and may have {', '.join(OPTIONAL)}"
        )
    lists = {name: tuple(matter[name] or ()) for name in ("options", "forbidden") if name in matter}
    exercise = Exercise(path, text, **{**matter, **lists, "mistakes": dict(matter["mistakes"] or {})})
    _check(exercise)
    return exercise


def _check(exercise: Exercise) -> None:
    record, path = exercise.record, exercise.path
    for option in exercise.options:
        if option not in record.options:
            raise MasterError(f"{path}: {record.name} has no option {option}; it has {', '.join(record.options)}")
    for marker in (BEGIN_SOLUTION, END_SOLUTION, BEGIN_HIDDEN, END_HIDDEN):
        if exercise.text.count(marker) != 1:
            raise MasterError(f"{path}: the marker {marker} stands there {exercise.text.count(marker)} times, not once")
    for name in (exercise.formulation, *exercise.mistakes):
        if not re.search(rf"^def {name}\(", exercise.text, flags=re.MULTILINE):
            raise MasterError(f"{path}: there is no function {name}")


def front_matter(text: str, path: Path) -> dict[str, Any]:
    """Return the front matter of a percent script; nothing if it has none."""
    try:
        import yaml
    except ImportError:
        raise MasterError(MISSING) from None
    lines = text.split("\n")
    if lines[0].rstrip() != "# ---" or "# ---" not in lines[1:]:
        return {}
    block = lines[1 : lines.index("# ---", 1)]
    try:
        matter = yaml.safe_load("\n".join(line.removeprefix("#").removeprefix(" ") for line in block))
    except yaml.YAMLError as error:
        raise MasterError(f"{path}: the front matter is no YAML ({' '.join(str(error).split())})") from None
    return matter if isinstance(matter, dict) else {}


def folder() -> Path:
    """The folder of the masters: that of the clone, or that which the wheel brought along."""
    clone = HERE.parents[2] / "tutorials" / "exercises"
    return clone if clone.is_dir() else HERE / "exercises"


@cache
def exercises() -> Mapping[str, Exercise]:
    """Every exercise by name, in the order of the folders and names."""
    found: dict[str, Exercise] = {}
    for path in sorted(folder().glob("*/*.py")):
        if path.stem in found:
            raise MasterError(f"two exercises are named {path.stem}: {found[path.stem].path} and {path}")
        found[path.stem] = read(path)
    return found


def exercise_named(name: str) -> Exercise:
    """The exercise of a name."""
    try:
        return exercises()[name]
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, exercises(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`attlas exercises` lists them"
        raise LookupError(f"no exercise is named {name!r}; {hint}") from None


def _without(text: str, begin: str, end: str) -> str:
    """Leave out what stands between two markers, and the markers."""
    before, rest = text.split(begin)
    return before + rest.split(end)[1].removeprefix("\n")
