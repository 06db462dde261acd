"""Real attention inputs: a pretrained transformer reading *Alice's Adventures in Wonderland*.

Model: all-MiniLM-L6-v2 (6 layers, 12 heads of 32 dimensions, Apache-2.0). Text: the opening paragraphs, Lewis Carroll,
1865, public domain. `README.md` beside this file says how the arrays were made.
"""

from functools import cache
from importlib.resources import as_file, files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class RealHeads(NamedTuple):
    """Queries, keys and values of every layer and head, and the words that they belong to."""

    query: NDArray[Any]
    """(6, 12, 134, 32) float16: layer, head, token, head dimension; after the projections, before scaling."""
    key: NDArray[Any]
    """As the query."""
    value: NDArray[Any]
    """As the query."""
    tokens: NDArray[Any]
    """(134,) word pieces, ``[CLS]`` first, ``[SEP]`` last."""


@cache
def alice() -> RealHeads:
    """Load the real heads; the arrays are read-only.

    Examples
    --------
    >>> alice().tokens[1:6].tolist()
    ['alice', 'was', 'beginning', 'to', 'get']
    """
    with as_file(files(__name__) / "minilm_alice_qkv.npz") as path, np.load(path) as archive:
        heads = RealHeads(*(archive[name] for name in RealHeads._fields))
    for array in heads:
        array.flags.writeable = False
    return heads
