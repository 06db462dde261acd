"""Figures of memories for long context: landmarks, compressed and evicting memories."""

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.memory.compressed_memory_attention import compressed_memory_attention, compressed_memory_mask
from attlas_ref.memory.conditional_lora import conditional_lora
from attlas_ref.memory.evicting_memory_attention import evicting_memory_attention
from attlas_ref.memory.landmark_attention import landmark_attention, landmark_attention_vjp

from ..general import LAYER_HEAD, SOURCE, Head, real_head
from ..panels import SMALL, draw_maps, draw_masks
from ..style import LINES, SIGNED, color_scale, show_weights

WIDTH = 4
"""Words per block."""


def _with_summaries(mark: str) -> tuple[Head, np.ndarray]:
    """Put a token behind each block of words that is the mean of its rows; return the head and where these stand."""
    head = real_head(*LAYER_HEAD, slice(1, 1 + 3 * WIDTH + 3))
    rows: list[tuple[np.ndarray, ...]] = []
    words, marked = [], []
    for j, word in enumerate(head.words):
        rows.append((head.query[j], head.key[j], head.value[j]))
        words.append(word)
        marked.append(False)
        if j % WIDTH == WIDTH - 1:
            block = slice(j - WIDTH + 1, j + 1)
            rows.append((head.query[block].mean(0), head.key[block].mean(0), head.value[block].mean(0)))
            words.append(mark)
            marked.append(True)
    query, key, value = (np.array(column) for column in zip(*rows, strict=True))
    return Head(query, key, value, words), np.array(marked)


def _landmarks(figure: Figure) -> str:
    head, marked = _with_summaries("■")
    plain = softmax_attention(*head[:3], mask=~marked, causal=True, return_weights=True).weights
    panels = [("causal, without landmarks", plain)]
    for title, top_k in (("through landmarks", None), ("top_k = 1", 1)):
        weights = landmark_attention(*head[:3], is_landmark=marked, top_k=top_k, return_weights=True).weights
        panels.append((title, weights))
    draw_maps(figure, panels, head.words)
    return (
        "A landmark (■) closes each block of four words; its query and key are the means of theirs. With landmarks "
        f"a block gets what its landmark wins; with top_k = 1 a query opens one earlier block. {SOURCE}."
    )


def _landmark_slopes(figure: Figure) -> str:
    head, marked = _with_summaries("■")
    last = len(head.words) - 1
    target = head.value[head.words.index("tired")]
    grad_output = np.zeros_like(head.value)
    grad_output[last] = target
    grads = landmark_attention_vjp(*head[:3], grad_output, is_landmark=marked)
    query = head.query[last]
    # The key of token j gets scale ds_j q, so that ds_j can be read off.
    slopes = grads.grad_key @ query / (query @ query) * np.sqrt(len(query))
    axes = figure.subplots()
    block = np.cumsum(marked) - marked
    group = marked | (block == block[last])
    at = np.arange(last + 1)
    axes.bar(at[group], slopes[group], color=LINES[1], hatch="///", linewidth=0, label="in the group: landmarks, block")
    for b in range(block[last]):
        inside = (block == b) & ~marked
        axes.bar(
            at[inside], slopes[inside], color=LINES[0], linewidth=0, label="in an earlier block" if b == 0 else None
        )
    axes.axhline(0, color="gray", linewidth=1)
    axes.set_xticks(at, head.words, rotation=90)
    axes.set(title=f"Which scores of the query “{head.words[last]}” bring its output to the value of “tired”",
             xlabel="key", ylabel="slope of the score")  # fmt: skip
    axes.legend()
    return (
        "The slopes of one softmax sum to 0: those of the group (hatched) and those of each earlier block by itself. "
        f"{SOURCE}."
    )


