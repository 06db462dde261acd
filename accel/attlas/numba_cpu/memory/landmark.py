"""Landmark attention on the CPU: a softmax over doors, and one in each block behind them, streamed.

A task is a block of queries. Their own blocks and doors settle the shares; then every block that somebody reads is
weighed by its own softmax times its share (`landmark_groups`), and its values are added.

Bound by: multiply-adds, n² (d + e) / 2 of them (with blocks longer than a tile n² (2 d + e) / 2), and n² / 2
exponentials. With `top_k`, blocks that none of the queries of a task has chosen are skipped. Memory: a tile and the
scores of the doors, (landmarks, lanes), for each thread.
Work is cut by the shape alone, and sums run in the order of the keys, so neither threads nor the rest of the batch
change a bit. Differs from the reference by rounding; where scores of landmarks all but tie, by which one is kept.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import attend, dot_scale, kernels_of, lay_out_scores, score_batch
from ..blocks import fill, unpack
from ..compile import kernel, part
from ..dense import build_softmax
from ..operands import Array, Problem, lay_out, over_queries
from ..pointers import moved, places_at
from ..real import Real
from ..tile import build_parts, scaled_score
from .landmark_groups import Groups, begins, ends, group_parts, inner_scratch, opener_of_lanes

__all__ = ["landmark_attention"]


def build_landmark(real: Real) -> Any:
    """Make the kernel; parameters (scale,).

    Results: output, weights or 0; then the landmarks' places, the tokens' blocks, the number of landmarks, top_k or -1.
    """
    zero, one = real.number(0), real.number(1)
    begin, _, add_rows = build_parts(real, scaled_score)
    settle, own_tile, open_block, weights_again = group_parts(real)
    open_operands, open_scratch, reals, exp = real.open_operands, real.open_scratch, real.pointer, real.exp
    of, open_lanes = str(real.dtype), opener_of_lanes(real)

    def share(scratch, own, lanes, rows):
        """Turn the weights within a block into shares of the group, unnormalized; for readers only."""
        for r in range(rows):
            start = r * lanes
            for lane in range(lanes):
                weight = scratch.scores[start + lane] * own.factor[lane]
                scratch.scores[start + lane] = weight if own.reads[lane] > zero else zero
                scratch.visible[start + lane] = own.reads[lane] > zero

    def share_own(scratch, lanes, rows):
        for r in range(rows):
            start = r * lanes
            for lane in range(lanes):
                weight = exp(scratch.scores[start + lane] - scratch.shift[lane])
                scratch.scores[start + lane] = weight if scratch.visible[start + lane] else zero

    def note(weights, scratch, own, at, n, used, lanes, rows):
        """Write visible weights of a tile into rows of the result."""
        for lane in range(used):
            for r in range(rows):
                if scratch.visible[r * lanes + lane]:
                    weights[at + lane * n + r] = scratch.scores[r * lanes + lane] * own.inverse[lane]

    share, share_own, note = part(share, of), part(share_own, of), part(note, of)

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        inner, size, sums = inner_scratch(scratch), operands.size, scratch.sums
        output, weights = reals(results[0]), reals(results[1])
        groups = Groups(places_at(results[2]), places_at(results[3]), results[4], size.n)
        own = open_lanes(scratch_table)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            closed = settle(operands, scratch, own, groups, member, first, used, lanes, results[5])
            target = member * size.m + first
            fill(sums, size.e * lanes, zero)
            for index in range(closed):
                door = moved(own.doors, index * lanes)
                hidden = open_block(operands, inner, scratch, own, groups, door, member, first, used, lanes, index)
                if hidden < 0:
                    continue
                row_of_block, end = begins(groups, index), ends(groups, index)
                for row in range(row_of_block, end, size.keys):
                    rows = min(size.keys, end - row)
                    if end - row_of_block > size.keys:
                        weights_again(operands, inner, scratch, member, lanes, row, rows)
                    share(scratch, own, lanes, rows)
                    add_rows(
                        operands, scratch, sums, scratch.scores, operands.value, size.e, member, lanes, row, rows,
                        hidden,
                    )  # fmt: skip
                    if results[1]:
                        note(weights, scratch, own, target * size.n + row, size.n, used, lanes, rows)
            fill(scratch.rescale, lanes, one)
            for row in range(begins(groups, groups.block[first]), first + used, size.keys):
                rows = min(size.keys, first + used - row)
                own_tile(operands, scratch, groups, member, first, lanes, row, rows)
                share_own(scratch, lanes, rows)
                add_rows(operands, scratch, sums, scratch.scores, operands.value, size.e, member, lanes, row, rows, 1)
                if results[1]:
                    note(weights, scratch, own, target * size.n + row, size.n, used, lanes, rows)
            for column in range(size.e):
                for lane in range(lanes):
                    sums[column * lanes + lane] *= own.inverse[lane]
            unpack(output, target * size.e, sums, used, lanes, size.e)

    return kernel(forward, f"landmark-forward-{real.dtype}")


class Cut(NamedTuple):
    """How the tokens of a call are cut."""

    places: Array
    """(landmarks,)"""
    block: Array
    """(n,)"""

    @classmethod
    def of(cls, is_landmark: Array) -> "Cut":
        """Return the cut, in whole numbers that a kernel reads."""
        block = np.cumsum(is_landmark, dtype=np.int64) - is_landmark
        return cls(np.flatnonzero(is_landmark).astype(np.int64), block)

    def numbers(self) -> tuple[int, int, int]:
        """Where a kernel finds it; it must be kept alive."""
        places, block = (array.__array_interface__["data"][0] for array in self)
        return places, block, len(self.places)


def own_scratch(problem: Problem, landmarks: int) -> tuple[int, ...]:
    """The fields of `Lanes`, in rows of lanes."""
    lanes = -(-problem.size.queries // problem.size.width) * problem.size.width
    return landmarks, -(-landmarks // lanes), 1, 1, 1


def keys_of_landmarks(key: Array, cut: Cut) -> Array:
    """The landmarks' keys side by side; what is broadcast stays so."""
    steps = zip(key.shape[:-2], key.strides[:-2], strict=True)
    once = tuple(slice(1) if size > 1 and step == 0 else slice(None) for size, step in steps)
    return key[once][..., cut.places, :]


