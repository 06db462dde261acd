"""Combiner-Mixture on Numba-CUDA: a grid read along rows and along columns at once.

Every set of keys is a pass of the tile over rows or over columns (see `sets`): the own row, the own column, the columns
above as groups, and the rows above as two groups each, what lies left and right of the token's column. All groups are
prefixes or suffixes of lines, so what stands for them comes from running maxima (or means), and what they hold from
attention along it. Bound by operations, about 4 n (block + n / block)(d + e) multiply-adds; the running maxima are
chains as long as a line, beside each other for all lines and channels.

Results differ from the reference by rounding only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attlas_ref.contract import AttentionResult

from ..dense import Attention
from ..operands import dtype_of, leading_axes, shape_of
from ..rules import softmax
from ..views import upside_down
from .combiner import dot_scale, empty_result
from .groups import before, implied
from .implied import build_implied_crossed
from .sets import KeySet, attended, crossed, flattened, grid, spread, weighted

__all__ = ["combiner_mixture_attention"]


def other_columns(rows: int, columns: int) -> NDArray[np.bool_]:
    """View who meets which column above, (rows, columns, columns): all but the own one, and none in the first row."""
    flags = np.ones((rows, 2 * columns - 1), bool)
    flags[:, columns - 1] = False
    flags[0] = False
    (line, one), shape = flags.strides, (rows, columns, columns)
    return np.lib.stride_tricks.as_strided(flags[:, columns - 1 :], shape, (line, -one, one), writeable=False)


def combiner_mixture_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.combiner_mixture_attention`."""
    scale, n, batch, dtype = dot_scale(scale, query), shape_of(query)[-2], leading_axes(query, key), dtype_of(query)
    if n == 0:
        return empty_result(return_weights, query, key, value)
    rows = n // block
    q, k, v = (grid(x, block) for x in (query, key, value))
    # Columns, rows, and rows from right to left: queries, keys and values of their lines.
    lines = [tuple(map(crossed, (q, k, v))), (q, k, v), tuple(map(upside_down, (q, k, v)))]
    # For every token what reads the tokens above it, left of it and right of it.
    readers = [before(line[0], summary) for line in lines]

    def reading(place: int, read: Any) -> Attention:
        reader, (_, line_key, _) = readers[place], lines[place]
        return Attention(softmax, reader, line_key, read, mask=None, bias=None, scale=scale, diagonal=-1)

    above_key, left_key, right_key = (before(line[1], summary) for line in lines)
    above_value, left_value, right_value = (reading(place, line[2]).output() for place, line in enumerate(lines))
    right_key, right_value = upside_down(right_key), upside_down(right_value)
    each, q = np.arange(block)[:, None, None], grid(spread(query, batch), block)
    across: dict[str, Any] = {"scale": scale, "turned": True, "diagonal": -1}
    sets = [
        KeySet(q, k, v, scale, diagonal=0),
        KeySet(crossed(q), crossed(k), crossed(v), **across),
        KeySet(q, crossed(above_key), crossed(above_value), scale, mask=other_columns(rows, block)),
        KeySet(crossed(q), crossed(left_key), crossed(left_value), mask=each > 0, **across),
        KeySet(crossed(q), crossed(right_key), crossed(right_value), mask=each < block - 1, **across),
    ]
    output = attended(sets)
    if not return_weights:
        return output
    inner = []
    for place in range(len(lines)):
        attention = reading(place, None)
        attention.output(normalized=False)
        inner.append(flattened(attention.weights()))
    shares = [flattened(x) for x in weighted(sets)]
    return AttentionResult(output, implied(build_implied_crossed, dtype, batch, n, rows, block, *shares, *inner))
