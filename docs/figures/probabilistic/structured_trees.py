"""Figures of dependency trees over a real sentence, whose arcs are scored by a real head."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc
from numpy.typing import NDArray

from attlas_ref.data import alice
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.probabilistic.dependency_constrained_attention import dependency_constrained_attention
from attlas_ref.probabilistic.projective_tree_marginals import projective_tree_marginals
from attlas_ref.probabilistic.syntactic_attention import syntactic_attention
from attlas_ref.probabilistic.syntactic_dependency import syntactic_dependency
from attlas_ref.probabilistic.tree_attention_marginals import tree_attention_marginals

from ..general import LAYER_HEAD, SENTENCE, SOURCE, real_head
from ..panels import draw_maps
from ..style import LINES, color_scale, show_weights

Reals = NDArray[np.float64]
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."


def _arcs() -> tuple[Reals, Reals, list[str]]:
    """Scores of arcs (head, dependent) and of roots: a word's query looks for its head, the mark [CLS] is the root."""
    heads = alice()
    query, key = (np.asarray(x[LAYER_HEAD], dtype=np.float64) for x in heads[:2])
    words = heads.tokens[SENTENCE].tolist()
    scores = query[SENTENCE] @ key.T / np.sqrt(key.shape[-1])
    return scores[:, SENTENCE].T, scores[:, 0], words


def _label(all_axes: list[Axes]) -> None:
    for axes in all_axes:
        axes.set_xlabel("head")
    all_axes[0].set_ylabel("dependent")


def _trees(figure: Figure) -> str:
    arcs, roots, words = _arcs()
    open_scores = np.where(np.eye(len(words), dtype=bool), -np.inf, arcs)
    every = np.concatenate([open_scores, roots[None]])  # heads and the root
    softmax = np.exp(every - every.max(axis=0)) / np.exp(every - every.max(axis=0)).sum(axis=0)
    _, marginals, root_marginals = tree_attention_marginals(arcs, roots)
    heads = [*words, "(root)"]
    panels = [
        ("each word chooses by itself", softmax.T),
        ("all words together: trees", np.concatenate([marginals, root_marginals[None]]).T),
    ]
    _label(draw_maps(figure, panels, words, heads, label="probability"))
    return (
        "The head of each word (row), if every word chooses by itself, and under the distribution over trees with the "
        "same scores. Cycles of two words that choose each other are gone, and there is one root. The score of a word "
        f"as the root is that of the mark before the sentence. {HEAD}"
    )


def _projective(figure: Figure) -> str:
    arcs, roots, words = _arcs()
    all_axes = figure.subplots(2, 1, sharex=True)
    kinds = (("all trees", tree_attention_marginals), ("trees without crossing arcs", projective_tree_marginals))
    for axes, (title, marginals_of) in zip(all_axes, kinds, strict=True):
        _draw_arcs(axes, *marginals_of(arcs, roots)[1:])
        axes.set_title(title)
    all_axes[-1].set_xticks(range(len(words)), words, rotation=90)
    return (
        "Arcs from heads to dependents above the line of the sentence, as wide as they are probable; dots are roots. "
        f"Without crossings, long arcs rule out what they would cross. {HEAD}"
    )


def _draw_arcs(axes: Axes, marginals: Reals, roots: Reals) -> None:
    n = len(roots)
    for (h, d), p in np.ndenumerate(marginals):
        if p > 0.03:
            color = LINES[0] if h < d else LINES[1]
            axes.add_patch(
                Arc(
                    ((h + d) / 2, 0), abs(h - d), 2 * abs(h - d) ** 0.7, theta2=180, linewidth=5 * p, color=color,
                    alpha=0.3 + 0.7 * p,
                )
            )  # fmt: skip
    axes.scatter(np.arange(n), np.zeros(n), s=140 * roots + 1, color=LINES[2], zorder=3, clip_on=False)
    axes.set(xlim=(-0.7, n - 0.3), ylim=(0, 0.3 + n**0.7), yticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=8)


def _syntactic(figure: Figure) -> str:
    arcs, roots, words = _arcs()
    value = np.eye(len(words))
    query, key, _, _ = real_head(*LAYER_HEAD)
    panels = [
        ("softmax attention", softmax_attention(query, key, value)),
        ("its head (parent)", syntactic_attention(value, arcs, roots)),
        ("its dependents (child)", syntactic_attention(value, arcs, roots, direction="child")),
    ]
    draw_maps(figure, panels, words, label="weight")
    return (
        "What each word reads: with a softmax over the scores of the head, and as the expected head or the expected "
        f"dependents under all trees. {HEAD}"
    )


def _parsed(words: list[str]) -> tuple[Reals, Reals]:
    """Distances and heights from a real head: neighbors that ignore each other are far apart, sought words high."""
    query, key, _, _ = real_head(*LAYER_HEAD)
    scores = query @ key.T / np.sqrt(key.shape[-1])
    scores = (scores - scores.mean()) / scores.std()
    height = 2 * scores.mean(axis=0)
    distance = -(np.diagonal(scores, 1) + np.diagonal(scores, -1)) / 2
    return distance - distance.mean() + height.mean(), height


def _skyline(figure: Figure) -> str:
    words = real_head(*LAYER_HEAD).words
    distance, height = _parsed(words)
    n = len(words)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    low = min(height.min(), distance.min()) - 0.3
    left.bar(np.arange(n), height - low, 0.5, bottom=low, color=LINES[0], label="height of the word")
    left.bar(np.arange(n - 1) + 0.5, distance - low, 0.12, bottom=low, color=LINES[1], label="distance to the next")
    left.set_xticks(range(n), words, rotation=90)
    left.set(title="the skyline", yticks=[])
    left.tick_params(length=0)
    left.legend(loc="upper left", bbox_to_anchor=(0, 1.02))
    left.set_ylim(low, max(height.max(), distance.max()) + 1.4)
    parents = syntactic_dependency(distance, height, distance_temperature=0.3, height_temperature=0.3)
    mesh = show_weights(right, parents, words, "parents")
    right.set(xlabel="parent", ylabel="token")
    color_scale(figure, mesh, right, "probability")
    return (
        "A word's constituent reaches until a wall is higher than the word; the highest word in it is the parent. Here "
        "heights are how much a word is sought by all queries of the head, and walls stand between neighbors that do "
        f"not seek each other. {HEAD}"
    )


def _constrained(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    parse = syntactic_dependency(*_parsed(words), distance_temperature=0.3, height_temperature=0.3)
    heads = [np.stack([x, x]) for x in (query, key, value)]
    weights = dependency_constrained_attention(*heads, parse, np.eye(2), return_weights=True).weights
    draw_maps(figure, [("the parse: parents", parse), ("a head for parents", weights[0]), ("for children", weights[1])],
              words, label="probability, weight")  # fmt: skip
    return (
        "The same queries and keys in two heads, of which one looks at parents, the other at children. A pair has "
        f"weight if the parse allows it and the scores want it. {HEAD}"
    )


FIGURES = {
    "tree_attention_marginals": _trees,
    "projective_tree_marginals": _projective,
    "syntactic_attention": _syntactic,
    "syntactic_dependency": _skyline,
    "dependency_constrained_attention": _constrained,
}
