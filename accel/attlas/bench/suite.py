"""Running a suite: every case beside its rivals, and what became of its goals."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from attlas_ref.records import Record, find
from attlas_ref.testing.drawn import Call, letters_of

from ..engines import TABLE
from .contestants import Contestant, engine_contestant
from .draw import drawn_call
from .limits import Limits
from .measure import measure, with_shares
from .peers import RIVALS, TIMED_ONLY, peer_contestant
from .suites import Case, Group

WIDTH = 64
"""The size of every letter that a case leaves open."""
CHECKED_QUERIES = 2048
"""With more queries only the last few are checked."""
FEW_ROWS = 64
"""A block of those formulations whose first tokens do not depend on later ones."""


def run_case(case: Case, engine: str = "numba", budget_seconds: float = 1.0) -> dict[str, Any]:
    """Measure a case and return a row of the report."""
    record = find(case.name)
    sizes = {letter: case.sizes.get(letter, WIDTH) for letter in letters_of(record)}
    made = {name: make(sizes, case.batch, case.dtype) for name, make in case.made.items()}
    options = {**case.options, **made}
    own = engine_contestant(record, TABLE[engine])
    example = drawn_call(record, np.random.default_rng(0), sizes, case.batch, case.dtype, options, case.arrays)
    rivals, unable = _fit(record, [rival for rival in case.rivals if rival in RIVALS], example)
    checked = [rival for rival in rivals if rival.name not in TIMED_ONLY]
    others = [rival for rival in rivals if rival.name in TIMED_ONLY]
    point = measure(
        record,
        sizes,
        case.batch,
        case.dtype,
        options,
        [own, *checked],
        arrays=case.arrays,
        others=[*others, *([_softmax(engine)] if "softmax" in case.rivals else [])],
        memory=[engine] if case.at_most_bytes is not None else [],
        checked=(case.checked or "last", FEW_ROWS) if case.checked or sizes.get("m", 0) > CHECKED_QUERIES else None,
        budget_seconds=budget_seconds,
    )
    names = {name: make.__name__.replace("_", " ") for name, make in case.made.items()}
    point["options"] = {**case.options, **names}
    row = point["contestants"][engine]
    point["engine"] = engine
    point["unable"] = unable
    point["goals"] = [
        {"over": rival, "at_least": goal.at_least, "ratio": row["speedup"][rival]}
        for goal in case.goals
        for rival in sorted(set(goal.over) & set(row["speedup"]), key=lambda name: row["speedup"][name]["median"])[:1]
    ]
    if case.at_most_bytes is not None and row["peak_memory_bytes"] is not None:
        point["extra_bytes"] = max(0, row["peak_memory_bytes"] - row["result_bytes"])
        point["at_most_bytes"] = case.at_most_bytes
    return point


def _fit(record: Record, names: Collection[str], example: Call) -> tuple[list[Contestant], dict[str, str]]:
    """The rivals that can compute an example, and what stops each of the others: PyTorch, its compiler."""
    able, unable = [], {}
    for name in names:
        contestant = peer_contestant(record, name)
        try:
            contestant.prepare(example)()
        except Exception as error:
            unable[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"
        else:
            able.append(contestant)
    return able, unable


def _softmax(engine: str) -> Contestant:
    """Softmax attention by the same engine on the same queries, keys and values."""
    own = engine_contestant(find("softmax_attention"), TABLE[engine])
    return Contestant("softmax", lambda call: own.prepare(Call("softmax_attention", call.arrays[:3], {})), own.to_numpy)


def summary(group: Group, points: list[dict[str, Any]], limits: Limits) -> list[dict[str, Any]]:
    """What is asked of a group as a whole: rows of (what, wanted, reached)."""
    rows = []
    if group.geometric_mean is not None:
        ratios = [point["goals"][0]["ratio"]["median"] for point in points]
        reached = math.exp(sum(map(math.log, ratios)) / len(ratios))
        rows.append({"what": "geometric mean of the ratios", "at_least": group.geometric_mean, "reached": reached})
    if group.product_share is not None:
        shares = [
            with_shares(point, limits)["contestants"][point["engine"]]["product_share"]
            for point in points
            if point["sizes"]["n"] >= 2048 and point["sizes"]["d"] == 64
        ]
        rows.append(
            {
                "what": "least share of the matrix-product rate, n ≥ 2,048, width 64",
                "at_least": group.product_share,
                "reached": min(shares),
            }
        )
    if group.flat_rate is not None:
        rates = [point["sizes"]["n"] / point["contestants"][point["engine"]]["seconds"]["median"] for point in points]
        reached = min(rates) / max(rates)
        rows.append({"what": "least rate of tokens, as a share of the largest", "at_least": group.flat_rate,
                     "reached": reached})  # fmt: skip
    return rows
