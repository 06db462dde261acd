"""Figures of sparse distributed memory on the sphere."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.memory.sdm_cap_intersection import sdm_cap_intersection
from attlas_ref.memory.sdm_circle_intersection import sdm_circle_intersection
from attlas_ref.memory.sdm_continuous_attention import sdm_continuous_attention
from attlas_ref.records import find

from ..general import LAYER_HEAD, SOURCE, real_head, weights_of
from ..panels import draw_maps
from ..style import line


def _caps(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    cosine = np.cos(np.linspace(0, np.pi, 400))
    for index, cap in enumerate((0.0, 0.25, 0.5)):
        for dim, width in ((3, 1.0), (32, 2.2)):
            share = sdm_cap_intersection(cosine, dim=dim, cap_cosine=cap)
            label = f"cap_cosine {cap:g}, dim {dim}"
            left.plot(cosine, share / share[0], label=label, **line(index) | {"linewidth": width})
    left.set(title="Share of a cap", xlabel="cosine of the centers", ylabel="J / J at cosine 1", xlim=(1.02, -1.02))
    left.legend(fontsize=8.5)
    dim = 64
    for index, radius in enumerate((27, 23, 19)):
        v, look = np.arange(0, 2 * radius, 2), line(index)
        ball = sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
        cosine = np.linspace(1, 1 - 4 * radius / dim, 300)
        cap = sdm_cap_intersection(cosine, dim=dim, cap_cosine=1 - 2 * radius / dim, log=True)
        right.plot(1 - 2 * v / dim, ball - ball[0], "os^"[index], color=look["color"], markersize=3.5,
                   label=f"balls, radius {radius}")  # fmt: skip
        right.plot(cosine, cap - cap[0], label=f"caps, {1 - 2 * radius / dim:.2f}", **look)
    right.set(title="Caps in 64 dimensions, balls of 64 bits", xlabel="cosine of the centers",
              ylabel="log of the share", xlim=(1.02, -0.4), ylim=(-16, 0.5))  # fmt: skip
    right.legend(fontsize=8.5, ncols=2)
    return (
        "Left: what two caps share. Half spheres (cap_cosine 0) share what the angle leaves, in every dimension; "
        "smaller caps in high dimensions soon share next to nothing. Right: caps of the sphere in 64 dimensions and "
        "balls of 64 bits fall off alike, the caps without steps and, next to a cosine of 1, faster."
    )


def _continuous(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    panels = [("softmax_attention", weights_of(find("softmax_attention"), head))]
    for cap in (0.2, 0.45):
        weights = sdm_continuous_attention(*head[:3], cap_cosine=cap, return_weights=True).weights
        panels.append((f"cap_cosine = {cap:g}", weights))
    draw_maps(figure, panels, head.words)
    return (
        "A real head, and the same queries and keys in the memory on the sphere: only angles count, smaller caps make "
        f"sharper rows, and what lies beyond twice the cap gets exactly 0. {SOURCE}, layer {LAYER_HEAD[0]}, head "
        f"{LAYER_HEAD[1]}."
    )


FIGURES = {"sdm_cap_intersection": _caps, "sdm_continuous_attention": _continuous}
