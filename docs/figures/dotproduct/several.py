"""Figures of attention with two sides or several sources, and of what is read without any score."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.blend_bidirectional import blend_bidirectional
from attlas_ref.dotproduct.conditional_cross_attention import conditional_cross_attention
from attlas_ref.dotproduct.conditioned_attention import conditioned_attention
from attlas_ref.dotproduct.multi_source_attention import multi_source_attention
from attlas_ref.dotproduct.mutual_attention import mutual_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.uniform_attention import uniform_attention

from ..general import LAYER_HEAD, SOURCE, TEXT, WORDS, real_head
from ..panels import draw_maps, draw_rows
from ..style import LINES, color_scale, line, show_weights

CONTENT = ("alice", "beginning", "get", "tired", "sitting", "sister", "bank")
HALF = 7
"""Where the stretch of text is cut into two sources."""


def _mutual(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    one, other = head.words[:HALF], head.words[HALF:]
    both = mutual_attention(
        head.query[:HALF], head.key[HALF:], head.value[:HALF], head.value[HALF:], return_weights=True
    )
    left, right = figure.subplots(1, 2)
    show_weights(left, both.first_weights, one, "the first half reads the second", keys=other)
    mesh = show_weights(right, both.second_weights, other, "the second half reads the first", keys=one)
    color_scale(figure, mesh, (left, right), "weight")
    return (
        "One score matrix, read in both directions: its rows are normalized on the left, its columns on the right. "
        f"{SOURCE}."
    )


def _sources(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    keys, values = ([array[:HALF], array[HALF:]] for array in (head.key, head.value))
    panels = []
    for mode in ("sum", "joint"):
        weights = multi_source_attention(head.query, keys, values, mode=mode, return_weights=True).weights
        panels.append((f'mode = "{mode}"', np.concatenate(weights, axis=-1)))
    for axes in draw_maps(figure, panels, head.words):
        axes.axvline(HALF, color="white", linewidth=2)
    return (
        "The sentence cut into two sources (white line). With “sum” each source has its own softmax and every row "
        f"spends 1 on each; with “joint” the two compete for 1. {SOURCE}."
    )


def _conditional(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    position = np.arange(len(head.words))
    rates = np.array([1.0, 0.5, 0.25])

    def place(at: np.ndarray) -> np.ndarray:
        """Return the sine and cosine of positions at several rates."""
        angle = at[:, None] * rates
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)

    panels = []
    for title, content, spatial in (("what", 1.0, 0.0), ("where: the word before", 0.0, 1.0), ("both", 1.0, 1.0)):
        weights = conditional_cross_attention(
            content * head.query,
            head.key,
            head.value,
            6.0 * spatial * place(position - 1),
            place(position),
            return_weights=True,
            scale=1 / float(np.sqrt(head.key.shape[-1])) if spatial == 0 else 0.3,
        ).weights
        panels.append((title, weights))
    draw_maps(figure, panels, head.words)
    return (
        "Content and position are scored apart and added: the head's own words, the place before each word, and words "
        f"that fit both. {SOURCE}."
    )


def _conditioned(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    content = np.array([word in CONTENT for word in head.words], dtype=float)[:, None]
    d = head.value.shape[-1]
    score = head.value[head.words.index("tired")] / 8  # asks for words like "tired"
    ones = np.ones((1, d))
    settings = {
        "features unused": {"score_weight": np.append(score, 0.0)},
        "concat": {"score_weight": np.append(score, 1.5)},
        "gate": {
            "score_weight": score,
            "method": "gate",
            "gate_weight": 6 * ones,
            "gate_bias": np.full(d, -3.0),
        },
        "affine": {
            "score_weight": score,
            "method": "affine",
            "scale_weight": -ones,
            "scale_bias": np.ones(d),
            "shift_weight": 1.5 * score[None] / (score @ score),
            "shift_bias": np.zeros(d),
        },
    }
    rows = {
        name: conditioned_attention(head.value, content, return_weights=True, **options).weights
        for name, options in settings.items()
    }
    axes = figure.subplots()
    draw_rows(axes, head.words, rows)
    axes.set(title="Words like “tired”; the features tell which words have content", xlabel="token")
    return (
        "A score of the hidden states that is told which words carry content (alice, beginning, get, tired, sitting, "
        "sister, bank). Concatenated, this adds to their scores; a gate silences the scores of the others; the affine "
        f"form replaces theirs by a constant. {SOURCE}."
    )


def _uniform(figure: Figure) -> str:
    value = real_head(*LAYER_HEAD, WORDS).value[:, [0]]
    n = len(value)
    position = np.arange(n)
    window = np.abs(position[:, None] - position) <= 5
    axes = figure.subplots()
    axes.plot(position, value[:, 0], ".", color="gray", alpha=0.7, label="values")
    axes.plot(position, uniform_attention(value)[:, 0], label="everything visible", **line(2))
    axes.plot(position, uniform_attention(value, mask=window)[:, 0], label="mask: eleven around", **line(1))
    axes.plot(position, uniform_attention(value, causal=True)[:, 0], label="causal", **line(0))
    axes.set(title="The mean of what is visible", xlabel="position", ylabel="value, channel 0")
    axes.legend(ncols=2)
    return (
        "One channel of a real head's values. With all scores equal attention is the mean, causally the running mean, "
        f"under a band the moving mean. {TEXT}."
    )


def _blend(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    forward, both = softmax_attention(*head[:3], causal=True), softmax_attention(*head[:3])
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    weights = np.linspace(-4, 4, 161)
    for index, base in enumerate((0.5, 1.0, 2.0)):
        share = [
            float(blend_bidirectional(np.zeros((1, 1)), np.ones((1, 1)), weight=weight, base=base)[0, 0])
            for weight in weights
        ]
        left.plot(weights, share, label=f"base {base:g}", **line(index))
    left.set(title="Share of the bidirectional pass", xlabel="learned weight", ylabel="share", ylim=(0, 1))
    left.legend()
    at = np.arange(len(head.words))
    blend = blend_bidirectional(forward, both, weight=1.0, base=1.0)
    for index, (name, feature) in enumerate({"causal": forward, "bidirectional": both, "blend": blend}.items()):
        right.plot(at, feature[:, 0], "osD"[index] + "-", color=LINES[index], markersize=4, label=name)
    right.set_xticks(at, head.words, rotation=90)
    right.set(title="weight 1, base 1: half of each", ylabel="output, channel 0")
    right.legend()
    return (
        "A weight of 0 leaves the causal features; its size, not its sign, lets the bidirectional ones in. The two "
        f"passes agree on the last word, which sees everything in both. {SOURCE}."
    )


FIGURES = {
    "mutual_attention": _mutual,
    "multi_source_attention": _sources,
    "conditional_cross_attention": _conditional,
    "conditioned_attention": _conditioned,
    "uniform_attention": _uniform,
    "blend_bidirectional": _blend,
}
