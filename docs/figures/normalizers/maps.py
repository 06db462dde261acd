"""Figures of the attentions that turn scores into weights otherwise than by a softmax: on a real head."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.normalizers.differential_attention import differential_attention, differential_strength
from attlas_ref.normalizers.sink_attention import sink_attention
from attlas_ref.records import find

from ..general import LAYER_HEAD, SOURCE, draw_heads, real_head, weights_of
from ..panels import draw_maps, draw_sums
from ..style import color_scale, line, show_weights


def _panels(remark: str, panels: Mapping[str, tuple[str, dict[str, Any]]]) -> Callable[[Figure], str]:
    """Return a figure of formulations with options on one head, by title."""

    def draw(figure: Figure) -> str:
        heads = [(title, find(name), LAYER_HEAD, options) for title, (name, options) in panels.items()]
        return f"{remark} {draw_heads(figure, heads)}"

    return draw


def _beside_softmax(name: str, title: str, remark: str, **options: Any) -> Callable[[Figure], str]:
    return _panels(remark, {"softmax_attention": ("softmax_attention", {}), title: (name, options)})


def _settings(name: str, remark: str, **values: tuple[Any, ...]) -> Callable[[Figure], str]:
    """Return a figure of one formulation with several values of one option."""
    ((option, settings),) = values.items()
    return _panels(remark, {f"{option} = {value:g}": (name, {option: value}) for value in settings})


def _plus_n(figure: Figure) -> str:
    record, head = find("softmax_plus_n_attention"), real_head(*LAYER_HEAD)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    mesh = show_weights(left, weights_of(record, head, extra=10.0), head.words, "extra = 10")
    color_scale(figure, mesh, left, "weight")
    sums = {f"extra = {extra:g}": weights_of(record, head, extra=extra).sum(axis=-1) for extra in (0.0, 1.0, 10.0)}
    draw_sums(right, head.words, sums, "sum of each row")
    right.set_xlim(0, 1.05)
    return (
        "With something added to the denominator a row need not spend all of its weight: words whose scores are low "
        f"keep part of it. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _sink(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    of_one_head = [array[None] for array in head[:3]]  # sinks belong to heads: a head axis of one

    def weights(logit: float) -> Any:
        return sink_attention(*of_one_head, sink=np.array([[logit]]), return_weights=True).weights[0]

    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    mesh = show_weights(left, weights(3.0), head.words, "sink = 3")
    color_scale(figure, mesh, left, "weight")
    logits = np.linspace(-4, 10, 57)
    taken = 1 - np.array([weights(logit).sum(axis=-1) for logit in logits])
    for index, word in enumerate(("alice", "tired", "her")):
        right.plot(logits, taken[:, head.words.index(word)], label=f"“{word}”", **line(index))
    right.axvline(3, color="gray", linewidth=1)
    right.set(title="what the sink takes", xlabel="logit of the sink", ylabel="share of the row", ylim=(0, 1.02))
    right.legend(title="query")
    return (
        "The sink is a logit that stands for no word. The better a word's own keys, the higher it must be to take "
        f"half. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _reversed(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    weights = weights_of(find("reversed_attention"), head)
    plain = weights_of(find("softmax_attention"), head)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    mesh = show_weights(left, weights, head.words, "weights: each column sums to 1")
    color_scale(figure, mesh, left, "weight")
    draw_sums(right, head.words, {"softmax": plain.sum(axis=-1), "reversed": weights.sum(axis=-1)}, "sum of each row")
    return (
        "The keys choose their queries: every column sums to 1, and a word receives as much as others send to it. "
        f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _differential(figure: Figure) -> str:
    first, second = real_head(3, 1), real_head(3, 5)
    result = differential_attention(
        first.query, first.key, second.query, second.key, first.value, strength=0.8, return_weights=True
    )
    softmax = find("softmax_attention")
    panels = [
        ("first map", weights_of(softmax, first)),
        ("second map", weights_of(softmax, second)),
        ("first − 0.8 second", result.weights),
    ]
    draw_maps(figure, panels, first.words)
    return f"What two heads of a layer agree on cancels; what only the first sees stays. {SOURCE}, layer 3."


def _strength(figure: Figure) -> str:
    layers = np.arange(13)
    initial = [0.8 - 0.6 * float(np.exp(-0.3 * layer)) for layer in layers]
    zeros = np.zeros(2)
    learned = np.linspace(-1.5, 1.5, 61)
    left, right = figure.subplots(1, 2)
    start = [float(differential_strength(zeros, zeros, zeros, zeros, initial=value)) for value in initial]
    left.plot(layers, start, "o", **line(0) | {"linestyle": "-"})
    left.set(title="Where training starts", xlabel="layer", ylabel="strength λ", ylim=(0, 1))
    for index, second in enumerate((-1.0, 0.0, 1.0)):
        unit = np.array([second, 0.0])
        strengths = [
            float(
                differential_strength(np.array([x, 0.0]), np.array([1.0, 0.0]), unit, np.array([1.0, 0.0]), initial=0.5)
            )
            for x in learned
        ]
        right.plot(learned, strengths, label=f"$q_2 \\cdot k_2$ = {second:g}", **line(index))
    right.axhline(0.5, color="gray", linewidth=1)
    right.set(title="Where it may go, from 0.5", xlabel="$q_1 \\cdot k_1$", ylabel="strength λ")
    right.legend()
    return (
        "With learned vectors of zeros the strength is the layer's initial value. Two exponentials move it: one up, "
        "one down, and they cancel where the two products are equal."
    )


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
    "softmax_plus_n_attention": _plus_n,
    "sink_attention": _sink,
    "sparsemax_attention": _beside_softmax(
        "sparsemax_attention", "sparsemax_attention", "Most weights are exactly 0, and few words share each row."
    ),
    "entmax_attention": _settings(
        "entmax_attention",
        "From softmax (alpha = 1) to sparsemax (alpha = 2): the larger alpha, the fewer words share a row.",
        alpha=(1.0, 1.5, 2.0),
    ),
    "pladis_attention": _settings(
        "pladis_attention",
        "From softmax (0) through entmax (1) and beyond: what was weak becomes negative.",
        strength=(0.0, 1.0, 3.0),
    ),
    "cosine_attention": _settings(
        "cosine_attention",
        "Only the angle between query and key counts; the scale says how sharp the rows may become.",
        scale=(2.0, 10.0, 30.0),
    ),
    "cog_attention": _beside_softmax(
        "cog_attention",
        "cog_attention",
        "Keys with a strongly negative score, which a softmax forgets, are taken away (blue).",
    ),
    "topk_softmax_attention": _settings(
        "topk_softmax_attention",
        "Only the best top_k keys of each query are kept, and share its weight.",
        top_k=(1, 3, 10),
    ),
    "reversed_attention": _reversed,
    "differential_attention": _differential,
    "differential_strength": _strength,
}
