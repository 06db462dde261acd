"""Figures of the page that compares scores and normalizers: one real head under each of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import attlas_ref
from attlas_ref.records import find

from .general import LAYER_HEAD, SOURCE, real_head, weights_of
from .style import color_scale, line, show_weights

CLAUSE = slice(1, 12)
OTHERS = 7
"""Keys beside the one whose score changes."""

Panel = tuple[str, str, Mapping[str, Any]]
"""Title, formulation, options."""

NORMALIZERS: tuple[Panel, ...] = (
    ("softmax", "softmax_attention", {}),
    ("entmax, alpha 1.5", "entmax_attention", {}),
    ("sparsemax", "sparsemax_attention", {}),
    ("top 3 of softmax", "topk_softmax_attention", {"top_k": 3}),
    ("softmax plus 1", "softmax_plus_n_attention", {"extra": 1.0}),
    ("sigmoid", "sigmoid_attention", {}),
    ("squared ReLU", "relu_attention", {"squared": True, "normalize": "sum"}),
    ("softmax over queries", "reversed_attention", {}),
)
SCORES: tuple[Panel, ...] = (
    ("dot product", "softmax_attention", {}),
    ("cosine, scale 10", "cosine_attention", {}),
    ("squared distance", "distance_attention", {}),
    ("capped at ±2", "softcapped_attention", {"cap": 2.0}),
)


def _maps(panels: Sequence[Panel], rows: int) -> Callable[[Figure], str]:
    def draw(figure: Figure) -> str:
        figure.set_size_inches(8.4, 3.2 * rows)
        head = real_head(*LAYER_HEAD, CLAUSE)
        grid = figure.subplots(rows, -(-len(panels) // rows), squeeze=False)
        for index, (axes, (title, name, options)) in enumerate(zip(grid.ravel(), panels, strict=True)):
            first = index % grid.shape[1] == 0
            weights = weights_of(find(name), head, **options)
            mesh = show_weights(axes, weights, head.words, title, label_queries=first)
            axes.tick_params(labelsize=7.5)
            if index < len(panels) - grid.shape[1]:
                axes.set_xticks([])
                axes.set_xlabel("")
        color_scale(figure, mesh, list(grid.ravel()), "weight", below=True)
        return f"The same queries and keys under each, all on one scale from 0 to 1. {SOURCE}."

    return draw


def _curves(figure: Figure) -> str:
    axes = figure.subplots()
    scores = np.zeros((301, OTHERS + 1))
    scores[:, 0] = np.linspace(-4, 4, len(scores))
    curves = {
        "softmax": attlas_ref.entmax(scores, alpha=1.0)[:, 0],
        "entmax, alpha 1.5": attlas_ref.entmax(scores)[:, 0],
        "sparsemax": attlas_ref.sparsemax(scores)[:, 0],
        "sigmoid": 1 / (1 + np.exp(np.log(OTHERS + 1) - scores[:, 0])),
    }
    for index, (label, weights) in enumerate(curves.items()):
        axes.plot(scores[:, 0], weights, label=label, **line(index))
    axes.set(xlabel="score of one key", ylabel="its weight", ylim=(0, 1.02), xlim=(-4, 4))
    axes.legend()
    return f"The weight of one key as its score grows, while {OTHERS} other keys stay at 0."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "choosing-normalizers": _maps(NORMALIZERS, rows=2),
    "choosing-scores": _maps(SCORES, rows=1),
    "choosing-curves": _curves,
}
