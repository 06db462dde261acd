"""A chain with skips.

A state is a pair of labels (a, b), of the last utterance of the run before and of the present one. A step leads to a
new label; one of the two is *kept* beside it and the other one is *dropped*: inside a run b is dropped, at a new run a
is. So a step turns the states of those conversations in which a run begins, and is the same for all from there on. Sums
and best labelings are carried side by side.
Bound by the host, which begins some fifty small steps for each utterance there and thirty back, as long as there is
little to a step; else by memory traffic: 3 t c³ numbers, each read and written some ten times. Memory: 3 t c².
Differs from the reference by rounding; the best labeling adds the same numbers in the same order.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import ConversationResult

from ..tile import transposed
from .chain import Chain
from .logs import finite_or_zero, log_sum_exp, running, shares

__all__ = ["skip_chain_crf"]


def skip_chain_crf(
    emissions: Any,
    tags: Any,
    speakers: Any,
    *,
    start: Any,
    end: Any,
    self_transition: Any,
    other_transition: Any,
    mask: Any,
) -> ConversationResult:
    """Return the likelihood of tags, the best labels, log Z and how likely each label is."""
    talk = _Conversation(emissions, tags, speakers, start, end, self_transition, other_transition, mask)
    xp, n, c = talk.xp, talk.n, talk.c
    if n == 0:
        nothing = talk.empty(0)
        log_partition, marginals = nothing.sum(axis=-1), talk.empty(0, c)
        return ConversationResult(
            None if tags is None else log_partition, nothing.astype("int64"), log_partition, marginals
        )
    states, pointers, best, log_partition = _forward(talk)
    decode = _followed_back(talk, pointers, best)
    marginals = shares(xp, states + _continuations(talk), (-2, -1)).sum(axis=-2)
    marginals = talk.where(slice(None), marginals, 0)
    if tags is None:
        return ConversationResult(None, decode, log_partition, marginals)
    score = talk.score_of(tags)
    likelihood = xp.where(score == -math.inf, -math.inf, score - log_partition)
    return ConversationResult(likelihood, decode, log_partition, marginals)


class _Conversation(Chain):
    """One call: the scores of labels, and the arcs between utterances."""

    def __init__(
        self, emissions: Any, tags: Any, speakers: Any, start: Any, end: Any, stays: Any, turns: Any, mask: Any
    ) -> None:
        xp = array_namespace(emissions)
        n, c = emissions.shape[-2:]
        leading = [array.shape[:-1] for array in (speakers, tags, mask) if array is not None]
        self.batch = np.broadcast_shapes(emissions.shape[:-2], *leading)
        self.visible = None if mask is None else xp.broadcast_to(mask, (*mask.shape[:-1], n))
        self.xp, self.n, self.c, self.stays, self.turns = xp, n, c, stays, turns

        last = xp.arange(n) == n - 1
        if self.visible is not None:
            follows = xp.concatenate([self.visible[..., 1:], xp.zeros_like(self.visible[..., :1])], axis=-1)
            last = self.visible & ~follows
        first = xp.arange(n)[:, None] == 0
        self.unary = (emissions + xp.where(first, start, 0)) + xp.where(last[..., None], end, 0)

        t = xp.arange(n)
        before = xp.concatenate([speakers[..., :1], speakers[..., :-1]], axis=-1)
        self.begins = (speakers != before) & (t > 0)
        # The last utterance of the run before the one that ended: it stands before that one's first.
        opening = running(xp, xp.maximum, xp.where(self.begins, t, 0))
        self.opening = xp.concatenate([xp.zeros_like(opening[..., :1]), opening[..., :-1]], axis=-1)
        earlier = xp.take_along_axis(speakers, xp.maximum(self.opening - 1, 0), axis=-1)
        self.skips = self.begins & (self.opening > 0) & (speakers == earlier)

    def arrivals(self, t: int) -> Any:
        """Return the scores of all that may happen from t - 1 to t, (..., kept, dropped, new)."""
        xp, (begins, skips) = self.xp, (arc[..., t, None, None, None] for arc in (self.begins, self.skips))
        turn = self.turns[:, None, :] + xp.where(skips, self.stays, 0)
        return xp.where(begins, turn, self.stays) + self.unary[..., t, None, None, :]

    def turned(self, t: int, states: Any) -> Any:
        """Return states (a, b) at t - 1 as (kept, dropped), or the other way round."""
        return self.xp.where(self.begins[..., t, None, None], transposed(states), states)

    def score_of(self, tags: Any) -> Any:
        """Return the score of a labeling, (...)."""
        xp = self.xp
        tags = xp.broadcast_to(self.where(slice(None), tags, 0, axes=0), (*self.batch, self.n)).astype("int64")
        previous = xp.concatenate([tags[..., :1], tags[..., :-1]], axis=-1)
        opening = xp.broadcast_to(self.opening, tags.shape)
        skipped = xp.take_along_axis(tags, xp.maximum(opening - 1, 0), axis=-1)
        unary = xp.broadcast_to(self.unary, (*self.batch, self.n, self.c))
        gain = xp.take_along_axis(unary, tags[..., None], axis=-1)[..., 0]
        step = xp.where(self.begins, self.turns[previous, tags], self.stays[previous, tags])
        step = step + xp.where(self.skips, self.stays[skipped, tags], 0)
        gain = gain + xp.where(xp.arange(self.n) > 0, step, 0)
        return self.where(slice(None), gain, 0, axes=0).sum(axis=-1)


def _forward(talk: _Conversation) -> tuple[Any, Any, Any, Any]:
    """Return the log weights of beginnings, (..., t, a, b), pointers to what was dropped, the best ends and log Z.

    The best ends are scores of states, (..., a, b), and whether any labeling is possible.
    """
    xp, n, c = talk.xp, talk.n, talk.c
    states, tops, bests = talk.empty(n, c, c), talk.empty(n), talk.empty(n)
    pointers = xp.zeros((*talk.batch, n, c, c), dtype="int64")
    state: Any = 0
    best: Any = 0
    # Before there is a run before, its label is held at 0.
    reached = highest = xp.where(xp.arange(c)[:, None] == 0, talk.unary[..., 0, None, :], -math.inf)
    for t in range(n):
        if t:
            arrivals = talk.arrivals(t)
            reached = log_sum_exp(xp, talk.turned(t, state)[..., None] + arrivals, -2)[..., 0, :]
            ways = talk.turned(t, best)[..., None] + arrivals
            pointers[..., t, :, :] = ways.argmax(axis=-2)
            highest = ways.max(axis=-2)
        state = _shifted(talk, t, reached, state, tops)
        best = _shifted(talk, t, highest, best, bests)
        states[..., t, :, :] = state
    whole = log_sum_exp(xp, states[..., -1, :, :], (-2, -1))[..., 0, 0]
    possible = bests.sum(axis=-1) != -math.inf
    return states, pointers, (best, possible), talk.nonempty(tops.sum(axis=-1) + whole, 0)


def _shifted(talk: _Conversation, t: int, after: Any, before: Any, tops: Any) -> Any:
    """Return states with the maximum 0, and note what it was; past the end they stay as they were."""
    top = after.max(axis=(-2, -1), keepdims=True)
    tops[..., t] = talk.where(t, top[..., 0, 0], 0, axes=0)
    return talk.where(t, after - finite_or_zero(talk.xp, top), before, axes=2)


def _continuations(talk: _Conversation) -> Any:
    """Return the log weights of continuations, (..., t, a, b), each up to a constant."""
    xp, n, c = talk.xp, talk.n, talk.c
    betas = talk.empty(n, c, c)
    beta = xp.zeros((c, c), dtype=talk.unary.dtype)
    for t in range(n - 1, -1, -1):
        betas[..., t, :, :] = beta
        if t:
            weight = log_sum_exp(xp, talk.arrivals(t) + beta[..., :, None, :], -1)[..., 0]
            weight = talk.turned(t, weight)
            weight = weight - finite_or_zero(xp, weight.max(axis=(-2, -1), keepdims=True))
            beta = talk.where(t, weight, beta, axes=2)
    return betas


def _followed_back(talk: _Conversation, pointers: Any, ends: tuple[Any, Any]) -> Any:
    """Return the labels that led to the best end; of equals the lowest, -1 past the length."""
    xp, n, c = talk.xp, talk.n, talk.c
    best, possible = ends
    path = xp.zeros((*talk.batch, n), dtype="int64")
    best = xp.broadcast_to(best, (*talk.batch, c, c))
    b = best.max(axis=-2).argmax(axis=-1)  # the present label
    a = xp.take_along_axis(best, b[..., None, None], axis=-1)[..., 0].argmax(axis=-1)  # that of the run before
    for t in range(n - 1, -1, -1):
        path[..., t] = talk.where(t, xp.where(possible, b, -1), -1, axes=0)
        if t:
            came = xp.take_along_axis(pointers[..., t, :, :], b[..., None, None], axis=-1)[..., 0]
            came = xp.take_along_axis(came, a[..., None], axis=-1)[..., 0]
            begins = talk.begins[..., t]
            before = xp.where(begins, a, came)
            a = talk.where(t, xp.where(begins, came, a), a, axes=0)
            b = talk.where(t, before, b, axes=0)
    return path
