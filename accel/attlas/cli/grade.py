"""`attlas grade`: what is right and what is wrong with exercises that were handed in."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..grading.grade import Report, grade_file
from ..grading.masters import MasterError
from ..grading.process import Limits
from ..grading.report import as_dict, explanation, gradescope, junit
from .output import console, note, print_json, progress
from .problem import FAILED, WRONG_USE, Problem

ENDINGS = (".py", ".ipynb")


def grade_command(
    files: Sequence[Path],
    exercise: str | None,
    seed: int | None,
    seconds: float,
    memory: float,
    as_json: bool,
    junit_file: Path | None,
    gradescope_file: Path | None,
) -> int:
    """Grade files and return the exit status: 0 if all pass, 1 if one fails, 2 if one cannot be graded."""
    found = _files(files)
    limits = Limits(seconds=seconds, memory=int(memory * 2**30), total=12 * seconds)
    reports, ungraded = [], []
    with progress() as bar:
        task = bar.add_task("", total=len(found))
        for path in found:
            bar.update(task, description=path.name)
            try:
                report = grade_file(path, exercise, seed, limits)
            except (OSError, UnicodeDecodeError, LookupError, MasterError) as error:
                ungraded.append((path, _reason(path, error)))
            else:
                report.file = str(path) if len(found) > 1 else path.name
                reports.append(report)
            bar.update(task, advance=1)
    if len(found) == 1 and ungraded:
        raise Problem(ungraded[0][1])
    if as_json:
        print_json(
            {
                "points": round(sum(report.points for report in reports), 2),
                "of": sum(report.of for report in reports),
                "files": [as_dict(report) for report in reports],
                "ungraded": [{"file": str(path), "reason": reason} for path, reason in ungraded],
            }
        )
    else:
        _print(reports, many=len(found) > 1)
        for _, reason in ungraded:
            note(reason)
    _write(junit_file, junit(reports))
    _write(gradescope_file, json.dumps(gradescope(reports), indent=2, ensure_ascii=False) + "\n")
    if ungraded:
        return WRONG_USE
    return FAILED if any(report.failure for report in reports) else 0


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and those in the folders that are."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for ending in ENDINGS for file in path.rglob(f"*{ending}"))
            found += [file for file in inside if not any(part.startswith((".", "__")) for part in file.parts)]
            if not inside:
                raise Problem(f"{path}: this folder holds no .py and no .ipynb")
        elif not path.exists():
            raise Problem(f"{path}: there is no such file")
        elif path.suffix not in ENDINGS:
            raise Problem(f"{path}: an exercise is a .py or an .ipynb")
        else:
            found.append(path)
    return found


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"{path}: this is no text in UTF-8"
    if isinstance(error, OSError):
        return f"{path}: this cannot be read ({error.strerror})"
    return str(error) if isinstance(error, MasterError) else f"{path}: {error.args[0]}"


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"{path}: this cannot be written ({error.strerror})") from None


def _print(reports: Sequence[Report], many: bool) -> None:
    out = console()
    for report in reports:
        _print_one(out, report)
        out.print()
    if many:
        passed = sum(report.failure is None for report in reports)
        points, of = sum(report.points for report in reports), sum(report.of for report in reports)
        out.print(f"{passed} of {len(reports)} files pass, {points:g} of {of:g} points.")


def _print_one(out: Console, report: Report) -> None:
    out.print(Text.assemble((report.file, "bold"), f": {report.title}"), soft_wrap=True)
    for rule in report.rules:
        mark = Text("  passed  ", style="green") if rule.passed else Text("  FAILED  ", style="bold red")
        calls = f", {rule.calls} calls" if rule.calls else ""
        out.print(mark + Text(f"{rule.name}{calls if rule.passed else ''}"))
    if report.failure is not None:
        out.print()
        for line in explanation(report.failure):
            style = "bold" if line.startswith("Likely mistake") else ""
            out.print(Text(line, style=style), soft_wrap=line.startswith(" "))
    if report.printed.strip() and report.failure is not None:
        out.print("\nYour code printed:")
        shown = report.printed.strip().split("\n")[:10]
        for line in shown:
            out.print(Text("    " + "".join(letter if letter.isprintable() else "�" for letter in line[:100])))
    out.print()
    out.print(f"{report.points:g} of {report.of:g} points. The same calls again: --seed {report.seed}")
