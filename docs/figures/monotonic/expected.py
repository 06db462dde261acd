"""Figures of monotonic alignments, on a real sentence that is read aloud."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.monotonic.mass_preservation import mass_preservation
from attlas_ref.monotonic.monotonic_alignment import monotonic_alignment
from attlas_ref.monotonic.monotonic_alignment_vjp import monotonic_alignment_vjp
from attlas_ref.monotonic.monotonic_attention import monotonic_attention
from attlas_ref.monotonic.monotonic_energy import monotonic_energy
from attlas_ref.monotonic.monotonic_hard_alignment import monotonic_hard_alignment
from attlas_ref.monotonic.sampled_monotonic_alignment import sampled_monotonic_alignment

from ..panels import draw_maps
from ..style import LINES, SIGNED, color_scale, line, show_weights
from . import lookback
from .spoken import HEAD, Reading, Reals, along_path, reading

GAIN, OFFSET = 12.0, -8.5
"""With these the pointer stops at a word that it hears, and rarely elsewhere."""
NOISE = 0.5


def probabilities(text: Reading, offset: float = OFFSET) -> Reals:
    """The probability to stop at each written word, for each word that is said."""
    return monotonic_energy(text.query, text.key, score="dot", g=GAIN, r=offset, return_probability=True)


def _energy(figure: Figure) -> str:
    text = reading(NOISE)
    panels = [(f"r = {offset:g}", probabilities(text, offset)) for offset in (-4.0, -8.5, -11.0)]
    draw_maps(figure, panels, text.said, text.written, label="probability to stop")
    return (
        "The probability that a pointer stops at a written word (column) when it hears a said one (row). Each pair is "
        f"judged by itself, so the offset r decides how choosy the pointer is. {HEAD}"
    )


def _alignment(figure: Figure) -> str:
    text = reading(NOISE)
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, monotonic_alignment(probabilities(text)), text.said, "expected stops", keys=text.written)
    color_scale(figure, mesh, left, "probability")
    sizes = np.arange(1, 41)
    kept: dict[str, list[float]] = {"exact": [], "at least 1e-10": [], "at least 1e-6": []}
    for n in sizes:
        p, start = np.full((1, n), 0.95), np.full(n, 1 / n)
        for name, eps in zip(kept, (0.0, 1e-10, 1e-6), strict=True):
            kept[name].append(float(monotonic_alignment(p, previous=start, method="parallel", eps=eps).sum()))
    for index, (name, values) in enumerate(kept.items()):
        right.plot(sizes, values, label=name, **line(index))
    right.set(title="mass that is kept in one row, p = 0.95", xlabel="number of keys", ylabel="sum of the row",
              ylim=(0, 1.02))  # fmt: skip
    right.legend(loc="upper right", bbox_to_anchor=(1, 0.95), title="products")
    return (
        "Left: where the pointer stops for each said word. It waits where a word is repeated, and skips what is not "
        "said. Right: the closed form with clamped products, as public code has it, loses what stood behind the first "
        f"few keys. {HEAD}"
    )


def _gradient(figure: Figure) -> str:
    text = reading(NOISE)
    p = probabilities(text)
    wanted = np.zeros_like(p)
    wanted[5, 4] = 1
    gradient = monotonic_alignment_vjp(p, wanted).grad_p_choose
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, p, text.said, "probability to stop", keys=text.written)
    color_scale(figure, mesh, left, "probability")
    bound = float(np.abs(gradient).max())
    mesh = show_weights(right, gradient, text.said, f"gradient of stop ({text.said[5]}, {text.written[4]})",
                        keys=text.written, limits=(-bound, bound), map_=SIGNED, label_queries=False)  # fmt: skip
    color_scale(figure, mesh, right, "gradient")
    return (
        "Who is to be thanked for one stop? Earlier rows too: had the pointer run past the word in one of them, it "
        f"could not stop there now. Rows below have no say. {HEAD}"
    )


def _hard(figure: Figure) -> str:
    text = reading(NOISE)
    p = probabilities(text)
    all_axes = draw_maps(figure, [(f"threshold {t:g}", p) for t in (0.5, 0.95)], text.said, text.written,
                         label="probability to stop")  # fmt: skip
    for axes, threshold in zip(all_axes, (0.5, 0.95), strict=True):
        index = monotonic_hard_alignment(p, threshold=threshold, return_index=True).index
        along_path(axes, np.where(index < p.shape[-1], index, np.nan))
    return (
        "The pointer in use: it takes the first word from the last stop on whose probability reaches the threshold. "
        f"Where it is too choosy it runs off the end, and reads nothing more. {HEAD}"
    )


def _sampled(figure: Figure) -> str:
    text = reading(NOISE)
    p, count = probabilities(text, OFFSET + 1), 500
    draws = np.random.default_rng(0).random((count, *p.shape))
    found = sampled_monotonic_alignment(np.broadcast_to(p, draws.shape), uniform=draws, return_index=True)
    panels = [
        ("five runs", np.zeros_like(p)),
        (f"mean of {count} runs", found.alignment.mean(axis=0)),
        ("expected alignment", monotonic_alignment(p)),
    ]
    all_axes = draw_maps(figure, panels, text.said, text.written, label="share of stops")
    for run, index in enumerate(found.index[:5]):
        shifted = np.where(index < p.shape[-1], index + 0.1 * (run - 2), np.nan)
        along_path(all_axes[0], shifted, color=(*LINES, "#bbbbbb")[run])
    return (
        "The pointer throws a coin at each word. Single runs differ, their mean is the expected alignment, which is "
        f"computed without any run. {HEAD}"
    )


def _attention(figure: Figure) -> str:
    text = reading(2 * NOISE)
    value = np.eye(len(text.key))
    pointer = {"score": "dot", "g": GAIN, "r": OFFSET, "mass_preservation": True}
    panels = [
        ("softmax", softmax_attention(text.query, text.key, value, scale=GAIN, return_weights=True).weights),
        ("monotonic, expected", monotonic_attention(text.query, text.key, value, **pointer)),
        ("monotonic, hard", monotonic_attention(text.query, text.key, value, hard=True, **pointer)),
    ]
    draw_maps(figure, panels, text.said, text.written)
    return (
        "A noisy recording. Softmax attention looks for each word wherever it may be. The pointer only moves forward, "
        "and waits as long as the word under it fits well enough: it is never thrown back, but slow to move on. "
        f"{HEAD}"
    )


def _preserved(figure: Figure) -> str:
    text = reading(NOISE)
    before = monotonic_alignment(probabilities(text, -10.0))
    panels = [("expected stops", before), ("the last word takes the rest", mass_preservation(before))]
    draw_maps(figure, panels, text.said, text.written, label="probability")
    return (
        "A choosy pointer passes words and runs off the end: the rows on the left fade. On the right the last word "
        f"takes what is missing, as if the pointer stopped there. {HEAD}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "monotonic_energy": _energy,
    "monotonic_alignment": _alignment,
    "monotonic_alignment_vjp": _gradient,
    "monotonic_hard_alignment": _hard,
    "sampled_monotonic_alignment": _sampled,
    "monotonic_attention": _attention,
    "mass_preservation": _preserved,
    **lookback.FIGURES,
}
