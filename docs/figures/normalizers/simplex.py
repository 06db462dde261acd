"""Figures of sparsemax and entmax as functions of scores, and of their gradients."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.normalizers.entmax import entmax, entmax_vjp
from attlas_ref.normalizers.sparsemax import sparsemax, sparsemax_vjp

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_rows
from ..style import line

ALPHAS = (1.0, 1.25, 1.5, 2.0)
PATH = np.linspace(-2.5, 2.5, 501)
OTHERS = (0.0, -0.6)
"""The scores of the second and third key while the first one moves."""


def _two_keys() -> np.ndarray:
    return np.stack([PATH, np.zeros_like(PATH)], axis=-1)


def _three_keys() -> np.ndarray:
    return np.stack([PATH, *(np.full_like(PATH, score) for score in OTHERS)], axis=-1)


def _row(word: str) -> tuple[np.ndarray, list[str]]:
    """Return the scores of one real query."""
    head = real_head(*LAYER_HEAD)
    return head.key @ head.query[head.words.index(word)] / np.sqrt(head.query.shape[-1]), head.words


def _sparsemax(figure: Figure) -> str:
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    left.plot(PATH, entmax(_two_keys(), alpha=1.0)[:, 0], label="softmax", **line(1))
    left.plot(PATH, sparsemax(_two_keys())[:, 0], label="sparsemax", **line(0))
    left.set(title="Two keys", xlabel="score difference $x_1 - x_2$", ylabel="weight of the first")
    left.legend()
    scores, words = _row("tired")
    draw_rows(right, words, {"sparsemax": sparsemax(scores), "softmax": entmax(scores, alpha=1.0)})
    right.set_title("A real row: the query “tired”")
    return (
        "A score that lies 1 below the other gets exactly 0, and in between the weight is a straight line. In a row of "
        f"many words only a few are left. {SOURCE}."
    )


def _entmax(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    scores, words = _row("tired")
    order = np.argsort(-scores)
    for index, alpha in enumerate(ALPHAS):
        left.plot(PATH, entmax(_two_keys(), alpha=alpha)[:, 0], label=f"alpha {alpha:g}", **line(index))
        right.plot(entmax(scores, alpha=alpha)[order], marker="osD^"[index], markersize=4, **line(index))
    left.set(title="Two keys", xlabel="score difference $x_1 - x_2$", ylabel="weight of the first")
    left.legend()
    right.set_xticks(np.arange(len(words)), [words[j] for j in order], rotation=90)
    right.set(title="A real row, best keys first: “tired”", xlabel="key", ylabel="weight")
    return f"From softmax (alpha 1) to sparsemax (2): the weights reach 0 sooner, and fewer keys are left. {SOURCE}."


def _sparsemax_gradient(figure: Figure) -> str:
    path = _three_keys()
    grad_output = np.broadcast_to(np.array([1.0, 0.0, 0.0]), path.shape)
    weights, gradient = sparsemax(path), sparsemax_vjp(path, grad_output)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for j in range(3):
        upper.plot(
            PATH, weights[:, j], label=f"$x_{j + 1}$" + (" moves" if j == 0 else f" = {OTHERS[j - 1]:g}"), **line(j)
        )
        lower.plot(PATH, gradient[:, j], **line(j))
    upper.set(title="Weights: straight between the kinks", ylabel="weight")
    upper.legend()
    lower.set(title="Gradient of the first weight: constant between the kinks", xlabel="$x_1$", ylabel="gradient")
    return (
        "Three keys, of which the first score moves. The gradient jumps when a key enters or leaves the support: with "
        "k keys in it the slope is 1 − 1/k for oneself, −1/k for the others, and 0 for who is out."
    )


def _entmax_gradient(figure: Figure) -> str:
    path = _three_keys()
    grad_output = np.broadcast_to(np.array([1.0, 0.0, 0.0]), path.shape)
    left, right = figure.subplots(1, 2)
    for index, alpha in enumerate(ALPHAS):
        gradient = entmax_vjp(path, grad_output, alpha=alpha)
        left.plot(PATH, gradient[:, 0], **line(index))
        right.plot(PATH, gradient[:, 2], label=f"alpha {alpha:g}", **line(index))
    left.set(title="by its own score", xlabel="$x_1$", ylabel="gradient of the first weight")
    right.set(title="by the third score, −0.6", xlabel="$x_1$")
    right.legend(loc="lower right")
    return (
        "Three keys, of which the first score moves (the second is 0). For alpha below 2 the gradient runs into its "
        "zeros without a jump; a key that is out has no gradient at all."
    )


FIGURES = {
    "sparsemax": _sparsemax,
    "entmax": _entmax,
    "sparsemax_vjp": _sparsemax_gradient,
    "entmax_vjp": _entmax_gradient,
}
