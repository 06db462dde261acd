r"""Decoding a pointer network: greedy, sampled, or with a beam.

`pointer_network_log_prob` says how probable a sequence of positions is. Here the network speaks itself: at each step it
points at a position, is fed its embedding, and goes on. The most probable sequence cannot be found step by step, since
a good start may have no good end, and there are n! of them. So one searches.

* **greedy**: always the most probable position.
* **sample**: a position with its probability, by the inverse of the cumulative sum: the first whose cumulative
  probability is above a uniform number u. Many samples, and the best of them, are a search too.
* **beam**: keep the `beam_width` most probable prefixes of each length. Width 1 is greedy; a width of at least
  n!/(n − length)! forgets nothing and is exact. In between a wider beam may do worse: it keeps a prefix that looks good
  and pushes out the one that would have ended best.

**Stopping.** Tasks whose answers differ in length (a convex hull) have one more position that means the end:
`end_index`. A sequence that points at it is over; what stands behind is -1. Its log probability counts the end, and
prefixes that have ended compete with those that go on.

**What to watch for.** Ties go to the earlier beam, then to the lower position. Where nothing may be pointed at any more
(the mask shows fewer positions than steps) the sequence goes on with -1 and its log probability is $-\infty$. A NaN
that the search sees ends it in the same way, with the log probability NaN.
"""

from typing import Any

import numpy as np

from ..contract import DecodedSequence, reference
from ..visibility import Booleans, Reals
from .beams import extended, of_parent
from .decoder import Decoder, positions


