"""Figures of attention by polynomials: the error beside its bound, where the low-rank form pays, kernels and gates."""

import math
import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attlas_ref.kronecker.fastmax_attention import fastmax_attention, fastmax_attention_vjp, truncated_exp
from attlas_ref.kronecker.high_order_attention import high_order_attention
from attlas_ref.kronecker.tensor_attention import tensor_attention
from attlas_ref.kronecker.tensor_attention_lowrank import tensor_attention_lowrank

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_rows
from ..style import LINES, WEIGHTS, color_scale, line

WIDTH, ROWS = 4, 24
"""Of the arrays whose error is measured."""
SCALE = 1 / math.sqrt(WIDTH)
BOUNDS = (0.5, 1.0, 1.25)
DEGREES = range(0, 23, 2)
TARGET = 1e-3
"""The error that is asked for, beside values of at most 1."""
LENGTHS = (32, 256, 2048)


def remainder_bound(largest: float, degree: int) -> float:
    """Return 2 delta / (1 - delta), infinite where delta is 1 or more."""
    delta = math.exp(largest) * largest ** (degree + 1) / math.factorial(degree + 1)
    return 2 * delta / (1 - delta) if delta < 1 else math.inf


@cache
def measured_error(entries: float, degree: int) -> float:
    """Return the largest error of an output, for entries that are uniform up to a bound and values up to 1."""
    rng = np.random.default_rng(7)
    query, key1, key2, value1, value2 = rng.uniform(-1, 1, (5, ROWS, WIDTH))
    keys, values = (entries * key1, entries * key2), (value1, value2)
    exact = tensor_attention(entries * query, keys, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where the bound is empty it says so; here that is the point
        polynomial = tensor_attention_lowrank(entries * query, keys, values, degree=degree)
    return float(np.abs(polynomial - exact).max())


def largest_score(entries: float) -> float:
    """Return what a score of entries up to a bound can be: scale d B³."""
    return SCALE * WIDTH * entries**3


def _low_rank(figure: Figure) -> str:
    figure.set_size_inches(8.4, 7.6)
    panels = figure.subplot_mosaic([["degree", "entries"], ["regime", "regime"]])
    grid = np.linspace(0.2, 2.0, 46)
    _draw_errors(panels["degree"], DEGREES, [(f"B = {b:g}", [(b, g) for g in DEGREES]) for b in BOUNDS])
    _draw_errors(panels["entries"], grid, [(f"degree {g}", [(float(b), g) for b in grid]) for g in (2, 6, 12)])
    panels["degree"].set(xlabel="degree of the polynomial", ylabel="largest error of an output")
    panels["degree"].set_title("Error (solid) and its bound (dashed)")
    panels["entries"].set(xlabel="bound B of the entries", title="The same against the entries")

    regime = panels["regime"]
    for index, (label, reached) in enumerate((("as certified by the bound", _certified), ("as measured", _measured))):
        monomials = [math.comb(WIDTH + reached(float(entries)), WIDTH) for entries in grid]
        regime.plot(grid, monomials, label=f"degree {label}", **line(index))
    for n in LENGTHS:
        regime.axhline(n**2, color="gray", linewidth=1)
        regime.text(0.2, 1.25 * n**2, f"n² for n = {n}", fontsize=9)
    regime.set(yscale="log", ylim=(0.7, 3e7), xlabel="bound B of the entries", ylabel="monomials r")
    regime.set_title(f"Time: the low-rank form pays while r lies below n² (errors below {TARGET:g})")
    regime.legend(loc="lower right")
    return (
        f"Pairs of {ROWS} keys of width {WIDTH}. Above: the polynomial stands in for the exponential once its degree "
        "exceeds the largest score, which grows like B³; where a dashed line ends the bound is empty. Below: the exact "
        "form takes time in proportion to n³, the low-rank form to n r with r = C(d + g, g). A little more in B costs "
        "much more in r, and a little more in the width d too."
    )


def _draw_errors(axes: Axes, x: Sequence[float], lines: list[tuple[str, list[tuple[float, int]]]]) -> None:
    """Draw measured errors and their bounds, a line for each list of (bound of the entries, degree)."""
    for index, (label, places) in enumerate(lines):
        look = {"color": LINES[index], "marker": "osD"[index], "markersize": 4, "markevery": max(len(x) // 12, 1)}
        axes.plot(x, [measured_error(*place) for place in places], label=label, **look)
        bounds = [remainder_bound(largest_score(entries), degree) for entries, degree in places]
        axes.plot(x, [bound if bound < math.inf else np.nan for bound in bounds], "--", color=LINES[index])
    axes.set(yscale="log", ylim=(1e-17, 1e5))
    axes.legend()


@cache
def _certified(entries: float) -> int:
    """Return the least even degree whose bound is below the target."""
    return next(g for g in range(0, 200, 2) if remainder_bound(largest_score(entries), g) < TARGET)


@cache
def _measured(entries: float) -> int:
    """Return the least even degree whose measured error is below the target."""
    return next(g for g in range(0, 40, 2) if measured_error(entries, g) < TARGET)


def _fastmax(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    s = np.linspace(-4, 4, 321)
    left.plot(s, np.exp(s), color="gray", linewidth=4, alpha=0.5, label="exp")
    for index, order in enumerate((1, 2, 4)):
        left.plot(s, truncated_exp(s, order), label=f"order {order}", **line(index))
    left.set(title="Truncated exponentials", xlabel="score", ylabel="kernel", ylim=(-3.2, 20))
    left.legend()
    head = real_head(*LAYER_HEAD)
    row = head.words.index("tired")
    weights = {p: fastmax_attention(*head[:3], order=p, return_weights=True).weights[row] for p in (2, 4, 20)}
    draw_rows(right, head.words, {f"order {p}": row for p, row in weights.items()})
    right.set_title("A real row: the query “tired”")
    return (
        "An even order never falls below 0, and far to the left it grows again: keys that softmax forgets keep a "
        f"weight. A large score wins by less. Order 20 is softmax to the eye. {SOURCE}."
    )


def _fastmax_gradient(figure: Figure) -> str:
    s = np.linspace(-4, 6, 401)
    key, value = np.stack([s, np.zeros_like(s)], axis=-1)[..., None], np.array([[1.0], [0.0]])
    query = np.ones((len(s), 1, 1))
    upper, lower = figure.subplots(2, 1, sharex=True)
    for index, order in enumerate((2, 4, 8, 20)):
        label = f"order {order}"
        weight = fastmax_attention(query, key, value, order=order, scale=1.0)[:, 0, 0]
        grads = fastmax_attention_vjp(query, key, value, np.ones((len(s), 1, 1)), order=order, scale=1.0)
        upper.plot(s, weight, label=label, **line(index))
        lower.plot(s, grads.grad_key[:, 0, 0], **line(index))
    upper.set(title="Weight of the first of two keys", ylabel="weight")
    upper.legend(ncols=2)
    lower.set(title="Its slope", xlabel="score of the first key; the second has 0", ylabel="gradient")
    return (
        "For an even order the slope turns negative on the far left, where a lower score makes a larger kernel, and it "
        "dies out like a power on the right. Order 20 looks like the slope of softmax, w (1 − w), on this range."
    )


def _gates(figure: Figure) -> str:
    x = np.linspace(-3, 3, 61)
    plane = np.stack(np.meshgrid(x, x), axis=-1)  # (121, 121, 2)
    all_axes = figure.subplots(1, 3)
    proj = np.zeros((3, 3, 2, 1))
    proj[0, 0, 0] = proj[1, 0, 0] = proj[1, 1, 1] = proj[2, 0, 0] = proj[2, 1, 1] = 1.0
    proj[2, 2] = [[1.0], [-1.0]]
    titles = "order 1: $x_1$", "order 2: $x_1 x_2$", "order 3: $x_1 x_2 (x_1 - x_2)$"
    for r, (axes, title) in enumerate(zip(all_axes, titles, strict=True)):
        # One order is heard; the others have an output projection of 0 and so a gate of 1/2.
        heard = np.zeros((3, 1, 2))
        heard[r] = 2.0
        gate = high_order_attention(plane, proj, heard, return_weights=True).weights[..., 0]
        surface = axes.contourf(x, x, 3 * gate - 1, levels=np.linspace(0.5, 1, 6), cmap=WEIGHTS)
        axes.set(title=title, aspect="equal", xlabel="$x_1$")
    all_axes[0].set_ylabel("$x_2$")
    color_scale(figure, surface, list(all_axes), "gate of the order", below=True)
    return (
        "The gate as a function of two channels. A relu of a product opens it only where all factors agree in sign, "
        "which no gate of a single linear form can."
    )


FIGURES = {
    "tensor_attention_lowrank": _low_rank,
    "fastmax_attention": _fastmax,
    "fastmax_attention_vjp": _fastmax_gradient,
    "high_order_attention": _gates,
}
