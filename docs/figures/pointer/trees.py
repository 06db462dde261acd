"""Figures of the family pointer: trees."""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from attlas_ref.pointer.build_token_tree import build_token_tree
from attlas_ref.pointer.tree_cross_attention import tree_cross_attention
from attlas_ref.pointer.tree_search_path import tree_search_path

from ..style import LINES, WEIGHTS, color_scale, line

COUNT = 32
ONE = np.ones((1, 1, 1))
HEADS: Any = {"w_query": ONE, "w_key": ONE}


def signal() -> Any:
    """A noisy curve: tokens of width 1."""
    x = np.linspace(0, 1, COUNT)
    return (np.sin(7 * x) + 0.8 * x + 0.25 * np.random.default_rng(3).normal(size=COUNT))[:, None]


def _build(figure: Figure) -> str:
    tokens = signal()
    levels = build_token_tree(tokens, branch_factor=2)
    axes = figure.subplots()
    axes.plot(np.arange(COUNT) + 0.5, tokens[:, 0], "o", color="gray", markersize=4, label="tokens")
    for index, level in enumerate((1, 2, 3)):
        nodes = levels[level].nodes[:, 0]
        edges = np.linspace(0, COUNT, len(nodes) + 1)
        axes.stairs(
            nodes, edges, baseline=None, linewidth=2, label=f"level {level}: {len(nodes)} summaries", **line(index)
        )
    axes.set(title="Every level tells the same story, more and more closely", xlabel="token", ylabel="value")
    axes.legend(ncols=2)
    return "A noisy curve of 32 tokens and the means on three levels of its tree (branch factor 2)."


def _search(figure: Figure) -> str:
    tokens = signal()
    levels = build_token_tree(tokens, branch_factor=2)
    queries = np.array([[6.0], [-6.0], [1.0]])
    found = tree_search_path(queries, levels, **HEADS)
    axes = figure.subplots()
    faint = str(matplotlib.rcParams["grid.color"])
    high = float(np.abs(tokens).max())
    for level, (nodes, _) in enumerate(levels):
        at = (np.arange(len(nodes)) + 0.5) * COUNT / len(nodes)
        if level:
            above = (np.arange(len(nodes)) // 2 + 0.5) * 2 * COUNT / len(nodes)
            for x, y in zip(at, above, strict=True):
                axes.plot([x, y], [level, level - 1], color=faint, linewidth=0.8, zorder=0)
        points = axes.scatter(at, np.full(len(nodes), level), c=nodes[:, 0], cmap=WEIGHTS, vmin=-high, vmax=high, s=32)
    for index, (query, path) in enumerate(zip(queries[:, 0], found.path, strict=True)):
        at = [COUNT / 2, *((node + 0.5) * COUNT / 2 ** (level + 1) for level, node in enumerate(path))]
        chance = float(np.exp(found.log_prob[index]))
        axes.plot(np.array(at) + 0.15 * (index - 1), range(len(at)), label=f"q = {query:g}, p = {chance:.2f}", zorder=1,
                  **line(index))  # fmt: skip
    axes.invert_yaxis()
    axes.set(title="One path per query: at each node to the child that fits best", xlabel="token", ylabel="level")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.98))
    color_scale(figure, points, axes, "value")
    return (
        "The tree of the noisy curve. A positive query looks for large values, a negative one for small ones; a faint "
        "one is less sure of its way. The paths end above the tokens, which the search does not read."
    )


def _read(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    tokens = signal()
    found = tree_cross_attention(
        np.array([[1.5]]), tokens, **HEADS, w_value=ONE, w_out=ONE[0], return_weights=True, return_selected=True
    )
    sizes = [len(flags) for _, flags in build_token_tree(tokens)]
    starts = np.cumsum([0, *sizes])
    for level, size in enumerate(sizes):
        for node in np.flatnonzero(found.selected[0, starts[level] : starts[level + 1]]):
            width = COUNT / size
            weight = float(found.weights[0, 0, starts[level] + node])
            left.bar((node + 0.5) * width, weight, width, color=LINES[level % 4], edgecolor="white", linewidth=0.5)
            left.text((node + 0.5) * width, weight, f"{int(width)}", ha="center", va="bottom", fontsize=8.5)
    left.set(title="Weights of one query, and how many tokens\neach node stands for", xlabel="token", ylabel="weight")
    counts = [2**power for power in range(2, 15)]
    for index, b in enumerate((2, 4, 8)):
        read = []
        for count in counts:
            some = np.random.default_rng(0).normal(size=(count, 1))
            selected = tree_cross_attention(
                np.ones((1, 1)), some, **HEADS, w_value=ONE, w_out=ONE[0], branch_factor=b, return_selected=True
            ).selected
            read.append(int(selected.sum()))
        right.plot(counts, read, marker="osD"[index], markersize=4, label=f"branch factor {b}", **line(index))
    right.plot(counts[:5], counts[:5], color="gray", linewidth=1, label="all tokens")
    right.set(title="Nodes that a query reads, counted", xlabel="tokens", ylabel="nodes", xscale="log")
    right.legend()
    return (
        "To the left, a noisy curve of 32 tokens: near the end of the path tokens are read one by one, far from it as "
        "one summary. To the right, the number of nodes grows with the logarithm of the number of tokens."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "build_token_tree": _build,
    "tree_search_path": _search,
    "tree_cross_attention": _read,
}
