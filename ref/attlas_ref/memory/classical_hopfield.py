r"""The classical Hopfield network: bits that agree with their neighbors.

Patterns of bits $\pm 1$ are stored by Hebb's rule: two bits that are alike in most patterns are tied by a positive
weight, two that differ by a negative one. To recall, each bit looks at the others through these weights and turns to
the side that they pull it to, until nothing moves.

With the patterns $x_\mu$ as rows of `key` and the state $\sigma$ a row of `query`,

$$T = \sum_\mu x_\mu x_\mu^\top, \quad T_{cc} = 0, \qquad h = \sigma T, \qquad \sigma_c \leftarrow \mathrm{sign}(h_c).$$

**Why it settles.** Turning one bit at a time (`update="async"`) never raises $E = -\tfrac12 \sigma T \sigma^\top$: a
flip of bit c changes E by $2 \sigma_c h_c$, and happens only where $h_c$ has the other sign. All bits at once
(`"sync"`) may end in a cycle of two states instead.

**It is linear attention.** $T$ need never be built: $\sigma T = (\sigma K^\top) K - \sigma \odot \sum_\mu x_\mu^2$, a
read of the keys with their plain overlaps as weights, less each bit's pull on itself (n of them for bits). What the
modern network (`hopfield_attention`) changes is the softmax over the overlaps, and with it the capacity: here random
patterns get in each other's way above about 0.138 d of them, since $h$ adds the noise of all.

A field of exactly 0 leaves a bit as it is. No $1/d$ is taken into $T$, as it would not change a sign.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import FieldResult, reference
from ..visibility import Reals


@reference
def classical_hopfield(
    query: Reals,
    key: Reals,
    *,
    steps: int = 1,
    zero_diagonal: bool = True,
    return_field: bool = False,
    update: str = "sync",
    order: Any = None,
) -> Reals | FieldResult:
    r"""Recall bits from a network with Hebb's weights.

    $$h = \sigma T, \qquad T = K^\top K \text{ without its diagonal}, \qquad \sigma_c \leftarrow \mathrm{sign}(h_c)$$

    Parameters
    ----------
    query : (..., m, d) real array
        Bits -1 and 1 to start from, one state per row; other numbers are legal too.
    key : (..., n, d) real array
        Stored patterns.
    steps : int, default 1
        How often every bit is updated, at least 0.
    zero_diagonal : bool, default True
        Leave out the pull of each bit on itself.
    return_field : bool, default False
        Return the field too.
    update : {"sync", "async"}, default "sync"
        All bits together, or one after the other, each seeing the newest of the others.
    order : (d,) integer array, optional
        A permutation of 0 .. d - 1: the order of the bits with "async"; 0 .. d - 1 if not given.

    Returns
    -------
    output : (..., m, d) array
        The bits after the last step.
    field : (..., m, d) array
        With `return_field` only: h of each bit when it was last updated; with no steps, that of the query.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `steps` is negative, `update` is unknown or `order` is no permutation.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: 2 m n d multiplications per step without T, as an engine does it, with O(d) extra memory per query; this
    reference builds T, n d² + m d² multiplications.

    `dense_associative_memory` with degree 2 has 4 times this field. Without patterns (n = 0) every bit stays.

    References
    ----------
    Hopfield, "Neural networks and physical systems with emergent collective computational abilities", 1982.

    Examples
    --------
    Two patterns, and a state with one bit wrong:

    >>> import numpy as np
    >>> patterns = np.array([[1, 1, 1, 1, -1, -1], [1, -1, 1, -1, 1, -1]])
    >>> state = np.array([[-1, 1, 1, 1, -1, -1]])
    >>> output, field = classical_hopfield(state, patterns, return_field=True)
    >>> field
    array([[ 4.,  4.,  0.,  4., -4.,  0.]])
    >>> output
    array([[ 1.,  1.,  1.,  1., -1., -1.]])
    """
    hebb = key.mT @ key  # T, (..., d, d)
    if zero_diagonal:
        hebb = np.where(np.eye(key.shape[-1], dtype=bool), 0, hebb)

    def field_of(state: Reals, bits: Any) -> Reals:
        return state @ hebb[..., bits]

    state, field = settle(copies(query, key), field_of, steps, update, order)
    return FieldResult(state, field) if return_field else state


def settle(
    state: Reals, field_of: Callable[[Reals, Any], Reals], steps: int, update: str, order: Any
) -> tuple[Reals, Reals]:
    """Update every bit `steps` times; return the bits and the fields that they were last taken from."""
    d = state.shape[-1]
    every_bit = np.arange(d)
    one_by_one = (every_bit if order is None else order)[:, None]  # (d, 1): d groups of one bit
    groups = one_by_one if update == "async" else every_bit[None]
    field = field_of(state, every_bit) if steps == 0 else np.zeros_like(state)
    for _ in range(steps):
        for bits in groups:
            field[..., bits] = field_of(state, bits)
            state[..., bits] = signed(field[..., bits], state[..., bits])
    return state, field


def signed(field: Reals, old: Reals) -> Reals:
    """Return the sign of a field, and the old bit where it is 0.

    >>> signed(np.array([-0.5, 0.0]), np.array([1.0, 1.0]))
    array([-1.,  1.])
    """
    return np.where(field == 0, old, np.sign(field))


def copies(query: Reals, key: Reals) -> Reals:
    """Return the states with all leading axes, (..., m, d), in memory of their own: they are updated in place."""
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return np.broadcast_to(query, (*batch, *query.shape[-2:])).copy()
