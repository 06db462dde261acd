"""Figures of attention that drops or merges projections: the weights of real heads, rebuilt with fewer matrices."""

from functools import cache

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.collapsed_attention import collapsed_attention
from attlas_ref.dotproduct.lean_attention import lean_attention
from attlas_ref.dotproduct.optimized_attention import optimized_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.super_attention import super_attention
from attlas_ref.dotproduct.symmetric_attention import symmetric_attention

from ..general import HEADS, LAYER_HEAD, SOURCE, WORDS, Head, real_head
from ..panels import draw_maps

FITTED = "W takes the keys of the whole text to its queries as well as one matrix can (least squares)."


@cache
def _from_keys_to_queries() -> np.ndarray:
    """Return the matrix that best turns the keys of the real head into its queries, over the whole text."""
    text = real_head(*LAYER_HEAD, WORDS)
    return np.linalg.lstsq(text.key, text.query, rcond=None)[0]


def _one_hot(head: Head) -> np.ndarray:
    """Return unit vectors as values, as wide as the keys: the output's first columns are then the weights."""
    return np.eye(len(head.words), head.key.shape[-1])


def _true_weights(head: Head) -> np.ndarray:
    weights: np.ndarray = softmax_attention(*head[:3], return_weights=True).weights
    return weights


def _collapsed(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    result = collapsed_attention(head.key, weight=_from_keys_to_queries(), return_weights=True)
    panels = [("queries and keys", _true_weights(head)), ("keys alone, and W", result.weights)]
    draw_maps(figure, panels, head.words)
    return f"One matrix in place of two: {FITTED} Its weights are nearly those of the real head. {SOURCE}."


def _symmetric(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    weight = _from_keys_to_queries()
    size, directions = np.linalg.eigh((weight + weight.T) / 2)
    kept = size > 0
    factor = directions[:, kept] * np.sqrt(size[kept])
    panels = [
        ("any W", collapsed_attention(head.key, weight=weight, return_weights=True).weights),
        ("W = F Fᵀ", symmetric_attention(head.key, factor=factor, return_weights=True).weights),
    ]
    draw_maps(figure, panels, head.words)
    return (
        "F Fᵀ is the symmetric, positive part of a fitted W. With it the score of a pair is the same in both "
        f"directions and the diagonal is strong: words look at themselves and at words like themselves. {SOURCE}."
    )


def _optimized(figure: Figure) -> str:
    heads = [real_head(*place) for place in HEADS]
    d = heads[0].key.shape[-1]
    query, key = (np.concatenate([head[part] for head in heads], axis=-1) for part in (0, 1))  # (n, 2 d)
    pick = np.stack([np.eye(2 * d)[:, :d], np.eye(2 * d)[:, d:]])  # each head's own half of the width
    value = np.concatenate([_one_hot(head) for head in heads], axis=-1)
    output = optimized_attention(query, key, value, query_weight=pick, key_weight=pick, output_weight=np.eye(2 * d))
    words = heads[0].words
    n = len(words)
    panels = [
        (f"features 1 to {d}: first head", output[:, :n]),
        (f"features {d + 1} to {2 * d}: second head", output[:, d : d + n]),
    ]
    draw_maps(figure, panels, words)
    return (
        "Two real heads in one call, each of which reads its own half of the values as they are. The values are unit "
        f"vectors here, so that the halves of the output show the weights. {SOURCE}."
    )


def _lean(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    n, d = head.key.shape
    panels = []
    for title, query_weight in (("query weight: identity", np.eye(d)), ("query weight: W", _from_keys_to_queries())):
        output = lean_attention(head.key, head.key, _one_hot(head), query_weight=query_weight, output_weight=np.eye(d))
        panels.append((title, output[:, :n]))
    draw_maps(figure, panels, head.words)
    return (
        "Without key and value weights, the query weight alone decides who looks at whom: words at their like, or what "
        f"the real head looks for. {FITTED} {SOURCE}."
    )


def _super(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    n, d = head.key.shape
    alignments = {
        "identity": np.eye(n),
        "the word before": np.eye(n, k=-1),
        "three around": (np.eye(n, k=-1) + np.eye(n) + np.eye(n, k=1)) / 3,
    }
    panels = []
    for title, alignment in alignments.items():
        output = super_attention(
            head.query, head.key, _one_hot(head), query_weight=np.eye(d), alignment=alignment, output_weight=np.eye(d)
        )
        panels.append((title, output[:, :n]))
    for axes in draw_maps(figure, panels, head.words, label="share in the output"):
        axes.set_xlabel("value")
    return (
        "The values are mixed across positions before they are read. The same weights then bring other words: with a "
        f"shift those that stand before, with a mean their neighbors too. {SOURCE}."
    )


FIGURES = {
    "collapsed_attention": _collapsed,
    "symmetric_attention": _symmetric,
    "optimized_attention": _optimized,
    "lean_attention": _lean,
    "super_attention": _super,
}
