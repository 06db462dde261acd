r"""The tensor brain: an index layer and a representation layer that talk to each other.

In the picture of Tresp et al. there are two layers. The *representation layer* holds the state of mind q, a vector. The
*index layer* holds one unit per thing that has a name: a person, a kind, a relation. Each name has an embedding, a row
of A. Bottom-up, the state makes names likely; top-down, a name that has been chosen adds its embedding to the state,

$$P = \mathrm{softmax}(a_0 + A\,\sigma(q)), \qquad q \leftarrow q + A_k.$$

Without a choice, all names act at once, as much as they are likely, $q \leftarrow q + \sum_k P_k A_k$: that is a
residual attention step whose keys and values are the embeddings. Saying a fact (subject, predicate, object) takes three
rounds.

The equations are written from memory of the papers, which were not read again: take this as a lesson.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import IndexResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals


@reference
def tensor_brain_step(state: Reals, embeddings: Reals, *, bias: Reals | None = None, index: Any = None) -> IndexResult:
    r"""One round from the state of mind to the names of things and back.

    $$P = \mathrm{softmax}(a_0 + A\,\sigma(q)), \qquad q' = q + A_k \quad\text{or}\quad q' = q + \sum_k P_k A_k$$

    Parameters
    ----------
    state : (..., r) real array
        q, the representation layer before its activation.
    embeddings : (..., n, r) real array
        A, one row per name.
    bias : (n,) real array, optional
        $a_0$, how likely each name is beforehand, as a logit; 0 if not given.
    index : (...) integer array, optional
        k, the name that was chosen (drawn from P, or the likeliest); without it the mean over the names acts.

    Returns
    -------
    state : (..., r) array
        q'.
    probabilities : (..., n) array
        P, from the state before the step.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `index` leaves the range of the names.

    Notes
    -----
    Cost: 2 n r multiplications per state. Without `index` it is `softmax_attention` from sigma(q) to the embeddings,
    with scale 1, added to q.

    References
    ----------
    Tresp, Sharifzadeh, Konopatzki & Ma, "The Tensor Brain: Semantic Decoding for Perception and Memory", 2020, arXiv
    2001.11027. Tresp & Li, "The Tensor Brain: A Unified Theory of Perception, Memory and Semantic Decoding", 2024,
    arXiv 2409.12846.

    Examples
    --------
    The state suggests the first name; saying the second one all the same moves the state towards it:

    >>> import numpy as np
    >>> state, probabilities = tensor_brain_step(np.array([2.0, -2.0]), 3 * np.eye(2), index=1)
    >>> probabilities.round(2), state
    (array([0.91, 0.09]), array([2., 1.]))
    """
    active = expit(state)  # sigma(q), (..., r)
    scores = (embeddings @ active[..., :, None])[..., 0]  # (..., n)
    scores = scores if bias is None else scores + bias
    probabilities = softmax_weights(scores, np.ones(scores.shape, dtype=bool))
    if index is None:
        said = (probabilities[..., None, :] @ embeddings)[..., 0, :]  # (..., r)
    else:
        leading = np.broadcast_shapes(index.shape, embeddings.shape[:-2])
        rows = np.broadcast_to(embeddings, (*leading, *embeddings.shape[-2:]))
        said = np.take_along_axis(rows, np.broadcast_to(index, leading)[..., None, None], axis=-2)[..., 0, :]
    return IndexResult(state + said, probabilities)
