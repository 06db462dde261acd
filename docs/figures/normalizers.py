"""Figures of the other maps from scores to weights: each beside the softmax of the same scores."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from attlas_ref.records import find

from .general import HEADS, draw_heads


def _beside_softmax(name: str, title: str, remark: str, **options: Any) -> Callable[[Figure], str]:
    def draw(figure: Figure) -> str:
        panels = [
            ("softmax_attention", find("softmax_attention"), HEADS[1], {}),
            (title, find(name), HEADS[1], options),
        ]
        return f"{remark} {draw_heads(figure, panels)}"

    return draw


FIGURES = {
    "sigmoid_attention": _beside_softmax(
        "sigmoid_attention",
        "sigmoid_attention",
        "Judged one by one, several keys of a row can be heavy at once, or none.",
    ),
    "relu_attention": _beside_softmax(
        "relu_attention",
        'relu_attention, normalize="sum"',
        "Keys with a negative score get exactly 0.",
        normalize="sum",
    ),
    "softcapped_attention": _beside_softmax(
        "softcapped_attention",
        "softcapped_attention, cap = 1",
        "A cap of 1 lets no weight exceed e² = 7.4 times another of its row.",
        cap=1.0,
    ),
}
