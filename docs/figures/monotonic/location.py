"""Figures of attention that knows where it looked last, on words of the text read a second time."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.monotonic.attention_window_mask import attention_window_mask
from attlas_ref.monotonic.beta_binomial_prior import beta_binomial_alignment_prior, beta_binomial_prior
from attlas_ref.monotonic.dynamic_convolution_attention import dynamic_convolution_attention
from attlas_ref.monotonic.forward_attention import forward_attention
from attlas_ref.monotonic.gmm_attention import gmm_attention
from attlas_ref.monotonic.location_sensitive_attention import location_sensitive_attention

from ..general import TEXT, real_head
from ..panels import draw_maps, draw_masks
from ..style import color_scale, line, show_weights

Reals = NDArray[np.float64]
STRETCH = slice(98, 113)
"""Words among which two occur twice: "the" and "of"."""
LAYER, HEAD = 0, 7
UNITS = 12
"""Directions in which two words are compared."""


def _reading_again() -> tuple[Reals, list[str], dict[str, Any]]:
    """Keys of the words, the words, and an additive score that is high where query and key are alike.

    The difference of two words is compared with a threshold on both sides: tanh(x + 1) - tanh(x - 1) is a bump at 0.
    """
    _, _, _, words = real_head(LAYER, HEAD, STRETCH)
    text = real_head(LAYER, HEAD, slice(None)).words
    heads = np.concatenate([real_head(LAYER, head, slice(None)).key for head in range(12)], axis=-1)
    # The mean over all places of a word is the word without its place.
    key = np.stack([heads[[word == other for other in text]].mean(axis=0) for word in words])
    key = key - key.mean(axis=0)
    directions = np.linalg.svd(key, full_matrices=False)[2][:UNITS].T  # the widest of the words
    key = key @ directions
    compare = 1.2 * np.eye(UNITS) / key.std()
    both = np.concatenate([compare, compare], axis=1)
    score = {
        "w_query": both,
        "w_key": -both,
        "b_key": np.repeat([1.0, -1.0], UNITS),
        "v": np.repeat([1.0, -1.0], UNITS),
    }
    return key, words, score


def _location_sensitive(figure: Figure) -> str:
    key, words, score = _reading_again()
    # One feature more: the weight that the key to the left had in the last step.
    unit = np.zeros((UNITS, 1))
    score = {
        "w_query": np.concatenate([score["w_query"], unit], axis=1),
        "w_key": np.concatenate([score["w_key"], unit], axis=1),
        "b_key": np.append(score["b_key"], 0.0),
    } | {"v": np.append(score["v"], 6.0)}
    panels = []
    for title, strength in (("contents alone", 0.0), ("and the last weights", 3.0)):
        w_location = np.append(np.zeros(2 * UNITS), strength)[None]
        _, weights = location_sensitive_attention(
            key, key, key, conv=np.array([[[1.0, 0.0, 0.0]]]), w_location=w_location, initial="zeros", scale=0.5,
            return_weights=True, **score,
        )  # fmt: skip
        panels.append((title, weights))
    draw_maps(figure, panels, words)
    return (
        "A text is read a second time. By contents alone a word finds all its places. "
        f"A feature that shows each key the last weight of its left neighbor leads along the text. Keys of {TEXT}."
    )


def _forward(figure: Figure) -> str:
    key, words, score = _reading_again()
    plain = location_sensitive_attention(
        key, key, key, conv=np.zeros((1, 1, 1)), w_location=np.zeros((1, 2 * UNITS)), scale=0.3, return_weights=True,
        **score,
    ).weights  # fmt: skip
    _, forward = forward_attention(key, key, key, scale=0.3, return_weights=True, **score)
    agent = {"agent": True, "w_agent": np.zeros(2 * UNITS), "b_agent": np.log(9.0)}
    _, hurried = forward_attention(key, key, key, scale=0.3, return_weights=True, **score, **agent)
    panels = [("additive", plain), ("stay or move on", forward), ("an agent in haste", hurried)]
    draw_maps(figure, panels, words)
    return (
        "A text is read a second time, with scores that are hardly sure. Forward attention lets each step stay or go "
        "to the next key, and paths that go along with the scores survive. An agent that moves on in nine of ten cases "
        f"pulls ahead. Keys of {TEXT}."
    )


def _dynamic(figure: Figure) -> str:
    _, _, _, words = real_head(LAYER, HEAD, STRETCH)
    steps = [str(i + 1) for i in range(12)]
    haste = np.where(np.arange(12) < 4, 1.0, -1.0)[:, None]  # (m, 1): fast, then slow
    # The dynamic kernel of five taps looks two keys back when the query is positive, and at the place itself else.
    taps = np.array([[1.0, 0.0, -1.0, 0.0, 0.0]])
    silent = {"w_query": np.array([[9.0]]), "b_query": np.zeros(1), "conv": np.zeros((1, 1, 1))}
    silent |= {"w_static": np.zeros((1, 1)), "w_feature": np.array([[2.0]]), "b_feature": np.zeros(1)}
    panels = []
    for title, strength in (("the prior alone", 0.0), ("fast for four steps, then slow", 3.0)):
        _, weights = dynamic_convolution_attention(
            haste, np.zeros((len(words), 1)), w_dynamic=taps, v=np.array([strength]), return_weights=True, **silent
        )
        panels.append((title, weights))
    axes = draw_maps(figure, panels, steps, words)
    axes[0].set_ylabel("step")
    return (
        "Left: the beta-binomial prior moves on by one key per step on average, and spreads. Right: a kernel that is "
        "made of the query pulls the weights two keys ahead during the first four steps, and holds them back later. "
        "No word has been looked at."
    )


def _mixture(figure: Figure) -> str:
    _, _, _, words = real_head(LAYER, HEAD, STRETCH)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    silent = {"w_hidden": np.zeros((1, 1)), "b_hidden": np.zeros(1)}

    def bells(steps: Any, widths: Any, m: int) -> Any:
        parameters = np.concatenate([np.zeros(len(steps)), np.log(steps), 2 * np.log(widths)])
        return gmm_attention(
            np.zeros((m, 1)), np.zeros((len(words), 1)), w_params=np.zeros((1, parameters.size)), b_params=parameters,
            version=1, return_weights=True, return_means=True, **silent,
        )  # fmt: skip

    steps = [str(i + 1) for i in range(10)]
    _, weights, means = bells([0.8, 1.7], [0.8, 1.6], 10)
    mesh = show_weights(left, weights, steps, "two bells at two speeds", keys=words)
    left.set_ylabel("step")
    for k in range(2):
        left.plot(means[:, k] + 0.5, np.arange(10) + 0.5, color="#ffffff", marker="ox"[k], markersize=4, linewidth=1)
    left.set_xlim(0, len(words))
    color_scale(figure, mesh, left, "weight")
    for index, width in enumerate((0.2, 0.5, 1.5)):
        row = bells([4.0], [width], 1).weights[0]
        right.plot(row, marker="os^"[index], label=f"width {width:g}: sum {row.sum():.2f}", **line(index))
    right.axhline(1, color="#888888", linewidth=1, linestyle=":")
    right.set(title="narrow bells exceed 1", xlabel="key", ylabel="weight", xlim=(0, 9), ylim=(0, 3))
    right.legend()
    return (
        "Left: the weights of a mixture of two components, whose means (marks) move on at every step; it has not "
        "looked at the words. Right: one bell at key 4. A density at a whole number is no probability: below a width "
        "of about half a key rows no longer sum to 1."
    )


def _prior(figure: Figure) -> str:
    axes = figure.subplots()
    for index, (alpha, beta) in enumerate(((0.1, 0.9), (1.0, 1.0), (3.0, 9.0), (20.0, 6.0))):
        prior = beta_binomial_prior(11, alpha=alpha, beta=beta)
        mean = prior @ np.arange(11)
        axes.plot(prior, marker="os^D"[index], label=f"α = {alpha:g}, β = {beta:g}: mean {mean:.1f}", **line(index))
    axes.set(title="a step of 0 to 10 keys", xlabel="keys moved", ylabel="probability")
    axes.legend()
    return "Beta-binomial priors of a step. The first is that of dynamic convolution attention: one key on average."


def _alignment_prior(figure: Figure) -> str:
    _, _, _, words = real_head(LAYER, HEAD, STRETCH)
    steps = [str(i) if i % 4 == 0 else "" for i in range(1, 25)]
    panels = [(f"scale {scale:g}", beta_binomial_alignment_prior(24, len(words), scale=scale)) for scale in (0.5, 1, 4)]
    axes = draw_maps(figure, panels, steps, words, label="probability")
    axes[0].set_ylabel("frame")
    for each in axes:
        each.set_aspect("auto")
    return "Where is a reader after i of 24 frames? Near the diagonal, surely so at both ends; a large scale is sure."


def _window(figure: Figure) -> str:
    _, _, _, words = real_head(LAYER, HEAD, STRETCH)
    peaks = np.array([0, 2, 5, 7, 11, 14])
    rows = [words[last] for last in peaks]
    forward = attention_window_mask(len(words), last=peaks, backward=0, forward=3)
    usual = attention_window_mask(len(words), last=peaks)
    draw_masks(
        figure,
        [("Deep Voice 3: 0 back, 3 on", forward, rows), ("ESPnet: 1 back, 3 on", usual, rows)],
        [words, words],
    )
    figure.axes[0].set_ylabel("last peak")
    return "Which keys the next step may see after a peak at the word of the row. The peak itself is always among them."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "location_sensitive_attention": _location_sensitive,
    "dynamic_convolution_attention": _dynamic,
    "beta_binomial_prior": _prior,
    "beta_binomial_alignment_prior": _alignment_prior,
    "gmm_attention": _mixture,
    "forward_attention": _forward,
    "attention_window_mask": _window,
}
