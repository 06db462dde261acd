"""One key for each query: the best, or one that is drawn by its weight.

The scores come tile after tile from the parts of `tile`, and no weight ever meets a value: a kernel leaves the number
of a key for each query, and the host copies the rows with these numbers. A draw u takes two passes: one for the largest
score and the sum of the weights, one along their running sum to the first key where it exceeds u times the whole. The
second pass ends where all queries of a block have found their key.

Bound by: multiply-adds, m n d of them for the best key and up to twice as many for a draw, beside one or two
exponentials per pair. Differs from the reference where rounding decides: scores that are all but equal, and draws that
fall almost between two keys. Sums are compensated, so that long rows move no draw.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, ChoiceResult, ChoiceWeightsResult

from ..attention import causal_diagonal, dot_scale, kernels_of, lay_out_scores
from ..band import summed
from ..blocks import fill
from ..compile import kernel, part
from ..dense import dot_score
from ..operands import Array, over_queries
from ..pointers import places_at
from ..real import Real
from ..tile import Parts, build_parts, softmax, span

__all__ = ["hard_attention"]

NOTHING, SPOILED = -1, -2
"""In the place of a number: nothing can be chosen; a NaN among the scores."""

WEIGHING = 32
"""What going along the weights costs per pair, in multiply-adds: to decide when threads pay."""


def build_best(name: str, real: Real, parts: Parts) -> Any:
    """Make the kernel that finds the first of the largest scores. Results: the number of a key (batch, m)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, _ = parts
    open_operands, open_scratch = real.open_operands, real.open_scratch

    def look(scratch, lanes, rows):
        """Bring the largest scores up to date; in `line` the row of this tile where one stands, or -1."""
        tile, maximum, place = scratch.scores, scratch.maximum, scratch.line
        fill(place, lanes, -one)
        here = zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                score = tile[start + lane]
                larger = score > maximum[lane]
                place[lane] = here if larger else place[lane]
                # A NaN is taken, and kept: nothing is larger than it.
                maximum[lane] = score if larger | (score != score) else maximum[lane]
            here += one

    look = part(look, of=f"{name}, {real.dtype}")

    def best(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        index, size = places_at(results[0]), operands.size
        maximum, place = scratch.maximum, scratch.line
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            target = member * size.m + first
            fill(maximum, lanes, -infinity)
            for lane in range(used):
                index[target + lane] = NOTHING
            seen, end = span(size, first, used)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                if scores(operands, scratch, member, first, used, lanes, row, rows) >= 0:
                    look(scratch, lanes, rows)
                    for lane in range(used):
                        if place[lane] >= zero:
                            index[target + lane] = row + int(place[lane])
            for lane in range(used):
                if maximum[lane] != maximum[lane]:
                    index[target + lane] = SPOILED

    return kernel(best, f"{name}-best-{real.dtype}")


def build_best_key(real: Real) -> Any:
    """The key of the largest score; parameters (scale, 1)."""
    return build_best("hard", real, build_parts(real, dot_score))


def build_drawn_key(real: Real) -> Any:
    """A key by its weight; parameters (scale, 1 / temperature), `extra` (m, 1) the draws; results as above."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, _ = build_parts(real, dot_score)
    advance, exp = softmax(real).step, real.exp
    open_operands, open_scratch = real.open_operands, real.open_scratch

    def go_on(scratch, lanes, rows):
        """Go on along the weights: in `line` the first row of this tile that passes the target, in `before` the last
        with a weight, or -1."""
        tile, shift, target = scratch.scores, scratch.shift, scratch.rescale
        so_far, lost, place, last = scratch.mean, scratch.estimate, scratch.line, scratch.before
        fill(place, lanes, -one)
        fill(last, lanes, -one)
        here = zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                weight = exp(tile[start + lane] - shift[lane])
                so_far[lane], lost[lane] = summed(so_far[lane], lost[lane], weight)
                # A weight of 0 moves no sum, compensated or not, and so passes nothing.
                passes = (so_far[lane] > target[lane]) & (place[lane] < zero)
                place[lane] = here if passes else place[lane]
                last[lane] = here if weight > zero else last[lane]
            here += one

    go_on = part(go_on, of=f"{real.dtype}")

    def drawn(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        index, size, draws = places_at(results[0]), operands.size, operands.extra
        maximum, total, shift, target = scratch.maximum, scratch.total, scratch.shift, scratch.rescale
        place, last = scratch.line, scratch.before
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            at = member * size.m + first
            fill(maximum, lanes, -infinity)
            fill(total, lanes, zero)
            seen, end = span(size, first, used)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden >= 0:
                    advance(operands, scratch, lanes, rows, hidden)
            fill(scratch.mean, lanes, zero)
            fill(scratch.estimate, lanes, zero)
            fill(target, lanes, infinity)
            waiting = 0
            for lane in range(lanes):
                shift[lane] = zero if maximum[lane] == -infinity else maximum[lane]
            for lane in range(used):
                index[at + lane] = NOTHING if total[lane] == total[lane] else SPOILED
                if total[lane] > zero:
                    uniform = draws.memory[draws.places[member] + (first + lane) * draws.row]
                    target[lane] = uniform * total[lane]
                    waiting += 1
            for row in range(seen, end, size.keys):
                if waiting == 0:
                    break
                rows = min(size.keys, end - row)
                if scores(operands, scratch, member, first, used, lanes, row, rows) < 0:
                    continue
                go_on(scratch, lanes, rows)
                for lane in range(used):
                    if target[lane] < infinity:
                        if place[lane] >= zero:
                            index[at + lane] = row + int(place[lane])
                            target[lane] = infinity
                            waiting -= 1
                        elif last[lane] >= zero:
                            # Where rounding leaves the whole sum below the target it is the last key with a weight.
                            index[at + lane] = row + int(last[lane])

    return kernel(drawn, f"hard-drawn-{real.dtype}")


def hard_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    uniform: Array | None,
    temperature: float,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
    return_index: bool,
) -> Any:
    """See `attlas_ref.variational.hard_attention`."""
    index = chosen(
        build_best_key if uniform is None else build_drawn_key,
        query,
        key,
        dot_scale(scale, query),
        1.0 if uniform is None else 1 / temperature,
        mask=mask,
        bias=bias,
        causal=causal,
        extra=None if uniform is None else uniform[..., None],
        per_pair=0 if uniform is None else query.shape[-1] + WEIGHING,
    )
    output, found = read(index, value), np.maximum(index, NOTHING)
    if not return_weights:
        return ChoiceResult(output, found) if return_index else output
    weights = one_hot(index, key.shape[-2], mask, causal, query.dtype)
    return ChoiceWeightsResult(output, weights, found) if return_index else AttentionResult(output, weights)


def chosen(
    build: Any,
    query: Array,
    key: Array,
    *parameters: float,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    extra: Array | None,
    per_pair: int,
) -> Array:
    """Return the number of a key for each query, (..., m), or what stands in its place."""
    problem = lay_out_scores(
        query,
        key,
        mask=mask,
        bias=bias,
        extra=extra,
        diagonal=causal_diagonal(causal, query, key),
        parameters=parameters,
    )
    index = np.empty((*problem.batch, problem.size.m), dtype=np.int64)
    over_queries(problem, kernels_of(build, query.dtype), index, per_pair=per_pair)
    return index


def read(index: Array, value: Array) -> Array:
    """Copy the values with these numbers: zeros where nothing was chosen, NaN where scores were spoiled."""
    leading = np.broadcast_shapes(index.shape[:-1], value.shape[:-2])
    (n, e), m = value.shape[-2:], index.shape[-1]
    if n == 0:
        return np.zeros((*leading, m, e), dtype=value.dtype)
    places = np.broadcast_to(index, (*leading, m))
    members: Any = np.indices(leading, sparse=True)
    chosen_rows = (*(axis[..., None] for axis in members), np.maximum(places, 0))
    rows: Array = np.broadcast_to(value, (*leading, n, e))[chosen_rows]
    rows[places == NOTHING] = 0
    rows[places == SPOILED] = np.nan
    return rows


def one_hot(index: Array, n: int, mask: Array | None, causal: bool, dtype: Any) -> Array:
    """Return a choice as weights (..., m, n); in a spoiled row NaN, but 0 where nothing is seen."""
    m = index.shape[-1]
    weights = np.zeros((*index.shape, n), dtype=dtype)
    at = np.nonzero(index >= 0)
    weights[(*at, index[at])] = 1
    spoiled = np.nonzero(index == SPOILED)
    seen = np.full((len(spoiled[0]), n), True)
    if mask is not None:
        seen &= np.broadcast_to(mask, weights.shape)[spoiled]
    if causal:
        seen &= np.arange(n) <= spoiled[-1][:, None] + n - m
    weights[spoiled] = np.where(seen, np.nan, 0)
    return weights
