"""Records of the family pointer: trees."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Levels
from ..legal import draw_uniform, host
from ..record import Draft, Record, Source

FENG = Source("Feng, Tung, Hajimirsadeghi, Bengio & Ahmed", "Tree Cross Attention", 2023, "2309.17388")
HEADS = Array(core=("h", "d", "hd"), batched=False)
BRANCHES = Integer(low=2, draw=(2, 4))
AGGREGATOR = Choice(values=("mean",))
TOKENS = Array(core=("N",), boolean=True, broadcast=True, optional=True)
MODE = Choice(values=("greedy", "sample"))
UNIFORM = Array(core=("m", "k"), optional=True, valid=draw_uniform, widens=False)


def _sizes_of_tree(count: int, branch_factor: int) -> list[int]:
    """The nodes of each level, root first."""
    depth = 0
    while branch_factor ** (depth + 1) <= count - 1:
        depth += 1
    inner = [branch_factor**level for level in range(depth + 1)]
    return [*inner, -(-count // inner[-1]) * inner[-1]]


def _there_are_two_tokens(function: str, values: dict[str, Any]) -> None:
    count = values["tokens"].shape[-2]
    if count < 2 and values.get("levels") is None:
        raise ValueError(f"{function}: tokens has {count} rows; it needs at least 2")


def _levels_are_a_tree(function: str, values: dict[str, Any]) -> None:
    if values["levels"] is None:
        return
    sizes = [int(flags.shape[-1]) for _, flags in values["levels"]]
    root, branches, leaves = sizes[0], sizes[1] if len(sizes) > 2 else 2, sizes[-1]
    inner = [branches**level for level in range(len(sizes) - 1)]
    if root != 1 or sizes[:-1] != inner or branches < 2 or leaves == 0 or leaves % inner[-1]:
        raise ValueError(
            f"{function}: levels have {sizes} nodes; they need 1, b, b², …, and leaves that many times a whole number"
        )


def _there_is_a_draw_per_level(function: str, values: dict[str, Any]) -> None:
    uniform, levels = values["uniform"], values["levels"]
    if uniform is None:
        if values["mode"] == "sample":
            raise ValueError(f"{function}: uniform is None; mode 'sample' needs an array")
        return
    sizes = (
        _sizes_of_tree(values["tokens"].shape[-2], values["branch_factor"])
        if levels is None
        else [flags.shape[-1] for _, flags in levels]
    )
    if uniform.shape[-1] != len(sizes) - 2:
        raise ValueError(
            f"{function}: uniform has {uniform.shape[-1]} columns; it needs one per choice, k = {len(sizes) - 2}"
        )
    numbers = np.asarray(host(uniform))
    if bool(((numbers < 0) | (numbers >= 1)).any()):
        raise ValueError(f"{function}: uniform leaves the range; it needs numbers of at least 0 and below 1")


def _draw_two_tokens(draft: Draft) -> None:
    draft.sizes["N"] = max(2, draft.sizes["N"])


def _draw_draws(draft: Draft) -> None:
    """As many draws as choices, where there are tokens."""
    draft.sizes["k"] = len(_sizes_of_tree(draft.sizes["N"], draft.options.get("branch_factor", 2))) - 2
    if draft.options.get("mode") == "sample":
        draft.given.add("uniform")


def _draw_levels(draft: Draft) -> None:
    """A tree of any nodes: a search must not ask whether they are means."""
    sizes = _sizes_of_tree(int(draft.rng.integers(2, 20)), int(draft.rng.integers(2, 4)))
    levels = []
    seen = np.ones(1, dtype=bool)
    for level, size in enumerate(sizes):
        branches = size // len(seen)
        # A node is padding if all below it is; the first child of a node that is none is none.
        own = (draft.rng.random(size) < 0.7) | (np.arange(size) % branches == 0)
        seen = np.repeat(seen, branches) & own if level else seen
        nodes = draft.rng.standard_normal((*draft.batch, size, draft.sizes["d"]))
        levels.append((np.where(seen[:, None], nodes, 0).astype(draft.dtype), seen))
    draft.options["levels"] = tuple(levels)
    draft.sizes["k"] = len(sizes) - 2
    if draft.options.get("mode") == "sample":
        draft.given.add("uniform")


def _cores_of_tree(sizes: Mapping[str, int], options: Mapping[str, Any]) -> list[tuple[int, ...]]:
    nodes = _sizes_of_tree(sizes["N"], options.get("branch_factor", 2))
    return [core for size in nodes for core in ((size, sizes["d"]), (size,))]


def _cores_of_path(sizes: Mapping[str, int], options: Mapping[str, Any]) -> list[tuple[int, ...]]:
    return [(sizes["m"], len(options["levels"]) - 2), (sizes["m"],), (sizes["m"],)]


RECORDS: tuple[Record, ...] = (
    Record(
        name="build_token_tree",
        family="pointer",
        title="Tree of token summaries",
        formula="x_(l,c) = mean of the unmasked children x_(l+1,c');  N_l = 1, b, b², …, b^k, P b^k",
        signature="(N,d)->{(N_l,d),(N_l)}",
        source=FENG,
        options={"branch_factor": BRANCHES, "mask": TOKENS, "aggregator": AGGREGATOR},
        kind="C",
        positive=(),
        checks=(_there_are_two_tokens,),
        arrange=(_draw_two_tokens,),
        outputs=_cores_of_tree,
    ),
    Record(
        name="tree_search_path",
        family="pointer",
        title="Search of one path per query",
        formula="c*_l = argmax or sample of w̄ = mean_h softmax((q W_q^h)·(X W_k^h)/√hd) over the children of c*_(l−1)",
        signature="(m,d)->(m,k),(m),(m)",
        source=FENG,
        options={"levels": Levels(), "w_query": HEADS, "w_key": HEADS, "mode": MODE, "uniform": UNIFORM},
        tier=2,
        positive=("h", "hd"),
        largest={"m": 9, "d": 9, "h": 5, "hd": 9},
        checks=(_levels_are_a_tree, _there_is_a_draw_per_level),
        arrange=(_draw_levels,),
        outputs=_cores_of_path,
    ),
    Record(
        name="tree_cross_attention",
        family="pointer",
        title="Attend to one leaf block and to the rejected summaries",
        formula="out = [Σ_{x ∈ S} softmax_S((q W_q^h)·(x W_k^h)/√hd) x W_v^h]_h W_o + b,  |S| = k (b − 1) + P",
        signature="(m,d),(N,d)->(m,d)",
        source=FENG,
        options={
            "w_query": HEADS,
            "w_key": HEADS,
            "w_value": HEADS,
            "w_out": Array(core=("h*hd", "d"), batched=False),
            "b_out": Array(core=("d",), batched=False, optional=True),
            "branch_factor": BRANCHES,
            "aggregator": AGGREGATOR,
            "levels": Levels(optional=True),
            "mask": TOKENS,
            "mode": MODE,
            "uniform": UNIFORM,
            "return_weights": Flag(),
            "return_selected": Flag(),
            "return_log_prob": Flag(),
        },
        positive=("h", "hd"),
        largest={"m": 9, "N": 17, "d": 9, "h": 5, "hd": 9},
        checks=(_there_are_two_tokens, _levels_are_a_tree, _there_is_a_draw_per_level),
        arrange=(_draw_two_tokens, _draw_draws),
    ),
)
