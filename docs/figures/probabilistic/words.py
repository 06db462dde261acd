"""Two stretches of the real text as sets of word vectors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attlas_ref.data import alice

HERE = (1, 7, 12, 15, 33, 37, 43, 45)
"""alice, tired, sister, bank, book, reading, pictures, conversations: the beginning of the text."""
THERE = (57, 61, 64, 66, 74, 76, 92, 103, 124)
"""book, alice, pictures, conversations, her, mind, sleepy, daisy, rabbit: later on."""
LAYER = 1
WORDS_FROM = "word vectors: the values of all heads of one layer of all-MiniLM-L6-v2, reading Alice's Adventures"


class Words(NamedTuple):
    """Words of a text and a vector for each."""

    vectors: NDArray[np.float64]
    words: list[str]


def words_at(places: tuple[int, ...]) -> Words:
    """Return the values that a layer makes of some words, all heads side by side, less the mean over the text."""
    heads = alice()
    values = np.asarray(heads.value[LAYER], dtype=np.float64)  # (12, 134, 32)
    vectors = np.moveaxis(values, 0, 1).reshape(values.shape[1], -1)
    vectors = vectors - vectors.mean(axis=0)
    return Words(vectors[list(places)], heads.tokens[list(places)].tolist())
