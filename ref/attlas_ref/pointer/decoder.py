r"""The decoder that the functions of a pointer network share: an LSTM whose state points.

It is told where it last pointed, and updates its state; $i, f, g, o$ are the four blocks of
$x W_{ih} + b_{ih} + h W_{hh} + b_{hh}$, in this order:

$$c \leftarrow \sigma(f) \odot c + \sigma(i) \odot \tanh(g), \qquad h \leftarrow \sigma(o) \odot \tanh(c).$$

The state, refined by glimpses, is the query of a pointer.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from ..contract import formula
from ..variational.hard_attention import rows_at
from ..visibility import Booleans, Reals
from .pointer_attention import pointer_attention
from .pointer_glimpse import pointer_glimpse


class Decoder(NamedTuple):
    """The parameters of a pointer network's decoder, under the names of its functions' arguments."""

    w_ih: Reals
    w_hh: Reals
    b_ih: Reals
    b_hh: Reals
    w_query: Reals
    w_key: Reals
    v: Reals
    b_query: Reals | None
    b_key: Reals | None
    glimpse_w_query: Reals | None
    glimpse_b_query: Reals | None
    glimpse_w_key: Reals | None
    glimpse_b_key: Reals | None
    glimpse_v: Reals | None
    glimpses: int
    logit_clip: float | None

    def step(self, x: Reals, h: Reals, c: Reals) -> tuple[Reals, Reals]:
        """Return the next state h and cell c, (..., d), after the input x, (..., d_e)."""
        z = x @ self.w_ih + self.b_ih + h @ self.w_hh + self.b_hh  # (..., 4d)
        i, f, g, o = np.split(z, 4, axis=-1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        return expit(o) * np.tanh(c), c

    def log_probabilities(self, h: Reals, key: Reals, allowed: Booleans) -> Reals:
        """Return log p over the positions for each of the states h (..., m, d): -inf where it is not allowed."""
        query: Any = h
        if self.glimpses:
            query = formula(pointer_glimpse)(
                h,
                key,
                w_query=self.glimpse_w_query,  # type: ignore[arg-type]
                w_key=self.glimpse_w_key,  # type: ignore[arg-type]
                b_query=self.glimpse_b_query,
                b_key=self.glimpse_b_key,
                v=self.glimpse_v,  # type: ignore[arg-type]
                mask=allowed,
                glimpses=self.glimpses,
            )
        log_p: Any = formula(pointer_attention)(
            query,
            key,
            w_query=self.w_query,
            w_key=self.w_key,
            b_query=self.b_query,
            b_key=self.b_key,
            v=self.v,
            logit_clip=self.logit_clip,
            mask=allowed,
            log=True,
        )
        return np.asanyarray(log_p)


def positions(table: Reals, index: Reals) -> Reals:
    """Return the rows of a table (..., n, c) at places (..., k); a place of -1 reads zeros."""
    return rows_at(index, np.zeros(index.shape, dtype=bool), table)
