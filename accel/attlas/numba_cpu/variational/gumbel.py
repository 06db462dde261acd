"""Softmax attention with Gumbel noise on the scores, and its hard form.

The noise is made tile by tile from the draws, which are read like a bias. The logarithm of the softmax differs from the
score by a constant per row, which a softmax and a choice forget: so the noise is added to the score itself.

Bound by: the multiply-adds of `tile`, m n draws read, and two logarithms per pair, which cost about what two
exponentials do. The hard form multiplies by no value (`choices`).
Differs from the reference by rounding. A score of infinity, whose logarithmic weight is NaN, is made NaN.
"""

from functools import cache
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import attend, dot_scale
from ..blocks import hide, pack
from ..compile import part
from ..operands import Array
from ..power import powers_of
from ..real import Real
from ..tile import Kernels, Parts, build_parts, fill_template, scaled_score, softmax
from .choices import build_best, chosen, one_hot, read

__all__ = ["gumbel_softmax_attention"]

EPSILON = 1e-20
"""Bounds the noise at the ends of the unit interval."""

NOISE = 32
"""What the noise of a pair costs, in multiply-adds: to decide when threads pay."""


@cache
def noisy_parts(real: Real) -> Parts:
    """The parts of noisy scores; parameters (scale, 1 / temperature), `extra` (m, n) the uniform numbers."""
    half, infinity, nan = real.number(0.5), real.number(np.inf), real.number(np.nan)
    epsilon, log = real.number(EPSILON), powers_of(real).log
    begin, plain, add_rows = build_parts(real, scaled_score)

    def noisy(operands, scratch, member, first, used, lanes, row, rows):
        hidden = plain(operands, scratch, member, first, used, lanes, row, rows)
        if hidden < 0:
            return hidden
        tile, given, draws, sharpness = scratch.scores, scratch.slopes, operands.extra, operands.parameters[1]
        at = draws.places[member] + first * draws.row + row * draws.column
        pack(given, draws, at, used, lanes, rows, half)
        for i in range(rows * lanes):
            gumbel = -log(epsilon - log(given[i] + epsilon))
            score = nan if tile[i] == infinity else tile[i]
            tile[i] = (score + gumbel) * sharpness
        if hidden:  # whatever the draws of hidden pairs are
            hide(tile, scratch.visible, rows * lanes, -infinity)
        return hidden

    return Parts(begin, part(noisy, of=f"{real.dtype}"), add_rows)


def build_relaxed(real: Real) -> Kernels:
    """Softmax of noisy scores; parameters and `extra` as above."""
    return fill_template("gumbel", real, noisy_parts(real), softmax(real))


def build_best_noisy(real: Real) -> Any:
    """The key of the largest noisy score; parameters (scale, 1)."""
    return build_best("gumbel", real, noisy_parts(real))


def gumbel_softmax_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    uniform: Array,
    temperature: float,
    hard: bool,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.variational.gumbel_softmax_attention`."""
    scale = dot_scale(scale, query)
    options: dict[str, Any] = {"mask": mask, "bias": bias, "causal": causal, "extra": uniform}
    if not hard:
        return attend(
            build_relaxed, query, key, value, scale, 1 / temperature, return_weights=return_weights, **options
        )
    index = chosen(build_best_noisy, query, key, scale, 1.0, per_pair=NOISE, **options)
    output = read(index, value)
    if not return_weights:
        return output
    return AttentionResult(output, one_hot(index, key.shape[-2], mask, causal, query.dtype))
