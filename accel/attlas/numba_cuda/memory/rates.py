"""What the steps of a learning memory amount to over some tokens.

With the rate θ_t, the momentum η_t and the decay α_t of each token and gradients g_t, a memory and its surprise go

    S_t = η_t S_{t-1} - θ_t g_t,    M_t = (1 - α_t) M_{t-1} + S_t .

Over the tokens of a tile this is M_t = kept_t M + pushed_t S - Σ_{i<=t} mixing_ti g_i, with M and S as they were before
the tile, and S after it is passed S - Σ_i last_i g_i. A thread makes the column of one token, by the same recurrence.
"""

import functools
from collections.abc import Callable
from typing import Any

from ..pieces import entry
from ..rules import Real
from ..target import device

RATE, MOMENTUM, DECAY = range(3)
"""The rows of the table of rates, which come as columns (..., n, 1)."""


@functools.cache
def build_unrolled(real: Real) -> Callable[..., Any]:
    """Build unrolled(...), which fills mixing, kept, pushed and last; a thread's share of the columns."""
    zero, one = real(0), real(1)

    @device
    def unrolled(
        mixing, kept, pushed, last, lr, momentum, decay, rates, batch, first_token, count, factor, thread, threads
    ):  # fmt: skip
        for i in range(thread, count, threads):
            step = factor * entry(lr, rates, RATE, batch, first_token + i, 0)
            surprise = one
            weight = one
            mixing[i, i] = step
            for t in range(i + 1, count):
                surprise *= entry(momentum, rates, MOMENTUM, batch, first_token + t, 0)
                weight = (one - entry(decay, rates, DECAY, batch, first_token + t, 0)) * weight + surprise
                mixing[t, i] = weight * step
            last[i] = surprise * step
        if thread == count % threads:  # one that is not the busiest
            passed = one
            keeping = one
            pushing = zero
            for t in range(count):
                passed *= entry(momentum, rates, MOMENTUM, batch, first_token + t, 0)
                share = one - entry(decay, rates, DECAY, batch, first_token + t, 0)
                keeping *= share
                pushing = share * pushing + passed
                kept[t] = keeping
                pushed[t] = pushing
            last[count] = passed

    return unrolled
