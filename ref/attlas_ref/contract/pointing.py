"""Named results of pointers: distributions over positions, sequences of them, tours, tasks, trees, selections."""

from typing import Any, NamedTuple


class PointerResult(NamedTuple):
    """A distribution over positions and what it was made from."""

    p: Any
    """(..., m, n): rows sum to 1, or its logarithm."""
    logits: Any
    """(..., m, n): after clip and temperature, before the mask."""


class SequenceLikelihood(NamedTuple):
    """The log likelihood of a sequence of positions, and every step of it."""

    log_prob: Any
    """(...)"""
    step_log_probs: Any
    """(..., T, n): the distribution that each step chose from."""


class DecodedSequence(NamedTuple):
    """A sequence of positions and its log likelihood."""

    sequence: Any
    """(..., length) integers: -1 where it has ended."""
    log_prob: Any
    """(...)"""


class ExactTour(NamedTuple):
    """A shortest tour and how long it is."""

    length: Any
    tour: Any
    """(n,) integers: every position once, the first is 0."""


class LabeledPoints(NamedTuple):
    """A task for a pointer: what is seen, and the positions to point at."""

    points: Any
    """(n, 2), or (n,) numbers."""
    labels: Any
    """Integers below n."""


class TreeLevel(NamedTuple):
    """One level of a tree of summaries."""

    nodes: Any
    """(..., N_l, d): zeros where masked."""
    mask: Any
    """(..., N_l) booleans: False for a node without a token below it."""


class SearchPath(NamedTuple):
    """The node that each query chose on every level of a tree, and how likely and how open the choices were."""

    path: Any
    """(..., m, k) integers: the node in level l + 1; -1 where there is no choice."""
    log_prob: Any
    """(..., m)"""
    entropy: Any
    """(..., m): the mean over the levels."""


class SelectionResult(NamedTuple):
    """Features in the order in which they were selected, and their least squares coefficients."""

    order: Any
    """(..., k) integers"""
    coefficients: Any
    """(..., d): 0 for features that were not selected."""
