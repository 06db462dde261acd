r"""A pointer network's likelihood: how probable is this sequence of positions?

A pointer network says a sequence of positions one after the other. Each step is a distribution over the positions
(`pointer_attention`) that depends on all steps before it, through the state of an LSTM. By the chain rule a whole
sequence has the probability

$$p(C_1, \dots, C_T) = \prod_{t=1}^{T} p(C_t \mid C_1, \dots, C_{t-1}),$$

and training raises its logarithm for the right sequence. The state at step t is fed the true position of step t − 1,
not what the network itself would have said (*teacher forcing*); so all states are known before anything is pointed at,
and the pointers of all steps are computed together.

With $E$ = `embedded`, $x_1$ = `start` and $x_{t+1} = E_{C_t}$: $(h_t, c_t) = \mathrm{LSTM}(x_t, h_{t-1}, c_{t-1})$, and
$h_t$, after the glimpses, points at the `key` rows. Where each position may be taken once (`forbid_repeats`), as in a
tour, those taken are masked; the probabilities of all n! orders then sum to 1.

**What to watch for.** A sequence that takes what it may not has the log likelihood $-\infty$, also one of more than n
steps without repeats: it is impossible, not wrong. The four blocks of the LSTM stand in the order i, f, g, o, which
PyTorch uses too, and its two biases are kept apart as there.
"""

import numpy as np

from ..contract import SequenceLikelihood, reference
from ..visibility import Booleans, Reals
from .decoder import Decoder, positions


@reference
def pointer_network_log_prob(
    embedded: Reals,
    key: Reals,
    sequence: Reals,
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
    return_steps: bool = False,
) -> Reals | SequenceLikelihood:
    r"""Log likelihood of sequences of positions under a pointer network.

    $$\log p(C) = \sum_{t=1}^{T} \log p_t(C_t), \qquad p_t = \mathrm{pointer}(\mathrm{glimpse}(h_t), \mathrm{key}),
      \qquad (h_t, c_t) = \mathrm{LSTM}(x_t, h_{t-1}, c_{t-1}), \qquad x_{t+1} = E_{C_t}$$

    Parameters
    ----------
    embedded : (..., n, d_e) real array
        E: what the decoder is fed after it has pointed at a position.
    key : (..., n, d) real array
        What is compared with the state: the encoder's output.
    sequence : (..., T) integer array
        C: positions from 0 to n - 1.
    h0, c0 : (..., d) real arrays
        State and cell of the LSTM before the first step.
    start : (d_e,) real array
        $x_1$.
    w_ih, w_hh : (d_e, 4d) and (d, 4d) real arrays
        Weights of the LSTM for its input and its state.
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
    return_steps : bool, default False
        Return the distribution of each step too.

    Returns
    -------
    log_prob : (...) array
        0 for T = 0, -inf for an impossible sequence.
    step_log_probs : (..., T, n) array
        With `return_steps` only: $\log p_t$, -inf where it may not point.

    Raises
    ------
    ValueError
        If shapes disagree, a width is 0, `sequence` leaves the positions, or glimpses lack parameters or a = d.
    TypeError
        If an array is complex, an object or text, `sequence` holds numbers that are not whole, or `mask` is not
        boolean.

    Notes
    -----
    Cost: T (n a + d² + d d_e) and n d a to project the keys once. The steps of the LSTM follow each other, the pointers
    do not.

    `pointer_network_decode` finds sequences under the same network.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134. LSTM, glimpse and mask as in Bello, Pham,
    Le, Norouzi & Bengio, 2016, arXiv 1611.09940, and its public re-implementations.

    Examples
    --------
    A network that knows nothing finds all six orders of three positions equally likely, and no repetition:

    >>> import numpy as np
    >>> zeros = {"h0": (2,), "c0": (2,), "start": (2,), "w_ih": (2, 8), "w_hh": (2, 8), "b_ih": (8,), "b_hh": (8,)}
    >>> zeros |= {"w_query": (2, 2), "w_key": (2, 2), "v": (2,)}
    >>> network = {name: np.zeros(shape) for name, shape in zeros.items()}
    >>> sequences = np.array([[2, 0, 1], [0, 0, 1]])
    >>> np.exp(pointer_network_log_prob(np.ones((3, 2)), np.ones((3, 2)), sequences, **network)).round(3)
    array([0.167, 0.   ])
    """
    n, steps = embedded.shape[-2], sequence.shape[-1]
    decoder = Decoder(
        *(w_ih, w_hh, b_ih, b_hh, w_query, w_key, v, b_query, b_key),
        *(glimpse_w_query, glimpse_b_query, glimpse_w_key, glimpse_b_key, glimpse_v, glimpses, logit_clip),
    )
    flat = [x for x in (sequence, h0, c0, mask) if x is not None]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in (embedded, key)), *(x.shape[:-1] for x in flat))
    visible = np.broadcast_to(True if mask is None else mask, (*batch, n))
    sequence = np.broadcast_to(sequence, (*batch, steps))
    chosen = sequence[..., None] == np.arange(n)  # (..., T, n)
    taken = np.cumsum(chosen, axis=-2) - chosen > 0  # before step t
    allowed = visible[..., None, :] & ~taken if forbid_repeats else np.broadcast_to(visible[..., None, :], chosen.shape)

    # What a mask hides is not read even where the sequence names it; its likelihood is 0 anyway.
    legal = np.where((chosen & visible[..., None, :]).any(axis=-1), sequence, -1)
    inputs = positions(embedded, legal)  # (..., T, d_e)
    x, h, c = np.broadcast_to(start, (*batch, start.shape[-1])), h0, c0
    states = np.zeros((*batch, steps, key.shape[-1]), dtype=key.dtype)
    for t in range(steps):
        h, c = decoder.step(x, h, c)
        states[..., t, :] = h
        x = inputs[..., t, :]

    log_p = decoder.log_probabilities(states, key, allowed)  # (..., T, n)
    each = np.where(chosen, log_p, 0).sum(axis=-1)  # (..., T)
    log_prob = np.where((each == -np.inf).any(axis=-1), -np.inf, each.sum(axis=-1))
    return SequenceLikelihood(log_prob, log_p) if return_steps else log_prob
