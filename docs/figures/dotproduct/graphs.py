"""Figures of attention over graphs, and of attention that passes on relations."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.coulomb_graph_attention import coulomb_graph_attention
from attlas_ref.dotproduct.dual_attention import dual_attention
from attlas_ref.dotproduct.graph_attention import graph_attention
from attlas_ref.dotproduct.graph_attention_v2 import graph_attention_v2
from attlas_ref.dotproduct.relational_attention import relational_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import SIGNED, color_scale, line, show_weights

NODES = [str(node) for node in range(1, 11)]


def _features() -> np.ndarray:
    """Return ten nodes of a fixed graph: random points in the plane."""
    return np.random.default_rng(5).normal(size=(10, 2))


def _static() -> np.ndarray:
    x = _features()
    vectors = {"query_vector": np.array([2.0, -1.0]), "key_vector": np.array([1.0, 2.0])}
    weights: np.ndarray = graph_attention(x, x, x, return_weights=True, **vectors).weights
    return weights


def _graph(figure: Figure) -> str:
    weights = _static()
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, weights, NODES, "weights", limits=(0, 1))
    left.set(xlabel="sender", ylabel="receiver")
    left.tick_params(axis="x", rotation=0)
    color_scale(figure, mesh, left, "weight")
    order = np.argsort(weights[0])
    for index, receiver in enumerate((0, 3, 6, 8)):
        right.plot(weights[receiver][order], marker="osD^"[index], label=NODES[receiver], **line(index))
    right.set_xticks(np.arange(10), [NODES[j] for j in order])
    right.set(title="Every receiver ranks alike", xlabel="sender, in the order of receiver 1", ylabel="weight")
    right.legend(title="receiver")
    return (
        "Ten nodes that all hear each other. Receivers differ in how sharply they choose, but not in whom they prefer: "
        "the attention is static."
    )


def _graph_v2(figure: Figure) -> str:
    x = _features()
    # Directions all around: the sum of relu(u_c · (x_i - x_j)) grows with the distance between the two nodes.
    angle = np.arange(16) * 2 * np.pi / 16
    around = np.stack([np.cos(angle), np.sin(angle)])  # (2, 16)
    dynamic = graph_attention_v2(
        x @ around, -x @ around, x, score_vector=np.full(16, -1.0), return_weights=True
    ).weights
    panels = [("graph_attention", _static()), ("graph_attention_v2", dynamic)]
    for axes, (_, weights) in zip(draw_maps(figure, panels, NODES), panels, strict=True):
        axes.plot(weights.argmax(axis=-1) + 0.5, np.arange(10) + 0.5, "o", color="white", markeredgecolor="black")
        axes.set(xlabel="sender")
        axes.tick_params(axis="x", rotation=0)
    figure.axes[0].set_ylabel("receiver")
    return (
        "Dots mark the preferred sender. The first version prefers one and the same; bending before the inner product "
        "lets every node look for the nodes near itself."
    )


def _coulomb(figure: Figure) -> str:
    n = 12
    node = np.arange(n)
    potential = 2 * np.exp(-np.abs(node[:, None] - node) / 4)
    panels = []
    for power in (0.0, 1.0, 2.0):
        weights = coulomb_graph_attention(
            np.eye(n),
            potential,
            weight=np.eye(n),
            node_bias=np.zeros((n, n)),
            score_matrix=20 * np.eye(n),
            power=np.full((n, n), power),
            return_weights=True,
        ).weights
        panels.append((f"power {power:g}", weights))
    for axes in draw_maps(figure, panels, [str(j + 1) for j in node]):
        axes.set_xlabel("sender")
        axes.tick_params(axis="x", rotation=0, labelsize=8)
    figure.axes[0].set_ylabel("receiver")
    return (
        "A chain of twelve nodes whose adjacency falls as 2 exp(−distance / 4). A higher power screens more: with 0 "
        "all nodes are alike, with 2 each is nearly alone."
    )


def _relational(figure: Figure) -> str:
    head, other = real_head(*LAYER_HEAD), real_head(3, 5)
    n = len(head.words)
    result = relational_attention(
        head.query[None],
        head.key[None],
        other.query[None],
        other.key[None],
        np.zeros((1, n, 1)),
        relation_weight=np.ones((1, 1, 1)),
        activation="tanh",
        return_weights=True,
    )
    weights, relation = result.weights[0], result.relations[0]
    panels = [
        ("whom: weights", weights),
        ("what: the relation", relation),
        ("passed on: their product", weights * relation),
    ]
    draw_maps(figure, panels, head.words, label="weight, relation")
    return (
        "One head chooses whom to look at; the scores of another, through tanh, are the relation that is passed on. "
        f"The output sums their product over the keys. {SOURCE}, layer 3, heads 1 and 5."
    )


def _dual(figure: Figure) -> str:
    heads = [real_head(3, head) for head in (1, 5)]
    query, key, value = (np.stack([head[part] for head in heads]) for part in range(3))
    words = heads[0].words
    n, e = len(words), 6
    rng = np.random.default_rng(2)
    symbols = rng.normal(size=(2, n, e)) / 2

    def attend(value: np.ndarray) -> np.ndarray:
        output: np.ndarray = dual_attention(
            query,
            key,
            value[..., :e],
            query,
            key,
            query[..., :8],
            key[..., :8],
            symbols,
            relation_weight=rng_weight,
            activation="tanh",
        )
        return output

    rng_weight = rng.normal(size=(2, 2, e)) / 2
    output = attend(value)
    change = attend(value[:, rng.permutation(n)]) - output
    bound = float(max(np.abs(output).max(), np.abs(change).max()))
    all_axes = figure.subplots(1, 2)
    names = [f"{kind} {head}" for kind in ("sensory", "relational") for head in (1, 2)]
    for axes, title, matrix in zip(
        all_axes, ("output", "change when values are shuffled"), (output, change), strict=True
    ):
        mesh = axes.pcolormesh(matrix, cmap=SIGNED, vmin=-bound, vmax=bound, rasterized=True)
        axes.invert_yaxis()
        axes.set_yticks(np.arange(n) + 0.5, words if axes is all_axes[0] else [""] * n)
        axes.set_xticks(e * (np.arange(4) + 0.5), names, rotation=30, ha="right")
        for boundary in (e, 2 * e, 3 * e):
            axes.axvline(boundary, color="gray", linewidth=2 if boundary == 2 * e else 0.7)
        axes.set(title=title, xlabel="head (6 channels each)")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    color_scale(figure, mesh, all_axes, "output")
    return (
        "Outputs of four heads side by side. Sensory heads read what the words say, so shuffling the values changes "
        f"them; relational heads read relations and symbols, and notice nothing. {SOURCE}."
    )


FIGURES = {
    "graph_attention": _graph,
    "graph_attention_v2": _graph_v2,
    "coulomb_graph_attention": _coulomb,
    "relational_attention": _relational,
    "dual_attention": _dual,
}
