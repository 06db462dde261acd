"""Figures of continuous Hopfield networks: a landscape in the plane, and retrieval on a real head."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.memory.hopfield_attention import hopfield_attention
from attlas_ref.memory.hopfield_attention_vjp import hopfield_attention_vjp
from attlas_ref.memory.hopfield_energy import hopfield_energy

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import WEIGHTS, color_scale

PATTERNS = np.array([[1.6, 0.3], [0.2, 1.5], [-1.4, 0.8], [-0.9, -1.3], [1.0, -1.2]])
PLANE = np.linspace(-2, 2, 81)
STARTS = np.array([[-1.9, 1.9], [0.3, 0.15], [1.9, 1.6], [-1.8, -0.3], [0.1, -1.9], [1.7, -0.4], [-0.5, 1.0]])
STEPS = 40


def _states() -> NDArray[np.float64]:
    """Every point of the plane as a query, (81, 81, 2)."""
    return np.stack(np.meshgrid(PLANE, PLANE), axis=-1)


def _draw_patterns(axes: Axes) -> None:
    axes.plot(PATTERNS[:, 0], PATTERNS[:, 1], "o", color="white", markeredgecolor="black", markersize=9)
    axes.set(aspect="equal", xlabel="state, channel 0", xlim=(-2, 2), ylim=(-2, 2))


def _landscape(figure: Figure) -> str:
    betas = (0.6, 1.5, 4.0)
    energies = [hopfield_energy(_states(), PATTERNS, beta=beta) for beta in betas]
    levels = np.linspace(0, max(float(energy.max()) for energy in energies), 15)
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, beta, energy in zip(all_axes, betas, energies, strict=True):
        surface = axes.contourf(PLANE, PLANE, energy, levels=levels, cmap=WEIGHTS)
        surface.set_rasterized(True)
        walk = [STARTS, *(hopfield_attention(STARTS, PATTERNS, beta=beta, steps=s) for s in range(1, STEPS))]
        for path in np.stack(walk, axis=1):  # (starts, steps, 2)
            moving = path[np.linalg.norm(path - path[-1], axis=-1) > 0.02]
            axes.plot(*np.concatenate([moving, path[-1:]]).T, ".-", color="white", linewidth=1.2, markersize=4)
            axes.plot(*path[-1], "x", color="black", markersize=8, markeredgewidth=2)
        _draw_patterns(axes)
        axes.set_title(f"beta = {beta:g}")
    all_axes[0].set_ylabel("state, channel 1")
    color_scale(figure, surface, all_axes, "energy", below=True)
    return (
        "Five patterns (dots) and the energy of every state in the plane. Each line is a retrieval, a point per step, "
        f"and its cross the state after {STEPS - 1} steps. For small beta all end in one valley near the mean, for "
        "large beta each at a pattern; between the two, some valleys have merged."
    )


def _retrieval(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    panels = [
        (
            f"steps = {steps}",
            hopfield_attention(*head[:3], beta=0.4, steps=steps, return_weights=True).weights,
        )
        for steps in (1, 2, 6)
    ]
    draw_maps(figure, panels, head.words)
    return (
        "The same head read once, and after its queries have moved among the keys, with beta = 0.4. Queries that "
        f"settle in the same valley end with the same row. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _sensitivity(figure: Figure) -> str:
    states, beta = _states(), 4.0
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, steps in zip(all_axes, (1, 2, 8), strict=True):
        rows = [
            hopfield_attention_vjp(
                states, PATTERNS, None, np.broadcast_to(channel, states.shape), beta=beta, steps=steps
            ).grad_query
            for channel in np.eye(2)
        ]  # the rows of the Jacobian
        size = np.sqrt(sum(row**2 for row in rows).sum(axis=-1))
        surface = axes.pcolormesh(
            PLANE, PLANE, np.log10(np.maximum(size, 1e-3)), cmap=WEIGHTS, vmin=-3, vmax=1, rasterized=True
        )
        _draw_patterns(axes)
        axes.set_title("1 step" if steps == 1 else f"{steps} steps")
    all_axes[0].set_ylabel("state, channel 1")
    color_scale(figure, surface, all_axes, "log10 of the gradient's size", below=True)
    return (
        "How much the retrieved state depends on where it started (the norm of its Jacobian), with beta = 4. Within a "
        "valley the start is forgotten; along the ridges between two valleys each step multiplies what is left of it."
    )


FIGURES = {"hopfield_energy": _landscape, "hopfield_attention": _retrieval, "hopfield_attention_vjp": _sensitivity}
