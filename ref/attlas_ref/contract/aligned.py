"""Named results of alignments between two sequences: paths, occupancies, lengths."""

from typing import Any, NamedTuple


class HardAlignment(NamedTuple):
    """Where a pointer stopped, as weights and as numbers."""

    alignment: Any
    index: Any
    """(..., m) integers: n where it ran off the end."""


class AlignmentVJP(NamedTuple):
    """Gradients of sum(alignment * grad_output), each in the shape of its argument."""

    grad_p_choose: Any
    grad_previous: Any


class AlignmentScore(NamedTuple):
    """The best alignment and its score."""

    alignment: Any
    """(..., T) integers"""
    score: Any
    """(...)"""


class PathScore(NamedTuple):
    """The best path as a matrix of zeros and ones, and its score."""

    path: Any
    score: Any


class SegmentsScore(NamedTuple):
    """Blocks that tile two sequences, and their score."""

    segments: Any
    """(K, 4) integers: first row, end of rows, first column, end of columns."""
    score: Any


class SoftWarping(NamedTuple):
    """The smoothed cost of warping and its derivative by the costs."""

    value: Any
    alignment: Any
    """(..., r, c): the probability that a path passes a cell."""


class WarpingPath(NamedTuple):
    """The cost of the cheapest path, and the path as a matrix of zeros and ones."""

    value: Any
    path: Any


class LengthSteps(NamedTuple):
    """The length of a path and that of each of its steps."""

    length: Any
    steps: Any
    """(..., S-1)"""


class LikelihoodResult(NamedTuple):
    """The log likelihood of all alignments together, and where the alignment is at each step."""

    log_prob: Any
    """(...)"""
    posterior: Any
    """(..., N, T): rows sum to 1, or to 0 where no alignment is possible."""
