"""What the explorer lets its reader move: a formulation, one of its parameters, and the stops of the slider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import attlas_ref

Reals = NDArray[np.float64]
Weigh = Callable[[Reals, Reals, float], Reals]
"""Weights from queries, keys and the parameter."""


@dataclass(frozen=True)
class Dial:
    """One formulation with one parameter to move."""

    title: str
    name: str
    """The formulation."""
    parameter: str
    stops: tuple[float, ...]
    start: float
    """The stop at which the slider stands first: the default, where there is one."""
    says: str
    """What moving it does, in a sentence or two."""
    weigh: Weigh
    signed: bool = False
    """Whether weights may be negative, down to −1."""

    @property
    def slug(self) -> str:
        """A name for files and addresses."""
        return f"{self.name}-{self.parameter.replace(' ', '-')}"


def _option(name: str, parameter: str, **others: Any) -> Weigh:
    """Return the weights of a formulation of which one option is the parameter."""
    reference = getattr(attlas_ref, name)

    def weigh(query: Reals, key: Reals, value: float) -> Reals:
        weights: Reals = reference(query, key, key, return_weights=True, **{parameter: value}, **others).weights
        return weights

    return weigh


def _distance(query: Reals, key: Reals) -> Reals:
    """Return how many words lie between, |i − j|."""
    words = np.arange(query.shape[-2])
    return np.abs(words[:, None] - words[: key.shape[-2]]).astype(float)


def _windowed(query: Reals, key: Reals, window: float) -> Reals:
    near = _distance(query, key) <= window
    weights: Reals = attlas_ref.softmax_attention(query, key, key, mask=near, return_weights=True).weights
    return weights


def _sloped(query: Reals, key: Reals, slope: float) -> Reals:
    bias = -slope * _distance(query, key)
    weights: Reals = attlas_ref.softmax_attention(query, key, key, bias=bias, return_weights=True).weights
    return weights


def _even(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(np.round(np.arange(first, last + step / 2, step), 6).tolist())


def _ratios(first: float, last: float, number: int = 21) -> tuple[float, ...]:
    """Return stops of a constant ratio, each rounded to two digits."""
    return tuple(float(f"{stop:.2g}") for stop in np.geomspace(first, last, number))


def _dial(
    title: str, name: str, parameter: str, stops: Sequence[float | int], start: float, says: str, **others: Any
) -> Dial:
    signed = others.pop("signed", False)
    return Dial(title, name, parameter, tuple(stops), start, says, _option(name, parameter, **others), signed)


PLAIN = _option("softmax_attention", "temperature")
"""What every formulation is compared with, at temperature 1."""

DIALS: tuple[Dial, ...] = (
    _dial(
        "Softmax, its temperature",
        "softmax_attention",
        "temperature",
        _ratios(0.1, 10),
        1.0,
        "Scores are divided by the temperature. Low: the best key takes all. High: every word gets the same.",
    ),
    _dial(
        "Entmax, from softmax to sparsemax",
        "entmax_attention",
        "alpha",
        _even(1, 3, 0.1),
        1.5,
        "At 1 it is the softmax, at 2 the sparsemax. The higher, the more words have a weight of exactly 0.",
    ),
    _dial(
        "Hopfield retrieval, its inverse temperature",
        "hopfield_attention",
        "beta",
        _ratios(0.018, 1.8),
        0.18,
        "Three steps. Low: all keys blur into one mean, and each step blurs more. High: the pattern settles on a key.",
        steps=3,
    ),
    _dial(
        "Hopfield retrieval, its steps",
        "hopfield_attention",
        "steps",
        range(1, 13),
        1,
        "One step is softmax attention. Each further step puts the keys just read in the place of the query.",
    ),
    _dial(
        "Iterative attention, its steps",
        "iterative_attention",
        "steps",
        range(13),
        1,
        "Each step moves the query halfway to what it reads, then reads again. At 0 it is softmax attention.",
        step_size=0.5,
    ),
    Dial(
        "Softmax in a window",
        "softmax_attention",
        "window",
        tuple(float(width) for width in range(15)),
        2.0,
        "A mask hides every word that is further away than the window. What is left shares the whole weight.",
        _windowed,
    ),
    Dial(
        "Softmax with a penalty for distance",
        "softmax_attention",
        "slope",
        _even(0, 2, 0.1),
        0.5,
        "A bias takes the slope off the score for each word in between, as in ALiBi (Press et al., arXiv 2108.12409).",
        _sloped,
    ),
    _dial(
        "Top k of the softmax",
        "topk_softmax_attention",
        "top_k",
        range(1, 16),
        3,
        "Only the k best keys share the weight. A key comes in all at once, so the choice has no gradient.",
    ),
    _dial(
        "Sigmoid, its offset",
        "sigmoid_attention",
        "offset",
        _even(-8, 4, 0.5),
        -2.5,
        "Each word is weighed alone, so the sum is free. The default, −log n, is −2.7 for these 15 words.",
    ),
    _dial(
        "Softmax plus n",
        "softmax_plus_n_attention",
        "extra",
        (0.0, *_ratios(0.1, 1000)),
        1.0,
        "A constant joins the denominator, so a row may add up to less than 1: a word can look at nothing.",
    ),
    _dial(
        "Cosine, its scale",
        "cosine_attention",
        "scale",
        _even(0, 40, 2),
        10.0,
        "Lengths are divided out: scores lie between −scale and scale, so the scale bounds how sharp a row can be.",
    ),
    _dial(
        "Softcap",
        "softcapped_attention",
        "cap",
        _ratios(0.25, 25),
        2.5,
        "Scores are bent into (−cap, cap). A high cap changes nothing; a low one makes all words nearly equal.",
    ),
    _dial(
        "Squared distance",
        "distance_attention",
        "scale",
        _ratios(0.009, 0.9),
        0.09,
        "A Gaussian around the query: the higher the scale, the narrower. Near keys win, long ones have no advantage.",
    ),
    _dial(
        "Sparse distributed memory",
        "sdm_continuous_attention",
        "cap_cosine",
        _even(0, 0.9, 0.1),
        0.5,
        "Two caps on a sphere, around query and key, overlap. The higher this cosine, the smaller the caps.",
    ),
    _dial(
        "Sinkhorn, its temperature",
        "sinkhorn_attention",
        "epsilon",
        _ratios(0.1, 10),
        1.0,
        "Every word must be read as much as any other, by all together. Low: each reads one word, and no two the same.",
    ),
    _dial(
        "Cog, weights of both signs",
        "cog_attention",
        "scale",
        _even(0, 1, 0.05),
        0.2,
        "A word with a negative score is subtracted. The softmax of the sizes of the scores says how much each counts.",
        signed=True,
    ),
)
