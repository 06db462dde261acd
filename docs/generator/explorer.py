"""The data of the explorer: weights of real heads at every stop of a parameter, made by the reference.

A weight is one byte, so that a few hundred thousand of them stay small. Byte 0 is an exact zero, which sparse
formulations are about; the others are `low + (1 − low) (byte − 1) / 254` for the range [low, 1], low being 0 or −1. The
sum of each row is kept besides, in two bytes: it could not be had from rounded weights.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from figures.general import LAYER_HEAD, SENTENCE
from figures.style import SIGNED, WEIGHTS
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from attlas_ref.data import alice
from attlas_ref.records import Record, find

from .dials import DIALS, PLAIN, Dial, Reals

LEVELS = 255
"""Bytes that stand for a number; one more stands for 0."""
WORD = 10
"""The word that asks first: *her*."""
SHADES = 64
"""Colors that a map is shown in."""
SUM_UNIT = 2.0**-11
"""What the last bit of a sum counts: sums reach 16, more than 15 words of weight 1."""


def write_data(folder: Path) -> None:
    """Write `index.js`, what there is to choose from, and one file of weights per dial."""
    folder.mkdir(parents=True, exist_ok=True)
    query, key = heads()
    plain = PLAIN(query, key, 1.0)[..., None]
    index = {
        "words": alice().tokens[SENTENCE].tolist(),
        "layers": query.shape[0],
        "heads": query.shape[1],
        "start": {"layer": LAYER_HEAD[0], "head": LAYER_HEAD[1], "word": WORD},
        "colors": {"weights": colors(WEIGHTS), "signed": colors(SIGNED)},
        "plain": packed(plain, low=0.0),
        "dials": [about(dial) for dial in DIALS],
    }
    _write(folder / "index.js", f"const EXPLORER = {json.dumps(index, ensure_ascii=False)};\nEXPLORER.data = {{}};")
    for dial in DIALS:
        content = packed(weights(dial), low=lowest(dial))
        _write(folder / f"{dial.slug}.js", f"EXPLORER.data[{json.dumps(dial.slug)}] = {json.dumps(content)};")


def _write(path: Path, content: str) -> None:
    path.write_text(content + "\n", encoding="utf-8")


def heads() -> tuple[Reals, Reals]:
    """Return the queries and keys of every head on the explorer's words, (6, 12, 15, 32) each."""
    query, key = (np.asarray(x[..., SENTENCE, :], dtype=np.float64) for x in alice()[:2])
    return query, key


def weights(dial: Dial) -> Reals:
    """Return the weights at every stop, (layers, heads, m, n, stops)."""
    return np.stack([dial.weigh(*heads(), stop) for stop in dial.stops], axis=-1)


def lowest(dial: Dial) -> float:
    """Return the least weight that a dial's bytes can hold."""
    return -1.0 if dial.signed else 0.0


def about(dial: Dial) -> dict[str, Any]:
    """Return what the page shows of a dial, and what it needs to unpack the weights."""
    record = find(dial.name)
    return {
        "slug": dial.slug,
        "title": dial.title,
        "page": f"{_page(dial)}.html",
        "name": dial.name,
        "formula": record.formula,
        "parameter": dial.parameter,
        "stops": dial.stops,
        "start": dial.stops.index(dial.start),
        "says": dial.says,
        "low": lowest(dial),
    }


def colors(name: str) -> list[str]:
    """Return a color map as colors from its low to its high end."""
    return [to_hex(color) for color in colormaps[name](np.linspace(0, 1, SHADES))]


def largest_error(dial: Dial) -> float:
    """Return how much a weight may be off for being one byte: half a step."""
    return (1.0 - lowest(dial)) / (LEVELS - 1) / 2


def contents() -> str:
    """Return the list of what can be moved, each entry with an address of its own."""
    return "\n".join(
        f'- <a id="{dial.slug}" href="#{dial.slug}">{dial.title}</a>: [`{dial.name}`]({_page(dial)}.md), '
        f"`{dial.parameter}` from {dial.stops[0]:g} to {dial.stops[-1]:g}.".replace(" -", " −")
        for dial in DIALS
    )


def ways(record: Record) -> str:
    """Return links from the page of a formulation to its dials, or nothing where it has none."""
    dials = [dial for dial in DIALS if dial.name == record.name]
    return "".join(f", [move its {dial.parameter}](../../explorer.md#{dial.slug})" for dial in dials)


def _page(dial: Dial) -> str:
    return f"atlas/{find(dial.name).family}/{dial.name}"


def packed(numbers: NDArray[Any], low: float) -> str:
    """Return weights (..., n, stops) and their sums over n as text: differences along the stops, deflated."""
    if not (low <= numbers.min() and numbers.max() <= 1 + 1e-9):
        raise ValueError(f"weights reach from {numbers.min()} to {numbers.max()}, bytes from {low} to 1")
    levels = np.rint((numbers - low) / (1 - low) * (LEVELS - 1)).astype(np.uint8) + np.uint8(1)
    levels[numbers == 0] = 0
    sums = np.rint(numbers.sum(axis=-2) / SUM_UNIT).astype("<i2")
    content = b"".join(_differences(part).tobytes() for part in (levels, sums))
    deflate = zlib.compressobj(level=9, wbits=-15)
    return base64.b64encode(deflate.compress(content) + deflate.flush()).decode("ascii")


def _differences(levels: NDArray[Any]) -> NDArray[Any]:
    """Return the first stop and the steps from each to the next, which wrap around: neighbors are much alike."""
    return np.diff(levels, axis=-1, prepend=np.zeros_like(levels[..., :1]))
