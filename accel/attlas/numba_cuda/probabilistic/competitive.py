"""Competitive attention on Numba-CUDA: a softmax along the queries, then a mean along the keys.

The two passes of `columns`: the first leaves two numbers of each key, the second is an ordinary one whose rule reads
them. Bound by operations, m n (2 d + e) multiply-adds beside 2 m n exponentials; memory beside the result is O(m + n).
Few queries (slots) leave rows of the second pass's tiles empty; the first, whose rows are keys, is full.

Results differ from the reference by rounding: a share is multiplied by one over the total of its column, and the sums
are divided, not the weights.
"""

import functools
import math
from typing import Any

from ..columns import numbers_of_keys
from ..dense import Attention, attend
from ..rules import Real, Rule
from ..target import device

__all__ = ["competitive_attention"]


@functools.cache
def won(real: Real) -> Rule:
    """Make the rule of factor_j exp(scale <q, k> + bias - shift_j) + first."""

    @device
    def score(product, bias, scale, first, shift, factor):
        return real(math.exp((scale * product + bias) - shift)) * factor + first

    @device
    def weight(score, second):
        return score

    return Rule(score, weight=weight, of_key=True)


def competitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    eps: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.competitive_attention`."""
    of_keys = numbers_of_keys(query, key, scale=scale, mask=mask, bias=bias)
    attention = Attention(won, query, key, value, mask=mask, bias=bias, scale=scale, first=eps, extra=of_keys)
    return attend(attention, return_weights)
