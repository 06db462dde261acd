"""Pointer networks: an LSTM whose state points, after some glimpses; its likelihoods and its searches.

The steps of the LSTM follow each other; pointing does not wait for them where the sequence is known. Keys are projected
once, and handed over as they are then compared.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attlas_ref.contract import DecodedSequence, SequenceLikelihood

from ..pointwise import sigmoid
from ..sums import weighted_sum
from .beams import extended, of_parent, read_at

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["pointer_glimpse", "pointer_network_decode", "pointer_network_log_prob"]


def pointer_glimpse(
    here: "Place",
    query: Any,
    key: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    b_key: Any,
    v: Any,
    mask: Any,
    glimpses: int,
    value: str,
) -> Any:
    """Attend with additive scores, some times in a row."""
    biases = [bias for bias in (b_query, b_key) if bias is not None]
    seen = _projected(key, w_key, b_key) if value == "projected" else key
    query = query if glimpses else query.copy()
    for _ in range(glimpses):
        query = here.additive_attention(
            query,
            key,
            seen,
            query_weight=w_query,
            key_weight=w_key,
            score_vector=v,
            score_bias=sum(biases) if biases else None,
            mask=mask,
            causal=False,
            return_weights=False,
        )
    return query


def _projected(rows: Any, weight: Any, bias: Any) -> Any:
    rows = rows @ weight
    return rows if bias is None else rows + bias


class _Pointer(NamedTuple):
    """A pointer whose keys have been projected."""

    keys: Any
    w_query: Any
    b_query: Any
    v: Any

    def at(self, here: "Place", query: Any, allowed: Any, logit_clip: float | None, log: bool) -> Any:
        """Return the distribution over what is allowed."""
        return here.pointer_attention(
            query,
            self.keys,
            w_query=self.w_query,
            w_key=None,
            b_query=self.b_query,
            b_key=None,
            v=self.v,
            score="additive",
            scale=None,
            logit_clip=logit_clip,
            temperature=1.0,
            mask=allowed,
            log=log,
            return_logits=False,
        )


class _Decoder:
    """The decoder of a call."""

    def __init__(
        self,
        here: "Place",
        key: Any,
        *,
        w_ih: Any,
        w_hh: Any,
        b_ih: Any,
        b_hh: Any,
        w_query: Any,
        w_key: Any,
        v: Any,
        b_query: Any,
        b_key: Any,
        glimpse_w_query: Any,
        glimpse_b_query: Any,
        glimpse_w_key: Any,
        glimpse_b_key: Any,
        glimpse_v: Any,
        glimpses: int,
        logit_clip: float | None,
    ) -> None:
        self.here, self.logit_clip, self.glimpses = here, logit_clip, glimpses
        self.w_ih, self.w_hh, self.b = w_ih, w_hh, b_ih + b_hh
        self.pointer = _Pointer(_projected(key, w_key, b_key), w_query, b_query, v)
        if glimpses:
            keys = _projected(key, glimpse_w_key, glimpse_b_key)
            self.glimpse = _Pointer(keys, glimpse_w_query, glimpse_b_query, glimpse_v)
            self.tame = bool(here.xp.isfinite(keys.sum()))

    def of_input(self, x: Any) -> Any:
        """Return what an input adds to the gates."""
        return x @ self.w_ih + self.b

    def step(self, from_input: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """Return the next state and cell."""
        xp, d = self.here.xp, c.shape[-1]
        z = from_input + h @ self.w_hh
        i, f, o = (sigmoid(xp, z[..., gate * d : (gate + 1) * d]) for gate in (0, 1, 3))
        c = f * c + i * xp.tanh(z[..., 2 * d : 3 * d])
        return o * xp.tanh(c), c

    def log_probabilities(self, h: Any, allowed: Any) -> Any:
        """Return log p over the positions for each of the states (..., m, d): -inf where it is not allowed."""
        query = h
        for _ in range(self.glimpses):
            p, seen = self.glimpse.at(self.here, query, allowed, None, log=False), self.glimpse.keys
            query = p @ seen if self.tame else weighted_sum(self.here, p, seen, allowed)
        return self.pointer.at(self.here, query, allowed, self.logit_clip, log=True)


def pointer_network_log_prob(
    here: "Place",
    embedded: Any,
    key: Any,
    sequence: Any,
    *,
    h0: Any,
    c0: Any,
    start: Any,
    forbid_repeats: bool,
    mask: Any,
    return_steps: bool,
    **network: Any,
) -> Any:
    """Run the LSTM along the sequence, and point from all its states at once."""
    xp, n, steps = here.xp, embedded.shape[-2], sequence.shape[-1]
    decoder = _Decoder(here, key, **network)
    batch = _batch(embedded, key, sequence, h0, c0, mask)
    visible = _visible(xp, mask, (*batch, n))
    sequence = xp.broadcast_to(sequence.astype(xp.int64), (*batch, steps))
    chosen = sequence[..., None] == xp.arange(n)  # (..., T, n)
    allowed = xp.broadcast_to(visible[..., None, :], chosen.shape)
    if forbid_repeats:
        met = xp.cumulative_sum(chosen.astype(xp.int32), axis=-2) - chosen.astype(xp.int32)  # before step t
        allowed = allowed & (met == 0)

    # What a mask hides is not read even where the sequence names it; its likelihood is 0 anyway.
    legal = xp.where((chosen & visible[..., None, :]).any(axis=-1), sequence, -1)
    first = xp.broadcast_to(start, (*batch, 1, start.shape[-1]))
    inputs = decoder.of_input(xp.concat([first, read_at(xp, embedded, legal[..., :-1])], axis=-2))  # (..., T, 4d)
    h, c = (xp.broadcast_to(state, (*batch, state.shape[-1])) for state in (h0, c0))
    states = xp.zeros((*batch, steps, key.shape[-1]), dtype=key.dtype)
    for t in range(steps):
        h, c = decoder.step(inputs[..., t, :], h, c)
        states[..., t, :] = h

    log_p = decoder.log_probabilities(states, allowed)  # (..., T, n)
    each = xp.where(chosen, log_p, 0).sum(axis=-1)  # (..., T)
    log_prob = xp.where((each == -math.inf).any(axis=-1), -math.inf, each.sum(axis=-1))
    return SequenceLikelihood(log_prob, log_p) if return_steps else log_prob


def _batch(embedded: Any, key: Any, *rows: Any) -> tuple[int, ...]:
    """The leading axes of two matrices and of all rows that are given."""
    given = (x.shape[:-1] for x in rows if x is not None)
    return np.broadcast_shapes(embedded.shape[:-2], key.shape[:-2], *given)


def _visible(xp: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    return xp.ones(shape, dtype=xp.bool) if mask is None else xp.broadcast_to(mask, shape)


def pointer_network_decode(
    here: "Place",
    embedded: Any,
    key: Any,
    *,
    h0: Any,
    c0: Any,
    start: Any,
    forbid_repeats: bool,
    mask: Any,
    length: int | None,
    method: str,
    beam_width: int,
    uniform: Any,
    end_index: int | None,
    **network: Any,
) -> Any:
    """Lengthen prefixes step by step, those of all batch members at once."""
    xp, n = here.xp, embedded.shape[-2]
    length, width = n if length is None else length, beam_width if method == "beam" else 1
    decoder = _Decoder(here, key, **network)
    batch = _batch(embedded, key, h0, c0, uniform, mask)

    def beams(state: Any) -> Any:
        """The same state for every beam, (..., b, c)."""
        return xp.broadcast_to(state[..., None, :], (*batch, width, state.shape[-1]))

    x, h, c, free = (beams(state) for state in (start, h0, c0, _visible(xp, mask, (*batch, n))))
    sequence = xp.full((*batch, width, length), -1, dtype=xp.int64)
    ended = xp.zeros((*batch, width), dtype=xp.bool)
    total = xp.zeros((*batch, width), dtype=key.dtype)
    total[..., 1:] = -math.inf  # at first there is one prefix, the empty one
    for t in range(length):
        h, c = decoder.step(decoder.of_input(x), h, c)
        log_p = decoder.log_probabilities(h, free)  # (..., b, n)
        draws = None if uniform is None else xp.broadcast_to(uniform[..., t], batch)
        parent, choice, total = extended(xp, method, total, log_p, ended, draws)
        if width > 1:
            h, c, free, sequence = (of_parent(xp, state, parent) for state in (h, c, free, sequence))
            ended = xp.take_along_axis(ended, parent, axis=-1)
        sequence[..., t] = choice
        if forbid_repeats:
            free = free & (choice[..., None] != xp.arange(n))
        if end_index is not None:
            ended = ended | (choice == end_index)
        x = read_at(xp, embedded, choice)
    return DecodedSequence(sequence[..., 0, :], total[..., 0])
