"""Figures of the dense core whose formulations are not, or not only, a matrix of weights."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.attention_energy import attention_energy
from attlas_ref.dotproduct.attention_partial import (
    attention_partial,
    empty_attention_partial,
    finish_attention_partial,
    merge_attention_partials,
)
from attlas_ref.dotproduct.distance_attention import distance_attention
from attlas_ref.dotproduct.memory_efficient_attention import memory_efficient_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.softmax_attention_vjp import softmax_attention_vjp
from attlas_ref.records import find

from .general import HEADS, SOURCE, draw_heads, real_head
from .style import LINES, SIGNED, WEIGHTS, color_scale, line, show_weights

LAYER_HEAD = HEADS[1]
ALL = slice(0, None)
WORDS = slice(1, -1)
"""All but the marks at the two ends, which draw much attention to themselves."""


def _softmax(figure: Figure) -> str:
    record = find("softmax_attention")
    panels = [(f"temperature {t:g}", record, LAYER_HEAD, {"temperature": t}) for t in (1.0, 3.0)]
    return "Low temperatures sharpen, high ones flatten. " + draw_heads(figure, panels)


def _energy(figure: Figure) -> str:
    keys = np.array([[1.6, 0.3], [0.2, 1.5], [-1.4, 0.8], [-0.9, -1.3], [1.0, -1.2]])
    x = np.linspace(-2, 2, 41)
    states = np.stack(np.meshgrid(x, x), axis=-1)  # (41, 41, 2)
    all_axes = figure.subplots(1, 2)
    for axes, temperature in zip(all_axes, (0.25, 1.0), strict=True):
        energy = attention_energy(states, keys, scale=1.0, temperature=temperature)
        surface = axes.contourf(x, x, energy, levels=np.arange(-5, 0.1, 0.5), cmap=WEIGHTS)
        at = states[4::8, 4::8]
        pull = softmax_attention(at, keys, keys, scale=1.0, temperature=temperature)
        axes.quiver(at[..., 0], at[..., 1], pull[..., 0], pull[..., 1], color="white", width=0.008)
        axes.plot(keys[:, 0], keys[:, 1], "o", color="white", markeredgecolor="black", markersize=9)
        axes.set(title=f"temperature {temperature:g}", aspect="equal", xlabel="query, channel 0")
    all_axes[0].set_ylabel("query, channel 1")
    color_scale(figure, surface, all_axes, "energy")
    return (
        "The energy of a query in the plane, for five keys (dots). It falls along the arrows, and the arrows are "
        "attention: the weighted mean of the keys."
    )


def _gradients(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    weights = softmax_attention(*head[:3], return_weights=True).weights
    toward = np.broadcast_to(head.value[head.words.index("sister")], head.value.shape)
    grad_scores = softmax_attention_vjp(*head[:3], toward, return_grad_bias=True).grad_bias
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, weights, head.words, "weights")
    color_scale(figure, mesh, left, "weight")
    bound = float(np.abs(grad_scores).max())
    mesh = show_weights(
        right,
        grad_scores,
        head.words,
        "gradient of the scores",
        limits=(-bound, bound),
        map_=SIGNED,
        label_queries=False,
    )
    color_scale(figure, mesh, right, "gradient")
    return (
        "What raising each score would do for an output that should point along the value of “sister”: red helps, blue "
        f"hurts, and each row sums to 0. {SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
    )


def _in_chunks(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, ALL)
    n = len(head.words)
    whole = softmax_attention(*head[:3])
    left, right = figure.subplots(1, 2)
    read = [*range(8, n, 8), n]
    for index, word in enumerate(("tired", "sister", "book", "rabbit")):
        i = head.words.index(word)
        outputs = [memory_efficient_attention(head.query[[i]], head.key[:j], head.value[:j])[0] for j in read]
        distance = np.linalg.norm(np.array(outputs) - whole[i], axis=-1) / np.linalg.norm(whole[i])
        left.plot(read, distance, label=f"“{word}”", **line(index))
    left.set(title="The output while the keys are read", xlabel="keys read", ylabel="relative distance to the end")
    left.legend(title="query")
    sizes = np.arange(1, n + 1)
    worst = [np.abs(memory_efficient_attention(*head[:3], key_chunk_size=int(c)) - whole).max() for c in sizes]
    right.plot(sizes, np.array(worst) / np.finfo(float).eps, ".", color=LINES[0])
    right.set(title="The same result for any chunk size", xlabel="keys per chunk", ylabel="largest difference / 2⁻⁵²")
    return (
        "Left: chunks of keys arrive one after the other and the output is complete with the last. Right: the size of "
        f"the chunks changes no more than the rounding. {SOURCE.replace('the first words of ', '')}, 134 keys."
    )


def _blocks(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, WORDS)
    words = (
        "alice",
        "tired",
        "book",
        "pictures",
        "conversations",
        "mind",
        "sleepy",
        "pleasure",
        "chain",
        "rabbit",
        "eyes",
    )
    query = head.query[[head.words.index(word) for word in words]]
    blocks = [slice(j, j + 12) for j in range(0, len(head.words), 12)]
    partials = [attention_partial(query, head.key[block], head.value[block]) for block in blocks]
    weight = np.stack([partial.total * np.exp(partial.maximum) for partial in partials], axis=-1)  # (m, blocks)
    share = weight / weight.sum(axis=-1, keepdims=True)
    axes = figure.subplots()
    mesh = axes.pcolormesh(share, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
    axes.invert_yaxis()
    axes.set_yticks(np.arange(len(words)) + 0.5, words)
    names = [f"{head.words[block][0]} … {head.words[block][-1]}" for block in blocks]
    axes.set_xticks(np.arange(len(blocks)) + 0.5, names, rotation=30, ha="right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(title="The share of each block of twelve keys in the final sum", xlabel="block of keys", ylabel="query")
    color_scale(figure, mesh, axes, "share")
    return (
        "Each block of keys is reduced to its maximum M, sum S and accumulator A. Its share, S exp(M) over the total, "
        f"says how much of the output it brings. {SOURCE.replace('the first words of ', '')}."
    )


def _running(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, WORDS)
    i, n = head.words.index("rabbit"), len(head.words)
    running = empty_attention_partial((1,), head.value.shape[-1])
    maxima, rescales = [], []
    for j in range(n):
        one = attention_partial(head.query[[i]], head.key[[j]], head.value[[j]])
        merged = merge_attention_partials(running, one)
        rescales.append(np.exp(running.maximum - merged.maximum)[0])
        maxima.append(merged.maximum[0])
        running = merged
    scores = head.key @ head.query[i] / np.sqrt(head.query.shape[-1])
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.plot(scores, ".", color=LINES[1], label="score of the key")
    upper.step(np.arange(n), maxima, where="post", color=LINES[0], label="running maximum M")
    upper.set(title="A new maximum shrinks what was summed before", ylabel="score")
    upper.legend(loc="upper left")
    lower.vlines(np.arange(n), rescales, 1, color=LINES[0])
    lower.set(xlabel="key", ylabel="rescale $c_1$", ylim=(0, 1.05))
    return (
        "Merging one key at a time, for the query “rabbit”. Below, the factor exp(M₁ − M) that the sum and the "
        "accumulator take at each step: 1 unless the maximum rises."
    )


def _neutral(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    some = attention_partial(*head[:3])
    merged = merge_attention_partials(empty_attention_partial((len(head.words),), head.value.shape[-1]), some)
    panels = figure.subplots(1, 3)
    names = ("maximum M", "total S", "accumulator A")
    for axes, name, before, after in zip(panels, names, some, merged, strict=True):
        axes.plot(before.ravel(), after.ravel(), "o", color=LINES[0], markersize=5, alpha=0.7)
        axes.axline((float(before.min()),) * 2, slope=1, color=LINES[1], linewidth=1)
        axes.set(title=name, xlabel="before", box_aspect=1)
    panels[0].set_ylabel("after merging with the empty block")
    return f"Merging with the empty block changes nothing: every number stays on the diagonal. {SOURCE}."


def _finished(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, ALL)
    i = head.words.index("rabbit")
    read = range(1, len(head.words) + 1)
    partials = [attention_partial(head.query[[i]], head.key[:j], head.value[:j]) for j in read]
    upper, lower = figure.subplots(2, 1, sharex=True)
    for c in range(3):
        upper.plot(read, [p.accumulator[0, c] for p in partials], label=f"channel {c}", **line(c))
        lower.plot(read, [finish_attention_partial(p)[0, c] for p in partials], **line(c))
    upper.set(title="Accumulator A: grows, and jumps where the maximum rises", ylabel="A")
    upper.legend(ncols=3)
    lower.set(title="Output A / S: a mean of the values read so far", xlabel="keys read", ylabel="A / S")
    return "Three channels of the query “rabbit” while its keys are read: the division takes the scale out."


def _smoother(figure: Figure) -> str:
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0, 6, size=40))
    y = np.sin(x) + rng.normal(scale=0.25, size=40)
    at = np.linspace(0, 6, 301)
    axes = figure.subplots()
    axes.plot(x, y, "o", color="gray", alpha=0.6, label="keys and values")
    for index, scale in enumerate((0.3, 5.0, 200.0)):
        smooth = distance_attention(at[:, None], x[:, None], y[:, None], scale=scale)[:, 0]
        axes.plot(at, smooth, label=f"scale {scale:g}", **line(index))
    axes.set(title="Attention by distance is a kernel smoother", xlabel="position (query, key)", ylabel="value")
    axes.legend(ncols=2)
    return "Forty noisy points of a sine. A small scale averages over all of them, a large one follows each."


FIGURES = {
    "softmax_attention": _softmax,
    "attention_energy": _energy,
    "softmax_attention_vjp": _gradients,
    "memory_efficient_attention": _in_chunks,
    "attention_partial": _blocks,
    "empty_attention_partial": _neutral,
    "merge_attention_partials": _running,
    "finish_attention_partial": _finished,
    "distance_attention": _smoother,
}
