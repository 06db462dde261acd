"""A sentence, and somebody who reads it aloud and stutters: some words come twice, some not at all."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..general import LAYER_HEAD, SOURCE, real_head

Reals = NDArray[np.float64]
WRITTEN = 11
"""How many words are written."""
SAID = (0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 10)
"""Which of them are said, one after the other: word 9 is left out."""
PATH = "#e0302a"
"""Stands out on every color of the map."""
HEAD = f"The words are keys of layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]} of {SOURCE}."


class Reading(NamedTuple):
    """What is said (queries), what is written (keys), and the words of both."""

    query: Reals
    key: Reals
    said: list[str]
    written: list[str]


def reading(noise: float = 0.0) -> Reading:
    """Return the directions of the real keys of the words, centered: those that are said carry some noise."""
    head = real_head(*LAYER_HEAD)
    key = head.key - head.key.mean(axis=0)
    key = (key / np.linalg.norm(key, axis=-1, keepdims=True))[:WRITTEN]
    said = key[list(SAID)]
    said = said + noise * np.random.default_rng(3).standard_normal(said.shape) / np.sqrt(said.shape[-1])
    return Reading(said, key, [head.words[j] for j in SAID], head.words[:WRITTEN])


def along_path(axes: Axes, index: Reals, color: str = PATH) -> None:
    """Mark the key of each query in a map."""
    axes.plot(
        np.asarray(index) + 0.5, np.arange(len(index)) + 0.5, "o-", color=color, markersize=5, mec="white", mew=0.8
    )
