"""Combiner-Logsparse on Numba-CUDA: the past in groups that double in size.

What represents the groups is a pyramid, made level by level, each from the one below. Then a block of threads for each
group reads its tokens, and one for each token what it meets (see `readings`), the groups in place of their tokens.

Bound by bytes: n log n (d + e) numbers from the second-level cache, half of them for the groups, half for the tokens.
The largest groups, whose blocks run longest, come first. Memory beside the result is n (2 d + e) numbers.

Results differ from the reference by rounding only.
"""

from typing import Any

from attlas_ref.contract import AttentionResult

from ..operands import dtype_of, leading_axes, shape_of
from .combiner import dot_scale, empty_result
from .groups import Reading, implied, pyramid, read, without_channels
from .implied import build_implied_doubling

__all__ = ["combiner_logsparse_attention"]


def combiner_logsparse_attention(
    query: Any, key: Any, value: Any, *, summary: str, scale: float | None, return_weights: bool
) -> Any:
    """Compute `attlas_ref.combiner_logsparse_attention`."""
    n, dtype, factor = shape_of(query)[-2], dtype_of(query), dot_scale(scale, query)
    if n == 0:
        return empty_result(return_weights, query, key, value)
    bits = (n - 1).bit_length()
    groups = sum(-(-(n - (1 << bit)) // (2 << bit)) for bit in range(1, bits))
    stand_query, stand_key = pyramid(query, summary), pyramid(key, summary)

    def reading(value: Any, stores: bool) -> tuple[Reading, Reading]:
        within = read(
            True, stand_query, key, value, None, None, factor,
            count=groups, results=shape_of(stand_query)[-2], length=0, bits=bits, stores=stores,
        )  # fmt: skip
        tokens = read(
            False, query, key, value, stand_key, within.value, factor,
            count=n, results=n, length=0, bits=bits, stores=stores,
        )  # fmt: skip
        return within, tokens

    batch = leading_axes(query, key)
    # Weights have the leading axes of the scores; values may have more.
    together = leading_axes(query, key, value) == batch
    within, tokens = reading(value, return_weights and together)
    if not return_weights:
        return tokens.value
    output = tokens.value
    if not together:
        within, tokens = reading(without_channels(key), True)
    weights = implied(build_implied_doubling, dtype, batch, n, n, bits, tokens.shares, within.shares)
    return AttentionResult(output, weights)
