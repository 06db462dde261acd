"""Figures of attention in pieces: partial results, how they merge, and what is built of them."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.attention_partial import (
    attention_partial,
    empty_attention_partial,
    finish_attention_partial,
    merge_attention_partials,
)
from attlas_ref.dotproduct.memory_efficient_attention import memory_efficient_attention
from attlas_ref.dotproduct.prefix_attention import prefix_attention
from attlas_ref.dotproduct.prefix_tuning_attention import prefix_tuning_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention

from ..general import ALL, LAYER_HEAD, SOURCE, TEXT, WORDS, real_head
from ..panels import draw_rows
from ..style import LINES, WEIGHTS, color_scale, line, show_weights


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
        f"the chunks changes no more than the rounding. {TEXT}, 134 keys."
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
        f"says how much of the output it brings. {TEXT}."
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


def _prefixes(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    query = head.query[head.words.index("sister")]
    # Unit vectors as values bring out the weights.
    weights = prefix_attention(query, head.key, np.eye(len(head.words)))
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, weights, head.words, "weights after each word")
    left.set_ylabel("read up to")
    color_scale(figure, mesh, left, "weight")
    text = real_head(*LAYER_HEAD, WORDS)
    output = prefix_attention(query, text.key, text.value)
    for c in range(3):
        right.plot(np.arange(1, len(output) + 1), output[:, c], label=f"channel {c}", **line(c))
    right.set(title="The output goes along", xlabel="words read", ylabel="output")
    right.legend()
    return (
        "One query, that of “sister”, and every prefix of the text: each row is a softmax over the words so far, and "
        f"each output follows from the one before at the same cost. {SOURCE}."
    )


def _prefix_share(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    i = head.words.index("sister")
    bank = head.key[[head.words.index("bank")]]
    lengths = np.linspace(-1, 4, 51)
    share = np.array(
        [
            prefix_tuning_attention(*head[:3], length * bank, head.value[:1], return_share=True).share
            for length in lengths
        ]
    )
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    for index, word in enumerate(("tired", "sister", "the")):
        left.plot(lengths, share[:, head.words.index(word)], label=f"“{word}”", **line(index))
    left.set(title="The share of the prefix", xlabel="prefix key, times that of “bank”", ylabel="share", ylim=(0, 1))
    left.legend(title="query")
    unit_values = np.eye(len(head.words))
    rows = {
        f"prefix key = {length:g} × bank": prefix_tuning_attention(
            head.query[[i]], head.key, unit_values, length * bank, 0 * unit_values[:1]
        )[0]
        for length in (-1.0, 1.0, 2.0)
    }
    draw_rows(right, head.words, rows)
    right.set_title("“sister”: the content keeps its pattern")
    return (
        "One prefix key, a multiple of the key of “bank”, takes a share of each query (left). What is left for the "
        f"content shrinks as a whole: the proportions stay (right). {SOURCE}."
    )


FIGURES = {
    "memory_efficient_attention": _in_chunks,
    "attention_partial": _blocks,
    "empty_attention_partial": _neutral,
    "merge_attention_partials": _running,
    "finish_attention_partial": _finished,
    "prefix_attention": _prefixes,
    "prefix_tuning_attention": _prefix_share,
}
