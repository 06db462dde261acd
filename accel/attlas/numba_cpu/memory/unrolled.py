"""A block of tokens of a linear memory at once.

Where all gradients of a block are taken at one point, the recurrence S_t = η_t S_{t-1} + k_tᵀ x_t, M_t = keep_t M_{t-1}
+ S_t is linear, and its b tokens unroll into matrix products:

    q_t M_t = A_t q_t M₀ + B_t q_t S₀ + Σ_{s <= t} (q_t · k_s) F_ts x_s,

A_t the product of keep up to t, F = L^keep L^η with L^x_ts = x_{s+1} ... x_t, and B_t = Σ_s L^keep_ts η_1 ... η_s. All
these are sums of positive terms, made by their own recurrences: nothing is divided, nothing cancels.

A sum over s <= t never touches what comes later: where something written is not finite, rows of the sum are taken one
by one, each to its own end.

Bound by: multiply-adds, b (5 d e + b (d + e / 2)) of them in the register tile of `vector`.
"""

from functools import cache
from typing import Any, NamedTuple

from ..blocks import all_finite, fill, pack
from ..compile import part
from ..pointers import Matrix, moved
from ..real import Real
from ..vector import multiply, multiply_add

TOKENS = 64
"""Per block, where a chunk is longer."""

TOGETHER = 8
"""Rows of the triangle that go through the tile together; above the diagonal stand zeros."""


class Woven(NamedTuple):
    """What the rates of a block amount to; a side is the number of tokens, padded to whole vectors."""

    weights: Any
    """(tokens, side): F, 0 above the diagonal."""
    kept: Any
    """(tokens,): A."""
    lent: Any
    """(tokens,): B."""
    last: Any
    """(side,): the last row of F."""
    echo: Any
    """(side,): the last row of L^η."""


class Unrolled(NamedTuple):
    """The parts of one precision."""

    weave: Any
    """weave(woven, momentum, decay, m_at, d_at, tokens, side): returns η_1 ... η_b."""
    relate: Any
    """relate(gram, packed, woven, query, q_at, key, k_at, tokens, side, d, width, ones): gram = (q_t · k_s) F_ts."""
    read: Any
    """read(out, spare, memory, surprise, written, gram, woven, query, q_at, tokens, side, d, lanes, width, ones)."""
    write: Any
    """write(memory, surprise, written, spare, factor, woven, fading, key, k_at, tokens, d, lanes, width)."""


@cache
def unrolled_of(real: Real) -> Unrolled:
    """Return the parts for float32 or float64."""
    zero, one = real.number(0), real.number(1)
    of = str(real.dtype)

    def weave(woven, momentum, decay, m_at, d_at, tokens, side):
        last, echo = woven.last, woven.echo
        fill(last, side, zero)
        fill(echo, side, zero)
        kept, lent, fading = one, zero, one
        for t in range(tokens):
            keep, eta = one - decay.memory[d_at + t * decay.row], momentum.memory[m_at + t * momentum.row]
            kept, fading = keep * kept, eta * fading
            lent = keep * lent + fading
            woven.kept[t] = kept
            woven.lent[t] = lent
            for s in range(t):
                echo[s] = eta * echo[s]
                last[s] = keep * last[s] + echo[s]
            echo[t] = one
            last[t] = one
            for s in range(side):
                woven.weights[t * side + s] = last[s]
        return fading

    def relate(gram, packed, woven, query, q_at, key, k_at, tokens, side, d, width, ones):
        pack(packed, key, k_at, tokens, side, d, zero)
        multiply(gram, packed, query, q_at, query.row, query.column, tokens, d, side, width, ones)
        for t in range(tokens):
            for s in range(side):
                at = t * side + s
                gram[at] = gram[at] * woven.weights[at] if s <= t else zero

    def read(out, spare, memory, surprise, written, gram, woven, query, q_at, tokens, side, d, lanes, width, ones):
        multiply(out, memory, query, q_at, query.row, query.column, tokens, d, lanes, width, ones)
        multiply(spare, surprise, query, q_at, query.row, query.column, tokens, d, lanes, width, ones)
        for t in range(tokens):
            kept, lent = woven.kept[t], woven.lent[t]
            for lane in range(lanes):
                at = t * lanes + lane
                out[at] = kept * out[at] + lent * spare[at]
        tame = all_finite(Matrix(written, query.places, lanes, 1), 0, tokens, lanes)
        triangle = Matrix(gram, query.places, side, 1)
        together = TOGETHER if tame else 1
        for t in range(0, tokens, together):
            rows = min(together, tokens - t)
            multiply_add(
                moved(out, t * lanes), written, triangle, t * side, side, 1, rows, t + rows, lanes, width, ones
            )

    def write(memory, surprise, written, spare, factor, woven, fading, key, k_at, tokens, d, lanes, width):
        kept, lent = woven.kept[tokens - 1], woven.lent[tokens - 1]
        for s in range(tokens):
            for lane in range(lanes):
                spare[s * lanes + lane] = woven.last[s] * written[s * lanes + lane]
        fill(factor, lanes, kept)
        multiply_add(memory, spare, key, k_at, key.column, key.row, d, tokens, lanes, width, factor)
        for i in range(d * lanes):
            memory[i] += lent * surprise[i]
        for s in range(tokens):
            for lane in range(lanes):
                spare[s * lanes + lane] = woven.echo[s] * written[s * lanes + lane]
        fill(factor, lanes, fading)
        multiply_add(surprise, spare, key, k_at, key.column, key.row, d, tokens, lanes, width, factor)

    return Unrolled(part(weave, of), part(relate, of), part(read, of), part(write, of))
