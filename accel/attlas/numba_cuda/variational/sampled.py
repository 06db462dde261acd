"""Sampled and relaxed alignments on Numba-CUDA: the best key, a drawn one, and Gumbel noise on the scores.

The noise is made pair by pair where a score is made, from draws that are read once and kept nowhere. The logarithm of
the softmax differs from the score by a constant per row, which a softmax and a choice forget: so the noise is added to
the score itself.

Bound like the kernels that they are: `choices` where one key is read, the tile for the relaxed form, and m n draws read
with two logarithms per pair, about as much as two exponentials.
Differs from the reference by rounding, and where rounding decides a choice. A score of infinity, whose logarithmic
weight is NaN, is made NaN.
"""

import functools
import math
from typing import Any

from attlas_ref.contract import AttentionResult, ChoiceResult, ChoiceWeightsResult

from ..dense import Attention, attend
from ..rules import Real, Rule, softmax
from ..target import device, shaped
from ..views import as_column
from .choices import build_best, build_draw
from .chosen import Choice

EPSILON = 1e-20
"""Bounds the noise at the ends of the unit interval."""


@functools.cache
def gumbel(real: Real) -> Rule:
    """Make the rule of softmax((scale <q, k> + bias + noise) / first), with the pairs' uniform numbers in `extra`."""
    epsilon, infinity, nan = real(EPSILON), real(math.inf), real(math.nan)

    @device
    def score(product, bias, scale, first, uniform):
        noise = -real(math.log(epsilon - real(math.log(uniform + epsilon))))
        logit = scale * product + bias
        return ((nan if logit == infinity else logit) + noise) / first

    return Rule(score, of_pair=True)


def hard_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
    return_index: bool,
) -> Any:
    """Compute `attlas_ref.hard_attention`."""
    options: dict[str, Any] = {"mask": mask, "bias": bias, "scale": scale, "causal": causal}
    if uniform is None:
        attention = Attention(softmax, query, key, **options)
        built = build_best(attention.problem.block, attention.problem.real, softmax)
    else:
        attention = Attention(softmax, query, key, first=temperature, extra=as_column(uniform), **options)
        built = build_draw(attention.problem.block, attention.problem.real)
    choice = Choice(built, attention)
    output = choice.read(value)
    if not return_weights:
        return ChoiceResult(output, shaped(choice.taken, choice.rows)) if return_index else output
    weights = choice.one_hot()
    if return_index:
        return ChoiceWeightsResult(output, weights, shaped(choice.taken, choice.rows))
    return AttentionResult(output, weights)


def gumbel_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any,
    temperature: float,
    hard: bool,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.gumbel_softmax_attention`."""
    options: dict[str, Any] = {"mask": mask, "bias": bias, "scale": scale, "causal": causal, "extra": uniform}
    if not hard:
        return attend(Attention(gumbel, query, key, value, first=temperature, **options), return_weights)
    attention = Attention(gumbel, query, key, **options)
    choice = Choice(build_best(attention.problem.block, attention.problem.real, gumbel), attention)
    output = choice.read(value)
    return AttentionResult(output, choice.one_hot()) if return_weights else output
