r"""Monotonic alignment search: which frame of speech belongs to which letter, found while learning to speak.

A speech synthesizer needs to know how long each letter lasts, and nobody has measured it. Glow-TTS lets the model tell:
given how likely each frame is under each letter, it takes the path that explains the whole recording best. The path
starts with the first letter at the first frame and ends with the last at the last; from frame to frame it stays on its
letter or goes on to the next, and it leaves out none.

With $s_{xy}$ = `log_prob`, how well letter x explains frame y, the best path that ends in (x, y) scores

$$Q_{xy} = s_{xy} + \max(Q_{x,y-1},\; Q_{x-1,y-1}), \qquad Q_{00} = s_{00},$$

and $-\infty$ stands for what lies outside and for letters that cannot have been reached yet, x > y. The path is read
back from the last letter at the last frame: at frame y it comes from letter x - 1 if $Q_{x,y-1} < Q_{x-1,y-1}$.

It is `ctc_viterbi` without blanks, and `dtw_path` with two of the three steps. **Ties** stay on the letter; ESPnet's
implementation moves on.

**Texts of different lengths** in one batch come with a mask, the rectangle of the letters and frames that count.
"""

import numpy as np

from ..contract import PathScore, reference
from ..log_space import continued
from ..visibility import Booleans, Reals


@reference
def monotonic_alignment_search(
    log_prob: Reals, *, mask: Booleans | None = None, return_score: bool = False
) -> Reals | PathScore:
    r"""Find the best path that gives each frame a letter, in order and leaving out none.

    $$\max_{x_0 = 0,\; x_{Y-1} = X-1,\; x_y - x_{y-1} \in \{0, 1\}} \;\; \sum_y s_{x_y y}$$

    Parameters
    ----------
    log_prob : (..., X, Y) real array
        How well each letter (row) explains each frame (column), X <= Y; -inf forbids it.
    mask : (..., X, Y) boolean array, optional
        True for the first letters and the first frames, a rectangle with at least as many frames as letters.
    return_score : bool, default False
        Return the score of the path too.

    Returns
    -------
    path : (..., X, Y) integer array
        1 on the path: once in each frame. Zeros outside of the rectangle, and everywhere if no path is possible or a
        NaN leaves none the best.
    score : (...) array
        With `return_score` only: the sum of `log_prob` along the path; -inf if none is possible, 0 without frames.

    Raises
    ------
    ValueError
        If there are fewer frames than letters, or `mask` is no rectangle at the start.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: X Y additions and comparisons in Y steps, X Y pointers; only the band X - Y + y <= x <= y can be on a path.

    Gradients: of the score the path, where it is unique. `soft_dtw` is a sum over paths in place of the maximum.

    References
    ----------
    Kim, Kim, Kong & Yoon, "Glow-TTS: A Generative Flow for Text-to-Speech via Monotonic Alignment Search", 2020, arXiv
    2005.11129, Algorithm 1.

    Examples
    --------
    The third frame fits the first letter best, the second the second. The path cannot go back, and chooses:

    >>> import numpy as np
    >>> fit = np.array([[3.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 3.0]])
    >>> monotonic_alignment_search(fit)
    array([[1, 1, 1, 0],
           [0, 0, 0, 1]])
    """
    letters, frames = log_prob.shape[-2:]
    batch = np.broadcast_shapes(log_prob.shape[:-2], () if mask is None else mask.shape[:-2])
    log_prob = np.broadcast_to(log_prob, (*batch, letters, frames))
    visible = np.broadcast_to(True if mask is None else mask, log_prob.shape)
    length = visible.any(axis=-1).sum(axis=-1)[..., None]  # (..., 1)
    heard = np.asarray(visible.any(axis=-2))  # (..., Y)

    x = np.arange(letters)
    best = np.broadcast_to(np.where(x == 0, 0, -np.inf).astype(log_prob.dtype), (*batch, letters))
    steps = []
    for y in range(frames):
        before = np.concatenate([np.full((*batch, 1), -np.inf, dtype=best.dtype), best], axis=-1)[..., :-1]
        steps.append((best < before) & (y > 0))
        arrived = np.maximum(best, before) if y else best
        best = np.where(heard[..., y, None], continued(arrived, log_prob[..., y]), best)

    end = np.where(x == length - 1, best, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)  # (..., 1)
    path = np.zeros(log_prob.shape, dtype=np.int64)
    row = length - 1
    for y in range(frames - 1, -1, -1):
        here = (x == row) & heard[..., y, None]
        path[..., y] = here & (end > -np.inf)
        row = row - np.asarray((here & steps[y]).any(axis=-1, keepdims=True))
    if not return_score:
        return path
    total = np.where(path == 1, log_prob, 0).sum(axis=(-2, -1))
    return PathScore(path, np.where((end > -np.inf) | (length == 0), total[..., None], end)[..., 0])
