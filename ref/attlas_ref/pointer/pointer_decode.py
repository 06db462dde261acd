r"""A pointer chain: decode an order from a table of pairwise scores.

The smallest pointer network has no network at all. A table says how much one likes to go to position j after position
i; where one has been, one does not go again. So the next position depends on the last one and on what is left,

$$p(j \mid i, \text{visited}) = \mathrm{softmax}_{j \notin \text{visited}}(\mathrm{scores}_{ij}),$$

and everything about decoding can be seen: that greedy steps are short-sighted, that a beam mends some of it, that
samples around the greedy path find better ones.

**exact** is something else. It asks for the path with the largest *sum of scores*, before any normalization, by the
dynamic program of `held_karp` over subsets (a shortest path whose distances are the scores with the other sign; with
`closed` a tour). That is what one wants of a tour. It need not be the most probable path under the chain, because the
normalizers differ from step to step: late steps have few positions left and are nearly sure whatever the scores.
"""

import numpy as np

from ..contract import DecodedSequence, reference
from ..log_space import log_shares
from ..visibility import Reals
from .beams import extended, of_parent
from .decoder import positions
from .held_karp import shortest_path


@reference
def pointer_decode(
    scores: Reals,
    *,
    start: int = 0,
    length: int | None = None,
    method: str = "greedy",
    beam_width: int = 1,
    uniform: Reals | None = None,
    closed: bool = False,
) -> DecodedSequence:
    r"""Search an order of positions in a table of scores, from a given first one.

    $$C_1 = \mathrm{start}, \qquad p(C) = \prod_{t > 1}
      \frac{e^{s(C_{t-1}, C_t)}}{\sum_{j \notin \{C_1, \dots, C_{t-1}\}} e^{s(C_{t-1}, j)}}, \qquad
      s = \mathrm{scores}$$

    Parameters
    ----------
    scores : (..., n, n) real array
        Logit of pointing at a position (column) after another (row); -inf forbids it. The diagonal is not read.
    start : int, default 0
        The first position.
    length : int, optional
        Of the sequence with its start, at most n; n if not given.
    method : {"greedy", "sample", "beam", "exact"}, default "greedy"
        How to search: see `pointer_network_decode`; "exact" maximizes the sum of the scores.
    beam_width : int, default 1
        How many prefixes a beam keeps.
    uniform : (..., length) real array, optional
        Numbers in [0, 1), one per position; sampling needs them. The first is not used.
    closed : bool, default False
        Add scores[last, start] to the sum that "exact" maximizes.

    Returns
    -------
    sequence : (..., length) integer array
        Positions, each at most once; -1 where nothing is possible any more.
    log_prob : (...) array
        Its log probability under the chain: -inf if it breaks off, NaN if the search meets a NaN.

    Raises
    ------
    ValueError
        If `scores` is not square, `start` is no position, `length` is above n, n is above 16 with "exact", `method` is
        unknown, a uniform number leaves [0, 1) or sampling lacks them.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n² for greedy and samples, n² times the width for a beam, n² 2ⁿ for "exact". Gradients: none.

    With scores = -distance and `closed`, "exact" is `held_karp`, and greedy is the nearest-neighbor tour.

    References
    ----------
    A design of this atlas, after Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134.

    Examples
    --------
    Towns on a line. The nearest one is at 1, so the greedy way leaves −1.1 for the end and walks back all the way:

    >>> import numpy as np
    >>> town = np.array([0.0, 1.0, -1.1, 2.5])
    >>> scores = -np.abs(town[:, None] - town)
    >>> town[pointer_decode(scores).sequence], town[pointer_decode(scores, method="exact").sequence]
    (array([ 0. ,  1. ,  2.5, -1.1]), array([ 0. , -1.1,  1. ,  2.5]))
    """
    n = scores.shape[-1]
    length = n if length is None else length
    width = beam_width if method == "beam" else 1
    batch = np.broadcast_shapes(scores.shape[:-2], () if uniform is None else uniform.shape[:-1])
    scores = np.broadcast_to(scores, (*batch, n, n))
    if method == "exact":
        sequence = np.full((*batch, length), -1)
        for place in np.ndindex(batch):
            sequence[place] = _best_path(np.asarray(scores[place], dtype=np.float64), start, length, closed)
        unknown = ~(np.where(np.eye(n, dtype=bool), 0, scores) < np.inf).all(axis=(-2, -1))
        return DecodedSequence(sequence, np.where(unknown, np.nan, _chain_log_prob(scores, sequence)))

    sequence = np.full((*batch, width, length), -1)
    sequence[..., :1] = start
    last = np.full((*batch, width), start if length else -1)
    free = np.broadcast_to(np.arange(n) != start, (*batch, width, n))
    total = np.where(np.arange(width) == 0, 0, -np.inf).astype(scores.dtype) + np.zeros((*batch, 1), scores.dtype)
    going = np.zeros((*batch, width), dtype=bool)  # none of them ends before its length
    for t in range(1, length):
        log_p = log_shares(positions(scores, last), free)  # (..., b, n)
        draws = None if uniform is None else np.broadcast_to(uniform[..., t], batch)
        parent, last, total = extended(method, total, log_p, going, draws)
        free, sequence = of_parent(free, parent), of_parent(sequence, parent)
        sequence[..., t] = last
        free = free & (last[..., None] != np.arange(n))
    return DecodedSequence(sequence[..., 0, :], total[..., 0])


def _best_path(scores: Reals, start: int, length: int, closed: bool) -> Reals:
    """Return the path of the largest sum of scores; -1 everywhere but at the start if there is none."""
    n = len(scores)
    order = np.roll(np.arange(n), -start)  # the start comes first
    distance = -scores[np.ix_(order, order)]
    np.fill_diagonal(distance, 0)
    if length < 2 or not (distance > -np.inf).all():
        return np.where(np.arange(length) == 0, start, -1)
    path = shortest_path(distance, distance[:, 0] if closed else np.zeros(n), length)
    return np.where(path < 0, -1, order[path])


def _chain_log_prob(scores: Reals, sequence: Reals) -> Reals:
    """Return the log probability of sequences (..., length) under the chain."""
    n = scores.shape[-1]
    chosen = sequence[..., None] == np.arange(n)  # (..., length, n)
    free = np.cumsum(chosen, axis=-2)[..., :-1, :] == 0  # after the first, the first two, ...
    log_p = log_shares(positions(scores, sequence[..., :-1]), free)
    each = np.where(chosen[..., 1:, :], log_p, 0).sum(axis=-1)
    return np.where((sequence < 0).any(axis=-1), -np.inf, each.sum(axis=-1))
