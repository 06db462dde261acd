r"""Cutting two sequences into matching pieces: one to one, one to many, many to one.

A song has a melody and a lyric, and their attention is blurred. SongMASS cuts both into pieces that belong together:
one syllable over several notes, or several syllables on one note, all in order and nothing left over. So the matrix of
attention is covered from corner to corner by blocks of a single row or a single column.

A block scores the mean of the attention inside, less a price for its length: with $\rho$ = `length_penalty`, M rows and
N columns the best cover of the first i rows and j columns scores

$$F_{ij} = \max\Bigl(\max_{k < i}\; F_{k,j-1} + \overline{s_{k:i,\,j-1}} - \rho\,\frac{i - k}{M},\;\;
  \max_{k < j}\; F_{i-1,k} + \overline{s_{i-1,\,k:j}} - \rho\,\frac{j - k}{N}\Bigr), \qquad F_{00} = 0,$$

where $\overline{s}$ is the mean of the block. All other entries at the edges are $-\infty$. The mean rewards each block
alike, so many blocks are worth more than few, and the price keeps single ones from growing.

**Ties** take the first of the candidates: blocks of one column before blocks of one row, long ones before short ones.
"""

import numpy as np

from ..contract import SegmentsScore, reference
from ..log_space import continued
from ..visibility import Reals


@reference
def segment_alignment(
    scores: Reals, *, length_penalty: float = 0.5, return_score: bool = False
) -> Reals | SegmentsScore:
    r"""Cover a matrix of attention from corner to corner by blocks of one row or one column.

    $$\max \sum_{\mathrm{blocks}} \Bigl(\mathrm{mean}(s_{\mathrm{block}}) - \rho\,\mathrm{length} / (M \text{ or } N)
      \Bigr)$$

    Parameters
    ----------
    scores : (M, N) real array
        Attention between two sequences; -inf forbids a pair.
    length_penalty : float, default 0.5
        $\rho$, the price of a block that is as long as its sequence.
    return_score : bool, default False
        Return the score too.

    Returns
    -------
    segments : (K, 4) integer array
        First row, end of the rows, first column, end of the columns of each block, half open, in order; none if no
        cover is possible or a NaN leaves none the best.
    score : () array
        With `return_score` only: the score of the blocks; -inf if no cover is possible.

    Raises
    ------
    ValueError
        If `scores` is no matrix or is empty.
    TypeError
        If `scores` is complex, an object or text.

    Notes
    -----
    Cost: O(M N (M + N)) with running sums, for M N entries with M + N candidates each.

    `dtw_path` makes single steps in place of blocks, `monotonic_alignment_search` gives every column one row.
    Gradients: none, blocks are choices.

    References
    ----------
    Sheng et al., "SongMASS: Automatic Song Writing with Pre-training and Alignment Constraint", 2020, arXiv 2012.05168.

    Examples
    --------
    Two notes on the first syllable, then one on each of two:

    >>> import numpy as np
    >>> attention = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    >>> segment_alignment(attention)
    array([[0, 2, 0, 1],
           [2, 3, 1, 2],
           [3, 4, 2, 3]])
    """
    rows, columns = scores.shape
    best = np.full((rows + 1, columns + 1), -np.inf, dtype=scores.dtype)  # F
    best[0, 0] = 0
    origin = np.zeros((rows + 1, columns + 1, 2), dtype=np.int64)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            candidates, starts = [], []
            for k in range(i):
                worth = scores[k:i, j - 1].mean() - length_penalty * (i - k) / rows
                candidates.append(continued(best[k, j - 1], worth))
                starts.append((k, j - 1))
            for k in range(j):
                worth = scores[i - 1, k:j].mean() - length_penalty * (j - k) / columns
                candidates.append(continued(best[i - 1, k], worth))
                starts.append((i - 1, k))
            choice = int(np.argmax(candidates))  # the first of equal ones, and a NaN before all
            best[i, j], origin[i, j] = candidates[choice], starts[choice]

    segments = []
    i, j = rows, columns
    while best[rows, columns] > -np.inf and i:
        r, c = origin[i, j]
        segments.append((r, i, c, j))
        i, j = r, c
    blocks = np.array(segments[::-1], dtype=np.int64).reshape(-1, 4)
    return SegmentsScore(blocks, best[rows, columns]) if return_score else blocks
