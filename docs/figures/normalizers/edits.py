"""Figures of edits of weights, queries and keys: a real head before and after."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.softmax_attention_vjp import softmax_attention_vjp
from attlas_ref.normalizers.amplify_heads import amplify_heads
from attlas_ref.normalizers.attention_perturbation import attention_perturbation
from attlas_ref.normalizers.calibrate_attention_sinks import calibrate_attention_sinks
from attlas_ref.normalizers.counterfactual_attention_map import counterfactual_attention_map
from attlas_ref.normalizers.interpolated_attention import interpolated_attention
from attlas_ref.normalizers.shift_along_direction import shift_along_direction
from attlas_ref.normalizers.split_softmax import split_softmax
from attlas_ref.normalizers.transfer_attention import transfer_attention

from ..general import HEADS, LAYER_HEAD, SOURCE, Head, real_head
from ..panels import draw_edit, draw_maps, draw_rows
from ..style import LINES, line


def _weights(head: Head, causal: bool = False) -> np.ndarray:
    weights: np.ndarray = softmax_attention(*head[:3], causal=causal, return_weights=True).weights
    return weights


def _calibrated(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, slice(0, 16))
    before = _weights(head, causal=True)
    after = calibrate_attention_sinks(before[None], threshold=0.2)[0]
    draw_edit(figure, before, after, head.words, "change, threshold 0.2")
    return (
        "Causal weights. Columns that get more than 0.2 on average are sinks: all but the first give up 60 percent, "
        f"which goes to the other words of the row. {SOURCE}."
    )


def _split(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    subset = np.array([word in ("sister", "bank") for word in head.words])
    row = _weights(head)[head.words.index("beginning")]
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    exponents = np.linspace(0.02, 2, 100)
    for index, mass in enumerate((0.05, 0.2, 0.5)):
        two = np.array([mass, 1 - mass])
        masses = [split_softmax(two, subset=np.array([True, False]), exponent=float(t))[0] for t in exponents]
        left.plot(exponents, masses, label=f"from {mass:g}", **line(index))
    left.axvline(1, color="gray", linewidth=1)
    left.set(title="Mass of the subset", xlabel="exponent", ylabel="mass", ylim=(0, 1))
    left.legend()
    draw_rows(
        right,
        head.words,
        {f"exponent {t:g}": split_softmax(row, subset=subset, exponent=t) for t in (1.0, 0.5, 0.25)},
    )
    right.set(title="Query “beginning”; subset: sister, bank", ylim=(0, 0.28))
    right.legend(loc="upper left")
    return (
        "An exponent below 1 gives the subset more; inside the subset, and outside of it, the proportions stay. "
        f"{SOURCE}."
    )


def _shifted(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    toward = head.key[head.words.index("alice")]
    nothing = np.zeros_like(toward)
    panels = [("as they are", _weights(head))]
    for title, query_direction, key_direction in (
        ("queries shifted", toward, nothing),
        ("keys shifted", nothing, toward),
    ):
        shifted = shift_along_direction(
            head.query, head.key, query_direction=query_direction, key_direction=key_direction, strength=0.5
        )
        panels.append((title, _weights(Head(shifted.query, shifted.key, head.value, head.words))))
    draw_maps(figure, panels, head.words)
    return (
        "Half of the key of “alice” added to every query draws all words to “alice”; added to every key it changes "
        f"nothing, for it cancels in the softmax. {SOURCE}."
    )


def _amplified(figure: Figure) -> str:
    layer = LAYER_HEAD[0]
    heads = [real_head(layer, index) for index in range(12)]
    words = heads[0].words
    tokens = np.array([word in ("alice", "sister") for word in words])
    before = np.stack([_weights(head) for head in heads])
    gains = np.where(np.arange(12) % 3 == 0, 3.0, 0.0)  # every third head
    after = amplify_heads(before, tokens=tokens, gains=gains)
    axes = figure.subplots()
    means = {
        name: weights[..., tokens].sum(axis=-1).mean(axis=-1)
        for name, weights in {"before": before, "after": after}.items()
    }
    draw_rows(axes, [f"{head}\n×{1 + gain:g}" for head, gain in enumerate(gains)], means, rotation=0)
    axes.set(title="Weight on “alice” and “sister”, mean over the queries", xlabel="head and its factor")
    return (
        "Every third head multiplies its weights on the two words by 4 and normalizes again; the other heads stay as "
        f"they are. {SOURCE}, layer {layer}."
    )


def _transferred(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    before = _weights(head)
    target = head.words.index("sister")
    after = transfer_attention(
        before[None], rows=slice(0, len(head.words)), targets=slice(target, target + 1), threshold=0.08
    )[0]
    draw_edit(figure, before, after, head.words, "change, target “sister”")
    return (
        "In rows whose weight on the target exceeds 0.08, all weights below 0.08 are dropped and the target gets them. "
        f"Rows that do not look at it are left alone. {SOURCE}."
    )


def _counterfactual(figure: Figure) -> str:
    head = real_head(*HEADS[0])
    weights = _weights(head)
    rng = np.random.default_rng(0)
    panels = [
        ("weights", weights),
        ("uniform", counterfactual_attention_map(weights)),
        ("reversed", counterfactual_attention_map(weights, method="reversed")),
        ("random", counterfactual_attention_map(weights, method="random", draws=rng.uniform(size=weights.shape) / 2)),
        ("shuffle", counterfactual_attention_map(weights, method="shuffle", draws=rng.permutation(weights.size))),
    ]
    for axes in draw_maps(figure, panels, head.words, rows=2):
        axes.set_xticks([])
        axes.set_yticks([])
    return (
        "A real map of fifteen words and four that know nothing of the text; the draws of the random one are from 0 to "
        f"1/2, which it doubles. {SOURCE}, layer {HEADS[0][0]}, head {HEADS[0][1]}."
    )


def _interpolated(figure: Figure) -> str:
    rng = np.random.default_rng(1)
    query = np.array([[1.2, 1.2]])
    start = rng.normal(size=(6, 2)) * 0.8 + np.array([-1.5, 0.0])
    end = rng.normal(size=(6, 2)) * 0.8 + np.array([1.5, 0.4])
    steps = np.linspace(0, 1, 41)
    axes = figure.subplots()
    axes.plot(*start.T, "o", color="gray", label="keys and values at the start")
    axes.plot(*end.T, "s", color="gray", markerfacecolor="none", label="at the end")
    own_key, own_value = np.array([[0.6, 0.6]]), np.array([[0.3, -1.4]])
    paths = {
        "outer": {"mode": "outer"},
        "inner": {"mode": "inner"},
        "inner, with its own": {"mode": "inner", "key": own_key, "value": own_value},
    }
    for index, (name, options) in enumerate(paths.items()):
        path = np.array(
            [interpolated_attention(query, start, start, end, end, t=float(t), scale=1.0, **options)[0] for t in steps]
        )
        axes.plot(*path.T, label=name, **line(index))
        axes.plot(*path[::10].T, ".", color=LINES[index], markersize=9)
    axes.plot(*own_value.T, "*", color=LINES[2], markersize=13, label="its own value")
    axes.set(
        title="The output on its way from the start to the end", xlabel="channel 0", ylabel="channel 1", aspect="equal"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return (
        "Mixing the outputs leads along a straight line; mixing keys and values lets the query choose again at each "
        "step. A key of its own keeps the output near. Dots: t = 0, ¼, ½, ¾, 1."
    )


def _perturbed(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    i = head.words.index("her")
    target = head.value[head.words.index("sister")]
    # The loss is the negative product of the output with the value of "sister".
    toward = np.broadcast_to(-target, head.value.shape)
    gradient = softmax_attention_vjp(*head[:3], toward, return_grad_bias=True).grad_bias
    rows = {}
    for name, sign in (("lowers the loss", -1.0), ("as it is", 0.0), ("raises the loss", 1.0)):
        bias = attention_perturbation(gradient, size=1.0, sign=sign)
        rows[name] = softmax_attention(*head[:3], bias=bias, return_weights=True).weights[i]
    axes = figure.subplots()
    draw_rows(axes, head.words, rows)
    axes.set_title("The query “her”, with its scores perturbed by a vector of length 1")
    return (
        "The loss wants the output to point along the value of “sister”. One step of length 1 along its gradient takes "
        f"weight from there or gives it. {SOURCE}."
    )


FIGURES = {
    "calibrate_attention_sinks": _calibrated,
    "split_softmax": _split,
    "shift_along_direction": _shifted,
    "amplify_heads": _amplified,
    "transfer_attention": _transferred,
    "counterfactual_attention_map": _counterfactual,
    "interpolated_attention": _interpolated,
    "attention_perturbation": _perturbed,
}
