r"""A chain with skips: the moods of a conversation.

Two things move a speaker's mood: her own inertia, and what the others show. EmotionIC labels the utterances of a
conversation with a chain that knows who speaks. Cut the conversation into *runs*, stretches of one speaker. Then three
kinds of arcs tie the labels $z$ together:

- inside a run, an utterance to the next: `self_transition`;
- the last utterance of a run to the first of the next run, by somebody else: `other_transition`;
- the last utterance of a run to the first of the run after the next, if that is the same speaker again:
  `self_transition`, across the interruption.

$$\mathrm{score}(z) = \mathrm{start}_{z_1} + \mathrm{end}_{z_T} + \sum_t \mathrm{emissions}_{t, z_t}
  + \sum_{\mathrm{arcs}\ t \to u} \mathrm{transition}_{z_t z_u}, \qquad p(z) = e^{\mathrm{score}(z)} / Z.$$

**Exact in spite of the skips.** What follows depends on the past through two labels alone: a, that of the last
utterance of the run before, and b, that of the present one. So the recursions of `linear_chain_marginals` and
`linear_chain_argmax` run over pairs (a, b). Inside a run a stays and b moves. At the start of a new run b takes the
place of a, the new label comes, and the skip arc from the old a to it is added if the speaker is the one of the run
before. During the first run there is no run before, and a is held at label 0.

**Ties** of the best labeling take the lowest label of the last utterance, then the lowest of the run before it, and so
on backward.
"""

from collections.abc import Callable

import numpy as np

from ..contract import ConversationResult, reference
from ..log_space import finite_or_zero, log_sum_exp, shares
from ..visibility import Booleans, Reals


@reference
def skip_chain_crf(
    emissions: Reals,
    tags: Reals | None,
    speakers: Reals,
    *,
    start: Reals,
    end: Reals,
    self_transition: Reals,
    other_transition: Reals,
    mask: Booleans | None = None,
) -> ConversationResult:
    r"""Label a conversation by a chain with arcs to a speaker's last turn.

    $$p(z) \propto \exp\Bigl(\mathrm{start}_{z_1} + \mathrm{end}_{z_T} + \sum_t \mathrm{emissions}_{t, z_t}
      + \sum_{\mathrm{arcs}\ t \to u} \mathrm{transition}_{z_t z_u}\Bigr)$$

    Parameters
    ----------
    emissions : (..., t, c) real array
        Score of each label for each utterance.
    tags : (..., t) integer array, or None
        A labeling whose likelihood is wanted; past the length anything.
    speakers : (..., t) integer array
        Who speaks; only equality counts.
    start : (c,) real array
        Score of the first label.
    end : (c,) real array
        Score of the last label.
    self_transition : (c, c) real array
        Score of a speaker's label (row) and her next one (column).
    other_transition : (c, c) real array
        Score of a label and that of the next speaker.
    mask : (..., t) boolean array, optional
        True up to the length of a conversation, then False.

    Returns
    -------
    log_likelihood : (...) array
        log p(tags), at most 0; -inf for an impossible labeling, None without `tags`.
    decode : (..., t) integer array
        The best labels; -1 past the length, and everywhere if no labeling is possible.
    log_partition : (...) array
        log Z; 0 for an empty conversation.
    marginals : (..., t, c) array
        The probability of each label; 0 past the length.

    Raises
    ------
    ValueError
        If shapes disagree, c is 0, `mask` is no prefix or `tags` leaves 0 .. c - 1.
    TypeError
        If an array is complex, an object or text, or tags or speakers are not whole numbers.

    Notes
    -----
    Cost: O(t c³) time and O(t c²) memory.

    One speaker makes it `linear_chain_marginals` with `self_transition`, a new one at each turn that with
    `other_transition`. Gradients: of the log partition function the marginals.

    References
    ----------
    Liu et al., "EmotionIC: Emotional Inertia and Contagion-driven Dependency Modelling for Emotion Recognition in
    Conversation", 2023, arXiv 2303.11117.

    Examples
    --------
    Label 1 in the first utterance, and speakers who stay as they were but do not infect each other. The first speaker's
    other turn follows, the one between does not:

    >>> import numpy as np
    >>> emissions = np.array([[0.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    >>> free = {"start": np.zeros(2), "end": np.zeros(2), "other_transition": np.zeros((2, 2))}
    >>> said = skip_chain_crf(emissions, None, np.array([7, 8, 7]), self_transition=2 * np.eye(2), **free)
    >>> said.marginals.round(2)
    array([[0.05, 0.95],
           [0.5 , 0.5 ],
           [0.16, 0.84]])
    """
    length, c = emissions.shape[-2:]
    batch = np.broadcast_shapes(emissions.shape[:-2], speakers.shape[:-1], () if tags is None else tags.shape[:-1])
    visible = np.broadcast_to(True if mask is None else mask, (*batch, length))
    arcs = _arcs_of(np.broadcast_to(speakers, (*batch, length)))
    first = np.arange(length) == 0
    last = visible & ~np.concatenate([visible[..., 1:], np.zeros((*batch, min(length, 1)), dtype=bool)], axis=-1)
    unary = emissions + np.where(first[:, None], start, 0) + np.where(last[..., None], end, 0)  # (..., t, c)

    def arrivals(t: int) -> tuple[Reals, Reals]:
        """Scores of all that may happen from t - 1 to t, (..., a, b, new): the run goes on, or another begins."""
        _, skips = (arc[..., t, None, None, None] for arc in arcs)
        new = unary[..., t, None, None, :]
        skip = np.where(skips, self_transition[:, None, :], 0)
        return self_transition + new, other_transition + skip + new

    def carried(reduce: Callable[..., Reals]) -> tuple[list[Reals], Reals]:
        """Carry the scores of beginnings, (..., a, b), from left to right, each shifted to reduce to 0."""
        states: list[Reals] = []
        total = np.zeros((*batch, 1, 1), dtype=emissions.dtype)
        for t in range(length):
            if t == 0:
                state = np.where(np.arange(c)[:, None] == 0, unary[..., 0, None, :], -np.inf)
            else:
                stay, turn = (states[-1][..., None] + arrival for arrival in arrivals(t))  # (..., a, b, new)
                # In a new run, b takes the place of a.
                state = np.where(arcs[0][..., t, None, None], reduce(turn, axis=-3), reduce(stay, axis=-2))
            size = reduce(state, axis=(-2, -1), keepdims=True)
            now = visible[..., t, None, None]
            total = np.where(now, total + size, total)
            state = state - finite_or_zero(size)
            states.append(np.where(now, state, states[-1] if states else 0))
        return states, total[..., 0, 0]

    alphas, log_partition = carried(log_sum_exp)
    marginals = np.zeros((*batch, length, c), dtype=emissions.dtype)
    beta = np.zeros((*batch, c, c), dtype=emissions.dtype)  # (..., a, b)
    for t in range(length - 1, -1, -1):
        labels = shares(alphas[t] + beta, axis=(-2, -1)).sum(axis=-2)
        marginals[..., t, :] = np.where(visible[..., t, None], labels, 0)
        if t:
            stay, turn = arrivals(t)
            turned, stayed = turn + beta[..., None, :, :], stay + beta[..., :, None, :]
            weight = log_sum_exp(np.where(arcs[0][..., t, None, None, None], turned, stayed))
            weight = weight - finite_or_zero(log_sum_exp(weight, axis=(-2, -1), keepdims=True))
            beta = np.where(visible[..., t, None, None], weight, beta)

    bests, best = carried(lambda x, **keywords: x.max(**keywords))
    path = _followed_back(bests, arrivals, arcs[0], visible)
    decode = np.where(best[..., None] == -np.inf, -1, path)
    if tags is None:
        return ConversationResult(None, decode, log_partition, marginals)
    score = _score(tags, unary, arcs, self_transition, other_transition, visible)
    likelihood = np.where(score == -np.inf, -np.inf, score - log_partition)
    return ConversationResult(likelihood, decode, log_partition, marginals)