def landmark_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    is_landmark: Array,
    scale: float | None,
    top_k: int | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.memory.landmark_attention`."""
    factor = dot_scale(scale, query)
    cut = Cut.of(is_landmark)
    if not len(cut.places):
        options: dict[str, Any] = {"mask": None, "bias": None, "causal": True, "return_weights": return_weights}
        return attend(build_softmax, query, key, value, factor, 1.0, **options)
    options = {
        "mask": None,
        "bias": None,
        "extra": keys_of_landmarks(key, cut),
        "diagonal": 0,
        "parameters": (factor,),
    }
    own = score_batch(query, key)
    problem = lay_out(query, key, value, **options)
    output = problem.new(problem.size.m, problem.size.e)
    weights = np.zeros((*own, problem.size.m, problem.size.n), dtype=query.dtype) if return_weights else None
    together = problem.batch == own
    limit = -1 if top_k is None else min(top_k, key.shape[-2])
    _attend(problem, cut, limit, output, weights if together else None)
    if weights is None:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        problem = lay_out_scores(query, key, **options)
        _attend(problem, cut, limit, problem.new(problem.size.m, 0), weights)
    return AttentionResult(output, weights)


def _attend(problem: Problem, cut: Cut, top_k: int, output: Array, weights: Array | None) -> None:
    over_queries(
        problem,
        kernels_of(build_landmark, problem.dtype),
        output,
        weights,
        own=own_scratch(problem, len(cut.places)),
        numbers=(*cut.numbers(), top_k),
    )
