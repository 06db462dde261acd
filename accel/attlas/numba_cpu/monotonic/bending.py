"""Weighted sums of hyperbolic tangents over hidden units, on the CPU: what a hidden layer says about some keys.

A division takes as long as some fifteen multiply-adds, so a tangent is kept as a fraction, and four of them are put
over one denominator: Σ v_u N_u / D_u of four units is one division for each key.

In float32 the fraction is a polynomial of degree 9 over one of degree 8, and 1 from |x| = 8.985 on: within two and a
half units of 1 in the last place, half a unit on average, relative to the tangent; exact for small x. Its denominator
is between 1/23 and 23 and so is the product of four between 1/280,000 and 280,000: only numbers near the ends of
float32 are lost. In float64 the denominator is 1.

Bound by: some eighteen instructions for a vector of keys and a unit.
"""

from functools import cache
from typing import Any

import numpy as np

from ..compile import part
from ..pointers import moved
from ..real import Real

OVER = (0.04420167952775955, 0.005914348177611828, 0.00015447639452759176, 9.10387939256907e-07, 5.895084975726661e-10)
UNDER = (0.04420167952775955, 0.020648233592510223, 0.0011436749482527375, 1.4517418094328605e-05, 3.43414257031327e-08)
"""tanh(x) = x Σ OVER_i x^2i / Σ UNDER_i x^2i, a minimax fit in float32."""
MOST = 8.985254287719727
"""From here on the fraction is exactly 1."""


def _fraction32(real: Real) -> Any:
    over, under, most = tuple(map(real.number, OVER)), tuple(map(real.number, UNDER)), real.number(MOST)

    def fraction(x):
        x = most if x > most else x  # a NaN stays
        x = -most if x < -most else x
        z = x * x
        top = over[0] + z * (over[1] + z * (over[2] + z * (over[3] + z * over[4])))
        return x * top, under[0] + z * (under[1] + z * (under[2] + z * (under[3] + z * under[4])))

    return fraction


def _fraction64(real: Real) -> Any:
    tanh, one = real.tanh, real.number(1)

    def fraction(x):
        return tanh(x), one

    return fraction


@cache
def bending_of(real: Real) -> Any:
    """Make bend(scores, lanes, asked, at, step, keys, keys_row, hidden, hidden_row, v, v_at, v_step, units).

    Adds Σ_u v_u tanh(asked_u + keys_u + hidden_u) of so many units to the scores of some keys, lane by lane.
    """
    of = str(real.dtype)
    fraction = part((_fraction32 if real.dtype == np.float32 else _fraction64)(real), of, inline=True)

    def four(scores, lanes, a0, a1, a2, a3, k0, k1, k2, k3, h0, h1, h2, h3, v0, v1, v2, v3):
        for lane in range(lanes):
            n0, d0 = fraction((a0 + k0[lane]) + h0[lane])
            n1, d1 = fraction((a1 + k1[lane]) + h1[lane])
            n2, d2 = fraction((a2 + k2[lane]) + h2[lane])
            n3, d3 = fraction((a3 + k3[lane]) + h3[lane])
            near, far = (v0 * n0) * d1 + (v1 * n1) * d0, (v2 * n2) * d3 + (v3 * n3) * d2
            d01, d23 = d0 * d1, d2 * d3
            scores[lane] += (near * d23 + far * d01) / (d01 * d23)

    def single(scores, lanes, a, k, h, v):
        for lane in range(lanes):
            n, d = fraction((a + k[lane]) + h[lane])
            scores[lane] += v * n / d

    four, single = part(four, of), part(single, of)

    def bend(scores, lanes, asked, at, step, keys, keys_row, hidden, hidden_row, v, v_at, v_step, units):
        u = 0
        while u + 4 <= units:
            k, h, own, w = moved(keys, u * keys_row), moved(hidden, u * hidden_row), at + u * step, v_at + u * v_step
            four(
                scores, lanes, asked[own], asked[own + step], asked[own + 2 * step], asked[own + 3 * step],
                k, moved(k, keys_row), moved(k, 2 * keys_row), moved(k, 3 * keys_row),
                h, moved(h, hidden_row), moved(h, 2 * hidden_row), moved(h, 3 * hidden_row),
                v[w], v[w + v_step], v[w + 2 * v_step], v[w + 3 * v_step],
            )  # fmt: skip
            u += 4
        while u < units:
            single(
                scores, lanes, asked[at + u * step], moved(keys, u * keys_row), moved(hidden, u * hidden_row),
                v[v_at + u * v_step],
            )  # fmt: skip
            u += 1

    return part(bend, of)
