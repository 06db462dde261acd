"""The normal distribution, beside the functions of `real`.

Plain arithmetic without a branch, so that LLVM turns a loop over it into vector instructions.

With a = |x|, what lies beyond a is exp(-a²/2) R(a), where R falls slowly from 1/2. (1 + √2 a) R(a) is a polynomial in
(a - 4)/(a + 4), which runs from -1 to 1: fitted at Chebyshev's points in high precision, it is right to half a unit.
a² is split into a part that is exact and a small rest, since an error in an exponent is one in the result.

- `both(x)`: the distribution Φ(x), within 5 units in the last place on both sides, and the density. Where exp(-x²/2) is
  below the smallest normal number (|x| > 13.2, or > 37.6), both are 0 or 1. NaN stays.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .compile import part
from .real import Real

_C32 = (
    0.628477873,
    -0.0661783127,
    -0.0317206672,
    0.0701489409,
    -0.058324411,
    0.0288851534,
    -0.0072618713,
    -0.000676087094,
    0.00101379812,
    -0.000101487385,
    -8.9935126e-5,
    1.65852036e-5,
)

_C64 = (
    0.628477878748312712,
    -0.0661783219009678388,
    -0.0317211011438310183,
    0.0701492033752803214,
    -0.0583192388309937104,
    0.0288830134323087156,
    -0.00728467073788975378,
    -0.000668537404177049155,
    0.00106026713001048131,
    -0.000114675212373584576,
    -0.000136109483903161841,
    0.0000281342172482235041,
    0.0000210532553020192154,
    -4.51196746394073645e-6,
    -3.96804109458860825e-6,
    4.89847768350606899e-7,
    8.18407217042227404e-7,
    2.01397662736263723e-8,
    -1.60220574750280581e-7,
    -3.02996297510229625e-8,
    2.48574135786142318e-8,
    8.57940458150869511e-9,
    -2.16609073429039727e-9,
    -1.03328617487953715e-9,
)


@cache
def normal_of(real: Real) -> Any:
    """Return `both(x)` for float32 or float64."""
    return part(_build_both(real), of=str(real.dtype), inline=True)


def _build_both(real: Real) -> Callable[[Any], Any]:
    number, exp, single = real.number, real.exp, real.dtype.itemsize == 4
    zero, half, one, four = (number(x) for x in (0, 0.5, 1, 4))
    third, root, density_at_0 = number(1 / 3), number(np.sqrt(2)), number(1 / np.sqrt(2 * np.pi))
    # Beyond the limit nothing is left; up to it the square of the rounded part is exact.
    limit = number(16 if single else 40)
    rounding = number(1.5 * 2.0 ** (23 - 8 if single else 52 - 20))
    c = tuple(number(x) for x in (_C32 if single else _C64))

    if single:

        def polynomial(y):
            high = c[6] + y * (c[7] + y * (c[8] + y * (c[9] + y * (c[10] + y * c[11]))))
            return c[0] + y * (c[1] + y * (c[2] + y * (c[3] + y * (c[4] + y * (c[5] + y * high)))))

    else:

        def polynomial(y):
            top = c[18] + y * (c[19] + y * (c[20] + y * (c[21] + y * (c[22] + y * c[23]))))
            upper = c[12] + y * (c[13] + y * (c[14] + y * (c[15] + y * (c[16] + y * (c[17] + y * top)))))
            lower = c[6] + y * (c[7] + y * (c[8] + y * (c[9] + y * (c[10] + y * (c[11] + y * upper)))))
            return c[0] + y * (c[1] + y * (c[2] + y * (c[3] + y * (c[4] + y * (c[5] + y * lower)))))

    fitted = part(polynomial, of=f"normal, {real.dtype}", inline=True)

    def both(x):
        size = abs(x)
        a = limit if size > limit else size  # a NaN stays
        rounded = (a + rounding) - rounding
        rest = (rounded - a) * (rounded + a) * half  # (rounded² - a²) / 2, a small number
        small = one + rest * (one + half * rest * (one + third * rest * (one + half * half * rest)))
        fallen = exp(-(half * rounded) * rounded) * small
        beyond = fallen * fitted((a - four) / (a + four)) / (one + root * a)
        return one - beyond if x > zero else beyond, fallen * density_at_0

    return both
