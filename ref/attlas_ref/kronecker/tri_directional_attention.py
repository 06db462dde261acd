r"""Tri-directional attention: three sets, one cube, three outputs.

Cross-attention has a direction: the queries read, the keys are read. With one set of vectors each, two sequences can
read each other from the same scores (`mutual_attention`). Three sets can do so too: the trilinear product of a row
from each fills a cube, and each set takes its turn as the reader of pairs from the other two.

$$S_{ijk} = \mathrm{scale} \sum_c k_{1,ic}\, k_{2,jc}\, k_{3,kc}$$

is symmetric in its three arguments, so no set is special; `key1`, `key2`, `key3` = $k_1, k_2, k_3$. Each direction has
a softmax of its own, over the face of the cube that its readers look at.
"""

import math

import numpy as np

from ..contract import TriDirectionalResult, formula, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals
from .khatri_rao import khatri_rao


@reference
def tri_directional_attention(
    key1: Reals,
    value1: Reals,
    key2: Reals,
    value2: Reals,
    key3: Reals,
    value3: Reals,
    *,
    scale: float | None = None,
) -> TriDirectionalResult:
    r"""Attention of each of three sets to the pairs of the other two, from one cube of scores.

    $$\mathrm{out}_{1,i} = \sum_{jk} \mathrm{softmax}_{(j,k)}(S_{ijk})\; v_{2,j} \odot v_{3,k}, \qquad
      S_{ijk} = \mathrm{scale} \sum_c k_{1,ic}\, k_{2,jc}\, k_{3,kc}$$

    and likewise $\mathrm{out}_{2,j}$ over $(i, k)$ with $v_{1,i} \odot v_{3,k}$, and $\mathrm{out}_{3,k}$ over $(i, j)$
    with $v_{1,i} \odot v_{2,j}$.

    Parameters
    ----------
    key1 : (..., n_1, d) real array
        One row per member of the first set, its query and key in one.
    value1 : (..., n_1, e) real array
        What each of them has to say to the others.
    key2 : (..., n_2, d) real array
        The second set.
    value2 : (..., n_2, e) real array
        The second set.
    key3 : (..., n_3, d) real array
        The third set.
    value3 : (..., n_3, e) real array
        The third set.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.

    Returns
    -------
    out1 : (..., n_1, e) array
        What the first set reads; zeros if another set is empty.
    out2 : (..., n_2, e) array
        What the second set reads.
    out3 : (..., n_3, e) array
        What the third set reads.

    Raises
    ------
    ValueError
        If shapes disagree or d is 0.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n_1 n_2 n_3 (d + 3 e) multiplications; this reference holds the cube, an engine three running softmaxes.

    Neighbors: each output is `tensor_attention` with its set as the query and the other two as keys. The gradient is a
    sum of three `tensor_attention_vjp`.

    References
    ----------
    Phil Wang, `simplicial-attention`, `tri_directional_attend` (software, 2025); there is no paper.

    Examples
    --------
    A word, a sound and a picture of each of two things; each finds the other two:

    >>> import numpy as np
    >>> things = np.array([[4.0, 0.0], [0.0, 4.0]])
    >>> word, sound, picture = (np.array([[x], [10 * x]]) for x in (2.0, 3.0, 5.0))
    >>> result = tri_directional_attention(things, word, things, sound, things, picture)
    >>> [np.round(part).ravel().tolist() for part in result]  # 3 * 5, 2 * 5, 2 * 3; 30 * 50, ...
    [[15.0, 1500.0], [10.0, 1000.0], [6.0, 600.0]]
    """
    scale = 1 / float(np.sqrt(key1.shape[-1])) if scale is None else scale
    cube = scale * np.einsum("...ic,...jc,...kc->...ijk", key1, key2, key3)
    return TriDirectionalResult(
        _read(cube, value2, value3),
        _read(np.moveaxis(cube, -2, -3), value1, value3),
        _read(np.moveaxis(cube, -1, -3), value1, value2),
    )


def _read(cube: Reals, first: Reals, second: Reals) -> Reals:
    """Return what readers (the first axis of the cube) take from pairs of the other two."""
    scores = cube.reshape(*cube.shape[:-2], math.prod(cube.shape[-2:]))  # (..., readers, pairs)
    weights = softmax_weights(scores, np.ones((1, 1), dtype=bool))
    return weights @ formula(khatri_rao)((first, second))
