"""Where a pointer that only moves forward is expected to be, and the gradient of that.

Row follows row, since each begins where the one before has left the pointer; within a row a scan finds all entries at
once (`scans`), for all members together. Nothing is divided, and both methods are computed alike, but for the clamped
products of public code.
Bound by the host, which begins about 5 log2(n) small steps for each row, as long as rows are short and members few;
else by memory traffic: each round of the scan reads and writes the row. Memory beside the results is some rows.
Differs from the reference by rounding, about 2 log2(n) units more per row.
"""

from typing import Any

from attlas_ref.contract import AlignmentVJP

from ..tile import summed_to
from .scans import Rows, affine_scan, reversed_scan, shifted

__all__ = ["monotonic_alignment", "monotonic_alignment_vjp"]


def monotonic_alignment(p_choose: Any, *, previous: Any, mask: Any, method: str, eps: float) -> Any:
    """Return the probability of each stop."""
    rows = Rows(mask, p_choose, rows=() if previous is None else (previous,))
    alpha, out = rows.start(previous), rows.empty()
    for i in range(rows.m):
        chance = rows.select(i, p_choose[..., i, :], 0)
        if method == "parallel" and eps > 0:
            alpha = chance * _clamped(rows.xp, chance, alpha, eps)
        else:
            alpha = chance * affine_scan(shifted(1 - chance, 0), alpha)
        out[..., i, :] = alpha
    return out


def _clamped(xp: Any, chance: Any, before: Any, eps: float) -> Any:
    """Return the probabilities to arrive by the closed form with clamped products."""
    passed = shifted(xp.cumprod(1 - chance, axis=-1), 1)
    return passed * xp.cumsum(before / xp.maximum(passed, eps), axis=-1)


def monotonic_alignment_vjp(p_choose: Any, grad_output: Any, *, previous: Any, mask: Any) -> AlignmentVJP:
    """Return the gradients of the probabilities and of the start; on the way down, arrivals stand in the former."""
    rows = Rows(mask, p_choose, grad_output, rows=() if previous is None else (previous,))
    xp, alpha, grad_p = rows.xp, rows.start(previous), rows.empty()
    for i in range(rows.m):
        chance = rows.select(i, p_choose[..., i, :], 0)
        arriving = affine_scan(shifted(1 - chance, 0), alpha)
        grad_p[..., i, :] = arriving
        alpha = chance * arriving
    standing = xp.zeros((*rows.batch, rows.n), dtype=rows.dtype)
    for i in range(rows.m - 1, -1, -1):
        chance = rows.select(i, p_choose[..., i, :], 0)
        gain = rows.select(i, grad_output[..., i, :], 0) + standing
        standing = reversed_scan(1 - chance, chance * gain)
        ahead = shifted(standing[..., ::-1], 0)[..., ::-1]
        grad_p[..., i, :] = rows.select(i, grad_p[..., i, :] * (gain - ahead), 0)
    grad_start = standing if previous is None else summed_to(standing, previous.shape)
    return AlignmentVJP(summed_to(grad_p, p_choose.shape), grad_start)
