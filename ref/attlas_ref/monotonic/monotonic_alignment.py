r"""Where a pointer that only moves forward is expected to be.

Reading a sentence aloud, one moves through the letters and never back. Hard monotonic attention has a pointer that does
so: for output i it starts where it stopped before, inspects one key after another, and at each stops with the
probability $p_{ij}$. Where it stops it reads, and the next output begins there. A hard stop has no gradient; but the
probability $\alpha_{ij}$ that output i stops at key j can be computed exactly, and training uses it as weights.

Let $q_{ij}$ be the probability that the pointer arrives at key j for output i. It comes there from the key before,
where it did not stop, or because it was here already when output i began:

$$q_{ij} = (1 - p_{i,j-1})\, q_{i,j-1} + \alpha_{i-1,j}, \qquad \alpha_{ij} = p_{ij}\, q_{ij},$$

with $p$ = `p_choose`, and $\alpha_{-1}$ = `previous`, or all mass on key 0. What passes the last key is lost: the row
sums are the probabilities that the pointer has not yet run off the end.

**In parallel.** One row is a chain of affine maps $q \mapsto (1 - p_{i,j-1})\, q + \alpha_{i-1,j}$, and affine maps may
be composed in any grouping: $(a', b') \circ (a, b) = (a' a,\; a' b + b')$. Doubling the stretch that a map covers gives
all $q_{ij}$ of a row in $\log_2 n$ steps. Nothing is divided or subtracted but $1 - p$, so the scan is as exact as the
loop.

The papers write the row in closed form, with the exclusive product $c_{ij} = \prod_{l<j} (1 - p_{il})$,

$$\alpha_i = p_i \odot c_i \odot \mathrm{cumsum}(\alpha_{i-1} / c_i) ,$$

which divides by what may be 0. Public code therefore puts `eps` (between 1e-10 and 1e-6) in place of any smaller
$c_{ij}$, and loses the mass that stood behind it: with p = 0.95 and the mass spread over 40 keys, four fifths of it at
1e-10. `method="parallel"` with `eps` above 0 computes that approximation, to compare with.

**How exact?** Every term is positive. Along a path that moves j keys forward in i + 1 rows there is a subtraction, a
product and a sum per key and at most two operations per row. So each $\alpha_{ij}$, small or large, has a relative
error of at most about $3 j + 2 (i + 1)$ units of rounding, for p arbitrarily near 0 and 1; the scan adds $2 \log_2 n$
per row. Only below the smallest normal number of the precision digits are lost.

**What to watch for.** A hidden key has p = 0: the pointer passes it, and may wait there if `previous` put it there.
Some public code takes the product up to and with j, which is another, wrong, recursion.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def monotonic_alignment(
    p_choose: Reals,
    *,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    method: str = "recursive",
    eps: float = 0.0,
) -> Reals:
    r"""Probability that a pointer which only moves forward stops at each key, for each output.

    $$\alpha_{ij} = p_{ij} q_{ij}, \qquad q_{ij} = (1 - p_{i,j-1})\, q_{i,j-1} + \alpha_{i-1,j}$$

    Parameters
    ----------
    p_choose : (..., m, n) real array
        $p_{ij}$, the probability to stop at key j when the pointer is there; between 0 and 1.
    previous : (..., n) real array, optional
        $\alpha_{-1}$, where the pointer is before the first row: not negative, with a sum of at most 1. Key 0 if not
        given.
    mask : (..., m, n) boolean array, optional
        True = may stop there.
    method : {"recursive", "parallel"}
        Key by key, or by a scan over the keys of a row.
    eps : float, default 0
        With "parallel" only: if above 0, divide by the cumulative products of $1 - p$, none below `eps`, as public code
        does. That is an approximation.

    Returns
    -------
    (..., m, n) array
        $\alpha$: exactly 0 at hidden keys; rows sum to at most the sum of the row before.

    Raises
    ------
    ValueError
        If a visible probability is not between 0 and 1, `previous` is negative or sums to more than 1, `method` is
        unknown or `eps` is negative.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 3 m n operations, in m n steps, or m n log n in m log n steps. Entry (i, j) needs (i, j - 1) and (i - 1, j):
    an engine may go along anti-diagonals in m + n - 1 steps.

    To stream, hand the last row of one call to the next as `previous`. With p of 0 and 1 this is
    `monotonic_hard_alignment`; it is the mean of `sampled_monotonic_alignment`. `mass_preservation` gives the lost mass
    to the last key, `mocha_weights` and `infinite_lookback_weights` let the pointer look back. Gradients:
    `monotonic_alignment_vjp`.

    References
    ----------
    Raffel, Luong, Liu, Weiss & Eck, "Online and Linear-Time Attention by Enforcing Monotonic Alignments", 2017,
    arXiv 1704.00784, eqs (8)-(13).

    Examples
    --------
    A coin is thrown at each key. The first output stops at key j with probability 1/2^(j+1); the second begins there:

    >>> import numpy as np
    >>> monotonic_alignment(np.full((2, 4), 0.5))
    array([[0.5   , 0.25  , 0.125 , 0.0625],
           [0.25  , 0.25  , 0.1875, 0.125 ]])

    Where the pointer is nearly sure to stop it stays where it was, and the little that moves on is exact. Clamped
    products lose what was not on the first key:

    >>> p, start = np.array([[1 - 2.0**-40] * 3]), np.array([0.0, 0.25, 0.75])
    >>> bool(monotonic_alignment(p)[0, 1] == (1 - 2.0**-40) * 2.0**-40)
    True
    >>> for eps in (0.0, 1e-6):
    ...     print(monotonic_alignment(p, previous=start, method="parallel", eps=eps).sum().round(3))
    1.0
    0.0
    """
    p, alpha = steps_of(p_choose, previous, mask)
    rows = []
    for i in range(p.shape[-2]):
        chance = p[..., i, :]  # (..., n)
        if method == "recursive":
            arriving = arrivals(chance, alpha)
        else:
            arriving = _clamped_arrivals(chance, alpha, eps) if eps else _scanned_arrivals(chance, alpha)
        alpha = chance * arriving
        rows.append(alpha)
    return np.stack(rows, axis=-2) if rows else np.zeros_like(p)


def steps_of(p_choose: Reals, previous: Reals | None, mask: Booleans | None) -> tuple[Reals, Reals]:
    """Return the probabilities, 0 at hidden keys, (..., m, n), and where the pointer starts, (..., n)."""
    n = p_choose.shape[-1]
    p = p_choose if mask is None else np.where(mask, p_choose, 0)
    start = np.eye(1, n, dtype=p.dtype)[0] if previous is None else previous
    batch = np.broadcast_shapes(p.shape[:-2], start.shape[:-1])
    return np.broadcast_to(p, (*batch, *p.shape[-2:])), np.broadcast_to(start, (*batch, n))


def allowed_by(mask: Booleans | None, *arrays: Reals) -> Booleans:
    """Return which row may take which key, at the common shape of arrays (..., m, n) and their mask."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays), () if mask is None else mask.shape)
    return np.broadcast_to(True if mask is None else mask, shape)


