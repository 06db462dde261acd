r"""Matching in pairs and in triples: what one needs tuples for.

Given numbers $x_1, \dots, x_n$ below M, does every number find a partner with which it sums to 0 modulo M? That is a
question about pairs, and one head of softmax attention answers it. Do two partners exist with which it sums to 0? That
is about triples: one head of tensor attention answers it with five channels, one head of softmax attention read in the
same way does not with any number of channels. Both halves have a proof that fits here.

**How tensor attention does it.** Put the numbers on a circle, $\theta = 2\pi x / M$. A triple matches iff the cosine of
$\theta_i + \theta_j + \theta_k$ is 1, and if not, it is at most $\cos(2\pi/M)$. The cosine of a sum is a sum of four
products,

$$\cos(a + b + c) = \cos a \cos b \cos c - \cos a \sin b \sin c - \sin a \cos b \sin c - \sin a \sin b \cos c,$$

which is a trilinear score with four channels. A fifth subtracts $\mu$, half way between 1 and $\cos(2\pi/M)$: with
$\Delta = (1 - \cos(2\pi/M))/2$ the score is at least $c\Delta$ for a match and at most $-c\Delta$ otherwise. A null
token with key 0 and value 0 gives all its pairs the score 0. There are $(n+1)^2$ pairs; with $c\Delta = \log 4(n+1)^2$
one match outweighs all null pairs, and all misses together weigh less than one null pair. So the output, the weight of
the real pairs, is above 1/2 iff there is a match.

**Why a head of softmax attention does not.** Read it in the same way: a match iff some linear function of the output,
$\langle u, \mathrm{out}_i \rangle$, lies above a threshold t. Times the sum of the softmax, which is positive, that
asks for the sign of

$$\sum_j g_j, \qquad g_j = e^{s_{ij}}\, (\langle u, v_j \rangle - t),$$

and $g_j$ depends on the tokens $x_i$ and $x_j$ and their positions alone: a sum over single partners. Take M >= 4 and a
first token of 1. It has a match in (1, 0, M − 1) and in (1, M − 1, 0); it has none in (1, 0, 0) and in (1, M − 1,
M − 1). Every position holds the same tokens in the former two as in the latter two, so the sums of the former two add
up to the same as those of the latter two: above 0, and not above 0. More tokens of 1 make the inputs as long as one
likes. It is the argument by which a perceptron does not compute the exclusive or, and width, embeddings, positions and
precision do not enter. (For M below 4 the task asks for single partners, and a head does.)

**What that leaves open** is a nonlinear reading of the output, and several heads. For these Sanford, Hsu and Telgarsky
prove, by the communication that set disjointness takes, that heads times width times bits of precision have to grow
almost like n; Kozachinskiy et al. have a bound for any precision. Their constants are not worked out here.

**Conventions.** The indices are unrestricted: a token may be its own partner, and the same partner twice. The paper's
definition was read so; it does not say otherwise.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import PairTask, TensorTask
from ..contract.options import Integer
from ..contract.utilities import check_labels
from ..visibility import Booleans


def match2_task(tokens: Any, *, modulus: int) -> Booleans:
    r"""Which tokens have a partner with which they sum to 0 modulo M.

    $$\mathrm{Match2}_i = \exists j:\ x_i + x_j \equiv 0 \pmod M$$

    Parameters
    ----------
    tokens : (..., n) array of whole numbers
        x, from 0 to M − 1.
    modulus : int
        M, at least 2.

    Returns
    -------
    (..., n) boolean array

    Raises
    ------
    ValueError
        If `modulus` is below 2, or a token is not from 0 to M − 1.
    TypeError
        If tokens or modulus are not whole numbers.

    Notes
    -----
    Cost: O(n + M), by a table of which numbers are present.

    `match2_construction` solves it with `softmax_attention`, `match3_task` is the same with two partners.

    References
    ----------
    Sanford, Hsu & Telgarsky, "Representational Strengths and Limitations of Transformers", 2023, arXiv 2306.02896.

    Examples
    --------
    3 + 7 = 10; 5 + 5 = 10 with itself; 4 finds no 6:

    >>> match2_task([3, 7, 5, 4], modulus=10).tolist()
    [True, True, True, False]
    """
    x = _checked("match2_task", tokens, modulus)
    return np.take_along_axis(_present(x, modulus), -x % modulus, axis=-1)


def match3_task(tokens: Any, *, modulus: int) -> Booleans:
    r"""Which tokens have two partners with which they sum to 0 modulo M.

    $$\mathrm{Match3}_i = \exists j, k:\ x_i + x_j + x_k \equiv 0 \pmod M$$

    Parameters
    ----------
    tokens : (..., n) array of whole numbers
        x, from 0 to M − 1.
    modulus : int
        M, at least 2.

    Returns
    -------
    (..., n) boolean array

    Raises
    ------
    ValueError
        If `modulus` is below 2, or a token is not from 0 to M − 1.
    TypeError
        If tokens or modulus are not whole numbers.

    Notes
    -----
    Cost: O(n M): for each token and each residue r, are r and −x − r present?

    `match3_construction` solves it with `tensor_attention`; no head of `softmax_attention` with a threshold on its
    output does.

    References
    ----------
    Sanford, Hsu & Telgarsky, "Representational Strengths and Limitations of Transformers", 2023, arXiv 2306.02896.

    Examples
    --------
    1 + 2 + 7 = 10, and 6 + 2 + 2 = 10 with 2 twice:

    >>> match3_task([1, 2, 7, 6], modulus=10).tolist()
    [True, True, True, True]
    >>> match3_task([1, 2, 4], modulus=10).tolist()  # 2 + 4 + 4
    [False, True, True]
    """
    x = _checked("match3_task", tokens, modulus)
    present = _present(x, modulus)  # (..., M)
    found = np.zeros(x.shape, dtype=bool)
    for r in range(modulus):
        found |= present[..., r, None] & np.take_along_axis(present, (-x - r) % modulus, axis=-1)
    return found


def match2_construction(tokens: Any, *, modulus: int) -> PairTask:
    r"""Arrays with which softmax attention solves Match2.

    $$q = c\,(\cos\theta,\ -\sin\theta,\ -\mu), \qquad k = (\cos\theta,\ \sin\theta,\ 1), \qquad v = 1, \qquad
      \theta = \frac{2\pi x}{M}, \qquad c = \frac{\log 4(n+1)}{\Delta}$$

    with $\mu, \Delta = (1 \pm \cos(2\pi/M))/2$ and one null token, k = 0 and v = 0, at the end.

    Parameters
    ----------
    tokens : (..., n) array of whole numbers
        x, from 0 to M − 1.
    modulus : int
        M, at least 2.

    Returns
    -------
    query : (..., n, 3) array
    key : (..., n + 1, 3) array
    value : (..., n + 1, 1) array
        Such that ``softmax_attention(query, key, value, scale=1)[..., 0] > 0.5`` is `match2_task`.

    Raises
    ------
    ValueError, TypeError
        As `match2_task`.

    Notes
    -----
    Cost: O(n). Scores are at least log 4(n + 1) for a match and at most minus that for a miss.

    References
    ----------
    After Sanford, Hsu & Telgarsky, "Representational Strengths and Limitations of Transformers", 2023,
    arXiv 2306.02896.

    Examples
    --------
    >>> from attlas_ref import softmax_attention
    >>> softmax_attention(*match2_construction([3, 7, 5, 4], modulus=10), scale=1)[..., 0].round(2)
    array([0.95, 0.95, 0.95, 0.09])
    """
    x = _checked("match2_construction", tokens, modulus)
    cos, sin, one, mu, strength = _on_the_circle(x, modulus, 4 * (x.shape[-1] + 1))
    query = strength * np.stack([cos, -sin, -mu * one], axis=-1)
    return PairTask(query, _with_null(np.stack([cos, sin, one], axis=-1)), _with_null(one[..., None]))


def match3_construction(tokens: Any, *, modulus: int) -> TensorTask:
    r"""Arrays with which tensor attention solves Match3.

    $$q = c\,(\cos\theta,\ -\cos\theta,\ -\sin\theta,\ -\sin\theta,\ -\mu), \qquad
      k_1 = (\cos\theta,\ \sin\theta,\ \cos\theta,\ \sin\theta,\ 1), \qquad
      k_2 = (\cos\theta,\ \sin\theta,\ \sin\theta,\ \cos\theta,\ 1)$$

    with $\theta = 2\pi x/M$, $\mu, \Delta = (1 \pm \cos(2\pi/M))/2$, $c = \log(4(n+1)^2)/\Delta$, values 1, and in both
    sets one null token, k = 0 and v = 0, at the end.

    Parameters
    ----------
    tokens : (..., n) array of whole numbers
        x, from 0 to M − 1.
    modulus : int
        M, at least 2.

    Returns
    -------
    query : (..., n, 5) array
    keys : pair of (..., n + 1, 5) arrays
    values : pair of (..., n + 1, 1) arrays
        Such that ``tensor_attention(query, keys, values, scale=1)[..., 0] > 0.5`` is `match3_task`.

    Raises
    ------
    ValueError, TypeError
        As `match3_task`.

    Notes
    -----
    Cost: O(n). Five channels are enough for any n. A head of softmax attention with a threshold on its output fails for
    every width from n = 3 and M = 4 on (the proof is above). Scores are at least log 4(n + 1)² for a match and at most
    minus that for a miss.

    References
    ----------
    After Sanford, Hsu & Telgarsky, "Representational Strengths and Limitations of Transformers", 2023,
    arXiv 2306.02896.
    Kozachinskiy et al., "Strassen Attention, Split VC Dimension and Compositionality in Transformers", 2025,
    arXiv 2501.19215.

    Examples
    --------
    With 1, 2, 4 modulo 10 there is 2 + 4 + 4, and nothing for 1:

    >>> from attlas_ref import tensor_attention
    >>> tensor_attention(*match3_construction([1, 2, 4], modulus=10), scale=1)[..., 0].round(2)
    array([0.  , 0.9 , 0.95])
    """
    x = _checked("match3_construction", tokens, modulus)
    cos, sin, one, mu, strength = _on_the_circle(x, modulus, 4 * (x.shape[-1] + 1) ** 2)
    query = strength * np.stack([cos, -cos, -sin, -sin, -mu * one], axis=-1)
    key1 = np.stack([cos, sin, cos, sin, one], axis=-1)
    key2 = np.stack([cos, sin, sin, cos, one], axis=-1)
    value = _with_null(one[..., None])
    return TensorTask(query, (_with_null(key1), _with_null(key2)), (value, value.copy()))


def _checked(function: str, tokens: Any, modulus: int) -> NDArray[np.int64]:
    modulus = Integer(low=2).check(function, "modulus", modulus)
    return check_labels(function, "tokens", tokens, "(..., n)", high=modulus - 1, rank=None)


def _present(x: NDArray[np.int64], modulus: int) -> Booleans:
    """Return which numbers are present, (..., M)."""
    present = np.zeros((*x.shape[:-1], modulus), dtype=bool)
    np.put_along_axis(present, x, True, axis=-1)
    return present


def _on_the_circle(x: NDArray[np.int64], modulus: int, odds: int) -> tuple[Any, ...]:
    """Return cosine, sine and ones of the tokens, the threshold µ, and the strength c with c Δ = log(odds)."""
    theta, nearest = 2 * np.pi * x / modulus, float(np.cos(2 * np.pi / modulus))
    return np.cos(theta), np.sin(theta), np.ones(x.shape), (1 + nearest) / 2, 2 * float(np.log(odds)) / (1 - nearest)


def _with_null(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Append a row of zeros."""
    return np.concatenate([rows, np.zeros((*rows.shape[:-2], 1, rows.shape[-1]))], axis=-2)