def _arcs_of(speakers: Reals) -> tuple[Booleans, Booleans]:
    """Return for each utterance whether it begins a new run, and whether a skip arc leads to it, (..., t)."""
    begins, skips = np.zeros(speakers.shape, dtype=bool), np.zeros(speakers.shape, dtype=bool)
    before = np.zeros(speakers.shape[:-1], dtype=speakers.dtype)  # who spoke in the run before
    known = np.zeros(speakers.shape[:-1], dtype=bool)
    for t in range(1, speakers.shape[-1]):
        begins[..., t] = speakers[..., t] != speakers[..., t - 1]
        skips[..., t] = begins[..., t] & known & (speakers[..., t] == before)
        before = np.where(begins[..., t], speakers[..., t - 1], before)
        known = known | begins[..., t]
    return begins, skips


def _followed_back(
    bests: list[Reals], arrivals: Callable[[int], tuple[Reals, Reals]], begins: Booleans, visible: Booleans
) -> Reals:
    """Return the labels that led to the best end, (..., t); -1 past the length."""
    path = np.full(visible.shape, -1)
    if not bests:
        return path
    b = bests[-1].max(axis=-2).argmax(axis=-1)  # the present label, (...)
    a = _at(bests[-1], b, axis=-1).argmax(axis=-1)  # that of the run before
    for t in range(len(bests) - 1, -1, -1):
        path[..., t] = np.where(visible[..., t], b, -1)
        if t:
            stay, turn = (_at(bests[t - 1][..., None] + arrival, b, axis=-1) for arrival in arrivals(t))  # (..., a, b)
            b_before = _at(stay, a, axis=-2).argmax(axis=-1)
            a_before = _at(turn, a, axis=-1).argmax(axis=-1)
            turned = begins[..., t] & visible[..., t]
            b = np.where(turned, a, np.where(visible[..., t], b_before, b))
            a = np.where(turned, a_before, a)
    return path


def _score(
    tags: Reals,
    unary: Reals,
    arcs: tuple[Booleans, Booleans],
    self_transition: Reals,
    other_transition: Reals,
    visible: Booleans,
) -> Reals:
    """Return the score of a labeling, (...)."""
    tags = np.where(visible, tags, 0)
    begins, skips = arcs
    score = np.zeros(visible.shape[:-1], dtype=unary.dtype)
    before = np.zeros(visible.shape[:-1], dtype=np.int64)  # the last label of the run before
    for t in range(visible.shape[-1]):
        gain = _at(np.broadcast_to(unary[..., t, :], (*visible.shape[:-1], unary.shape[-1])), tags[..., t], axis=-1)
        if t:
            previous, tag = tags[..., t - 1], tags[..., t]
            step = np.where(begins[..., t], other_transition[previous, tag], self_transition[previous, tag])
            gain = gain + step + np.where(skips[..., t], self_transition[before, tag], 0)
            before = np.where(begins[..., t], previous, before)
        score = np.where(visible[..., t], score + gain, score)
    return score


def _at(array: Reals, index: Reals, axis: int) -> Reals:
    """Take one entry along an axis, another one for each place of the leading axes."""
    fitted = np.expand_dims(index, tuple(range(index.ndim, array.ndim)))
    return np.squeeze(np.take_along_axis(array, fitted, axis=axis), axis=axis)
