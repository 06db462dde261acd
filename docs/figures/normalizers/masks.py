"""Figures of masks: who may attend to whom, for two settings side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.normalizers.masks import block_mask, causal_mask, identity_mask, isolation_mask, prefix_mask
from attlas_ref.normalizers.modality_masks import (
    composite_mask,
    known_token_mask,
    modality_mutual_mask,
    skip_causal_mask,
)

from ..general import real_head
from ..panels import draw_masks

FILLED = "Filled: the query may attend to the key."


def _words(count: int) -> list[str]:
    """Return the first words of the text."""
    return real_head(0, 0, slice(1, 1 + count)).words


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name} {index}" for index in range(1, count + 1)]


def _causal(figure: Figure) -> str:
    words = _words(8)
    panels = [("8 queries, 8 keys", causal_mask(8, 8), words), ("3 queries, 8 keys", causal_mask(3, 8), words[5:])]
    draw_masks(figure, panels, keys=[words, words])
    return f"{FILLED} With fewer queries than keys the last of both stand together, as when a text is continued."


def _prefix(figure: Figure) -> str:
    words = _words(9)
    draw_masks(figure, [(f"prefix_length = {p}", prefix_mask(9, p), words) for p in (0, 4, 7)])
    return f"{FILLED} The prefix is read in both directions, the rest from left to right; without prefix it is causal."


def _blocks(figure: Figure) -> str:
    labels = [0, 0, 1, 1, 1, 2, 2, 2]
    names = [f"{'abc'[block]} {labels[: j + 1].count(block)}" for j, block in enumerate(labels)]
    rules = {
        "each for itself": np.eye(3, dtype=bool),
        "blocks in order": np.tri(3, dtype=bool),
        "a is shared": np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=bool),
    }
    draw_masks(figure, [(title, block_mask(labels, labels, allowed), names) for title, allowed in rules.items()])
    return f"{FILLED} Three blocks of tokens (a, b, c) under three tables of who sees whom."


def _isolation(figure: Figure) -> str:
    groups = [0, 0, 0, -1, -1, 1, 1, 1]
    names = ["cat", "cat", "cat", "lawn", "lawn", "dog", "dog", "dog"]
    keys = [*names, "cat ref.", "dog ref."]
    panels = [
        ("one picture", isolation_mask(groups), names),
        ("with reference tokens", isolation_mask(groups, [*groups, 0, 1]), names),
    ]
    draw_masks(figure, panels, keys=[names, keys])
    return f"{FILLED} Two subjects do not see each other; the background, here the lawn, sees and is seen by all."


def _identity(figure: Figure) -> str:
    panels = [(f"n = {n}", identity_mask(n), _words(n)) for n in (5, 9)]
    draw_masks(figure, panels)
    return f"{FILLED} Each token sees itself alone: attention returns the values as they are."


def _modality(figure: Figure) -> str:
    names = ["system", *_numbered("image", 4), *_numbered("text", 3), "answer"]
    every = np.ones(9, dtype=bool)
    panels = [
        ("causal: no text to look at", modality_mutual_mask(every, image_start=1, text_start=5, text_end=5), names),
        ("images see the question", modality_mutual_mask(every, image_start=1, text_start=5, text_end=8), names),
    ]
    draw_masks(figure, panels)
    return f"{FILLED} Causal, but for the image tokens, which also look ahead at the text of the question."


def _known(figure: Figure) -> str:
    def panel(known: Sequence[int]) -> tuple[str, np.ndarray, list[str]]:
        flags = np.array(known, dtype=bool)
        names = [f"{'known' if flag else 'unknown'} {j}" for j, flag in enumerate(known, start=1)]
        return f"{flags.sum()} of {len(known)} known", known_token_mask(flags), names

    draw_masks(figure, [panel([1, 1, 0, 0, 0, 0, 1, 1]), panel([0, 1, 0, 0, 1, 0, 0, 0])])
    return f"{FILLED} Known tokens see each other in both directions; an unknown one sees those, the past and itself."


def _skip_causal(figure: Figure) -> str:
    def panel(blocks: Sequence[int], title: str) -> tuple[str, np.ndarray, list[str]]:
        names = [f"{kind} {block}" for kind in ("clean", "noised") for block in blocks]
        return title, skip_causal_mask(blocks), names

    draw_masks(figure, [panel([1, 2, 3, 4, 5], "blocks of one token"), panel([1, 1, 2, 2, 2, 3], "blocks of 2, 3, 1")])
    return (
        f"{FILLED} Labels give a token's kind and block. Noised tokens see the clean ones of earlier blocks and the "
        "noised ones of their own, so all blocks are trained in one pass."
    )


def _composite(figure: Figure) -> str:
    visual = np.array([0, 1, 1, 1, 1, 0, 0, 0], dtype=bool)
    names = ["text 1", *_numbered("image", 4), "text 2", "text 3", "text 4"]
    panels = [
        ("a visual token sees itself", composite_mask(visual), names),
        ("self_visible = False", composite_mask(visual, self_visible=False), names),
    ]
    draw_masks(figure, panels)
    return f"{FILLED} Text is causal over everything; visual tokens do not attend to each other, which is cheap."


FIGURES = {
    "causal_mask": _causal,
    "prefix_mask": _prefix,
    "modality_mutual_mask": _modality,
    "known_token_mask": _known,
    "skip_causal_mask": _skip_causal,
    "composite_mask": _composite,
    "isolation_mask": _isolation,
    "block_mask": _blocks,
    "identity_mask": _identity,
}
