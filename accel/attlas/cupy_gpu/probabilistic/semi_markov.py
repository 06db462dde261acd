"""Marginals of semi-Markov chains.

Scores are first laid out by the end of a segment, so that all segments that end at a boundary lie together and are
computed at once. Going forward, each boundary's sum leaves the shares of its terms in place of the scores; going back,
these are multiplied, without an exponential.
Bound by the host, which begins some thirty small steps for each boundary, as long as there is little to a step; else by
memory traffic: n k c² numbers, each read and written some ten times. Memory: once more the result.
Differs from the reference by rounding.
"""

from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import SegmentMarginals

from .logs import finite_or_zero, log_sum_exp, nonzero, shares, weighed

__all__ = ["semi_markov_marginals"]


def semi_markov_marginals(scores: Any) -> SegmentMarginals:
    """Return log Z and how likely each segment is."""
    xp, batch = array_namespace(scores), scores.shape[:-4]
    n, longest, c = scores.shape[-4], min(scores.shape[-3] - 1, scores.shape[-4]), scores.shape[-1]
    marginals = xp.zeros(scores.shape, dtype=scores.dtype)
    terms = xp.zeros((*batch, n, longest, c, c), dtype=scores.dtype)  # by the last position, and by the length - 1
    for size in range(1, longest + 1):
        terms[..., size - 1 :, size - 1, :, :] = scores[..., : n - size + 1, size, :, :]

    weights = xp.zeros((*batch, n + 1, c), dtype=scores.dtype)  # of beginnings, by boundary and last label
    shifts = xp.zeros((*batch, n), dtype=scores.dtype)
    for t in range(1, n + 1):
        begins = slice(max(0, t - longest), t)
        ending = terms[..., t - 1, : begins.stop - begins.start, :, :]  # (..., lengths, b, a)
        before = weights[..., begins, :][..., ::-1, None, :]
        parts, mass, top = weighed(xp, ending + before, (-3, -1))
        ending[...] = parts / nonzero(xp, mass)
        newest = (xp.log(mass) + top)[..., 0, :, 0]
        shift = finite_or_zero(xp, newest.max(axis=-1, keepdims=True))
        shifts[..., t - 1] = shift[..., 0]
        weights[..., begins, :] = weights[..., begins, :] - shift[..., None]
        weights[..., t, :] = newest - shift
    end = weights[..., n, :]
    log_partition = shifts.sum(axis=-1) + log_sum_exp(xp, end, -1)[..., 0]

    ends = xp.zeros((*batch, n + 1, c), dtype=scores.dtype)  # how likely a segment with a label ends at a boundary
    ends[..., n, :] = shares(xp, end, -1)
    for t in range(n, 0, -1):
        begins = slice(max(0, t - longest), t)
        ending = terms[..., t - 1, : begins.stop - begins.start, :, :]
        ending[...] = ending * ends[..., t, None, :, None]
        ends[..., begins, :] = ends[..., begins, :] + ending.sum(axis=-2)[..., ::-1, :]
    for size in range(1, longest + 1):
        marginals[..., : n - size + 1, size, :, :] = terms[..., size - 1 :, size - 1, :, :]
    return SegmentMarginals(log_partition, marginals)
