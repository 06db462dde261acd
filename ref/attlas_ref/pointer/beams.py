r"""One step of a search through sequences: greedy, sampled, or with a beam.

All three keep a few prefixes, the *beams* b, each with its total log probability, and lengthen them by one position.
Greedy search and sampling are beams of width 1. A prefix that has ended stays as it is, at no cost; so ended and
growing prefixes compete by their totals.
"""

import numpy as np

from ..log_space import continued, inverse_cdf
from ..visibility import Booleans, Reals


def extended(
    method: str, total: Reals, log_p: Reals, ended: Booleans, uniform: Reals | None
) -> tuple[Reals, Reals, Reals]:
    r"""Lengthen prefixes by one position each.

    Parameters
    ----------
    method : {"greedy", "sample", "beam"}
        The best of all, or drawn.
    total : (..., b) array
        Log probability of each prefix; -inf for one that does not exist.
    log_p : (..., b, n) array
        Log probability of each next position.
    ended : (..., b) boolean array
        Prefixes that stay as they are.
    uniform : (...) array, optional
        A number in [0, 1) for each draw.

    Returns
    -------
    parent : (..., b) integer array
        The prefix that each new one continues.
    choice : (..., b) integer array
        By which position; -1 where it ended before or nothing is possible.
    total : (..., b) array
        In descending order, the first of equals first; NaN if there was one to choose from.

    Examples
    --------
    >>> start, halves = np.array([0.0, -np.inf]), np.log([[0.5, 0.25, 0.25]] * 2)
    >>> extended("beam", start, halves, np.array([False, False]), None)[:2]
    (array([0, 0]), array([0, 1]))
    """
    n = log_p.shape[-1]
    ended = np.broadcast_to(ended, log_p.shape[:-1])[..., None]
    stays = np.where(ended, 0, -np.inf).astype(log_p.dtype)  # a last column, for what stays as it is
    steps = np.concatenate([np.where(ended, -np.inf, log_p), stays], axis=-1)  # (..., b, n + 1)
    candidates = continued(total[..., None], steps)  # (..., b, n + 1)
    spoiled = np.asarray(np.isnan(candidates).any(axis=(-2, -1)))[..., None]

    if method == "sample":
        assert uniform is not None
        choice = inverse_cdf(np.exp(steps), uniform[..., None, None])
        parent = np.zeros_like(choice)
        total = np.take_along_axis(candidates, choice[..., None], axis=-1)[..., 0]
    else:
        flat = candidates.reshape(*candidates.shape[:-2], total.shape[-1] * (n + 1))
        best = np.argsort(-flat, axis=-1, kind="stable")[..., : total.shape[-1]]
        parent, choice = best // (n + 1), best % (n + 1)
        total = np.take_along_axis(flat, best, axis=-1)
    choice = np.where((choice == n) | (total == -np.inf) | spoiled, -1, choice)
    return parent, choice, np.where(spoiled, np.nan, total)


def of_parent(state: Reals, parent: Reals) -> Reals:
    """Return for each new prefix what its parent carried, (..., b, c)."""
    return np.take_along_axis(state, parent[..., None], axis=-2)
