"""Figures of slots that compete for inputs."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.probabilistic.competitive_attention import competitive_attention
from attlas_ref.probabilistic.conditional_slot_attention import conditional_slot_attention
from attlas_ref.probabilistic.slot_attention import slot_attention, slots_init
from attlas_ref.probabilistic.spectral_slot_count import slot_dictionary_lookup, spectral_slot_count

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import LINES
from .words import HERE, THERE, WORDS_FROM, words_at

Reals = NDArray[np.float64]
MARKS = "osD^"
READERS = ("alice", "tired", "sister", "bank")
"""Words that stand for slots."""


def _competition(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    chosen = [head.words.index(word) for word in READERS]
    query = head.query[chosen]
    panels = [
        (
            "softmax: each reads what it likes",
            softmax_attention(query, head.key, head.value, return_weights=True).weights,
        ),
        (
            "competition: each key is shared",
            competitive_attention(query, head.key, head.value, return_weights=True).weights,
        ),
    ]
    draw_maps(figure, panels, list(READERS), head.words, rows=2)
    return (
        "Four words as slots. In competition each key is divided among the four, so that a key which all of them like "
        f"counts less for each, and one that only one of them likes counts more. {SOURCE}."
    )


def _plain(width: int, sharpness: float) -> dict[str, Any]:
    """Weights with which a step is competition alone: the unit takes tanh of the update, and there is no network."""
    eye, none, zero = np.eye(width), np.zeros((width, width)), np.zeros(width)
    gates = np.concatenate([zero, zero - 99, zero])  # the gate z is shut: nothing old is kept
    return {
        "w_query": sharpness * eye,
        "b_query": zero,
        "gru_w_input": np.hstack([none, none, eye]),
        "gru_w_hidden": np.zeros((width, 3 * width)),
        "gru_b_input": gates,
        "gru_b_hidden": np.zeros(3 * width),
        "mlp_w1": none,
        "mlp_b1": zero,
        "mlp_w2": none,
        "mlp_b2": zero,
        "norm_slots_gain": zero + 1,
        "norm_slots_bias": zero,
        "norm_mlp_gain": zero + 1,
        "norm_mlp_bias": zero,
    }


def _things(rng: np.random.Generator, width: int) -> Reals:
    """Five, four and three features of three things, with noise."""
    return np.repeat(np.eye(width)[:3], (5, 4, 3), axis=0) + 0.15 * rng.normal(size=(12, width))


def _slots(figure: Figure) -> str:
    rng = np.random.default_rng(3)
    inputs, slots = _things(rng, 4), 0.3 * rng.normal(size=(3, 4))
    eye, zero = np.eye(4), np.zeros(4)
    own = {"w_key": eye, "b_key": zero, "w_value": eye, "b_value": zero, "norm_input_gain": zero + 1}
    weights = {**_plain(4, 2.0), **own, "norm_input_bias": zero}
    names = [f"{thing}{index + 1}" for thing, count in zip("ABC", (5, 4, 3), strict=True) for index in range(count)]
    panels = [
        (f"step {steps}", slot_attention(inputs, slots, **weights, steps=steps, return_weights=True).weights)
        for steps in (1, 2, 6)
    ]
    axes = draw_maps(figure, panels, ["slot 1", "slot 2", "slot 3"], names, rows=3)
    for one in axes:
        one.set(xlabel="feature" if one is axes[-1] else "", ylabel="")
    return (
        "Twelve features of three things, A, B and C, and three slots that start at random. Within a few steps each "
        "slot has a thing to itself and reads all of its features alike."
    )


def _scatter(axes: Any, points: Reals, index: int, label: str | None = None, **more: Any) -> None:
    look = {"s": 26, "color": LINES[index % 4], "marker": MARKS[index % 4], "linewidths": 0, **more}
    axes.scatter(points[..., 0].ravel(), points[..., 1].ravel(), label=label, **look)


def _start(figure: Figure) -> str:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(60, 2))
    axes = figure.subplots()
    for index, (mean, scale) in enumerate((((0.0, 0.0), (1.0, 1.0)), ((4.0, 1.0), (0.3, 1.2)))):
        drawn = slots_init(np.array(mean), np.log(scale), noise)
        _scatter(axes, drawn, index, f"mean {mean}, scale {scale}")
    axes.set(title="The same draws, two Gaussians", xlabel="channel 1", ylabel="channel 2", aspect="equal")
    axes.legend(loc="upper left")
    return "Sixty slots from each of two learned Gaussians: any number of slots can be drawn, since all share one."


def _draws(figure: Figure) -> str:
    rng = np.random.default_rng(5)
    inputs = _things(rng, 4) - 0.25
    slots = 0.4 * rng.normal(size=(40, 3, 4))
    refined = conditional_slot_attention(inputs, inputs, slots, **_plain(4, 4.0), steps=20, mlp_output_relu=False)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, drawn, title in ((left, slots, "Slots as drawn"), (right, refined, "After 20 steps")):
        for k in range(3):
            beside = 0.05 * (k - 1) * (axes is right)  # they end in the same places
            _scatter(axes, drawn[:, k, :2] + np.array([beside, 0.0]), k, f"slot {k + 1}", alpha=0.6)
        _scatter(axes, inputs, 3, "features", color=matplotlib.rcParams["text.color"], s=40, marker="x", linewidths=1.5)
        axes.set(title=title, xlabel="channel 1")
    left.set_ylabel("channel 2")
    right.legend(loc="upper right")
    return (
        "Forty draws of three slots, refined at once over the same twelve features (crosses). Nearly every draw "
        "ends at the three things, but which slot takes which thing is settled anew in each (marks set side by side)."
    )


def _spectrum(figure: Figure) -> str:
    here, there = words_at(HERE), words_at(THERE)
    left, right = figure.subplots(1, 2, sharey=True)
    sets = (
        (
            left,
            "Four words, twice each",
            np.concatenate([words_at(at).vectors for at in ((33, 43, 45, 1), (57, 64, 66, 61))]),
        ),
        (right, "Seventeen words", np.concatenate([here.vectors, there.vectors])),
    )
    for axes, title, vectors in sets:
        result = spectral_slot_count(vectors)
        at = np.arange(1, len(vectors) + 1)
        axes.bar(at, result.eigenvalues, color=LINES[0], label="eigenvalue")
        axes.plot(at, result.rounded, "D", color=LINES[1], markersize=5, label="rounded")
        axes.set(title=f"{title}: {int(result.count)} slots", xlabel="direction")
    left.set_ylabel("features in this direction")
    right.legend()
    return (
        "A word that stands in the text twice has nearly the same vector, so eight features fill four directions and "
        f"no more; seventeen words, some of them alike, leave ten. {WORDS_FROM}."
    )


def _dictionary(figure: Figure) -> str:
    rng = np.random.default_rng(2)
    codebook = np.array([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]])
    means, log_variance = codebook * 2 + np.array([0.0, 1.0]), np.log([[0.3, 0.05], [0.05, 0.3], [0.2, 0.2]])
    properties = rng.uniform(-2, 2, (90, 2))
    code, slots = slot_dictionary_lookup(properties, codebook, means, log_variance, rng.normal(size=(90, 2)))
    left, right = figure.subplots(1, 2)
    for c in range(3):
        _scatter(left, properties[code == c], c, f"kind {c}")
        _scatter(left, codebook[c], c, s=160, edgecolors=matplotlib.rcParams["text.color"], linewidths=1.5)
        _scatter(right, slots[code == c], c, f"kind {c}")
    left.set(title="What was seen, by its nearest entry", xlabel="property 1", ylabel="property 2", aspect="equal")
    right.set(title="Slots, from the Gaussian of the entry", xlabel="channel 1", ylabel="channel 2", aspect="equal")
    right.legend()
    return (
        "Three entries (large marks). Each seen thing takes the nearest, and its slot is drawn from that entry's "
        "Gaussian."
    )


FIGURES = {
    "competitive_attention": _competition,
    "slot_attention": _slots,
    "slots_init": _start,
    "conditional_slot_attention": _draws,
    "spectral_slot_count": _spectrum,
    "slot_dictionary_lookup": _dictionary,
}
