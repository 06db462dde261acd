"""Figures of attention to tuples: maps of pairs of words, products of rows, gradients."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attlas_ref.kronecker.khatri_rao import khatri_rao
from attlas_ref.kronecker.simplicial_attention import simplicial_attention, simplicial_attention_vjp
from attlas_ref.kronecker.tensor_attention import tensor_attention
from attlas_ref.kronecker.tri_directional_attention import tri_directional_attention

from ..general import LAYER_HEAD, SOURCE, TEXT, real_head
from ..panels import draw_rows
from ..style import SIGNED, color_scale, line, show_weights
from .learning import learning_curves

CLAUSE = slice(1, 12)
READER = "tired"
TRIPLES = 30
"""Channels that a determinant takes: a multiple of three."""
WINDOWS = (8, 3)


def _draw_pairs(figure: Figure, panels: list[tuple[str, Any]], words: list[str], label: str = "weight") -> list[Axes]:
    """Draw maps over pairs of words, (first member, second member), on a common scale."""
    all_axes = list(figure.subplots(1, len(panels), squeeze=False)[0])
    high = max(float(weights.max()) for _, weights in panels)
    for axes, (title, weights) in zip(all_axes, panels, strict=True):
        mesh = show_weights(axes, weights, words, title, limits=(0, high), label_queries=axes is all_axes[0])
        axes.set_xlabel("second member")
    all_axes[0].set_ylabel("first member")
    color_scale(figure, mesh, all_axes, label)
    return all_axes


def _pairs(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    row = head.words.index(READER)
    panels = []
    for score, title in (("sum", "score sum: each by itself"), ("product", "score product: the two together")):
        scale = 0.5 if score == "product" else None
        weights = tensor_attention(
            head.query[row : row + 1], (head.key,) * 2, (head.value,) * 2, scale=scale, score=score, return_weights=True
        ).weights
        panels.append((title, weights[0]))
    _draw_pairs(figure, panels, head.words)
    return (
        f"How the query “{READER}” spreads its weight over pairs of words. A sum of scores gives a product of two "
        f"softmaxes: every row is a multiple of every other. A product of keys ties the two members together. {SOURCE}."
    )


def _gradients(figure: Figure) -> str:
    axes = figure.subplots()
    curves = learning_curves()
    for index, (label, losses) in enumerate(curves.items()):
        axes.plot(losses, label=label, **line(index))
    axes.set(xlabel="step of L-BFGS", ylabel="cross-entropy, nats per token", yscale="log")
    axes.set_title("Triples are learned by attention to pairs, not by attention to single tokens")
    axes.legend()
    return (
        "Every input of three tokens modulo 5: does the token belong to a triple that sums to 0? Both heads have width "
        "5 and a free table of embeddings; the gradients are `tensor_attention_vjp` and `softmax_attention_vjp`. That "
        "the softmax head cannot reach 0 is proven, how far it gets is measured."
    )


def _product_of_rows(figure: Figure) -> str:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(3, 6)), rng.normal(size=(4, 6))
    panels = [("first", first), ("second", second), ("khatri_rao((first, second))", khatri_rao((first, second)))]
    bound = max(float(np.abs(rows).max()) for _, rows in panels)
    all_axes = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    names = [[f"{j}" for j in range(3)], [f"{k}" for k in range(4)], [f"{j}, {k}" for j in range(3) for k in range(4)]]
    channels = [str(c) for c in range(6)]
    for axes, (title, rows), labels in zip(all_axes, panels, names, strict=True):
        mesh = show_weights(axes, rows, labels, title, keys=channels, limits=(-bound, bound), map_=SIGNED)
        axes.set(xlabel="channel", ylabel="row")
        axes.tick_params(axis="x", rotation=0)
    color_scale(figure, mesh, list(all_axes), "entry")
    return "Row (j, k) of the product is row j of the first times row k of the second, channel by channel."


def _triangles(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    query, key = head.query[:, :TRIPLES], head.key[:, :TRIPLES]
    row = len(head.words) - 1
    panels = [
        (
            score,
            simplicial_attention(
                query, key, key, head.value, head.value, scale=0.3, windows=WINDOWS, score=score, return_weights=True
            ).weights[row],
        )
        for score in ("product", "determinant")
    ]
    for axes in _draw_pairs(figure, panels, head.words):
        axes.axhline(len(head.words) - WINDOWS[0], color="white", linewidth=1.5)
        axes.axvline(len(head.words) - WINDOWS[1], color="white", linewidth=1.5)
    return (
        f"The last query, “{head.words[row]}”, with windows of {WINDOWS[0]} and {WINDOWS[1]} words (right of and below "
        "the lines). The product is the same for (j, k) and (k, j); the determinant changes its sign, and a pair of "
        f"equal words spans nothing. {SOURCE}."
    )


def _gradients_of_triangles(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    grad_output = np.zeros_like(head.value)
    grad_output[-1] = head.value[head.words.index(READER)]
    grads = simplicial_attention_vjp(
        head.query, head.key, head.key, head.value, head.value, grad_output, scale=0.3, windows=WINDOWS
    )
    sizes = {
        "grad_key1": np.linalg.norm(grads.grad_key1, axis=-1),
        "grad_key2": np.linalg.norm(grads.grad_key2, axis=-1),
    }
    axes = figure.subplots()
    draw_rows(axes, head.words, sizes, ylabel="length of the gradient")
    axes.set_title(f"A gradient at the last word reaches its windows of {WINDOWS[0]} and {WINDOWS[1]} and no further")
    return (
        f"The last output is asked to point along the value of “{READER}”. Words outside of the windows get exactly 0. "
        f"{SOURCE}."
    )


def _three_directions(figure: Figure) -> str:
    layer, head = LAYER_HEAD
    sets = [real_head(layer, head, stretch) for stretch in (slice(1, 7), slice(7, 12), slice(12, 16))]
    keys = [part.key for part in sets]
    names = ("first", "second", "third")
    panels = []
    for reader in range(3):
        read = (reader + 1) % 3
        # Values of one-hot rows on one side and of ones on the other bring out the weights of one member.
        width = len(keys[read])
        values = [np.eye(width) if r == read else np.ones((len(keys[r]), width)) for r in range(3)]
        result = tri_directional_attention(*(x for pair in zip(keys, values, strict=True) for x in pair), scale=0.3)
        panels.append((reader, read, result[reader]))
    high = max(float(weights.max()) for *_, weights in panels)
    all_axes = figure.subplots(1, 3)
    for axes, (reader, read, weights) in zip(all_axes, panels, strict=True):
        title = f"the {names[reader]} reads the {names[read]}"
        mesh = show_weights(axes, weights, sets[reader].words, title, keys=sets[read].words, limits=(0, high))
        axes.set(xlabel="", ylabel="")
        axes.tick_params(labelsize=8.5)
    color_scale(figure, mesh, list(all_axes), "weight, summed over the other member", below=True)
    return (
        "Three stretches of a text in one cube of scores. Each reads pairs of the other two; shown is how its weight "
        f"falls on one of the two. {TEXT}, layer {layer}, head {head}."
    )


FIGURES = {
    "tensor_attention": _pairs,
    "tensor_attention_vjp": _gradients,
    "khatri_rao": _product_of_rows,
    "simplicial_attention": _triangles,
    "simplicial_attention_vjp": _gradients_of_triangles,
    "tri_directional_attention": _three_directions,
}
