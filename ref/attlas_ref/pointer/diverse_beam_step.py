r"""Diverse beam search: groups of beams that avoid each other.

A beam search returns its best few sentences, and they differ in a comma. Vijayakumar et al. divide the beams into
groups and let one group after the other take its step. A group pays for every token that earlier groups have just
taken, so it says something else. Within a group it is an ordinary beam search.

For the groups $g = 1, \dots, G$ in order, with $s_b$ the score of beam b so far and $c_g(v)$ how often the token v is
among the candidates that the groups before g have kept in this step,

$$\mathrm{score}_g(b, v) = s_b + \log p(v \mid b) - \mathrm{strength} \cdot c_g(v), \qquad
  \text{keep the best of all } (b, v) \text{ with } b \in g .$$

The beams lie interleaved: group g has the beams g, g + G, g + 2 G, and so on (from 0). More candidates are kept than
there are beams, twice as many, since some may end the sentence; the caller takes its beams from them.

**The penalty stays.** It is part of the score that is carried on, as in fairseq; the paper leaves that open.
"""

from typing import Any, NamedTuple

import numpy as np

from ..contract.options import Flag, Integer, Number
from ..contract.utilities import check_reals


class BeamStep(NamedTuple):
    """The candidates of one step: entry c G + g is the c-th of group g."""

    scores: Any
    tokens: Any
    beams: Any


def diverse_beam_step(
    log_probs: Any, beam_scores: Any, *, groups: int, strength: float, keep: int | None = None, first_step: bool = False
) -> BeamStep:
    r"""Return the best continuations of each group of beams, groups avoiding what earlier ones took.

    $$\mathrm{score}_g(b, v) = s_b + \log p(v \mid b) - \mathrm{strength} \cdot
      \#\{\text{kept by groups before } g \text{ with token } v\}$$

    Parameters
    ----------
    log_probs : (B, V) real array
        Log probability of each token after each beam.
    beam_scores : (B,) real array
        Scores so far.
    groups : int
        G, which divides B.
    strength : float
        At least 0: what a token costs for each time it has been taken.
    keep : int, optional
        Candidates per group; if not given twice the beams of a group, but at most one less than there are.
    first_step : bool, default False
        All beams are alike still: only the first of each group goes on, and `beam_scores` are not added.

    Returns
    -------
    scores : (G*keep,) float64 array
    tokens : (G*keep,) integer array
    beams : (G*keep,) integer array
        Which of the B beams each goes on from.

    Raises
    ------
    ValueError
        If shapes disagree, `groups` does not divide B, `strength` is negative, or there are fewer than `keep`
        candidates.
    TypeError
        If an array does not hold real numbers.

    Notes
    -----
    Cost: O(B V). Ties take the lowest beam, then the lowest token.

    References
    ----------
    Vijayakumar et al., "Diverse Beam Search: Decoding Diverse Solutions from Neural Sequence Models", 2016,
    arXiv 1610.02424.

    Examples
    --------
    Two groups of one beam. Without a penalty both say token 2, with it the second goes elsewhere:

    >>> import numpy as np
    >>> log_probs = np.log([[0.1, 0.3, 0.6]] * 2)
    >>> [diverse_beam_step(log_probs, [0, 0], groups=2, strength=s, keep=1).tokens.tolist() for s in (0.0, 1.0)]
    [[2, 2], [2, 1]]
    """
    function = "diverse_beam_step"
    log_probs = check_reals(function, "log_probs", log_probs, "(B, V)", 2, exact=True)
    beam_scores = check_reals(function, "beam_scores", beam_scores, "(B,)", 1, exact=True)
    count, width = log_probs.shape
    groups = Integer(low=1).check(function, "groups", groups)
    strength = Number(low=0.0).check(function, "strength", strength)
    first_step = Flag().check(function, "first_step", first_step)
    keep = Integer(low=1, optional=True).check(function, "keep", keep)
    if len(beam_scores) != count:
        raise ValueError(f"{function}: beam_scores has {len(beam_scores)} entries and log_probs {count} rows")
    if count % groups or not count:
        raise ValueError(f"{function}: groups is {groups}; it needs a divisor of B = {count}, which is not 0")
    candidates = width * (1 if first_step else count // groups)
    keep = max(1, min(2 * count // groups, candidates - 1)) if keep is None else keep
    if keep > candidates:
        raise ValueError(f"{function}: keep is {keep}; it needs at most the {candidates} candidates of a group")

    taken = np.zeros(width)
    found = []
    for group in range(groups):
        scores = log_probs[group::groups] - strength * taken  # (B / G, V)
        scores = scores[:1] if first_step else scores + beam_scores[group::groups, None]
        best = np.argsort(-scores.ravel(), kind="stable")[:keep]
        beam, token = np.divmod(best, width)
        np.add.at(taken, token, 1)
        found.append((scores.ravel()[best], token, beam * groups + group))
    return BeamStep(*(np.stack(parts, axis=-1).ravel() for parts in zip(*found, strict=True)))
