"""The figure of every formulation that turns queries and keys into weights: two real heads over real words."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.contract import Choice, Flag, Integer, Number
from attlas_ref.data import alice
from attlas_ref.records import Record

from .panels import draw_maps

HEADS = ((1, 4), (3, 1))
"""(layer, head), counted from 0: one that looks for the next noun, one that looks for whom a word is about."""
SENTENCE = slice(1, 16)
"""The first clause of the text."""
LAYER_HEAD = HEADS[1]
"""The head that most figures show."""
ALL = slice(0, None)
WORDS = slice(1, -1)
"""All but the marks at the two ends, which draw much attention to themselves."""
TEXT = "all-MiniLM-L6-v2 reading Alice's Adventures in Wonderland"
SOURCE = "all-MiniLM-L6-v2 reading the first words of Alice's Adventures in Wonderland"


class Head(NamedTuple):
    """One real head on a stretch of the text."""

    query: NDArray[np.float64]
    key: NDArray[np.float64]
    value: NDArray[np.float64]
    words: list[str]


def real_head(layer: int, head: int, stretch: slice = SENTENCE) -> Head:
    """Return a head of the shipped transformer, as float64."""
    heads = alice()
    query, key, value = (np.asarray(x[layer, head, stretch], dtype=np.float64) for x in heads[:3])
    return Head(query, key, value, heads.tokens[stretch].tolist())


def required_options(record: Record) -> dict[str, Any]:
    """Return a value for each option that has no default: the geometric middle of the range that tests draw from."""
    parameters = record.python_signature.parameters
    return {
        name: _middle(option)
        for name, option in record.options.items()
        if parameters[name].default is parameters[name].empty
    }


def _middle(option: Any) -> Any:
    match option:
        case Number(draw=(low, high)):
            return float(np.sqrt(low * high)) if low > 0 else (low + high) / 2
        case Integer(draw=(low, high)):
            return (low + high) // 2
        case Flag():
            return True
        case Choice(values=values):
            return values[0]
    raise LookupError(f"no value to show for a {type(option).__name__}")


def weights_of(record: Record, head: Head, **options: Any) -> NDArray[np.float64]:
    """Return the weight matrix of a formulation on a head."""
    options = {**required_options(record), **options}
    if record.returns_weights:
        weights: NDArray[np.float64] = record.reference(*head[:3], return_weights=True, **options).weights
        return weights
    # Where the output is linear in the values, unit vectors as values bring out the weights.
    output: NDArray[np.float64] = record.reference(head.query, head.key, np.eye(len(head.key)), **options)
    return output


def weights_of_real_heads(record: Record) -> Callable[[Figure], str]:
    """Return the general figure for a record.

    Raises
    ------
    LookupError
        If the formulation does not map queries, keys and values to an output.
    """
    if record.signature != "(m,d),(n,d),(n,e)->(m,e)":
        raise LookupError(f"{record.name} needs a figure of its own in docs/figures/{record.family}")

    def draw(figure: Figure) -> str:
        return draw_heads(figure, [(f"layer {layer}, head {head}", record, (layer, head), {}) for layer, head in HEADS])

    return draw


def draw_heads(figure: Figure, panels: list[tuple[str, Record, tuple[int, int], Mapping[str, Any]]]) -> str:
    """Draw one heat map per panel (title, record, head, options) on a common scale; return the caption."""
    maps = [(title, weights_of(record, real_head(*head), **options)) for title, record, head, options in panels]
    draw_maps(figure, maps, real_head(*panels[0][2]).words)
    return f"Each row shows how much one word takes from every word. {SOURCE}."
