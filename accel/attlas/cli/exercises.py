"""`attlas exercises`: list the exercises, and write copies for students."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..grading.copies import write_copies
from ..grading.masters import Exercise, MasterError, exercise_named, exercises
from .output import console, print_json, table
from .problem import Problem, as_problem


def exercises_command(
    names: Sequence[str], output: Path | None, as_notebook: bool, teacher: bool, as_json: bool
) -> None:
    """List exercises, or write copies of them."""
    with as_problem(MasterError):
        known = exercises()
    if output is None:
        if as_notebook or teacher:
            raise Problem("--notebook and --teacher are for copies; say where with --output DIR")
        _list(_chosen(names, known.values()), as_json)
        return
    try:
        with as_problem(MasterError):
            written = write_copies(_chosen(names, known.values()), output, as_notebook, teacher)
    except FileExistsError as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"{output}: this cannot be written ({error.strerror})") from None
    if as_json:
        print_json([str(path) for path in written])
        return
    out = console()
    for path in written:
        out.print(str(path), markup=False, soft_wrap=True)


def _chosen(names: Sequence[str], known: Iterable[Exercise]) -> list[Exercise]:
    """Those of the names, of exercises or of whole folders; all if there is none."""
    every = list(known)
    if not names:
        return every
    chosen: list[Exercise] = []
    for name in names:
        group = [exercise for exercise in every if exercise.group == name]
        with as_problem(LookupError):
            chosen += group or [exercise_named(name)]
    return chosen


def _list(chosen: Sequence[Exercise], as_json: bool) -> None:
    if as_json:
        fields = ("name", "group", "title", "formulation", "lines", "minutes", "points")
        print_json([{field: getattr(exercise, field) for field in fields} for exercise in chosen])
        return
    numbers = ("lines", "minutes", "points")
    grid = table("exercise", "title", *numbers, right=numbers, keep=("exercise",))
    group = None
    for exercise in chosen:
        if exercise.group != group:
            group = exercise.group
            grid.add_row(f"[bold]{group}[/]")
        facts = (str(exercise.lines), str(exercise.minutes), f"{exercise.points:g}")
        grid.add_row(f"  {exercise.name}", exercise.title, *facts)
    out = console()
    out.print(grid)
    out.print("\n`attlas exercises NAME --output DIR` writes a copy to work on; `attlas grade FILE` grades it.")
