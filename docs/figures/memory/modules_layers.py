"""Figures of layers that are memories."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.memory.ffn_memory import ffn_memory
from attlas_ref.memory.ffnified_attention import ffnified_attention
from attlas_ref.memory.scratchpad_write import scratchpad_write
from attlas_ref.memory.tensor_brain_step import tensor_brain_step

from ..general import LAYER_HEAD, SOURCE, WORDS, real_head
from ..panels import draw_rows
from ..style import LINES, SIGNED, color_scale, line


def _slots(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    scores = np.linspace(-4, 4, 201)
    for index, activation in enumerate(("gelu", "relu", "silu", "identity")):
        weights = ffn_memory(scores[:, None], [[1.0]], [[1.0]], activation=activation)[:, 0]
        left.plot(scores, weights, label=activation, **line(index))
    left.set(title="From score to weight", xlabel="score <q, k>", ylabel="weight", ylim=(-1, 4))
    left.legend()
    angles = np.linspace(0, 2 * np.pi, 361)
    query = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    places = np.deg2rad([60, 150, 285])
    key, value = 4 * np.stack([np.cos(places), np.sin(places)], axis=-1), np.array([[1.0], [-0.5], [0.75]])
    output, weights = ffn_memory(query, key, value, return_weights=True)
    for slot in range(3):
        right.plot(np.rad2deg(angles), weights[:, slot] * value[slot], label=f"slot {slot + 1}", **line(slot))
    right.plot(np.rad2deg(angles), output[:, 0], color="gray", linewidth=4, alpha=0.4, label="sum")
    right.set(title="A query turns past three slots", xlabel="direction of the query (degrees)", ylabel="output")
    right.set_xticks(np.arange(0, 361, 90))
    right.legend()
    return (
        "Left: four activations. Right: three slots, whose keys of length 4 look for the directions 60°, 150° and "
        "285°; each adds its value (1, −½, ¾) as much as it recognizes the query, and does not know of the others."
    )


def _picture() -> np.ndarray:
    """Return a small image of a letter A, 1 on 0."""
    rows, columns = np.indices((22, 22))
    legs = np.abs(np.abs(columns - 10.5) - (rows - 2) * 0.42) < 1.3
    bar = (np.abs(rows - 13) < 1.3) & (np.abs(columns - 10.5) < 5)
    inside = (rows >= 2) & (rows <= 19)
    return ((legs | bar) & inside).astype(float)


def _convolved(figure: Figure) -> str:
    image = _picture()[..., None]
    offsets = np.arange(-2, 3)
    find = np.sign(offsets)[None, :, None] * np.ones((3, 1, 1)) / 6  # brighter to the right
    spread = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 2)[..., None] / 4
    output, weights = ffnified_attention(image, find, spread, activation="relu", return_weights=True)
    panels = figure.subplots(1, 3)
    titles = ("query: an image", "coefficients: edges on the left", "output: spread by the value kernel")
    for axes, title, picture in zip(panels, titles, (image, weights, output), strict=True):
        bound = float(np.abs(picture).max())
        mesh = axes.pcolormesh(picture[..., 0] / bound, cmap=SIGNED, vmin=-1, vmax=1, rasterized=True)
        axes.invert_yaxis()
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    color_scale(figure, mesh, list(panels), "relative to the panel's largest", below=True)
    return (
        "The key kernel (3 × 5) looks for what is brighter to the right, relu keeps where it is found, "
        "and the value kernel (5 × 5) puts a blot there."
    )


def _notes(figure: Figure) -> str:
    rng = np.random.default_rng(3)
    memory = np.array([[-0.9, -0.7], [-0.5, 0.8], [0.1, -0.2], [0.7, 0.9], [0.9, -0.8]])
    weights = {
        "w_gate": np.array([0.0, 0.0, 0.0, 0.0, -2.0, 0.0]),  # the further right a row is, the more it takes
        "b_gate": 1.0,
        "w_update": rng.normal(size=(4, 2)),
        "b_update": np.zeros(2),
    }
    open_gate = {**weights, "b_gate": -1e9}
    axes = figure.subplots()
    path, notes = [memory], []
    for _ in range(4):
        state, context = rng.normal(size=(2, 2))
        notes.append(scratchpad_write(memory, state, context, **open_gate)[0])  # every row becomes the note
        memory = scratchpad_write(memory, state, context, **weights)
        path.append(memory)
    for row in range(5):
        axes.plot(*np.array(path)[:, row].T, marker="o", markersize=5, label=f"row {row + 1}",
                  **line(row) if row < 4 else {"color": "gray", "linestyle": "-"})  # fmt: skip
    for t, note in enumerate(notes):
        axes.plot(*note, "*", color="gray", markersize=14, label="notes" if t == 0 else None)
        axes.annotate(f"u{t + 1}", note, xytext=(7, 5), textcoords="offset points")
    axes.set(title="Four steps: rows on the right follow the notes, those on the left stay", xlabel="channel 0",
             ylabel="channel 1", aspect="equal", xticks=(-0.5, 0, 0.5))  # fmt: skip
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return (
        "Five source positions with two channels. At each step all rows move towards the same note u (stars), each as "
        "far as its own gate lets it; here the gate looks at channel 0."
    )


def _names(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, WORDS)
    words = ("alice", "sister", "rabbit", "book", "bank", "tired", "reading", "ran")
    names = np.array([head.value[head.words.index(word)] for word in words])
    names = 3 * names / np.linalg.norm(names, axis=-1, keepdims=True)
    state, rows = np.zeros(names.shape[-1]), {}
    for said in ("rabbit", "ran"):
        state, probabilities = tensor_brain_step(state, names, index=np.array(words.index(said)))
        rows[f"before saying “{said}”"] = probabilities
    rows["after both"] = tensor_brain_step(state, names).probabilities
    axes = figure.subplots()
    draw_rows(axes, words, rows, ylabel="probability", rotation=0)
    axes.set(title="A name that has been said becomes more likely", xlabel="name")
    axes.axhline(1 / len(words), color=LINES[3], linewidth=1, linestyle=":")
    return (
        "Eight names, whose embeddings are the values of real words, all of length 3; the state starts at 0. Saying a "
        f"name adds its embedding to the state. Dotted: all names alike. {SOURCE}."
    )


FIGURES = {
    "ffn_memory": _slots,
    "ffnified_attention": _convolved,
    "scratchpad_write": _notes,
    "tensor_brain_step": _names,
}
