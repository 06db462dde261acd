"""How a pointer decides: the options of its energies, what they need, and how to draw them."""

from typing import Any

from ...contract.options import Array, Choice, Number, Option
from ..legal import host
from ..record import Draft
from ..shared import DENSE

MASK = DENSE["mask"]
OFFSET = Number(draw=(-2.0, 2.0))
ENERGY: dict[str, Option] = {
    "score": Choice(values=("additive", "dot", "scaled_dot")),
    "w_query": Array(core=("d", "a"), batched=False, optional=True),
    "w_key": Array(core=("c", "a"), batched=False, optional=True),
    "b": Array(core=("a",), batched=False, optional=True),
    "v": Array(core=("a",), batched=False, optional=True, valid=lambda x: x + (2 * (x >= 0) - 1)),
    "g": OFFSET,
    "r": OFFSET,
    "scale": DENSE["scale"],
    "noise": Array(core=("m", "n"), optional=True, widens=False),
    "noise_scale": Number(low=0.0, draw=(0.0, 2.0)),
    "mask": MASK,
}
"""How a pointer decides."""
USES = {"additive": ("w_query", "w_key", "b", "v"), "dot": ("w_key",), "scaled_dot": ("w_query", "w_key")}
"""The parameters of each score."""


def score_has_its_parameters(function: str, values: dict[str, Any]) -> None:
    score = values["score"]
    for name in ("w_query", "w_key", "b", "v"):
        if values[name] is None and score == "additive" and name != "b":
            raise ValueError(f"{function}: {name} is None; score 'additive' needs w_query, w_key and v")
        if values[name] is not None and name not in USES[score]:
            raise ValueError(f"{function}: {name} is given, but score {score!r} does not use it; it needs None")
    widths = {
        "query": values["query" if values["w_query"] is None else "w_query"].shape[-1],
        "key": values["key" if values["w_key"] is None else "w_key"].shape[-1],
    }
    if widths["query"] != widths["key"]:
        raise ValueError(
            f"{function}: query has the width {widths['query']} and key {widths['key']} where they are multiplied "
            f"(w_query and w_key, if given, are applied before); score {score!r} needs equal widths"
        )
    if values["v"] is not None and not bool((host(values["v"]) != 0).any()):
        raise ValueError(f"{function}: v is 0; it needs a direction")


def chunk_has_energies(function: str, values: dict[str, Any]) -> None:
    d, c = values["query"].shape[-1], values["key"].shape[-1]
    if values["energy"] is None and d != c:
        raise ValueError(f"{function}: query has the width {d} and key {c}; without energy both need the same")


def drop_what_is_not_given(draft: Draft) -> None:
    draft.given -= {name for name, value in draft.options.items() if value is None}


def draw_energies(draft: Draft) -> None:
    if "energy" not in draft.given:
        draft.sizes["c"] = draft.sizes["d"]


def draw_parameters(draft: Draft) -> None:
    """Give a score what it needs, take what it does not use, and make the widths of a product equal."""
    score, sizes = draft.options.get("score", "additive"), draft.sizes
    draft.given -= {"w_query", "w_key", "b", "v"} - set(USES[score])
    if score == "additive":
        draft.given |= {"w_query", "w_key", "v"}
        return
    has_query, has_key = "w_query" in draft.given, "w_key" in draft.given
    if has_key and not has_query:
        sizes["a"] = sizes["d"]
    elif has_query and not has_key:
        sizes["a"] = sizes["c"]
    elif not has_key:
        sizes["c"] = sizes["d"]
