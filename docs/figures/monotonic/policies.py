"""Figures of policies of a pointer."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.monotonic.infinite_lookback_weights import infinite_lookback_weights
from attlas_ref.monotonic.lm_augmented_monotonic_energy import future_representation, lm_augmented_monotonic_energy
from attlas_ref.monotonic.monotonic_alignment import monotonic_alignment
from attlas_ref.monotonic.stepwise_monotonic_alignment import stepwise_monotonic_alignment
from attlas_ref.monotonic.waitk_p_choose import waitk_p_choose

from ..panels import draw_maps, draw_rows
from .spoken import HEAD, reading

GAIN, OFFSET = 12.0, -8.5


def _wait(figure: Figure) -> str:
    written = reading().written
    n = len(written)
    panels = []
    for k in (1, 4):
        read = monotonic_alignment(waitk_p_choose(n, n, k=k))
        panels.append((f"k = {k}: even over what is read", infinite_lookback_weights(read, np.zeros((n, n)))))
    all_axes = draw_maps(figure, panels, [f"{i + 1}" for i in range(n)], written)
    all_axes[0].set_ylabel("word that is written")
    return (
        "Wait for k words, then write one for each that comes. A row reads what has come by then; once all has been "
        "read the pointer runs off, and the last k - 1 rows are empty."
    )


def _stepwise(figure: Figure) -> str:
    text = reading()
    close = text.query @ text.key.T
    same = close > 0.99
    # Stay while the word that is heard is the one that the pointer stands at, else move on.
    stay = 1 / (1 + np.exp(-GAIN * (close - 0.7)))
    start = np.eye(len(text.written))[0]
    panels = [
        ("the word that is said", same.astype(float)),
        ("stay on what is heard", stepwise_monotonic_alignment(stay, previous=start, absorb_last=True)),
        ("even chances", stepwise_monotonic_alignment(0 * stay + 0.5, previous=start, absorb_last=True)),
    ]
    draw_maps(figure, panels, text.said, text.written, label="probability")
    return (
        "A pointer that stays or moves by one. It follows a reader who repeats words; where a word is left out it "
        f"falls behind by a step. With even chances the place is binomial. {HEAD}"
    )


def _mixed(figure: Figure) -> str:
    text = reading(1.6)
    one, clear = np.eye(text.key.shape[-1]), reading(0.4).query
    factor = GAIN * np.sqrt(text.key.shape[-1])
    matrices = {"w_query": factor * one, "w_key": one, "w_future": factor * one, "w_future_key": one}
    panels = []
    for mix, title in ((0.0, "mix 0: what is heard"), (0.5, "mix 0.5"), (1.0, "mix 1: what is expected")):
        p = lm_augmented_monotonic_energy(
            text.query, text.key, clear, r=OFFSET, mix=mix, return_probability=True, **matrices
        )
        panels.append((title, monotonic_alignment(p)))
    draw_maps(figure, panels, text.said, text.written, label="probability to stop")
    return (
        "A noisy recording, and somebody who knows the sentence nearly by heart: the energies of both are mixed before "
        f"the pointer walks. {HEAD}"
    )


def _future(figure: Figure) -> str:
    text = reading(1.2)
    scores = 8 * text.query[9] @ text.key.T
    prob = np.exp(scores - scores.max())
    prob /= prob.sum()
    n, d = text.key.shape
    # A network that does nothing: ReLU(x) - ReLU(-x) = x.
    both = np.concatenate([np.eye(d), -np.eye(d)], axis=1)
    network = {"w1": both, "b1": np.zeros(2 * d), "w2": both.T, "b2": np.zeros(d)}
    rows = {"probability of the word": prob}
    for top in (1, 3, n):
        future = future_representation(prob[None], text.key, top=top, **network)[0]
        rows[f"likeness to the mix of {top}"] = np.clip(future @ text.key.T / np.linalg.norm(future), 0, 1)
    draw_rows(figure.subplots(), text.written, rows, ylabel="probability, cosine", rotation=0)
    return (
        "What comes next? The representation of the future mixes the embeddings of the likeliest words: with one it is "
        f"that word, with more a compromise. {HEAD}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "waitk_p_choose": _wait,
    "stepwise_monotonic_alignment": _stepwise,
    "lm_augmented_monotonic_energy": _mixed,
    "future_representation": _future,
}
