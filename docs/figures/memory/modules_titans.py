"""Figures of memories that learn while they are read: what they recall, and who depends on whom."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.memory.ffn_memory import ffn_memory
from attlas_ref.memory.memory_as_context import memory_as_context
from attlas_ref.memory.memory_as_gate import memory_as_gate
from attlas_ref.memory.memory_as_layer import memory_as_layer
from attlas_ref.memory.titans_memory import titans_memory
from attlas_ref.memory.titans_mlp_memory import titans_mlp_memory

from ..style import WEIGHTS, color_scale, line


def _pairs(rng: np.random.Generator, count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random keys of length 1 and values of entries of size 1."""
    key = rng.normal(size=(count, width))
    return key / np.linalg.norm(key, axis=-1, keepdims=True), rng.choice([-1.0, 1.0], (count, width))


def _recall(figure: Figure) -> str:
    rng = np.random.default_rng(0)
    width, count, passes = 16, 12, 6
    old, new = (_pairs(rng, count, width) for _ in range(2))
    panels = figure.subplots(1, 2, sharey=True)
    kinds = {"plain": (0.0, 0.0), "momentum ½": (0.5, 0.0), "decay 0.02": (0.0, 0.02)}
    for index, (name, (momentum, decay)) in enumerate(kinds.items()):
        rates = {"lr": np.full(count, 0.25), "momentum": np.full(count, momentum), "decay": np.full(count, decay)}
        memory, surprise = np.zeros((2, width, width))
        errors = [_errors((old, new), lambda k: k @ memory)]  # noqa: B023
        for key, value in [old] * passes + [new] * passes:
            memory, surprise = titans_memory(
                key, key, value, **rates, memory=memory, surprise=surprise, return_state=True
            ).state
            errors.append(_errors((old, new), lambda k: k @ memory))  # noqa: B023
        for axes, error in zip(panels, np.transpose(errors), strict=True):
            axes.plot(np.arange(2 * passes + 1), error, label=name, **line(index))
    for axes, title in zip(panels, ("The first twelve pairs", "The next twelve"), strict=True):
        axes.axvline(passes, color="gray", linewidth=1)
        axes.set(title=title, xlabel="passes over twelve pairs", ylim=(0, None))
    panels[0].set_ylabel("error of recall (root mean square)")
    panels[0].legend()
    return (
        "A memory of 16 × 16 numbers reads twelve pairs six times, then (gray line) twelve others. What is new is "
        "learned; what is old fades where its keys are not orthogonal to the new ones. Momentum learns and forgets "
        "faster; decay keeps the memory small."
    )


def _errors(sets: tuple[tuple[np.ndarray, np.ndarray], ...], recall: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    return [float(np.sqrt(((recall(key) - value) ** 2).mean())) for key, value in sets]


def _capacity(figure: Figure) -> str:
    rng = np.random.default_rng(1)
    width, hidden, passes = 8, 64, 80
    axes = figure.subplots()
    for index, count in enumerate((6, 24)):
        key, value = _pairs(rng, count, width)
        still = {"momentum": np.zeros(count), "decay": np.zeros(count)}
        memory = np.zeros((width, width))
        first, second = 2 * rng.normal(size=(width, hidden)), 0.1 * rng.normal(size=(hidden, width))
        linear, network = [], []
        for _ in range(passes + 1):
            linear += _errors(((key, value),), lambda k: k @ memory)  # noqa: B023
            network += _errors(((key, value),), lambda k: ffn_memory(k, first.T, second))  # noqa: B023
            memory = titans_memory(
                key, key, value, lr=np.full(count, 0.25), **still, memory=memory, return_state=True
            ).state.memory
            first, second = titans_mlp_memory(
                key, key, value, first, second, lr=np.full(count, 0.005), **still, return_state=True
            ).state
        axes.plot(linear, label=f"linear, {count} pairs", **line(2 * index))
        axes.plot(network, label=f"network, {count} pairs", **line(2 * index + 1))
    axes.set(title="With keys of width 8 a matrix holds eight pairs, a network more", xlabel="passes over the pairs",
             ylabel="error of recall (root mean square)", ylim=(0, None))  # fmt: skip
    axes.legend()
    return (
        "Random pairs. Six fit into both memories; of 24 the linear one keeps a compromise, while a network with 64 "
        "hidden units goes on learning them."
    )


def _influence(function: Callable[..., Any], shapes: dict[str, int], **options: Any) -> np.ndarray:
    """Return how strongly each row of the output changes with each token, relative to the row's largest."""
    rng = np.random.default_rng(2)
    n, p, width, heads, d = shapes["n"], shapes["p"], 8, 2, 4
    x, persistent = rng.normal(size=(n, width)), rng.normal(size=(p, width))
    weights = [rng.normal(size=(heads, width, d)) / np.sqrt(width) for _ in range(3)]
    weights.append(rng.normal(size=(heads, d, width)) / np.sqrt(d))
    weights += [rng.normal(size=(width, width)) / np.sqrt(width) for _ in range(3)]
    step = 1e-4
    found = np.zeros((n, n))
    for j in range(n):
        moves = []
        for sign in (1, -1):
            moved = x.copy()
            moved[j] += sign * step * np.ones(width)
            moves.append(function(moved, persistent, *weights, **options))
        found[:, j] = np.linalg.norm(moves[0] - moves[1], axis=-1) / (2 * step)
    relative: np.ndarray = found / found.max(axis=-1, keepdims=True)
    return relative


def _wiring(function: Callable[..., Any], caption: str, **options: Any) -> Callable[[Figure], str]:
    """Return the figure of a wiring: who depends on whom without and with a learning memory."""

    def draw(figure: Figure) -> str:
        panels = figure.subplots(1, 2)
        shapes = {"n": 16, "p": 2}
        for axes, (title, lr) in zip(panels, (("a memory that does not learn", 0.0), ("lr = 0.01", 0.01)), strict=True):
            memory = np.eye(8) / 4  # something to answer with, also where nothing is learned
            influence = _influence(function, shapes, lr=lr, momentum=0.5, decay=0.02, memory=memory, **options)
            with np.errstate(divide="ignore"):
                logs = np.log10(influence)
            # What rounding leaves of no influence is left blank.
            mesh = axes.pcolormesh(np.where(logs < -9, np.nan, logs), cmap=WEIGHTS, vmin=-3, vmax=0, rasterized=True)
            axes.invert_yaxis()
            axes.set(title=title, xlabel="token", aspect="equal", xticks=range(0, 17, 4), yticks=range(0, 17, 4))
        panels[0].set_ylabel("row of the output")
        color_scale(figure, mesh, list(panels), "log₁₀ of the influence")
        return caption

    return draw


_as_context = _wiring(
    memory_as_context,
    "How much each row changes with each token, relative to its largest; random weights, segments of four. Without "
    "learning the segments do not know of each other; what the memory learns from one reaches all later ones.",
    segment=4,
)
_as_gate = _wiring(
    memory_as_gate,
    "How much each row changes with each token, relative to its largest; random weights, a window of four. What lies "
    "before the window is felt only through the gate that the memory opens.",
    window=4,
)
_as_layer = _wiring(
    memory_as_layer,
    "How much each row changes with each token, relative to its largest; random weights, a window of four. The window "
    "slides over what the memory has made of the tokens, so that what it learns reaches every later row.",
    window=4,
)

FIGURES = {
    "titans_memory": _recall,
    "titans_mlp_memory": _capacity,
    "memory_as_context": _as_context,
    "memory_as_gate": _as_gate,
    "memory_as_layer": _as_layer,
}
