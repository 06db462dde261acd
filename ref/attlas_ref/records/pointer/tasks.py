"""Records of the family pointer: tasks."""

from typing import Any

import numpy as np

from ...contract.options import Choice, Flag, Integer
from ..record import Draft, Record, Source
from .networks import LENGTH, UNIFORM, VINYALS, WIDTH, draw_as_many_numbers, places_exist, uniforms_fit

TASKS = Source(VINYALS.authors, VINYALS.title, VINYALS.year, VINYALS.arxiv, "section 4.2")
EXACT_MOST = 16
"""Positions of which all subsets are gone through."""


def _the_start_is_a_position(function: str, values: dict[str, Any]) -> None:
    n, start, length = values["scores"].shape[-1], values["start"], values["length"]
    if start >= max(n, 1):
        raise ValueError(f"{function}: start is {start}; it needs a position below n = {n}")
    if length is not None and length > n:
        raise ValueError(f"{function}: length is {length}; it needs at most n = {n}, each position once")
    if values["method"] == "exact" and n > EXACT_MOST:
        raise ValueError(f"{function}: method is 'exact' and n = {n}; it needs n of at most {EXACT_MOST}")


def _draw_a_chain(draft: Draft) -> None:
    n = draft.sizes["n"]
    if "start" in draft.options:
        draft.options["start"] %= max(n, 1)
    if draft.options.get("length") is not None:
        draft.options["length"] = min(draft.options["length"], n)
    draw_as_many_numbers(draft)


def _visits(points: Any, tour: Any) -> tuple[Any, ...]:
    """Positions of points."""
    return points, np.floor(np.abs(8 * tour)) % max(points.shape[-2], 1)


def _draw_points_to_visit(draft: Draft) -> None:
    if draft.sizes["n"] == 0:
        draft.sizes["T"] = 0


def _utility(name: str, title: str, formula: str, signature: str, file: str = "", **more: Any) -> Record:
    """An exact answer of a task, which checks its own arguments."""
    source = more.pop("source", TASKS)
    return Record(
        name=name,
        family="pointer",
        title=title,
        formula=formula,
        signature=signature,
        source=source,
        kind="U",
        tier=2,
        file=file,
        engines=(),
        **more,
    )


RECORDS = (
    Record(
        name="pointer_decode",
        family="pointer",
        title="An order from a table of scores",
        formula="p(j | i, visited) = softmax over what is left of scores_ij;  exact: argmax Σ_t scores[C_t, C_(t+1)]",
        signature="(n,n)->(length),()",
        source=VINYALS,
        options={
            "start": Integer(low=0, draw=(0, 9)),
            "length": LENGTH,
            "method": Choice(values=("greedy", "sample", "beam", "exact")),
            "beam_width": WIDTH,
            "uniform": UNIFORM,
            "closed": Flag(),
        },
        kind="U",
        tier=3,
        engines=(),
        checks=(_the_start_is_a_position, uniforms_fit),
        arrange=(_draw_a_chain,),
        counts={"length": "n"},
        positive=(),
        largest={"n": 7},
    ),
    _utility(
        "convex_hull_labels",
        "Convex hull as a sequence of positions",
        "conv(x) = conv(x[l_1], ..., x[l_h]),  counter-clockwise from the smallest l",
        "->(h)",
        "planar_labels",
    ),
    _utility(
        "delaunay_labels",
        "Delaunay triangulation as triples of positions",
        "{i < j < k}: no point inside of the circle through x_i, x_j, x_k",
        "->(t,3)",
        "planar_labels",
    ),
    _utility(
        "held_karp",
        "Exact traveling-salesman tour",
        "C[S, k] = min_l C[S \\ k, l] + D_lk,  L = min_k C[all, k] + D_k0",
        "->(),(n)",
        source=Source("Held & Karp", "A Dynamic Programming Approach to Sequencing Problems", 1962),
    ),
    _utility(
        "tour_length",
        "Length of a tour",
        "L = Σ_t |x[π_(t+1)] − x[π_t]|",
        "(n,2),(T)->()",
        options={"closed": Flag()},
        checks=(places_exist("tour", "points"),),
        arrange=(_draw_points_to_visit,),
        valid=_visits,
        labels=("tour",),
        exact=("tour",),
        positive=(),
    ),
    _utility(
        "pointer_task",
        "Points with a true answer",
        "x ~ U[0, 1]²,  labels = hull, triangulation, shortest tour or order of x",
        "->(n,2),(l)",
    ),
)
