"""Connectionist temporal classification.

All lattices of a batch and all their states are computed at once, frame after frame. The occupancy of symbols is a
product of that of the states with a table of ones and zeros; states that are no numbers are counted by a second one.

Bound by the host, which begins some twenty small steps for each frame, as long as lattices are few and short; else by
memory traffic, ten times the states. Memory beside the result: one row of states per frame with the posterior, and as
many bytes for the best alignment; a table of states by symbols.
Differs from the reference by rounding; the best alignment in nothing.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AlignmentScore, LikelihoodResult

from .paths import arrived, continued, level, log_sum, shares

__all__ = ["ctc_log_likelihood", "ctc_posterior", "ctc_viterbi"]


class Lattice:
    """A target with blanks around its labels: 2 S + 1 states."""

    def __init__(self, log_probs: Any, target: Any, blank: int, input_lengths: Any, target_lengths: Any) -> None:
        self.xp = xp = array_namespace(log_probs)
        self.t, self.v = log_probs.shape[-2:]
        self.s = target.shape[-1]
        self.dtype = log_probs.dtype
        given = [lengths.shape for lengths in (input_lengths, target_lengths) if lengths is not None]
        self.batch = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1], *given)
        self.log_probs = xp.broadcast_to(log_probs, (*self.batch, self.t, self.v))
        self.heard = None if input_lengths is None else xp.asarray(input_lengths)[..., None]
        said = (
            xp.zeros((1,), dtype="int64") + self.s if target_lengths is None else xp.asarray(target_lengths)[..., None]
        )

        states = 2 * self.s + 1
        self.states = xp.arange(states)
        self.symbols = xp.zeros((*self.batch, states), dtype="int64") + blank
        self.symbols[..., 1::2] = xp.where(xp.arange(self.s) < said, target, blank).astype("int64")
        self.skips = xp.zeros((*self.batch, states), dtype="bool")
        letters = self.symbols[..., 2:]
        self.skips[..., 2:] = (letters != blank) & (letters != self.symbols[..., :-2])
        self.known = self.states <= 2 * said
        self.ends = (self.states == 2 * said) | (self.states == 2 * said - 1)

    def row(self) -> Any:
        """Return a row of logarithms of nothing, (..., 2S+1)."""
        return self.xp.zeros((*self.batch, 2 * self.s + 1), dtype=self.dtype) - math.inf

    def start(self) -> Any:
        """Return the logarithms before the first frame: all stands in the first blank."""
        row = self.row()
        row[..., 0] = 0
        return row

    def emission(self, t: int) -> Any:
        """Return what frame t says of each state."""
        said = self.xp.take_along_axis(self.log_probs[..., t, :], self.symbols, axis=-1)
        return self.xp.where(self.known, said, -math.inf)

    def where_heard(self, t: int, now: Any, otherwise: Any) -> Any:
        """Choose by whether frame t counts."""
        return now if self.heard is None else self.xp.where(t < self.heard, now, otherwise)

    def arrivals(self, logs: Any) -> tuple[Any, Any, Any]:
        """Return from where each state is entered: itself, the one before, two before over a blank."""
        padded = _beside(self.xp, logs, 2, 0)
        return logs, padded[..., 1:-1], self.xp.where(self.skips, padded[..., :-2], -math.inf)

    def departures(self, logs: Any) -> tuple[Any, Any, Any]:
        """Return to where each state leads: itself, the one behind, two behind over a blank."""
        xp, padded, skips = self.xp, _beside(self.xp, logs, 0, 2), self.xp.zeros_like(self.skips)
        skips[..., :-2] = self.skips[..., 2:]
        return logs, padded[..., 1:-1], xp.where(skips, padded[..., 2:], -math.inf)


def _beside(xp: Any, logs: Any, before: int, behind: int) -> Any:
    """Return rows with places that are -inf before and behind them."""
    padded = xp.zeros((*logs.shape[:-1], before + logs.shape[-1] + behind), dtype=logs.dtype) - math.inf
    padded[..., before : before + logs.shape[-1]] = logs
    return padded


def _forward(lattice: Lattice, alphas: Any = None) -> Any:
    """Return log p, (...), and fill `alphas`, (..., T, 2S+1)."""
    xp, alpha = lattice.xp, lattice.start()
    shifts = xp.zeros((*lattice.batch, lattice.t), dtype=lattice.dtype)
    for t in range(lattice.t):
        reached = continued(xp, arrived(xp, *lattice.arrivals(alpha)), lattice.emission(t))
        shift = level(xp, reached)
        alpha = lattice.where_heard(t, reached - shift, alpha)
        shifts[..., t] = lattice.where_heard(t, shift, 0)[..., 0]
        if alphas is not None:
            alphas[..., t, :] = alpha
    return log_sum(xp, xp.where(lattice.ends, alpha, -math.inf)) + shifts.sum(axis=-1)


def _occupied(lattice: Lattice, alphas: Any) -> None:
    """Put how often each state is occupied in each frame in place of the weights of beginnings."""
    xp = lattice.xp
    beta = start = xp.where(lattice.ends, 0, lattice.row())
    for t in range(lattice.t - 1, -1, -1):
        alpha = alphas[..., t, :]
        possible = (alpha != -math.inf) & (beta != -math.inf)
        occupied = shares(xp, xp.where(possible, alpha + beta, -math.inf))
        alphas[..., t, :] = lattice.where_heard(t, occupied, 0)
        if t:
            ahead = continued(xp, beta, lattice.emission(t))
            reached = arrived(xp, *lattice.departures(ahead))
            beta = lattice.where_heard(t, reached - level(xp, reached), start)


def _by_symbol(lattice: Lattice, occupied: Any) -> Any:
    """Add the shares of states up by their symbols, (..., T, V)."""
    xp = lattice.xp
    bears = (lattice.symbols[..., None] == xp.arange(lattice.v)).astype(lattice.dtype)  # (..., 2S+1, V)
    strange = xp.isnan(occupied)
    posterior = xp.where(strange, 0, occupied) @ bears
    return xp.where(strange.astype(lattice.dtype) @ bears > 0, math.nan, posterior)


def ctc_log_likelihood(
    log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any, return_posterior: bool
) -> Any:
    """Return log p, and with `return_posterior` the occupancy too."""
    lattice = Lattice(log_probs, target, blank, input_lengths, target_lengths)
    if not return_posterior:
        return _forward(lattice)
    alphas = lattice.xp.zeros((*lattice.batch, lattice.t, 2 * lattice.s + 1), dtype=lattice.dtype)
    log_likelihood = _forward(lattice, alphas)
    _occupied(lattice, alphas)
    return LikelihoodResult(log_likelihood, _by_symbol(lattice, alphas))


def ctc_posterior(log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any) -> Any:
    """Return how often each symbol occurs in each frame."""
    options = {"blank": blank, "input_lengths": input_lengths, "target_lengths": target_lengths}
    return ctc_log_likelihood(log_probs, target, return_posterior=True, **options).posterior


def ctc_viterbi(log_probs: Any, target: Any, *, blank: int, input_lengths: Any, target_lengths: Any) -> AlignmentScore:
    """Return the best alignment and its score."""
    lattice = Lattice(log_probs, target, blank, input_lengths, target_lengths)
    xp, best = lattice.xp, lattice.start()
    pointers = xp.zeros((*lattice.batch, lattice.t, 2 * lattice.s + 1), dtype="int8")
    for t in range(lattice.t):
        entered = xp.stack(lattice.arrivals(best), axis=-2)  # (..., 3, 2S+1)
        pointers[..., t, :] = entered.argmax(axis=-2)
        score = continued(xp, entered.max(axis=-2), lattice.emission(t))
        best = lattice.where_heard(t, score - level(xp, score), best)

    # The blank behind the last label comes first in a tie: read from the end.
    ending = xp.where(lattice.ends, best, -math.inf)[..., ::-1]
    state = 2 * lattice.s - ending.argmax(axis=-1)[..., None]
    end = ending.max(axis=-1, keepdims=True)
    alignment = xp.zeros((*lattice.batch, lattice.t), dtype="int64")
    chosen = xp.zeros((*lattice.batch, lattice.t), dtype=lattice.dtype)
    for t in range(lattice.t - 1, -1, -1):
        symbol = xp.take_along_axis(lattice.symbols, state, axis=-1)
        said = xp.take_along_axis(lattice.log_probs[..., t, :], symbol, axis=-1)
        possible = end > -math.inf
        alignment[..., t] = lattice.where_heard(t, xp.where(possible, symbol, -1), -1)[..., 0]
        chosen[..., t] = lattice.where_heard(t, xp.where(possible, said, 0), 0)[..., 0]
        back = xp.take_along_axis(pointers[..., t, :], state, axis=-1)
        state = lattice.where_heard(t, state - back, state)
    return AlignmentScore(alignment, xp.where(end[..., 0] > -math.inf, chosen.sum(axis=-1), end[..., 0]))