def arrivals(chance: Reals, before: Reals) -> Reals:
    """Return the probabilities q of one row that the pointer arrives at each key, (..., n), key by key."""
    arriving = [before[..., 0]] if before.shape[-1] else []
    for j in range(1, before.shape[-1]):
        arriving.append((1 - chance[..., j - 1]) * arriving[-1] + before[..., j])
    return np.stack(arriving, axis=-1) if arriving else before


def _scanned_arrivals(chance: Reals, before: Reals) -> Reals:
    """Return the same in about log n steps: map j covers twice as many keys after each."""
    nothing = np.zeros_like(chance[..., :1])
    factor = np.concatenate([nothing, 1 - chance[..., :-1]], axis=-1)
    offset = before
    width, n = 1, before.shape[-1]
    while width < n:
        composed = factor[..., width:] * offset[..., :-width] + offset[..., width:]
        offset = np.concatenate([offset[..., :width], composed], axis=-1)
        factor = np.concatenate([factor[..., :width], factor[..., width:] * factor[..., :-width]], axis=-1)
        width *= 2
    return offset


def _clamped_arrivals(chance: Reals, before: Reals, eps: float) -> Reals:
    """Return the closed form with clamped products, which is wrong where they are."""
    passed = np.cumprod(1 - chance, axis=-1)
    c = np.concatenate([np.ones_like(passed[..., :1]), passed[..., :-1]], axis=-1)
    return c * np.cumsum(before / np.maximum(c, eps), axis=-1)