def _compressed(figure: Figure) -> str:
    head, marked = _with_summaries("[m]")
    block = np.cumsum(marked) - marked
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    beside = compressed_memory_attention(*head[:3], block=block, is_memory=marked, return_weights=True).weights
    merged = compressed_memory_attention(
        *head[:3], block=block, is_memory=marked, merge="mean", return_weights=True
    ).weights
    show_weights(left, beside, head.words, "side by side")
    slots = [f"mean, block {b}" for b in range(1, block[-1] + 1)]
    mesh = show_weights(right, merged, head.words, "merged", keys=[*head.words, *slots], label_queries=False)
    for axes in (left, right):
        axes.tick_params(labelsize=SMALL)
    color_scale(figure, mesh, [left, right], "weight")
    return (
        "Each block of four words leaves one memory token [m], here the mean of its rows. Side by side, a later word "
        f"sees all of them; merged, it sees one slot: the mean of those before its block. {SOURCE}."
    )


def _compressed_mask(figure: Figure) -> str:
    panels = []
    for title, slots in (("one memory token per block", 1), ("two per block", 2)):
        width = 2 + slots
        block = np.repeat(np.arange(3), width)
        is_memory = np.tile(np.arange(width) >= 2, 3)
        names = [f"{'abc'[b]} {'m' if memory else 'w'}" for b, memory in zip(block, is_memory, strict=True)]
        panels.append((title, compressed_memory_mask(block, is_memory), names))
    draw_masks(figure, panels, keys=[names for _, _, names in panels])
    return (
        "Filled: the query may attend to the key. Blocks a, b, c of two words (w), with their memory tokens (m): the "
        "words of a block are seen within it, its memory tokens by all that follow."
    )


def _adapter(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    rng = np.random.default_rng(0)
    is_memory = np.array([word in ("tired", "bank") for word in head.words])
    width, rank = head.query.shape[-1], 2
    weight = rng.normal(size=(width, 24)) / np.sqrt(width)
    a, b = rng.normal(size=(width, rank)) / np.sqrt(width), rng.normal(size=(rank, 24))
    change = conditional_lora(head.query, weight, a, b, is_memory=is_memory, scaling=0.5) - head.query @ weight
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    bound = float(np.abs(change).max())
    mesh = left.pcolormesh(change, cmap=SIGNED, vmin=-bound, vmax=bound, rasterized=True)
    left.invert_yaxis()
    left.set_yticks(np.arange(len(head.words)) + 0.5, head.words)
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    left.set(title="What the adapter adds", xlabel="output channel")
    color_scale(figure, mesh, left, "change")
    everywhere = conditional_lora(head.query, weight, a, b, is_memory=np.ones_like(is_memory), scaling=0.5)
    sizes = np.linalg.svd(everywhere - head.query @ weight, compute_uv=False)
    right.bar(np.arange(1, len(sizes) + 1), sizes / sizes[0], color=LINES[0])
    right.set(title="Acting everywhere: its rank is 2", xlabel="singular value", ylabel="relative size")
    return (
        "An adapter of rank 2 on a layer with random weights. Only “tired” and “bank” are memory tokens: all other "
        f"words keep exactly what the frozen layer gives. {SOURCE}."
    )


def _evictions(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, slice(1, 14))
    n = len(head.words)
    panels = []
    for policy, title in (("fifo", "fifo: the oldest goes"), ("lra", "lra: unused for longest"),
                          ("lfa", "lfa: used least")):  # fmt: skip
        kept = np.zeros((n, n), dtype=bool)
        for t in range(1, n + 1):  # the entries after each word are those at the end of a shorter text
            kept[t - 1, :t] = evicting_memory_attention(
                *(array[:t] for array in head[:3]),
                chunk_size=1,
                memory_size=5,
                policy=policy,
                top_k=2,
                return_kept=True,
            ).kept
        panels.append((title, kept, head.words))
    all_axes = draw_masks(figure, panels)
    for axes in all_axes:
        axes.tick_params(labelsize=SMALL)
        axes.set_xlabel("entry")
    for axes in all_axes[1:]:
        axes.set_yticklabels([])
    all_axes[0].set_ylabel("after the word")
    return (
        "Filled: the entry is in the memory, which holds five. Each query reads the two entries with the highest "
        f"scores; what is read often outlives what is only recent. {SOURCE}."
    )


FIGURES = {
    "landmark_attention": _landmarks,
    "landmark_attention_vjp": _landmark_slopes,
    "compressed_memory_attention": _compressed,
    "compressed_memory_mask": _compressed_mask,
    "conditional_lora": _adapter,
    "evicting_memory_attention": _evictions,
}
