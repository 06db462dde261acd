"""The recursion of a pointer that only moves forward, four rows at a time.

q_j = (1 - p_(j-1)) q_(j-1) + α_j depends on the entry before, so a loop over one row waits for a multiply-add at every
step. But entry j of a row needs only the entries up to j of the row above: four rows advance together, each one key
behind the one above, and hand what they find down in registers. The four chains are independent within a step.

Far from the pointer the chances fade geometrically, until they are no normal numbers, with which a processor takes some
150 cycles for one product. A chance to arrive below `least` counts as 0.
"""

from functools import cache
from typing import Any

from ..compile import part
from ..pointers import moved
from ..real import Real

TOGETHER = 4
"""Rows that advance together: a multiply-add takes about so many steps."""


@cache
def walk_of(real: Real, arrivals: bool) -> Any:
    """Make walk(alpha, chances, step, out, rows, n, least): take some rows, and bring alpha (n) up to date.

    There are at most `TOGETHER`. `chances` has rows of neighboring numbers, so many apart; `out` is (rows, n). With
    `arrivals` what is left in `out` are the probabilities q to arrive, else α = p q. `least` is 0 or positive.
    """
    zero, one = real.number(0), real.number(1)
    of = f"{real.dtype}, {arrivals}"

    def shown(arriving, alpha):
        return arriving if arrivals else alpha

    def normal(arriving, least):
        return zero if arriving < least else arriving  # a NaN is kept

    shown, normal = part(shown, of, inline=True), part(normal, of, inline=True)

    def run(above, p, out, after, arriving, keep, start, stop, least):
        """Walk along a part of one row, from what arrived at the key before and the share of it that went on."""
        for j in range(start, stop):
            arriving = normal(keep * arriving + above[j], least)
            chance = p[j]
            alpha = chance * arriving
            out[j] = shown(arriving, alpha)
            after[j] = alpha
            keep = one - chance
        return arriving, keep

    run = part(run, of)

    def four(alpha, p, step, out, n, least):
        p1, p2, p3 = moved(p, step), moved(p, 2 * step), moved(p, 3 * step)
        out1, out2, out3 = moved(out, n), moved(out, 2 * n), moved(out, 3 * n)
        # The first rows are ahead: what they find goes on by way of alpha, in whose first places they stand.
        q0, k0 = run(alpha, p, out, alpha, zero, zero, 0, 3, least)
        q1, k1 = run(alpha, p1, out1, alpha, zero, zero, 0, 2, least)
        q2, k2 = run(alpha, p2, out2, alpha, zero, zero, 0, 1, least)
        q3, k3 = zero, zero
        a0, a1, a2 = alpha[2], alpha[1], alpha[0]
        for j in range(3, n):
            q3 = k3 * q3 + a2
            q2 = k2 * q2 + a1
            q1 = k1 * q1 + a0
            q0 = k0 * q0 + alpha[j]
            if (q0 < least) | (q1 < least) | (q2 < least) | (q3 < least):
                # Asked once for all, so that it is a branch, which is guessed: four choices would lengthen the chains.
                q0, q1, q2, q3 = normal(q0, least), normal(q1, least), normal(q2, least), normal(q3, least)
            c0, c1, c2, c3 = p[j], p1[j - 1], p2[j - 2], p3[j - 3]
            a0, a1, a2, a3 = c0 * q0, c1 * q1, c2 * q2, c3 * q3
            k0, k1, k2, k3 = one - c0, one - c1, one - c2, one - c3
            out[j], out1[j - 1], out2[j - 2] = shown(q0, a0), shown(q1, a1), shown(q2, a2)
            out3[j - 3] = shown(q3, a3)
            alpha[j - 3] = a3
        alpha[n - 1], alpha[n - 2], alpha[n - 3] = a0, a1, a2
        run(alpha, p1, out1, alpha, q1, k1, n - 1, n, least)
        run(alpha, p2, out2, alpha, q2, k2, n - 2, n, least)
        run(alpha, p3, out3, alpha, q3, k3, n - 3, n, least)

    four = part(four, of)

    def walk(alpha, chances, step, out, rows, n, least):
        if rows == 4 and n >= 4:
            four(alpha, chances, step, out, n, least)
        else:
            for row in range(rows):
                given, found = moved(chances, row * step), moved(out, row * n)
                run(alpha, given, found, alpha, zero, zero, 0, n, least)

    return part(walk, of)
