"""Figures of edits of attention for guidance, and of other probabilistic readings."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.probabilistic.attention_guidance import attention_guidance
from attlas_ref.probabilistic.consciousness_attention import consciousness_attention
from attlas_ref.probabilistic.gaussian_adaptive_attention import gaussian_adaptive_attention
from attlas_ref.probabilistic.gaussian_blur_2d import gaussian_blur_2d
from attlas_ref.probabilistic.identity_attention import identity_attention
from attlas_ref.probabilistic.random_feature_attention_layer import random_feature_attention_layer, random_feature_map
from attlas_ref.probabilistic.sag_degrade import sag_degrade
from attlas_ref.probabilistic.smoothed_energy_attention import smoothed_energy_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps, draw_rows
from ..style import WEIGHTS, color_scale, line

Reals = NDArray[np.float64]
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}"


def _picture(size: int = 32) -> Reals:
    """A house with a window under a sun, between 0 and 1, (size, size)."""
    y, x = np.mgrid[:size, :size] / (size - 1)
    house = (abs(x - 0.42) < 0.24) & (y > 0.5) & (y < 0.9)
    roof = (y > 0.24) & (y <= 0.5) & (abs(x - 0.42) < (y - 0.24) * 1.2)
    window = (abs(x - 0.42) < 0.08) & (abs(y - 0.66) < 0.08)
    sun = (x - 0.83) ** 2 + (y - 0.2) ** 2 < 0.012
    picture: Reals = 0.25 + 0.35 * house + 0.55 * roof - 0.45 * window + 0.75 * sun
    return picture


def _show(figure: Figure, panels: list[tuple[str, Reals]], label: str, limits: tuple[float, float]) -> list[Axes]:
    """Draw maps side by side, on one scale."""
    all_axes = list(figure.subplots(1, len(panels)))
    for axes, (title, image) in zip(all_axes, panels, strict=True):
        mesh = axes.pcolormesh(image, cmap=WEIGHTS, vmin=limits[0], vmax=limits[1], rasterized=True)
        axes.invert_yaxis()
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    color_scale(figure, mesh, all_axes, label, below=True)
    return all_axes


def _blur(figure: Figure) -> str:
    picture = _picture()
    panels = [("as it is", picture)]
    panels += [(f"sigma = {s:g}", gaussian_blur_2d(picture, kernel_size=4 * s + 1, sigma=float(s))) for s in (1, 3)]
    _show(figure, panels, "brightness", (0, 1))
    return "A picture of 32 by 32 pixels, and blurred with two widths. At the edges the picture goes on as in a mirror."


def _looks(picture: Reals) -> tuple[Reals, Reals]:
    """Queries and keys of pixels that look for their like nearby: <q, k> = −|x − y|²/2, up to a constant per query."""
    size = len(picture)
    row, column = np.mgrid[:size, :size] / (size - 1)
    x = np.stack([8 * picture, 5 * row, 5 * column], axis=-1).reshape(size**2, 3)
    one, square = np.ones((size**2, 1)), (x**2).sum(axis=-1, keepdims=True)
    return np.concatenate([x, one], axis=-1), np.concatenate([x, -square / 2], axis=-1)


def _smoothed(figure: Figure) -> str:
    size = 16
    picture = _picture(size)
    query, key = _looks(picture)
    at = 6 * size + 6  # a pixel of the roof
    options = {"scale": 1.0, "return_weights": True}
    looks = {"softmax_attention": softmax_attention(query, key, key, **options).weights}
    for sigma in (0.6, 1.5, np.inf):
        weights = smoothed_energy_attention(query, key, key, sigma=sigma, height=size, width=size, **options).weights
        looks[f"sigma = {sigma:g}"] = weights
    panels = [(title, weights[at].reshape(size, size)) for title, weights in looks.items()]
    high = max(float(image.max()) for _, image in panels)
    for axes in _show(figure, panels, "weight", (0, high)):
        axes.plot(6.5, 6.5, "o", color="white", markeredgecolor="black", markersize=6)
    return (
        "Where one pixel of the roof (dot) looks, in a layer in which pixels look for their like nearby. The more its "
        "query is blurred with its neighbors', the less it knows what it wants; in the end it asks for the mean of all."
    )


def _identity(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    panels = [
        ("softmax_attention", softmax_attention(*head[:3], return_weights=True).weights),
        ("identity_attention", identity_attention(*head[:3], return_weights=True).weights),
    ]
    draw_maps(figure, panels, head.words)
    return f"What the model would do, and what the perturbed branch does: each word keeps its own value. {HEAD}."


def _guidance(figure: Figure) -> str:
    picture = _picture()
    perturbed = gaussian_blur_2d(picture, kernel_size=9, sigma=2.0)
    panels = [("conditional", picture), ("perturbed", perturbed)]
    panels += [
        (f"perturbed_scale = {s:g}", attention_guidance(picture, perturbed, perturbed_scale=s)) for s in (0.5, 1.5)
    ]
    _show(figure, panels, "prediction", (-0.4, 1.4))
    return (
        "Away from the worse prediction, here a blurred one: guidance exaggerates exactly what the disturbance took "
        "away, the edges. Too much of it leaves the range of the picture."
    )


def _sag(figure: Figure) -> str:
    picture, cells = _picture(), 8
    query, key = _looks(picture.reshape(cells, 4, cells, 4).mean(axis=(1, 3)))
    weights = softmax_attention(query, key, key, scale=1.0, return_weights=True).weights[None]
    mass = weights[0].sum(axis=0).reshape(cells, cells)
    degraded = sag_degrade(picture[None], weights, map_height=cells, map_width=cells, kernel_size=9, sigma=2.0)[0]
    panels = [
        ("latents", picture),
        ("mass of the 8 × 8 map above 1", np.repeat(np.repeat(mass > 1, 4, axis=0), 4, axis=1).astype(float)),
        ("sag_degrade", degraded),
    ]
    _show(figure, panels, "brightness", (0, 1))
    return (
        "The cells of an attention map that are looked at more than evenly (middle, bright), and the picture blurred "
        "in these cells alone. The layer is one in which cells look for their like nearby."
    )


def _gaam(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    x = np.linalg.norm(head.value, axis=-1)
    at = np.argsort(x)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    for index, (offset, spread) in enumerate(((0.0, 1.0), (0.0, 0.5), (1.0, 0.5))):
        options = {"mean_offset": [offset * x.std()], "spread": [spread], "return_weights": True}
        weights = gaussian_adaptive_attention(x, **options).weights
        left.plot(x[at], weights[at], marker="o", markersize=4, label=f"{offset:g} dev., c = {spread:g}", **line(index))
    left.axvline(x.mean(), color="gray", linewidth=1)
    left.set(title="weight by place in the distribution", xlabel="length of a value", ylabel="weight")
    left.set_ylim(0, 0.25)
    left.legend(loc="upper left", fontsize=9)
    options = {"mean_offset": [x.std()], "spread": [0.5], "return_weights": True}
    weights = gaussian_adaptive_attention(x, **options).weights
    draw_rows(right, head.words, {"length / sum": x / x.sum(), "weight, offset 1 dev.": weights})
    right.set(title="which words stand one deviation above", xlabel="word", ylim=(0, 0.25))
    return (
        "Lengths of the values of real words, weighted by a Gaussian around their mean (gray line) or one standard "
        f"deviation above it. {HEAD}."
    )


def _bottleneck(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    panels = [
        (
            "hard" if temperature is None else f"temperature = {temperature:g}",
            consciousness_attention(*head[:3], k=2, temperature=temperature, return_weights=True).weights,
        )
        for temperature in (None, 0.3, 3.0)
    ]
    draw_maps(figure, panels, head.words)
    return f"A bottleneck of k = 2 words per query: a hard choice, and relaxed towards the softmax. {HEAD}."


def _random_features(figure: Figure) -> str:
    rng = np.random.default_rng(7)
    counts, dim, tokens = (8, 16, 32, 64, 128), 4, 3
    start = np.diag([*np.ones(dim), 0.0])

    def sets(count: int) -> tuple[Reals, Reals, Reals]:
        query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in
                      (rng.standard_normal((count, dim)), rng.standard_normal((count, tokens, dim))))  # fmt: skip
        return query, key, (np.einsum("bc,bnc->bn", query, key) ** 2).mean(axis=-1)

    train, test = sets(3000), sets(3000)
    axes = figure.subplots()
    for index, (label, bias) in enumerate((("plain, W₀ = 0", None), ("biased, W₀ = I", start))):
        errors = []
        for count in counts:
            w = 0.5 * rng.standard_normal((count, dim + 1, dim + 1))
            features = random_feature_map(*train[:2], w=w, bias_matrix=bias).reshape(len(train[2]), -1)
            ridge = features.T @ features + 1e-4 * np.eye(features.shape[1])
            v = np.linalg.solve(ridge, features.T @ train[2]).reshape(count, dim + 1)
            read = random_feature_attention_layer(*test[:2], w=w, v=v, bias_matrix=bias)
            errors.append(((read - test[2]) ** 2).mean() / test[2].var())
        axes.semilogx(counts, errors, marker="o", label=label, **line(index))
    axes.set(
        title="More random heads learn more, and fewer do if they begin at the identity",
        xlabel="number of heads M",
        ylabel="error on new sets, share of the variance",
    )
    axes.set_ylim(bottom=0)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(linewidth=0.5)
    axes.legend()
    return (
        "Ridge regression on the values of a layer whose queries and keys are random. The target is the mean of "
        "⟨x₀, x_i⟩² over three tokens of unit length in four dimensions; 3000 sets to learn from, 3000 others to judge."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "gaussian_blur_2d": _blur,
    "smoothed_energy_attention": _smoothed,
    "identity_attention": _identity,
    "attention_guidance": _guidance,
    "sag_degrade": _sag,
    "gaussian_adaptive_attention": _gaam,
    "consciousness_attention": _bottleneck,
    "random_feature_attention_layer": _random_features,
    "random_feature_map": _random_features,
}