@reference
def pointer_network_decode(
    embedded: Reals,
    key: Reals,
    *,
    h0: Reals,
    c0: Reals,
    start: Reals,
    w_ih: Reals,
    w_hh: Reals,
    b_ih: Reals,
    b_hh: Reals,
    w_query: Reals,
    w_key: Reals,
    v: Reals,
    b_query: Reals | None = None,
    b_key: Reals | None = None,
    glimpse_w_query: Reals | None = None,
    glimpse_b_query: Reals | None = None,
    glimpse_w_key: Reals | None = None,
    glimpse_b_key: Reals | None = None,
    glimpse_v: Reals | None = None,
    glimpses: int = 0,
    logit_clip: float | None = None,
    forbid_repeats: bool = True,
    mask: Booleans | None = None,
    length: int | None = None,
    method: str = "greedy",
    beam_width: int = 1,
    uniform: Reals | None = None,
    end_index: int | None = None,
) -> DecodedSequence:
    r"""Search a sequence of positions that a pointer network finds probable.

    $$C_t = \arg\max_j p_t(j) \quad\text{or}\quad C_t = \min\Bigl\{j : \sum_{l \le j} p_t(l) > u_t\Bigr\}
      \quad\text{or the best of a beam}, \qquad p_t = p(\,\cdot \mid C_1, \dots, C_{t-1})$$

    Parameters
    ----------
    embedded : (..., n, d_e) real array
        What the decoder is fed after it has pointed at a position.
    key : (..., n, d) real array
        What is compared with the state: the encoder's output.
    h0, c0 : (..., d) real arrays
        State and cell of the LSTM before the first step.
    start : (d_e,) real array
        What it is fed first.
    w_ih, w_hh : (d_e, 4d) and (d, 4d) real arrays
        Weights of the LSTM for its input and its state, in the order i, f, g, o.
    b_ih, b_hh : (4d,) real arrays
        Their biases.
    w_query, w_key : (d, a) real arrays
        Projections of the pointer.
    v : (a,) real array
        Its weights of the hidden units.
    b_query, b_key : (a,) real arrays, optional
        Its biases; 0 if not given.
    glimpse_w_query, glimpse_w_key : (d, a) real arrays, optional
        The same for the glimpses, which need them and a = d.
    glimpse_b_query, glimpse_b_key : (a,) real arrays, optional
        0 if not given.
    glimpse_v : (a,) real array, optional
        Glimpses need it.
    glimpses : int, default 0
        How often to look before pointing.
    logit_clip : float, optional
        Bounds the logits, see `pointer_attention`.
    forbid_repeats : bool, default True
        Take each position at most once.
    mask : (..., n) boolean array, optional
        True = may be seen and pointed at.
    length : int, optional
        How many steps; n if not given.
    method : {"greedy", "sample", "beam"}, default "greedy"
        How to search.
    beam_width : int, default 1
        How many prefixes a beam keeps.
    uniform : (..., length) real array, optional
        Numbers in [0, 1), one per step; sampling needs them. Its leading axes may be more than those of the network:
        many samples.
    end_index : int, optional
        The position that ends a sequence.

    Returns
    -------
    sequence : (..., length) integer array
        Positions; -1 past the end.
    log_prob : (...) array
        Its log probability.

    Raises
    ------
    ValueError
        If shapes disagree, a width is 0, `method` is unknown, a uniform number leaves [0, 1), sampling lacks them,
        `beam_width` is below 1, `end_index` is no position, `length` is above n without repeats and without an end, or
        glimpses lack parameters or a = d.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: per prefix and step n a + d² + d d_e, and a sort of the candidates; n d a to project the keys once. Gradients:
    none.

    `pointer_network_log_prob` of the result is `log_prob`. `pointer_decode` does the same where the logits depend on
    the last position alone.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134. Bello, Pham, Le, Norouzi & Bengio, "Neural
    Combinatorial Optimization with Reinforcement Learning", 2016, arXiv 1611.09940 (sampling as search).

    Examples
    --------
    A network that always prefers large keys sorts:

    >>> import numpy as np
    >>> numbers = np.array([[3.0], [7.0], [5.0], [1.0]])
    >>> shapes = {"h0": (1,), "c0": (1,), "start": (1,), "w_ih": (1, 4), "w_hh": (1, 4), "b_ih": (4,), "b_hh": (4,)}
    >>> network = {name: np.zeros(shape) for name, shape in shapes.items()}
    >>> network |= {"w_query": np.zeros((1, 1)), "w_key": np.full((1, 1), 0.1), "v": np.array([40.0])}
    >>> sequence, log_prob = pointer_network_decode(numbers, numbers, **network)
    >>> sequence, float(log_prob.round(3))
    (array([1, 2, 0, 3]), -0.005)
    """
    n = embedded.shape[-2]
    length = n if length is None else length
    width = beam_width if method == "beam" else 1
    decoder = Decoder(
        *(w_ih, w_hh, b_ih, b_hh, w_query, w_key, v, b_query, b_key),
        *(glimpse_w_query, glimpse_b_query, glimpse_w_key, glimpse_b_key, glimpse_v, glimpses, logit_clip),
    )
    flat = [x for x in (h0, c0, uniform, mask) if x is not None]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in (embedded, key)), *(x.shape[:-1] for x in flat))
    visible = np.broadcast_to(True if mask is None else mask, (*batch, n))

    def beams(state: Any) -> Any:
        """The same state for every beam, (..., b, c)."""
        return np.broadcast_to(np.asanyarray(state)[..., None, :], (*batch, width, np.shape(state)[-1]))

    x, h, c = beams(start), beams(h0), beams(c0)
    free = beams(visible)  # (..., b, n)
    sequence = np.full((*batch, width, length), -1)
    ended = np.zeros((*batch, width), dtype=bool)
    total = np.where(np.arange(width) == 0, 0, -np.inf).astype(key.dtype) + np.zeros((*batch, 1), dtype=key.dtype)
    for t in range(length):
        h, c = decoder.step(x, h, c)
        log_p = decoder.log_probabilities(h, key, free)  # (..., b, n)
        draws = None if uniform is None else np.broadcast_to(uniform[..., t], batch)
        parent, choice, total = extended(method, total, log_p, ended, draws)
        h, c, free, sequence = (of_parent(state, parent) for state in (h, c, free, sequence))
        sequence[..., t] = choice
        if forbid_repeats:
            free = free & (choice[..., None] != np.arange(n))
        ended = np.take_along_axis(ended, parent, axis=-1)
        if end_index is not None:
            ended = ended | (choice == end_index)
        x = positions(embedded, choice)
    return DecodedSequence(sequence[..., 0, :], total[..., 0])
