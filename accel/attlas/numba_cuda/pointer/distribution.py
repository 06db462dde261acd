"""Distributions over positions, on Numba-CUDA: no value is blended, the weights are the result.

The tile writes the logits of all pairs, each scored once; then a block of threads turns each row into probabilities or
their logarithms.

Bound by operations: m n a hyperbolic tangents, about twenty instructions each, or m n a multiply-adds for the dot
score. The rows are bound by bytes: each is read three times, from the second-level cache but for long ones. Memory
beside the result: the logits, m n numbers, which are a result themselves if they are asked for.
Differs from the reference by rounding only.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import PointerResult

from ..assemble import Assembly
from ..dense import Attention
from ..kronecker.tensor import plus as sum_of_entries
from ..learned import additive, projected
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import larger, sees
from ..probabilistic.sums import build_log
from ..probabilistic.teams import CROWD, Team, build_agree
from ..rows import plus
from ..rules import Real, Rule
from ..target import allocate, cuda, device, kernel, launch, shaped
from ..views import as_row

LOGITS = 0
"""The row of the logits in the table of operands; the mask has its usual one."""


def _clip(real: Real) -> Any:
    zero = real(0)

    @device
    def score(product, bias, scale, first):
        logit = scale * product
        return first * real(math.tanh(logit)) if first > zero else logit

    return score


@device
def _divided(score, second):
    return score / second


@functools.cache
def of_units(real: Real) -> Rule:
    """Make the rule of clip(v · tanh(q + k)) / second; first is the clip, or 0."""
    return Rule(_clip(real), unit=additive(real).unit, weight=_divided)


@functools.cache
def of_dots(real: Real) -> Rule:
    """Make the rule of clip(scale <q, k>) / second; first is the clip, or 0."""
    return Rule(_clip(real), weight=_divided)


@functools.cache
def build_normalize(team: Team, real: Real) -> Any:
    """Build the kernel that turns rows of logits into probabilities, or with `as_log` their logarithms."""
    highest, summed, log_of = build_agree(team, real, larger), build_agree(team, real, plus), build_log(real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, lowest, infinity = real(0), real(1), real(-math.inf), real(math.inf)

    def pointer_rows(first, block_count, m, n, logits, mask, layout, as_log, output):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        batch = index // m
        i = index % m
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        start = layout[LOGITS, 2 + batch] + i * layout[LOGITS, 0]
        top = lowest
        for j in range(t, n, threads):
            number = lowest
            if sees(mask, layout, batch, i, j, n):
                number = logits[start + j]
            output[index * n + j] = number
            top = larger(top, number)
        top = highest(board, top)
        shift = zero if top == lowest else top
        mass = zero
        if not (as_log and top == infinity):
            for j in range(t, n, threads):
                number = output[index * n + j]
                weight = zero if number == lowest else real(math.exp(number - shift))
                mass += weight
                if not as_log:
                    output[index * n + j] = weight
        mass = summed(board, mass)
        log_mass = top if top == infinity else shift + log_of(mass)
        divisor = one if mass == zero else mass
        for j in range(t, n, threads):
            visible = sees(mask, layout, batch, i, j, n)
            number = output[index * n + j]
            if as_log:
                number = lowest if log_mass == lowest or not visible else number - log_mass
            else:
                number = number / divisor if visible else zero
            output[index * n + j] = number

    return kernel(pointer_rows)


def pointer_attention(
    query: Any,
    key: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    b_key: Any,
    v: Any,
    score: str,
    scale: float | None,
    logit_clip: float | None,
    temperature: float,
    mask: Any,
    log: bool,
    return_logits: bool,
) -> Any:
    """Compute `attlas_ref.pointer_attention`."""
    asks, offers = compared(query, w_query, b_query), compared(key, w_key, b_key)
    units = score == "additive"
    attention = Attention(
        of_units if units else of_dots, asks, offers, mask=None, bias=None, scale=1.0 if units else scale,
        first=logit_clip or 0.0, second=temperature, extra=None if v is None else as_row(v),
    )  # fmt: skip
    logits = attention.weights(normalized=False)
    m, n = shape_of(logits)[-2:]
    batch, p = leading_axes(logits, mask), attention.problem
    nothing = np.zeros((1, 1), p.dtype)
    visible = np.ones((1, 1), bool) if mask is None else mask
    memories, layout = lay_out([logits, nothing, nothing, nothing, visible], batch)
    output = allocate((*batch, m, n), p.dtype)
    launch(
        build_normalize(CROWD, p.real), CROWD.blocks(math.prod(batch) * m), CROWD.block.threads,
        m, n, memories[LOGITS], memories[-1], layout, int(log), output,
    )  # fmt: skip
    result = shaped(output, (*batch, m, n))
    return PointerResult(result, logits) if return_logits else result


def compared(rows: Any, weight: Any, bias: Any) -> Any:
    """Return rows @ weight + bias, each of which may be missing."""
    if weight is not None:
        return projected(rows, weight, bias)
    if bias is None:
        return rows
    *batch, count, width = shape_of(rows)
    return Assembly(tuple(batch), count, width, dtype_of(rows)).put(sum_of_entries, rows, as_row(bias)).matrix
