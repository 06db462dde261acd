"""Latent monotonic alignments: their sum, where they are, and the best of them.

All members and all pairs of positions are computed at once, step after step.

Bound by the host, which begins some fifteen small steps for each output, as long as members and positions are few; else
by memory traffic: N T² numbers, read and written some ten times. Memory beside the result: N T numbers or pointers, and
a table of pairs of positions.
Differs from the reference by rounding; the best alignment in nothing.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import LikelihoodResult, PathScore

from ..probabilistic.logs import finite_or_zero, log_sum_exp, shares

__all__ = ["latent_monotonic_log_prob", "latent_monotonic_posterior", "latent_monotonic_viterbi"]


class Alignment:
    """One call; nothing is copied or expanded."""

    def __init__(self, log_emission: Any, log_transition: Any, log_initial: Any) -> None:
        self.xp = array_namespace(log_emission)
        self.emission, self.transition, self.initial = log_emission, log_transition, log_initial
        self.n, self.t = log_emission.shape[-2:]
        leading = () if log_initial is None else log_initial.shape[:-1]
        self.batch = np.broadcast_shapes(log_emission.shape[:-2], log_transition.shape[:-3], leading)

    def empty(self, *core: int) -> Any:
        """Return an array to be filled, (..., *core)."""
        return self.xp.empty((*self.batch, *core), dtype=self.emission.dtype)

    def weight(self, i: int) -> Any:
        """Return what step i says of each position; to the first one belongs how the alignment starts."""
        emission = self.emission[..., i, :]
        return emission if i or self.initial is None else emission + self.initial

    def table(self, i: int) -> Any:
        """Return the scores of the moves from step i to step i + 1, (..., T, T)."""
        return self.transition[..., i, :, :]


def _summed(alignment: Alignment, alphas: Any = None) -> Any:
    """Return log p, (...), and fill `alphas`, (..., N, T), each of which sums to 1 (as exponentials)."""
    xp, shifts = alignment.xp, alignment.empty(alignment.n)
    alpha: Any = None
    for i in range(alignment.n):
        weight = alignment.weight(i)
        if alpha is not None:
            weight = weight + log_sum_exp(xp, alpha[..., :, None] + alignment.table(i - 1), -2)[..., 0, :]
        shift = log_sum_exp(xp, weight, -1)
        alpha = weight - finite_or_zero(xp, shift)
        shifts[..., i] = shift[..., 0]
        if alphas is not None:
            alphas[..., i, :] = alpha
    return shifts.sum(axis=-1)


def latent_monotonic_log_prob(
    log_emission: Any, log_transition: Any, log_initial: Any, *, return_posterior: bool
) -> Any:
    """Return log p, and with `return_posterior` where the alignment is."""
    alignment = Alignment(log_emission, log_transition, log_initial)
    n, t = alignment.n, alignment.t
    if not t:  # there is no alignment, but of nothing
        log_prob = alignment.xp.zeros(alignment.batch, dtype=log_emission.dtype) + (-math.inf if n else 0)
        return LikelihoodResult(log_prob, alignment.empty(n, t)) if return_posterior else log_prob
    if not return_posterior:
        return _summed(alignment)
    posterior = alignment.empty(n, t)
    log_prob = _summed(alignment, posterior)
    xp, beta = alignment.xp, alignment.xp.zeros((t,), dtype=log_emission.dtype)
    for i in range(n - 1, -1, -1):
        posterior[..., i, :] = shares(xp, posterior[..., i, :] + beta, -1)
        if i:
            ahead = alignment.emission[..., i, :] + beta
            beta = log_sum_exp(xp, alignment.table(i - 1) + ahead[..., None, :], -1)[..., 0]
            beta = beta - finite_or_zero(xp, log_sum_exp(xp, beta, -1))
    return LikelihoodResult(log_prob, posterior)


def latent_monotonic_posterior(log_emission: Any, log_transition: Any, log_initial: Any) -> Any:
    """Return how likely each position is at each step."""
    return latent_monotonic_log_prob(log_emission, log_transition, log_initial, return_posterior=True).posterior


def latent_monotonic_viterbi(log_emission: Any, log_transition: Any, log_initial: Any) -> PathScore:
    """Return the best alignment and its score; of equals the lowest positions, from the end to the start."""
    alignment = Alignment(log_emission, log_transition, log_initial)
    xp, n, t = alignment.xp, alignment.n, alignment.t
    path = xp.zeros((*alignment.batch, n), dtype="int64")
    if not t:
        score = xp.zeros(alignment.batch, dtype=log_emission.dtype) + (-math.inf if n else 0)
        return PathScore(path - 1, score)
    sources = xp.zeros((*alignment.batch, n, t), dtype="int64")
    shifts = alignment.empty(n)
    best: Any = None
    for i in range(n):
        score = alignment.weight(i)
        if best is not None:
            candidates = best[..., :, None] + alignment.table(i - 1)
            sources[..., i, :] = candidates.argmax(axis=-2)
            score = score + candidates.max(axis=-2)
        shift = score.max(axis=-1, keepdims=True)
        shifts[..., i] = shift[..., 0]
        best = score - finite_or_zero(xp, shift)
    total = shifts.sum(axis=-1)
    place: Any = 0 if best is None else xp.zeros((*alignment.batch, 1), dtype="int64") + best.argmax(axis=-1)[..., None]
    for i in range(n - 1, -1, -1):
        path[..., i] = xp.where(total == -math.inf, -1, place[..., 0])
        place = xp.take_along_axis(sources[..., i, :], place, axis=-1)
    return PathScore(path, total)
