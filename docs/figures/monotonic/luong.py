"""Figures of Luong's attention, and of attention near a peak, on a real head."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.monotonic.context_aware_cross_attention import context_aware_cross_attention
from attlas_ref.monotonic.luong_attention import luong_attention
from attlas_ref.monotonic.luong_local_attention import luong_local_attention
from attlas_ref.monotonic.luong_score import luong_score

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps

HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."


def _scores(figure: Figure) -> str:
    _, key, _, words = real_head(*LAYER_HEAD)
    spread = np.linalg.inv(np.cov(key.T) + np.eye(key.shape[-1]))
    centered = key - key.mean(axis=0)
    dot, general = luong_score(key, key), luong_score(centered, centered, score="general", w_score=spread)
    panels = [("dot", dot / np.abs(dot).max()), ("general, W = inverse covariance", general / np.abs(general).max())]
    draw_maps(figure, panels, words, label="score, largest = 1")
    return (
        "How alike are the keys of a head? By dot products all of them are, since they share a direction. A matrix in "
        f"between can weigh directions: here those in which keys differ little count more. {HEAD}"
    )


def _global(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    width = query.shape[-1]
    scaled = {"score": "general", "w_score": np.eye(width) / np.sqrt(width)}
    panels = [
        (title, luong_attention(query, key, value, return_weights=True, **options).weights)
        for title, options in (("dot: no scale", {}), ("general, W = I / √d: scaled", scaled))
    ]
    draw_maps(figure, panels, words)
    return (
        "Luong's dot scores are not divided by the root of the width. With a head that was trained to be, attention is "
        f"nearly hard; the general score makes up for it. {HEAD}"
    )


def _local(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    query = query / np.sqrt(query.shape[-1])
    whole = luong_attention(query, key, value, return_weights=True).weights
    mean = whole @ np.arange(len(words))
    panels = [
        ("everywhere", whole),
        ("local-m: in step, D = 2", luong_local_attention(query, key, value, window=2, return_weights=True).weights),
        (
            "local-p: bell, D = 4",
            luong_local_attention(
                query, key, value, window=4, alignment="predictive", center=mean, return_weights=True
            ).weights,
        ),
    ]
    draw_maps(figure, panels, words)
    return (
        "The same head everywhere, in a window about the query's own place, and under a bell about the mean place of "
        f"its global weights, in place of a trained prediction. Rows under a bell sum to less than 1. {HEAD}"
    )


def _aware(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    panels = [
        (
            title,
            context_aware_cross_attention(
                query, key, value, np.full(len(query), gate), radius=1, return_weights=True
            ).weights,
        )
        for title, gate in (("gate 1: everywhere", 1.0), ("gate ½", 0.5), ("gate 0: near the peak", 0.0))
    ]
    draw_maps(figure, panels, words)
    return (
        "The gate moves weight from everywhere to the best key of each row and its two neighbors, where the "
        f"proportions stay the same. {HEAD}"
    )


FIGURES = {
    "luong_score": _scores,
    "luong_attention": _global,
    "luong_local_attention": _local,
    "context_aware_cross_attention": _aware,
}
