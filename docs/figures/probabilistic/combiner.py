"""Figures of full attention by structured factorization."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.records import find

from ..general import SOURCE, real_head
from ..panels import draw_maps

STRETCH = slice(1, 17)
"""Sixteen words: four blocks of four."""


def _factorized(name: str, caption: str, **options: Any) -> Callable[[Figure], str]:
    def draw(figure: Figure) -> str:
        head = real_head(3, 1, STRETCH)
        exact = softmax_attention(*head[:3], causal=True, return_weights=True).weights
        weights = find(name).reference(*head[:3], **options, return_weights=True).weights
        # All scores alike show the pattern itself.
        alike = np.zeros_like(head.query)
        pattern = find(name).reference(alike, alike, head.value, **options, return_weights=True).weights
        panels = [("softmax", exact), ("factored", weights), ("factored, scores of 0", pattern)]
        draw_maps(figure, panels, head.words)
        return f"{caption} {SOURCE}."

    return draw


FIGURES = {
    "combiner_fixed_attention": _factorized(
        "combiner_fixed_attention",
        "Blocks of four words. Within the own block the weights are a word's own; each earlier block is shared out in "
        "the same way for all who read it.",
        block=4,
    ),
    "combiner_logsparse_attention": _factorized(
        "combiner_logsparse_attention",
        "The past in groups of 1, 2, 4 and 8 words, as the binary form of the position says: the further, the coarser.",
    ),
    "combiner_axial_attention": _factorized(
        "combiner_axial_attention",
        "A grid of four columns. An earlier row is read as the word above has read it, so the stripes repeat every "
        "four words.",
        block=4,
    ),
    "combiner_mixture_attention": _factorized(
        "combiner_mixture_attention",
        "A grid of four columns. The own row and the own column are read word by word, all others both by rows and by "
        "columns.",
        block=4,
    ),
}
