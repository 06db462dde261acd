"""Figures of attention by place alone: steps along the keys, at any length."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.monotonic.bidirectional_encoding import bidirectional_encoding
from attlas_ref.monotonic.location_attender import location_attender
from attlas_ref.monotonic.monotonic_location_attention import monotonic_location_attention
from attlas_ref.monotonic.relative_position_cross_attention import relative_position_cross_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import WEIGHTS, color_scale, line

Reals = NDArray[np.float64]
LENGTHS = (8, 32)


def _constant(r: float) -> dict[str, Any]:
    """A locator whose bell is narrow and whose step comes of the number r."""
    silent = {"w_state": np.zeros((1, 1)), "b_state": np.ones(1), "w_sigma": np.zeros(1), "w_rho": np.array([r])}
    return {**silent, "return_weights": True, "return_position": True}


def _map(axes: Axes, weights: Reals, title: str) -> Any:
    mesh = axes.pcolormesh(weights, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set(title=title, xlabel="key")
    axes.spines[:].set_visible(False)
    return mesh


def _monotonic(figure: Figure) -> str:
    short, long, lines = figure.subplots(1, 3)
    for axes, n in zip((short, long), LENGTHS, strict=True):
        weights = monotonic_location_attention(np.zeros((n, 1)), np.zeros((n, 1)), **_constant(9.0)).weights
        mesh = _map(axes, weights, f"{n} keys")
    short.set_ylabel("step")
    color_scale(figure, mesh, [short, long], "weight", below=True)
    n = LENGTHS[1]
    kinds = (("sigmoid", 0.08), ("relu", 1.7), ("softstair", 2.3), ("free", -0.8))
    for index, (step, r) in enumerate(kinds):
        start = np.array(0.6 if r < 0 else 0.0)
        call = _constant(r) | {"step": step, "previous": start}
        place = monotonic_location_attention(np.zeros((12, 1)), np.zeros((n, 1)), **call).position * (n - 1)
        lines.plot(
            np.arange(1, 13), place, marker="os^D"[index], markersize=4, label=f"{step}, r = {r:g}", **line(index)
        )
    lines.set(title=f"kinds of steps, {n} keys", xlabel="step", ylabel="mean place in keys", ylim=(0, n + 8))
    lines.legend()
    return (
        "A locator that always goes on by one key copies 8 words and 32 with the same parameters. Right: how the kinds "
        "of steps turn one number r into a walk; only a free one goes back. Narrow bells snap to whole keys."
    )


def _attender(figure: Figure) -> str:
    both = figure.subplots(1, 2)
    for axes, n in zip(both, LENGTHS, strict=True):
        query = np.eye(2)[(np.arange(n) > 0).astype(int)]  # the first step knows that it is the first
        weights = location_attender(
            query, np.zeros((n, 1)), w_state=np.eye(2), b_state=np.zeros(2), w_sigma=np.zeros(2),
            w_rho=np.array([[0.0, 30.0], [-1.2, 0.0]]), return_weights=True,
        ).weights  # fmt: skip
        mesh = _map(axes, weights, f"{n} keys")
    both[0].set_ylabel("step")
    color_scale(figure, mesh, both, "weight")
    return (
        "To the end at first, then back by one key at a time: the same parameters reverse sequences of 8 and of 32. "
        "Steps are whole keys up to a 400th, and the place of the weights, which is fed back, snaps to the key."
    )


def _relative(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    d = query.shape[-1]
    near = np.zeros((16, d))
    near[1::2, 0] = (5.0, 5.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0)  # cosines, fast waves first: largest at the distance 0
    bias = np.zeros(d)
    bias[0] = 1.0
    panels = []
    for title, weight in (("contents alone", 0.0 * near), ("and a liking for the near", near)):
        _, weights = relative_position_cross_attention(
            query, key, value, w_position=weight, content_bias=np.zeros(d),
            position_bias=bias, return_weights=True,
        )  # fmt: skip
        panels.append((title, weights))
    draw_maps(figure, panels, words)
    return (
        "Left: softmax attention of a real head. Right: the same with a position bias that likes the cosines of small "
        f"distances, so that weights gather along the diagonal. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _bidirectional(figure: Figure) -> str:
    _, _, value, words = real_head(*LAYER_HEAD)
    direction = value / np.linalg.norm(value, axis=-1, keepdims=True)
    panels = []
    for gate in (1.0, 0.5, 0.0):
        mixed = bidirectional_encoding(direction, np.array(gate))
        panels.append((f"g = {gate:g}", np.abs(mixed @ direction.T)))
    axes = draw_maps(figure, panels, words, label="size of the dot product")
    axes[0].set_ylabel("row of the mixture")
    for each in axes:
        each.set_xlabel("word")
    return (
        "Dot products of each row of the mixed encoding with the words: as it was, with as much of its reversal, and "
        f"reversed. Values of {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "monotonic_location_attention": _monotonic,
    "location_attender": _attender,
    "relative_position_cross_attention": _relative,
    "bidirectional_encoding": _bidirectional,
}
