"""What an alignment of frames with symbols says, and how likely it is."""

import itertools
from typing import Any

import numpy as np


def read(alignment: Any, blank: int = 0) -> tuple[int, ...]:
    """What an alignment is read as, by the rule word for word."""
    merged = [symbol for symbol, _ in itertools.groupby(alignment)]
    return tuple(symbol for symbol in merged if symbol != blank)


def score_of(log_probs: np.ndarray, alignment: Any) -> float:
    return float(sum(log_probs[t, symbol] for t, symbol in enumerate(alignment)))
