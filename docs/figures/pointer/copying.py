"""Figures of the family pointer: copying."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.data import alice
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.pointer.copy_gate import copy_gate
from attlas_ref.pointer.copy_log_prob import copy_log_prob
from attlas_ref.pointer.copy_mixture import copy_mixture
from attlas_ref.pointer.coverage_attention import coverage_attention
from attlas_ref.pointer.coverage_loss import coverage_loss
from attlas_ref.pointer.pointer_sentinel_mixture import pointer_sentinel_mixture

from ..general import HEADS, LAYER_HEAD, TEXT, WORDS, real_head
from ..panels import draw_maps, draw_rows
from ..style import line

COMMON = ("the", "of", "and", "she", "was", "it", "to", "in", "had", "her")
"""A small vocabulary: the words that come most often in the text."""
ECHO = (2, 9)
"""The (layer, head) that looks for the same word."""
STRENGTHS = {"w_coverage = 0": 0.0, "w_coverage = −0.1": -0.1, "w_coverage = −0.5": -0.5}
Reals = NDArray[np.float64]


def numbered(words: list[str]) -> tuple[NDArray[np.int64], dict[str, int], Reals]:
    """Return the number of each word, all numbers (the vocabulary first), and the share of each common word."""
    known = {word: index for index, word in enumerate(COMMON)}
    for word in words:
        known.setdefault(word, len(known))
    text = alice().tokens.tolist()
    counts = np.array([text.count(word) for word in COMMON], dtype=float)
    return np.array([known[word] for word in words]), known, counts / counts.sum()


def _mixture(figure: Figure) -> str:
    head = real_head(*HEADS[0])
    ids, known, vocab = numbered(head.words)
    asked = head.words.index("sitting")
    weights = softmax_attention(head.query, head.key, head.value, return_weights=True).weights[asked : asked + 1]
    shown = [word for word in known if known[word] in ids or known[word] < 4]
    rows = {
        f"g = {gate:g}": copy_mixture(vocab[None], weights, np.array([gate]), ids)[0][[known[word] for word in shown]]
        for gate in (1.0, 0.5, 0.0)
    }
    axes = figure.subplots()
    draw_rows(axes, shown, rows, ylabel="probability")
    axes.set(title='The next word after "sitting": from ten common words, from the text, from both', xlabel="word")
    return (
        f"{TEXT}: with the gate at 1 only the ten most common words can be said, in their shares; at 0 only words of "
        "the clause, as a real head weighs them; at 1/2 both. A word that occurs twice collects both weights."
    )


def _gate(figure: Figure) -> str:
    states = np.linspace(-4, 4, 161)[:, None]
    nothing, one = np.zeros_like(states), np.ones(1)
    axes = figure.subplots()
    for index, bias in enumerate((-2.0, 0.0, 2.0)):
        gate = copy_gate(nothing, states, nothing, w_context=one, w_state=one, w_embedded=one, b=bias)
        axes.plot(states[:, 0], gate, label=f"b = {bias:g}", **line(index))
    axes.axhline(0.5, color="gray", linewidth=1)
    axes.set(title="A large state generates, a small one copies; the bias moves the border",
             xlabel="w · (context, state, word)",
             ylabel="probability to generate", ylim=(0, 1))  # fmt: skip
    axes.legend()
    return "The gate is a logistic regression: one number decides, and the bias says where it tips over."


def _read_before() -> tuple[Any, Any, Any, Any]:
    """The words of the text, and how a real head weighs those before each."""
    head = real_head(*ECHO, WORDS)
    before = np.tri(len(head.words), k=-1, dtype=bool)
    weights = softmax_attention(head.query, head.key, head.value, mask=before, return_weights=True).weights
    return head, before, weights, numbered(head.words)


def _log_prob(figure: Figure) -> str:
    head, _, weights, (ids, known, _) = _read_before()
    counts = np.bincount(ids, minlength=len(known)) ** 0.5  # a vocabulary that has smoothed its counts
    vocab = np.tile(counts / counts.sum(), (len(ids), 1))
    stretch = slice(34, 58)
    axes = figure.subplots()
    words = head.words[stretch]
    for index, gate in enumerate((1.0, 0.5)):
        found = copy_log_prob(vocab, weights, np.full(len(ids), gate), ids, ids)[stretch]
        name = "generated only" if gate == 1 else "half copied"
        axes.plot(-found, marker="os"[index], markersize=5, label=name, **line(index))
    axes.set_xticks(np.arange(len(words)), words, rotation=90)
    axes.set(title="Words that stood before become cheaper, new ones cost log 2 more", ylabel="−log probability (nats)")
    axes.legend(loc="upper left", ncols=2, bbox_to_anchor=(0, 0.995))
    axes.set_ylim(0, 6.2)
    return (
        f"{TEXT}: what each word costs under a distribution over all words of the text, and when half the probability "
        "is copied from earlier words, as a real head weighs them."
    )


def _sentinel(figure: Figure) -> str:
    head, before, _, (ids, known, _) = _read_before()
    width = head.key.shape[-1]
    vocab = np.full((len(ids), len(known)), 1 / len(known))
    axes = figure.subplots()
    stretch = slice(0, 45)
    usual = np.tanh(head.query / 2).mean(axis=0)
    for index, strength in enumerate((1.0, 3.0, 5.0)):
        sentinel = strength * usual / (usual @ usual)  # its score is the strength, for a query like most
        _, gate = pointer_sentinel_mixture(
            head.query, head.key / np.sqrt(width), sentinel, vocab, ids, w_query=np.eye(width) / 2,
            b_query=np.zeros(width), mask=before, return_gate=True,
        )  # fmt: skip
        axes.plot(gate[stretch], label=f"usual score of the sentinel {strength:g}", **line(index))
    axes.set_xticks(np.arange(45), head.words[stretch], rotation=90, fontsize=8)
    axes.set(title="The first word has nothing to point to; then the past competes with the sentinel",
             ylabel="share of the vocabulary", ylim=(0, 1.02))  # fmt: skip
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.84))
    return f"{TEXT}: the gate of each word, with real queries and keys of earlier words and three sentinels."


def covered(strength: float) -> Any:
    """Eight steps with nearly the same query over a clause, with coverage that counts or does not."""
    head = real_head(*LAYER_HEAD)
    width = head.key.shape[-1]
    projection = np.linalg.svd(head.key - head.key.mean(axis=0))[2][:1].T  # the direction in which keys differ most
    projection = projection * 0.4 / np.abs(head.key @ projection).max()
    network = {"w_query": np.zeros((width, 1)), "w_key": projection, "v": np.array([40.0])}
    return head.words, coverage_attention(
        np.zeros((10, width)), head.key, head.value, **network, w_coverage=np.array([strength]), return_weights=True
    ).weights


def _coverage(figure: Figure) -> str:
    steps = [str(step) for step in range(1, 11)]
    panels = [(title, covered(strength)[1]) for title, strength in list(STRENGTHS.items())[::2]]
    high = max(float(weights.max()) for _, weights in panels)
    words = covered(0.0)[0]
    axes = draw_maps(figure, [(title, weights / high) for title, weights in panels], steps, words,
                     label=f"weight, in units of {high:.2f}")  # fmt: skip
    axes[0].set_ylabel("step")
    for one in axes:
        one.set_xlabel("key")
    return (
        "Ten steps that all ask the same, over keys of a real head. Without coverage they all get the same answer; "
        "with it, each look lowers the score of what was seen, and attention moves on. The network has one hidden "
        "unit, made by hand."
    )


def _loss(figure: Figure) -> str:
    axes = figure.subplots()
    for index, (name, strength) in enumerate(STRENGTHS.items()):
        weights = covered(strength)[1]
        losses = [float(coverage_loss(weights[:step])) for step in range(1, len(weights) + 1)]
        axes.plot(range(1, len(weights) + 1), losses, marker="osD"[index], markersize=5, label=name, **line(index))
    axes.plot([1, 10], [0, 9], color="gray", linewidth=1, label="always at one place")
    axes.set(title="What coming back costs, step by step", xlabel="steps", ylabel="coverage loss", xticks=range(1, 11))
    axes.legend()
    return (
        "The steps of the figure of `coverage_attention`: the same answer again and again pays nearly 1 for each step."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "copy_mixture": _mixture,
    "copy_gate": _gate,
    "copy_log_prob": _log_prob,
    "pointer_sentinel_mixture": _sentinel,
    "coverage_attention": _coverage,
    "coverage_loss": _loss,
}
