"""Options in pairs: every value of every one meets every value of every other one."""

from dataclasses import replace
from typing import Any

import pytest

from attlas_ref.contract import Choice, Flag, Integer, Number
from attlas_ref.records import Record, find
from attlas_ref.testing import Candidate, Plan, build, compare, drawn
from attlas_ref.testing.layouts import LAYOUTS
from attlas_ref.testing.pairs import is_dense
from attlas_ref.testing.pairwise import pairwise
from attlas_ref.testing.plan import BIASES, MASKS

LENGTHS = {"m < n": (3, 5), "m = n": (4, 4), "m > n": (5, 3)}
WIDTHS = {"d < e": (2, 5), "d = e": (4, 4), "d > e": (5, 1)}
BATCHES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "one head": ((), ()),
    "heads": ((3,), ()),
    "one query for all heads": ((2, 3), (2, 0, 0)),
    "one key for all heads": ((2, 3), (0, 3, 0)),
    "one value for all heads": ((3,), (0, 0, 1)),
}
"""The leading axes, and how many of them each array leaves out."""


def _values(record: Record, name: str) -> list[Any]:
    """A few values of an option that is no array."""
    option = record.options[name]
    default = record.python_signature.parameters[name].default
    values: list[Any] = [] if default is record.python_signature.empty else [default]
    if isinstance(option, Flag):
        return [False, True]
    if isinstance(option, Choice):
        return list(option.values)
    if isinstance(option, (Number, Integer)):
        values += option.draw
    return list(dict.fromkeys(values))


def _parameters(record: Record) -> dict[str, list[Any]]:
    """What varies in a dense call; in any other one the options with each other, and whether arrays are given."""
    options = record.options.items()
    scalars = [name for name, option in options if not isinstance(option, drawn.SIZED)]
    if not is_dense(record):
        arrays = [name for name, option in options if isinstance(option, drawn.SIZED) and option.optional]
        return {
            "dtype": ["float32", "float64"],
            **{name: _values(record, name) for name in scalars},
            **{name: [True, False] for name in arrays},
        }
    return {
        "mask": list(MASKS),
        "bias": list(BIASES),
        "dtype": ["float32", "float64", "float16", "int64"],
        "layout": list(LAYOUTS),
        "lengths": list(LENGTHS),
        "widths": list(WIDTHS),
        "batch": list(BATCHES),
        **{name: _values(record, name) for name in scalars},
    }


def _plan(name: str, row: dict[str, Any], seed: int) -> Plan:
    (m, n), (d, e), (batch, stretch) = LENGTHS[row["lengths"]], WIDTHS[row["widths"]], BATCHES[row["batch"]]
    drawn = ("mask", "bias", "dtype", "layout", "lengths", "widths", "batch")
    return Plan(
        name,
        {"m": m, "n": n, "d": d, "e": e},
        batch=batch,
        stretch=stretch,
        dtype=row["dtype"],
        layouts=(row["layout"],),
        mask=row["mask"],
        bias=row["bias"],
        options={option: value for option, value in row.items() if option not in drawn},
        seed=seed,
    )


def step_of(candidate: Candidate) -> int:
    """Simulated kernels take every fourth row of options."""
    return 1 if candidate.largest > 9 else 4


@pytest.mark.formulations.with_args(is_dense, because="they have the test below")
def test_every_pair_of_options(candidate: Candidate, name: str) -> None:
    rows = pairwise(_parameters(find(name)))
    for seed, row in list(enumerate(rows))[:: step_of(candidate)]:
        compare(candidate, build(_plan(name, row, seed)))


@pytest.mark.formulations.with_args(lambda record: not is_dense(record), because="they have the test above")
def test_every_pair_of_options_of_other_formulations(candidate: Candidate, name: str) -> None:
    parameters = _parameters(find(name))
    rows = pairwise(parameters)
    for seed, row in list(enumerate(rows))[:: step_of(candidate)]:
        plan = Plan(name, {}, batch=(2,), dtype=row.pop("dtype"), seed=seed)
        given = {
            option for option, value in row.items() if isinstance(find(name).options[option], drawn.SIZED) and value
        }
        scalars = {option: row[option] for option in row if not isinstance(find(name).options[option], drawn.SIZED)}
        plan = replace(
            plan,
            mask="random" if "mask" in given else None,
            bias="normal" if "bias" in given else None,
            options={option: value for option, value in scalars.items() if value is not None},
        )
        compare(candidate, build(plan, given))
