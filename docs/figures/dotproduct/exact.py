"""Figures of softmax attention itself, its energy and its gradient, and of attention by distance."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.attention_energy import attention_energy
from attlas_ref.dotproduct.distance_attention import distance_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.softmax_attention_vjp import softmax_attention_vjp
from attlas_ref.records import find

from ..general import LAYER_HEAD, SOURCE, draw_heads, real_head
from ..style import SIGNED, WEIGHTS, color_scale, line, show_weights


def _softmax(figure: Figure) -> str:
    record = find("softmax_attention")
    panels = [(f"temperature {t:g}", record, LAYER_HEAD, {"temperature": t}) for t in (1.0, 3.0)]
    return "Low temperatures sharpen, high ones flatten. " + draw_heads(figure, panels)


def _energy(figure: Figure) -> str:
    keys = np.array([[1.6, 0.3], [0.2, 1.5], [-1.4, 0.8], [-0.9, -1.3], [1.0, -1.2]])
    x = np.linspace(-2, 2, 41)
    states = np.stack(np.meshgrid(x, x), axis=-1)  # (41, 41, 2)
    all_axes = figure.subplots(1, 2)
    for axes, temperature in zip(all_axes, (0.25, 1.0), strict=True):
        energy = attention_energy(states, keys, scale=1.0, temperature=temperature)
        surface = axes.contourf(x, x, energy, levels=np.arange(-5, 0.1, 0.5), cmap=WEIGHTS)
        at = states[4::8, 4::8]
        pull = softmax_attention(at, keys, keys, scale=1.0, temperature=temperature)
        axes.quiver(at[..., 0], at[..., 1], pull[..., 0], pull[..., 1], color="white", width=0.008)
        axes.plot(keys[:, 0], keys[:, 1], "o", color="white", markeredgecolor="black", markersize=9)
        axes.set(title=f"temperature {temperature:g}", aspect="equal", xlabel="query, channel 0")
    all_axes[0].set_ylabel("query, channel 1")
    color_scale(figure, surface, all_axes, "energy")
    return (
        "The energy of a query in the plane, for five keys (dots). It falls along the arrows, and the arrows are "
        "attention: the weighted mean of the keys."
    )


def _gradients(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    weights = softmax_attention(*head[:3], return_weights=True).weights
    toward = np.broadcast_to(head.value[head.words.index("sister")], head.value.shape)
    grad_scores = softmax_attention_vjp(*head[:3], toward, return_grad_bias=True).grad_bias
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, weights, head.words, "weights")
    color_scale(figure, mesh, left, "weight")
    bound = float(np.abs(grad_scores).max())
    mesh = show_weights(
        right,
        grad_scores,
        head.words,
        "gradient of the scores",
        limits=(-bound, bound),
        map_=SIGNED,
        label_queries=False,
    )
    color_scale(figure, mesh, right, "gradient")
    return (
        "What raising each score would do for an output that should point along the value of “sister”: red helps, blue "
        f"hurts, and each row sums to 0. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _smoother(figure: Figure) -> str:
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0, 6, size=40))
    y = np.sin(x) + rng.normal(scale=0.25, size=40)
    at = np.linspace(0, 6, 301)
    axes = figure.subplots()
    axes.plot(x, y, "o", color="gray", alpha=0.6, label="keys and values")
    for index, scale in enumerate((0.3, 5.0, 200.0)):
        smooth = distance_attention(at[:, None], x[:, None], y[:, None], scale=scale)[:, 0]
        axes.plot(at, smooth, label=f"scale {scale:g}", **line(index))
    axes.set(title="Attention by distance is a kernel smoother", xlabel="position (query, key)", ylabel="value")
    axes.legend(ncols=2)
    return "Forty noisy points of a sine. A small scale averages over all of them, a large one follows each."


FIGURES = {
    "softmax_attention": _softmax,
    "attention_energy": _energy,
    "softmax_attention_vjp": _gradients,
    "distance_attention": _smoother,
}
