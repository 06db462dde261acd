r"""Free recall: items bring back the context in which they were met (CMR).

Read a list of words to somebody and ask for them in any order. What comes next is no accident: it is mostly a neighbor
of the word just said, and rather the one behind it than the one before. The model of contextual maintenance and
retrieval explains this by a *context* that drifts through the list. Each item is bound to the context it was met in,
and recalling it brings that context back, which favors its neighbors. Ji-An et al. find the same profile in attention
heads.

**Encoding.** Context is a fading trace of the items so far, $c_j = (1 - \beta)\, c_{j-1} + e_{j-1}$, and the
association of context and item is $M = \sum_j c_j e_j^\top$. With T the shift (T[i, i+1] = 1) that is
$M = (I - (1 - \beta) T)^{-1} T$, or $M_{ij} = (1 - \beta)^{j-i-1}$ for j > i.

**Recall.** From a context t the next item has the probabilities $P \propto M^\top t$: linear attention with the query t
and the columns of M as keys. The item then updates the context by itself and, as much as $\gamma$ says, by the context
it brings back, $t \leftarrow (1 - \beta) t + \beta\, t_{in}$ with $t_{in} = (1 - \gamma) e + \gamma M e$, all
normalized to length 1. Nothing keeps an item from being said twice.

An *absorbing* item at the end of the list stands for giving up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.binding import check_array_like
from ..contract.options import Flag, Integer, Number
from ..visibility import Reals

_SHARE = Number(low=0.0, high=1.0)
_COUNT = Integer(low=1)


def cmr_encode(num_items: int, *, beta: float, absorbing: bool = True) -> Reals:
    r"""Return the associations of context and item after one pass through a list.

    $$M = (I - (1 - \beta) T)^{-1} T, \qquad M_{ij} = (1 - \beta)^{j-i-1} \text{ for } j > i$$

    Parameters
    ----------
    num_items : int
        Length of the list, at least 1.
    beta : float
        Drift of the context, between 0 (it keeps everything) and 1 (it is the last item alone).
    absorbing : bool, default True
        Add an item at the end that stops the recall.

    Returns
    -------
    (N, N) array
        N = num_items, or one more with `absorbing`; strictly upper triangular.

    Raises
    ------
    ValueError, TypeError
        If `num_items` is below 1 or `beta` leaves the range 0 to 1.

    Notes
    -----
    Cost: O(N²) by the closed form. Goes on with `cmr_recall` and `cmr_crp`.

    References
    ----------
    Polyn, Norman & Kahana, "A Context Maintenance and Retrieval Model of Organizational Processes in Free Recall",
    2009. Ji-An, Zhou, Benna & Mattar, "Linking In-context Learning in Transformers to Human Episodic Memory", 2024,
    arXiv 2405.14992.

    Examples
    --------
    >>> cmr_encode(3, beta=0.5, absorbing=False)
    array([[0. , 1. , 0.5],
           [0. , 0. , 1. ],
           [0. , 0. , 0. ]])
    """
    num_items = _COUNT.check("cmr_encode", "num_items", num_items)
    beta = _SHARE.check("cmr_encode", "beta", beta)
    size = num_items + Flag().check("cmr_encode", "absorbing", absorbing)
    lag = np.arange(size) - np.arange(size)[:, None]  # j - i
    return np.where(lag > 0, (1.0 - beta) ** np.maximum(lag - 1, 0), 0.0)


def cmr_recall(
    memory: Any,
    uniforms: Any,
    *,
    beta: float,
    gamma: float,
    start: int,
    max_recalls: int | None = None,
    absorbing: bool = True,
) -> NDArray[np.int64]:
    r"""Recall a list freely: from each item to the next by the context that it brings back.

    $$P \propto M^\top t, \qquad t \leftarrow (1 - \beta)\, t + \beta\, t_{in}, \qquad
      t_{in} = (1 - \gamma)\, e + \gamma M e$$

    Parameters
    ----------
    memory : (N, N) real array
        M, of `cmr_encode`; no negative entries.
    uniforms : (trials, ...) real array of two axes
        Draws from [0, 1): one per trial and recall.
    beta : float
        Drift of the context, between 0 and 1.
    gamma : float
        How much of the old context an item brings back, between 0 and 1.
    start : int
        The item whose context the recall starts from; it is not recalled itself.
    max_recalls : int, optional
        At most as many as `uniforms` has columns, which it is if not given.
    absorbing : bool, default True
        Whether the last index ends the trial.

    Returns
    -------
    (trials, max_recalls) integer array
        The items in the order of recall, -1 after the end.

    Raises
    ------
    ValueError, TypeError
        If `memory` is not square, a number leaves its range or there are too few draws.

    Notes
    -----
    Cost: trials × max_recalls × N² multiplications. A draw u chooses the first item whose cumulative probability
    exceeds it. With beta 1 in both phases and gamma 0 the recall is serial.

    References
    ----------
    Ji-An, Zhou, Benna & Mattar, "Linking In-context Learning in Transformers to Human Episodic Memory", 2024, arXiv
    2405.14992.

    Examples
    --------
    >>> import numpy as np
    >>> cmr_recall(cmr_encode(4, beta=1.0), np.zeros((1, 5)), beta=1.0, gamma=0.0, start=0)
    array([[ 1,  2,  3, -1, -1]])
    """
    function = "cmr_recall"
    memory, uniforms = _memory(function, memory), _matrix(function, "uniforms", uniforms)
    if bool(((uniforms < 0) | (uniforms >= 1)).any()):
        raise ValueError(f"{function}: uniforms leaves the range 0 to 1; it needs numbers from 0 up to below 1")
    beta, gamma = _SHARE.check(function, "beta", beta), _SHARE.check(function, "gamma", gamma)
    start = _item(function, start, len(memory))
    absorbing = Flag().check(function, "absorbing", absorbing)
    recalls = Integer(low=0, optional=True).check(function, "max_recalls", max_recalls)
    recalls = uniforms.shape[1] if recalls is None else recalls
    if recalls > uniforms.shape[1]:
        raise ValueError(f"{function}: uniforms has {uniforms.shape[1]} columns; it needs max_recalls = {recalls}")

    items = np.full((len(uniforms), recalls), -1)
    for trial, draws in enumerate(uniforms):
        context = np.eye(len(memory))[start]
        for step in range(recalls):
            support = memory.T @ context
            if not support.sum() > 0:
                break
            cumulative = np.cumsum(support)
            # Compared with the sum itself: the last item with any support ends at exactly 1.
            item = int(np.argmax(cumulative > draws[step] * cumulative[-1]))
            if absorbing and item == len(memory) - 1:
                break
            items[trial, step] = item
            said = np.eye(len(memory))[item]
            brought = _unit((1 - gamma) * said + gamma * (memory @ said))
            context = _unit((1 - beta) * context + beta * brought)
    return items


def cmr_crp(memory: Any, *, beta: float, start: int, max_lag: int) -> Reals:
    r"""Return how likely the next item is to stand d places behind the last, in closed form.

    $$\beta = 1:\ \mathrm{crp}(d) \propto \sum_s P_d(s)\, \frac{M_{s,s+d}}{\sum_j M_{sj}}\ (d > 0), \qquad
      \beta = 0:\ \mathrm{crp}(d) \propto \sum_s P(s)\, P(s + d)$$

    with $P_d$ the row `start` of the matrix power $M^d$ and P that of M, both normalized to sum 1.

    Parameters
    ----------
    memory : (N, N) real array
        M, of `cmr_encode`; no negative entries.
    beta : {0, 1}
        Drift of the context during recall: it is the last item alone (1), or stays what it was at the start (0).
    start : int
        The item whose context the recall starts from.
    max_lag : int
        The largest lag, from 1 to N - 1.

    Returns
    -------
    (2 max_lag + 1,) array
        For the lags from -max_lag to max_lag; sums to 1, or is 0 if nothing can be recalled.

    Raises
    ------
    ValueError, TypeError
        If `memory` is not square, `beta` is neither 0 nor 1 or a number leaves its range.

    Notes
    -----
    Cost: O(max_lag N³). The context that items bring back (gamma in `cmr_recall`) is taken to be 0. That the d-th lag
    is weighted by the d-th power of M is the official code's choice.

    References
    ----------
    Ji-An, Zhou, Benna & Mattar, "Linking In-context Learning in Transformers to Human Episodic Memory", 2024, arXiv
    2405.14992.

    Examples
    --------
    A context that moves with the items leads forward only; one that stays does not care about the order:

    >>> memory = cmr_encode(6, beta=0.5)
    >>> cmr_crp(memory, beta=1, start=0, max_lag=2).round(2)
    array([0.  , 0.  , 0.  , 0.71, 0.29])
    >>> cmr_crp(memory, beta=0, start=0, max_lag=2).round(2)
    array([0.1, 0.2, 0.4, 0.2, 0.1])
    """
    function = "cmr_crp"
    memory = _memory(function, memory)
    size = len(memory)
    beta = Number().check(function, "beta", beta)
    if beta not in (0, 1):
        raise ValueError(f"{function}: beta is {beta}; it needs 0 or 1")
    start = _item(function, start, size)
    max_lag = _COUNT.check(function, "max_lag", max_lag)
    if max_lag >= size:
        raise ValueError(f"{function}: max_lag is {max_lag}; it needs to be below N = {size}")

    crp = np.zeros(2 * max_lag + 1)
    if beta == 1:
        next_item = _distributions(memory)
        power = np.eye(size)
        for d in range(1, max_lag + 1):
            power = power @ memory  # M^d
            at = _distributions(power[start])
            crp[max_lag + d] = at[: size - d] @ np.diagonal(next_item, d)
    else:
        at = _distributions(memory[start])
        for d in range(-max_lag, max_lag + 1):
            crp[max_lag + d] = at[: size - abs(d)] @ at[abs(d) :]
    return _distributions(crp)


def _distributions(rows: Reals) -> Reals:
    """Return rows that sum to 1; rows of zeros stay."""
    total = rows.sum(axis=-1, keepdims=True)
    return rows / np.where(total == 0, 1, total)


def _unit(x: Reals) -> Reals:
    """Return a vector of length 1; a vector of zeros stays."""
    length = np.sqrt((x**2).sum())
    return x / length if length > 0 else x


def _matrix(function: str, name: str, value: Any) -> Reals:
    array = np.asarray(check_array_like(function, name, value))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{function}: {name} has dtype {array.dtype}; it needs real numbers")
    if array.ndim != 2:
        raise ValueError(f"{function}: {name} has shape {array.shape}; it needs two axes")
    return array.astype(np.float64)


def _memory(function: str, value: Any) -> Reals:
    memory = _matrix(function, "memory", value)
    if memory.shape[0] != memory.shape[1]:
        raise ValueError(f"{function}: memory has shape {memory.shape}; it needs the shape (N, N)")
    if not bool((memory >= 0).all()):
        raise ValueError(f"{function}: memory has an entry that is negative or NaN; it needs numbers of at least 0")
    return memory


def _item(function: str, start: Any, size: int) -> int:
    start = int(Integer(low=0).check(function, "start", start))
    if start >= size:
        raise ValueError(f"{function}: start is {start}; it needs to be below N = {size}")
    return start
