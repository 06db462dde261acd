"""Sparse distributed memory on the sphere.

The tile template over unit vectors: a score is the logarithm of what two caps share, from the table of `caps`.
A vector of length 0 has no direction: two more columns put it out of everybody's reach.

Bound by: the table. A pair costs the dot product, an arc cosine and a polynomial of degree 11 whose coefficients are
gathered, about as much as a dot product of width 500; the table (77 kB) stays in the second-level cache. Arc cosine,
interval and polynomial are computed in float64 in either precision.
Differs from the reference by rounding, and by the interpolation error of `caps`, which is smaller.
"""

from typing import Any

import numpy as np

from ..attention import attend
from ..compile import part
from ..operands import Array, lean
from ..real import Real, bits_of
from ..tile import Kernels, Parts, build_parts, fill_template, scaled_score, softmax
from ..vector import multiply
from .caps import DEGREE, OCTAVES, PIECES, log_cap_table
from .hamming import as_doubles

__all__ = ["sdm_continuous_attention"]

AWAY = -4.0
"""What is added to the cosine of a vector of length 0."""

PLACES = 53 - PIECES.bit_length()
"""Bits of a float64 that say where in a piece an interval lies; those above them count the pieces."""
FIRST = (1023 - OCTAVES) * PIECES
"""What they count up to the first piece."""
TERMS = DEGREE + 1


def _arccos(x):
    """The angle of a cosine in float64, as in fdlibm but without a branch; within 2 units in the last place."""
    size = abs(x)
    outer = size > 0.5
    z = (1.0 - size) * 0.5 if outer else x * x
    p = -4.00555345006794114027e-02 + z * (7.91534994289814532176e-04 + z * 3.47933107596021167570e-05)
    p = 1.66666666666666657415e-01 + z * (-3.25565818622400915405e-01 + z * (2.01212532134862925881e-01 + z * p))
    q = 2.02094576023350569471e00 + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02)
    ratio = z * p / (1.0 + z * (-2.40339491173441421878e00 + z * q))
    root = np.sqrt(z)
    twice = 2.0 * (root + root * ratio)
    right_angle, rest = 1.57079632679489655800e00, 6.12323399573676603587e-17
    inner = right_angle - (x - (rest - x * ratio))
    return (twice if x > 0.0 else 2.0 * right_angle - (twice - 2.0 * rest)) if outer else inner


arccos: Any = part(_arccos, inline=True)


def _looked_up(table, cosine):
    """The logarithm of what caps share whose centers have a cosine; minus infinity where they do not meet."""
    inside = 1.0 if cosine > 1.0 else (-1.0 if cosine < -1.0 else cosine)  # a NaN stays
    length = table[0] - arccos(inside) * 0.5
    bits = bits_of(length * table[1])
    piece = (bits >> PLACES) - FIRST
    piece = 0 if piece < 0 else (LAST if piece > LAST else piece)
    place = float(bits & ((1 << PLACES) - 1)) * 2.0 ** (1 - PLACES) - 1.0
    at = 2 + piece * TERMS
    total = table[at + DEGREE]
    for power in range(DEGREE - 1, -1, -1):
        total = total * place + table[at + power]
    return total if length > 0.0 else (-np.inf if length <= 0.0 else length)


looked_up: Any = part(_looked_up, inline=True)

LAST = OCTAVES * PIECES - 1


def build_caps(real: Real) -> Kernels:
    """Softmax of looked-up logarithms; `extra` holds the angle of a cap, its scale and the table of `caps`."""
    number, infinity = real.number, real.number(np.inf)
    begin, _, add_rows = build_parts(real, scaled_score)

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key, tile, visible = operands.size, operands.key, scratch.scores, scratch.visible
        table, seen = as_doubles(operands.extra.memory), 0
        at = key.places[member] + row * key.row
        multiply(tile, scratch.packed, key, at, key.row, key.column, rows, size.d, lanes, size.width, scratch.rescale)
        for i in range(rows * lanes):
            tile[i] = number(looked_up(table, float(tile[i])))
            visible[i] = 0 if tile[i] == -infinity else 1
            seen += visible[i]
        return rows * lanes - seen if seen else -1

    return fill_template("caps", real, Parts(begin, part(scores, of=f"{real.dtype}"), add_rows), softmax(real))


def sdm_continuous_attention(query: Array, key: Array, value: Array, *, cap_cosine: float, return_weights: bool) -> Any:
    """See `attlas_ref.memory.sdm_continuous_attention`."""
    theta = np.arccos(cap_cosine)
    scale = (1 - 2.0**-50) / theta  # an interval of the whole length is still in the last piece
    table = np.concatenate([[theta, scale], log_cap_table(query.shape[-1], cap_cosine).reshape(-1)])
    return attend(
        build_caps,
        _directions(query, 0),
        _directions(key, 1),
        value,
        mask=None,
        bias=None,
        causal=False,
        return_weights=return_weights,
        extra=table[None].view(query.dtype),
        selects=True,
    )


def _directions(array: Array, side: int) -> Array:
    """Return vectors of unit length and two more columns, whose products put vectors of length 0 out of reach."""
    rows = lean(array)
    length = np.sqrt((rows**2).sum(axis=-1, keepdims=True))
    columns = np.ones((*rows.shape[:-1], 2), dtype=rows.dtype)
    columns[..., side : side + 1] = np.where(length == 0, AWAY, 0)
    directions = np.concatenate([rows / np.where(length == 0, 1, length), columns], axis=-1)
    return np.broadcast_to(directions, (*array.shape[:-1], directions.shape[-1]))
