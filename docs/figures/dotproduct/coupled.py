"""Figures of attentions whose weights depend on more than one pair at a time."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.multi_token_attention import multi_token_attention
from attlas_ref.dotproduct.selective_attention import selective_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.stacked_cross_attention import stacked_cross_attention
from attlas_ref.dotproduct.threshold_relative_attention import threshold_relative_attention
from attlas_ref.normalizers.cosine_attention import cosine_attention

from ..general import LAYER_HEAD, SOURCE, WORDS, real_head
from ..panels import draw_change, draw_maps, draw_rows
from ..style import LINES, color_scale, show_weights


def _selective(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    before = softmax_attention(*head[:3], causal=True, return_weights=True).weights
    # The second head has queries of zeros: its scores are all equal, and its weights show the masking alone.
    query = np.stack([head.query, np.zeros_like(head.query)])
    key, value = (np.stack([array, array]) for array in (head.key, head.value))
    after, masked = selective_attention(query, key, value, return_weights=True).weights
    left, right = figure.subplots(1, 2)
    draw_change(figure, left, before, after, head.words, "selective − causal softmax")
    # Relative to the best of the row; nothing is drawn in the future.
    shown = np.where(np.tri(len(masked), dtype=bool), masked / masked.max(axis=-1, keepdims=True), np.nan)
    mesh = show_weights(right, shown, head.words, "what the masking leaves", label_queries=False)
    color_scale(figure, mesh, right, "weight / largest of the row")
    return (
        "Every token may mask earlier ones for all that follow. Right: a head whose scores are equal would be flat; "
        f"what is dark there has been masked, and stays so further down. {SOURCE}."
    )


def _multi_token(figure: Figure) -> str:
    words = real_head(0, 0, WORDS).words
    wanted = ("her", "sister")
    # Each head scores one word: one-hot keys, and a query that is the same everywhere.
    key = np.array([[[3.0 * (word == other)] for word in words] for other in wanted])  # (2, n, 1)
    query = np.ones_like(key)
    value = np.zeros((*key.shape[:2], 1))
    plain = softmax_attention(query[0], key.sum(axis=0), value[0], scale=1.0, causal=True, return_weights=True).weights
    # At "sister" (tap 1) the first head looks one key back (tap 0), for "her"; then the two heads are added.
    kernel = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    together = multi_token_attention(
        query, key, value, key_query_kernel=kernel, pre_head_mixing=np.ones((2, 2)), scale=1.0, return_weights=True
    ).weights[0]
    upper, lower = figure.subplots(2, 1, sharex=True, sharey=True)
    at = np.arange(len(words))
    for axes, title, row in (
        (upper, "softmax: every “her” and every “sister”", plain[-1]),
        (lower, "multi-token: “her sister”, where both stand together", together[-1]),
    ):
        axes.vlines(at, 0, row, color=LINES[0])
        axes.set(title=title, ylabel="weight")
        for j in np.flatnonzero(row > row.max() / 2):
            # "her" and "sister" stand side by side: one label to the left of its line, one to the right.
            side = {"her": (-2, "right")}.get(words[j], (2, "left"))
            axes.annotate(words[j], (j, row[j]), (side[0], 2), textcoords="offset points", ha=side[1], fontsize=8)
    upper.set_ylim(0, 0.5)
    lower.set_xlabel("key: position in the text")
    return (
        "Two heads look for one word each; a kernel reaches one key back and the heads are added before the softmax. "
        "The weights of the last word, over the opening of Alice's Adventures in Wonderland."
    )


RELEVANT = ("alice", "beginning", "tired", "sitting", "sister", "bank")


def _threshold(figure: Figure) -> str:
    words = real_head(0, 0).words
    few = [word for word in words if word in RELEVANT]
    penalty = float(np.log(0.6))  # of a gate of 0.6 per step
    all_axes = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    for axes, text in zip(all_axes, (few, words), strict=True):
        key = np.array([[1.0 if word in RELEVANT else -1.0] for word in text])
        n = len(text)
        gate = np.full(n, np.log(0.6 / 0.4))
        relative = threshold_relative_attention(np.ones((n, 1)), key, key, forget=gate, return_weights=True).weights
        distance = np.arange(n)[:, None] - np.arange(n)
        plain = softmax_attention(
            np.ones((n, 1)), key, key, bias=penalty * distance, causal=True, return_weights=True
        ).weights
        draw_rows(axes, text, {"distance among kept keys": relative[-1], "distance among all": plain[-1]})
        axes.legend(loc="upper left")
    all_axes[0].set_title("relevant words only")
    all_axes[1].set(title="with irrelevant words in between", ylabel="")
    all_axes[1].get_legend().remove()
    return (
        "The weights of the last word. Irrelevant keys (score below the threshold) are dropped, and distance counts "
        "the kept ones: what is inserted in between changes nothing. A plain distance penalty lets the far words fade."
    )


def _stacked(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    query, key = (array / np.linalg.norm(array, axis=-1, keepdims=True) for array in head[:2])
    cosine = cosine_attention(query, key, head.value, scale=9.0, return_weights=True).weights
    stacked = stacked_cross_attention(query, key, head.value, return_weights=True).weights
    draw_maps(figure, [("cosine_attention, scale 9", cosine), ("stacked_cross_attention", stacked)], head.words)
    return (
        "The same similarities and the same sharpness; but on the right each column is divided by its norm first, so "
        f"that keys which are similar to every word lose. {SOURCE}."
    )


FIGURES = {
    "selective_attention": _selective,
    "multi_token_attention": _multi_token,
    "threshold_relative_attention": _threshold,
    "stacked_cross_attention": _stacked,
}
