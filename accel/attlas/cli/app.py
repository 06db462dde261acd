"""The commands and their options. What a command does stands in the module that it imports when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from .problem import OneLineErrors

app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A formulation, as `attlas list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Dtype = Annotated[str, typer.Option(help="float16, float32 or float64.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the formulation, as causal=true; repeat."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from attlas import __version__

        print(f"attlas {__version__}")
        raise typer.Exit


@app.callback()
def attlas(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Attlas, an atlas of attention: every formulation as readable NumPy and as fast kernels."""


@app.command("list")
def list_formulations(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    as_json: AsJson = False,
) -> None:
    """List families and formulations, and the engines that they run on."""
    from .catalog import list_command

    list_command(family, as_json)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one formulation: formula, signature, options, cost, laws, source."""
    from .catalog import show_command

    show_command(name, as_json)


@app.command()
def compare(
    name: Name,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="An .npz whose arrays are named after the arguments (query, key, value, mask, bias, ...; the parts "
            "of a tuple as first.0, first.1), or an .npy: one array that is used for every argument (self-attention: "
            "query = key = value).",
        ),
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="Use the shipped heads of a real transformer.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE.npz", help="Write the results, as reference.output, numba.output, ..."),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="m=..,n=..", help="Sizes of the drawn input, by the letters of the signature.")
    ] = "",
    batch: Annotated[str, typer.Option(metavar="B,H", help="Leading axes of the drawn input.")] = "4",
    dtype: Annotated[str | None, typer.Option(help="float16, float32 or float64; default: float32, or the file's.")] = (
        None
    ),
    seed: Annotated[int, typer.Option(help="Of the drawn input.")] = 0,
    option: Options = None,
    as_json: AsJson = False,
) -> int:
    """Compare the reference with every engine of this machine: error, time, speed-up.

    The input is drawn, unless --input or --real gives one. The error is in units of its budget: at most 1 is within
    what the precision allows. The exit status is 1 if an engine exceeds it.
    """
    from .compare import compare_command

    return compare_command(name, input_file, real, output, size, batch, dtype, seed, option or [], as_json)


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A formulation; or --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every formulation.")] = False,
    suite: Annotated[
        str | None, typer.Option(metavar="NAME", help="A suite of cases with goals beside their peers: dense.")
    ] = None,
    peer: Annotated[
        str, typer.Option(help="torch, none, or auto: torch if it is installed and the formulation has a peer.")
    ] = "auto",
    n: Annotated[str, typer.Option(metavar="N,N,..", help="How many queries and keys.")] = "256,1024",
    width: Annotated[int, typer.Option(min=1, help="The widths d and e.")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Heads: a leading axis.")] = 8,
    dtype: Dtype = "float32",
    seconds: Annotated[float, typer.Option(min=0.0, help="Measured time per formulation and size.")] = 3.0,
    memory: Annotated[bool, typer.Option(help="Measure peak memory (a process per contestant).")] = True,
    option: Options = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the report; the documentation is made from it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time reference, engines and peer in turn, and say how near they come to this machine's limits."""
    if suite is not None:
        from .suite import suite_command

        suite_command(suite, min(seconds, 1.0), write, as_json)
        return
    from .bench import bench_command

    bench_command(name, every, peer, n, width, heads, dtype, seconds, memory, option or [], write, as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say which engines this machine has, and for each that it lacks the one thing that is missing."""
    from .doctor import doctor_command

    doctor_command(as_json)


@app.command()
def tour(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the report is written.")] = Path(),
    layers: Annotated[str, typer.Option(metavar="L,L,..", help="Layers of the transformer, 0 to 5.")] = "0,3,5",
    heads: Annotated[str, typer.Option(metavar="H,H,..", help="Heads, 0 to 11.")] = "0,4,8",
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> int:
    """Run every formulation on every engine, on the heads of a real transformer, and write an HTML report.

    The exit status is 1 if any error exceeds its budget.
    """
    from .tour import tour_command

    return tour_command(output, layers, heads, open_report)


@app.command("exercises")
def list_exercises(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Exercises or families; all if none is named."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a copy of each, to work on, into this folder.")
    ] = None,
    notebook: Annotated[bool, typer.Option("--notebook", help="Write notebooks instead of scripts.")] = False,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Write the masters, solutions and nbgrader's markers included.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the exercises, or write copies of them to work on."""
    from .exercises import exercises_command

    exercises_command(names or [], output, notebook, teacher, as_json)


@app.command()
def grade(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scripts, notebooks, or folders of them.")],
    exercise: Annotated[
        str | None, typer.Option(metavar="NAME", help="The exercise; default: what the file names in its head.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draw the same calls as before; secret and new by default.", min=0)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time limit for one call; a file has 12 times that.")] = 10,
    memory: Annotated[float, typer.Option(min=0.5, help="Memory limit in GiB, where the system has one.")] = 2,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE.xml", help="Write a report in JUnit's format.")] = None,
    gradescope: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write results as Gradescope reads them.")
    ] = None,
) -> int:
    """Grade exercises: what is right, and for the first failure the smallest input that shows it.

    The exit status is 0 if all pass, 1 if one fails and 2 if one cannot be graded.
    """
    try:
        from .grade import grade_command
    except ImportError as error:
        from .problem import Problem

        raise Problem(f"grading needs {error.name}: pip install 'attlas[grading]'") from None

    return grade_command(files, exercise, seed, seconds, memory, as_json, junit, gradescope)
