r"""Multi-query associative recall: the task that tells attention from its substitutes.

A list of pairs comes first, key after value after key; then the keys come back one by one, at odd moments, and the
model has to answer each with its value. Attention solves it with one lookup per query, at any length. A recurrent model
has to carry all pairs in its state, so the task shows how much a state of a given size can hold: much of what separates
such models from transformers on real text is this.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract.options import Integer, Number
from ..contract.utilities import check_labels

Whole = NDArray[np.int64]
_COUNT = Integer(low=1)
IGNORED = -100
"""The label of positions that are not judged, as the cross entropy of PyTorch has it."""


class RecallTask(NamedTuple):
    """Sequences and what is to be said at each position."""

    inputs: Any
    labels: Any


class RecallDraws(NamedTuple):
    """Pairs of tokens and when each is asked for."""

    keys: Any
    values: Any
    gaps: Any


def mqar_task(keys: Any, values: Any, gaps: Any, *, seq_len: int, num_passes: int = 1) -> RecallTask:
    r"""Write pairs at the head of a sequence, and ask for each of them later.

    $$x_{2t} = \mathrm{key}_t, \quad x_{2t+1} = \mathrm{value}_t, \qquad
      x_{c + 2 g_t} = \mathrm{key}_t, \quad y_{c + 2 g_t} = \mathrm{value}_t, \qquad
      c = 2 K \cdot \mathrm{num\_passes}$$

    Parameters
    ----------
    keys, values : (N, K) integer arrays
        K pairs for each of N sequences, at least 0; no key twice in a row.
    gaps : (N, K) integer array
        $g_t$: when pair t is asked for, in steps of two places behind the list; no gap twice in a row.
    seq_len : int
        L, even, with room for the list and for every query.
    num_passes : int, default 1
        How often the list is written.

    Returns
    -------
    inputs : (N, L) integer array
        0 where nothing stands.
    labels : (N, L) integer array
        -100 where nothing is asked.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, `seq_len` is odd or too short, or a key or gap is repeated in a row.

    Notes
    -----
    Cost: O(N L). `mqar_draws` draws keys, values and gaps. Unlike the official code there is no random filler.

    References
    ----------
    Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models", 2023, arXiv 2312.04927.

    Examples
    --------
    >>> inputs, labels = mqar_task([[1, 2]], [[8, 9]], [[1, 0]], seq_len=8)
    >>> inputs, labels
    (array([[1, 8, 2, 9, 2, 0, 1, 0]]), array([[-100, -100, -100, -100,    9, -100,    8, -100]]))
    """
    function = "mqar_task"
    seq_len = _COUNT.check(function, "seq_len", seq_len)
    num_passes = _COUNT.check(function, "num_passes", num_passes)
    keys, values, gaps = (
        check_labels(function, name, array, "(N, K)", rank=2)
        for name, array in (("keys", keys), ("values", values), ("gaps", gaps))
    )
    for name, array in (("values", values), ("gaps", gaps)):
        if array.shape != keys.shape:
            raise ValueError(f"{function}: {name} has shape {array.shape} and keys {keys.shape}; both need (N, K)")
    count, pairs = keys.shape
    listed = 2 * pairs * num_passes  # c
    room = (seq_len - listed) // 2
    if seq_len % 2 or room < pairs:
        raise ValueError(f"{function}: seq_len is {seq_len}; it needs an even number of at least {listed + 2 * pairs}")
    if gaps.max(initial=-1) >= room:
        raise ValueError(f"{function}: gaps holds {gaps.max()}; it needs numbers below {room}, to end within seq_len")
    for name, array in (("keys", keys), ("gaps", gaps)):
        if (np.diff(np.sort(array, axis=-1), axis=-1) == 0).any():
            raise ValueError(f"{function}: {name} repeats a number in a row; it needs each once")

    inputs, labels = np.zeros((count, seq_len), dtype=np.int64), np.full((count, seq_len), IGNORED)
    inputs[:, 0:listed:2] = np.tile(keys, num_passes)
    inputs[:, 1:listed:2] = np.tile(values, num_passes)
    np.put_along_axis(inputs, listed + 2 * gaps, keys, axis=-1)
    np.put_along_axis(labels, listed + 2 * gaps, values, axis=-1)
    return RecallTask(inputs, labels)


def mqar_draws(
    rng: np.random.Generator,
    num_examples: int,
    *,
    vocab_size: int,
    seq_len: int,
    num_pairs: int,
    power: float = 0.01,
    num_passes: int = 1,
) -> RecallDraws:
    r"""Draw the pairs of `mqar_task` and when they are asked for.

    $$P(g = x - 1) \propto \mathrm{power} \cdot x^{\mathrm{power} - 1}, \qquad x = 1, \dots, (L - c)/2$$

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the numbers.
    num_examples : int
        N, how many sequences.
    vocab_size : int
        V, above `seq_len`: keys lie in 1..V/2 - 1, values in V/2..V - 1.
    seq_len : int
        L, even, with room for the list and for every query.
    num_pairs : int
        K.
    power : float, default 0.01
        Above 0; below 1 most pairs are asked for early, at 1 all moments are equal.
    num_passes : int, default 1
        How often the list is written.

    Returns
    -------
    keys, values, gaps : (N, K) integer arrays
        No number twice in a row of any of them.

    Raises
    ------
    ValueError, TypeError
        If `rng` is no generator, a number is out of range, or there is no room.

    Notes
    -----
    Cost: O(N V). Twins are compared on `mqar_task`, which takes the draws.

    References
    ----------
    Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models", 2023, arXiv 2312.04927.

    Examples
    --------
    >>> draws = mqar_draws(np.random.default_rng(0), 1, vocab_size=20, seq_len=12, num_pairs=3)
    >>> mqar_task(*draws, seq_len=12).inputs
    array([[ 8, 19,  5, 18,  6, 10,  6,  0,  5,  0,  8,  0]])
    """
    function = "mqar_draws"
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{function}: rng is {type(rng).__name__}; it needs a numpy.random.Generator")
    num_examples = Integer(low=0).check(function, "num_examples", num_examples)
    vocab_size, seq_len = _COUNT.check(function, "vocab_size", vocab_size), _COUNT.check(function, "seq_len", seq_len)
    num_pairs, num_passes = (
        _COUNT.check(function, "num_pairs", num_pairs),
        _COUNT.check(function, "num_passes", num_passes),
    )
    power = Number(low=0.0, open_low=True).check(function, "power", power)
    if vocab_size <= seq_len:
        raise ValueError(f"{function}: vocab_size is {vocab_size}; it needs to be above seq_len = {seq_len}")
    listed = 2 * num_pairs * num_passes
    room = (seq_len - listed) // 2
    if seq_len % 2 or room < num_pairs:
        need = listed + 2 * num_pairs
        raise ValueError(f"{function}: seq_len is {seq_len}; it needs an even number of at least {need}")

    x = np.arange(1, room + 1)
    odds = power * x ** (power - 1.0)
    half = vocab_size // 2
    rows = range(num_examples)

    def table(drawn: list[Any]) -> Whole:
        return np.array(drawn, dtype=np.int64).reshape(num_examples, num_pairs)

    keys = table([rng.choice(np.arange(1, half), num_pairs, replace=False) for _ in rows])
    values = table([rng.choice(np.arange(half, vocab_size), num_pairs, replace=False) for _ in rows])
    gaps = table([rng.choice(room, num_pairs, replace=False, p=odds / odds.sum()) for _ in rows])
    return RecallDraws(keys, values, gaps)
