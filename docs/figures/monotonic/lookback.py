"""Figures of attention that looks back from where a pointer stops."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.monotonic.infinite_lookback_weights import infinite_lookback_weights
from attlas_ref.monotonic.mocha_attention import mocha_attention
from attlas_ref.monotonic.mocha_weights import mocha_weights
from attlas_ref.monotonic.monotonic_alignment import monotonic_alignment
from attlas_ref.monotonic.monotonic_energy import monotonic_energy
from attlas_ref.monotonic.monotonic_multihead_attention import monotonic_multihead_attention
from attlas_ref.monotonic.moving_sum import moving_sum

from ..panels import draw_maps
from ..style import line
from .spoken import HEAD, PATH, Reals, reading

POINTER = {"score": "dot", "g": 12.0, "r": -8.5}
NOISE = 0.5
SOFT = 4.0
"""Factor of the cosines that are the energies of the soft reading."""


def _parts() -> tuple[Reals, Reals, list[str], list[str]]:
    """The expected stops, the energies of the soft reading, and the words."""
    text = reading(NOISE)
    p = monotonic_energy(text.query, text.key, return_probability=True, **POINTER)
    return monotonic_alignment(p), SOFT * text.query @ text.key.T, text.said, text.written


def _chunks(figure: Figure) -> str:
    alignment, energy, said, written = _parts()
    panels = [
        ("the stop itself" if w == 1 else f"the last {w} words", mocha_weights(alignment, energy, chunk_size=w))
        for w in (1, 2, 4)
    ]
    draw_maps(figure, panels, said, written)
    return (
        "From where the pointer stops the reader looks back at a chunk of words, and weighs them by energies of their "
        f"own. Every row keeps its sum; nothing lies to the right of the stops. {HEAD}"
    )


def _mocha(figure: Figure) -> str:
    text = reading(NOISE)
    value, chunk = np.eye(len(text.key)), {"chunk_size": 3, "energy": SOFT * text.query @ text.key.T}
    panels = [
        ("expected", mocha_attention(text.query, text.key, value, **chunk, **POINTER)),
        ("hard", mocha_attention(text.query, text.key, value, hard=True, **chunk, **POINTER)),
    ]
    draw_maps(figure, panels, text.said, text.written)
    return (
        "Chunks of three words behind the pointer, in training (left) and in use (right): there every row is one "
        f"softmax over at most three words. {HEAD}"
    )


def _lookback(figure: Figure) -> str:
    alignment, energy, said, written = _parts()
    panels = [
        ("expected stops", alignment),
        ("weights, energies 0", infinite_lookback_weights(alignment, 0 * energy)),
        ("weights, real energies", infinite_lookback_weights(alignment, energy)),
    ]
    draw_maps(figure, panels, said, written)
    return (
        "The stop says how much has been read; all of that may be used. With equal energies the weight spreads over "
        f"what has been read; with real ones the words that are said come out. {HEAD}"
    )


def _moving(figure: Figure) -> str:
    alignment, _, said, written = _parts()
    axes = figure.subplots()
    row, at = alignment[6], np.arange(len(written))
    shown = {
        "x": row,
        "back = 3, forward = 1": moving_sum(row, back=3, forward=1),
        "back = 1, forward = 3": moving_sum(row, back=1, forward=3),
    }
    for index, (label, values) in enumerate(shown.items()):
        axes.plot(at, values, marker="osD"[index], label=label, **line(index))
    axes.set_xticks(at, written)
    axes.set(title=f'expected stops for "{said[6]}", and sums of three of them', ylabel="sum", ylim=(0, 1.02))
    axes.grid(axis="y", linewidth=0.5)
    axes.legend(loc="upper right")
    return (
        "A window that ends at a word collects what came before it and spreads to the right; one that begins there "
        f"spreads to the left. Each is the transpose of the other. {HEAD}"
    )


def _heads(figure: Figure) -> str:
    text = reading(NOISE)
    query, key = (np.stack([array] * 2) for array in (12 * text.query, text.key))
    query = np.concatenate([query, np.broadcast_to(np.array([-6.0, -9.5])[:, None, None], (*query.shape[:2], 1))], -1)
    key = np.concatenate([key, np.ones((*key.shape[:2], 1))], -1)  # an offset of its own for each head
    run = monotonic_multihead_attention(
        query, key, key, scale=1.0, streaming=True, return_reads=True, return_alignment=True
    )
    panels = [("soon content: stays behind", run.alignment[0]), ("choosy: runs ahead", run.alignment[1])]
    all_axes = draw_maps(figure, panels, text.said, text.written)
    for axes in all_axes:
        axes.step(np.append(run.reads, run.reads[-1]), np.arange(len(run.reads) + 1), where="pre", color=PATH)
    return (
        "Two pointers in use. The words left of the line must have been heard before a row can be said: the head that "
        f"is furthest ahead decides. {HEAD}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "mocha_weights": _chunks,
    "mocha_attention": _mocha,
    "infinite_lookback_weights": _lookback,
    "moving_sum": _moving,
    "monotonic_multihead_attention": _heads,
}
