"""Figures of sparse distributed memory on bits: overlaps of balls, the softmax in them, reading, radii."""

from functools import cache
from math import comb

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.memory.sdm_attention import sdm_attention
from attlas_ref.memory.sdm_beta import sdm_beta
from attlas_ref.memory.sdm_circle_intersection import sdm_circle_intersection
from attlas_ref.memory.sdm_neuron_attention import sdm_neuron_attention
from attlas_ref.memory.sdm_radius import sdm_optimal_radius, sdm_radius
from attlas_ref.normalizers.cosine_attention import cosine_attention

from ..style import LINES, line

Reals = NDArray[np.float64]
DIM = 64
RADII = (27, 23, 19)
PATTERNS = 32
READ_RADIUS = 24
NOISE = np.arange(0, 33, 2)


def _overlaps(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    v = np.arange(DIM + 1)
    for index, radius in enumerate(RADII):
        counts = sdm_circle_intersection(v, dim=DIM, radius=radius)
        left.step(v, counts / counts[0], where="mid", label=f"radius {radius}", **line(index))
    left.set(title="64 bits: share of a ball", xlabel="Hamming distance v", ylabel="I(v) / I(0)", xlim=(0, 48))
    left.legend()
    v = np.arange(0, 601, 2)
    for index, (radius, neurons) in enumerate(((451, 10**6), (451, 10**4), (425, 10**6))):
        expected = sdm_circle_intersection(v, dim=1000, radius=radius, neurons=neurons, log=True) / np.log(10)
        right.plot(v, expected, label=f"radius {radius}, 10$^{len(str(neurons)) - 1}$ neurons", **line(index))
    right.axhline(0, color="gray", linewidth=1)
    right.set(
        title="1000 bits: expected neurons in both",
        xlabel="Hamming distance v",
        ylabel="log10 of their number",
        ylim=(-4, 5),
    )
    right.legend()
    return (
        "How much two balls share when their centers are v bits apart. It comes in pairs, I(2k) = I(2k − 1). In "
        "Kanerva's memory of 1000 bits a thousandth of all neurons are reached (radius 451): two addresses 200 bits "
        "apart share about a hundred of a million, two unrelated ones (500) about one."
    )


def _softmax(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    for index, radius in enumerate(RADII):
        v = np.arange(2 * radius + 1)
        v = v[v <= DIM]
        cosine, logs = 1 - 2 * v / DIM, sdm_circle_intersection(v, dim=DIM, radius=radius, log=True)
        beta = sdm_beta(dim=DIM, radius=radius)
        inside = v < radius
        offset = (logs - beta * cosine)[inside].mean() - logs[0]
        look = line(index)
        left.plot(cosine, logs - logs[0], "os^"[index], color=look["color"], markersize=3.5, label=f"radius {radius}")
        left.plot(cosine[inside], beta * cosine[inside] + offset, label=f"line of slope {beta:.2f}", **look)
    left.set(
        title="log I is nearly a line in the cosine",
        xlabel="cosine of query and key",
        ylabel="log I(v) / I(0)",
        xlim=(1.02, -0.2),
        ylim=(-11, 0.4),
    )
    left.legend(ncols=2, fontsize=8.5)
    key = (np.arange(DIM) < np.arange(0, 33, 2)[:, None]).astype(float)  # at the distances 0, 2, .., 32
    query, values = np.zeros((1, DIM)), np.eye(len(key))
    cosine = 1 - np.arange(0, 33, 2) * 2 / DIM
    for index, radius in enumerate(RADII):
        look, beta = line(index), sdm_beta(dim=DIM, radius=radius)
        right.plot(cosine, sdm_attention(query, key, values, radius=radius)[0], "os^"[index], color=look["color"],
                   markersize=4.5, label=f"memory, radius {radius}")  # fmt: skip
        softmax = cosine_attention(2 * query - 1, 2 * key - 1, values, scale=beta)[0]
        right.plot(cosine, softmax, label=f"softmax, beta {beta:.2f}", **look)
    right.set(title="So their weights agree", xlabel="cosine of query and key", ylabel="weight", xlim=(1.02, -0.02))
    right.legend(fontsize=8.5)
    return (
        "Left: the logarithm of the overlap of two balls of 64-bit addresses (markers) and the line fitted to the "
        "distances below the radius, whose slope is sdm_beta. Right: the weights of 17 keys, one at every second "
        "distance up to 32 bits, in the memory (markers) and in a softmax of cosines with that beta (lines)."
    )


def _reading(figure: Figure) -> str:
    axes = figure.subplots()
    for index, (label, wrong) in enumerate(_wrong_bits().items()):
        axes.plot(NOISE, wrong, label=label, **line(index))
    axes.plot(NOISE, NOISE, color="gray", linewidth=1)
    axes.text(28.6, 29.4, "as it came", rotation=33, color="gray", ha="center", va="bottom")
    axes.set(
        title="What one read makes of a noisy address",
        xlabel="wrong bits in the query, of 64",
        ylabel="wrong bits in what is read",
        ylim=(0, 34),
    )
    axes.legend()
    return (
        f"{PATTERNS} random patterns of {DIM} bits, each stored at itself and read with radius {READ_RADIUS}. Below "
        "the diagonal a read helps, and reading again helps more. With enough neurons the memory does what it would "
        "with a neuron at every address."
    )


@cache
def _wrong_bits() -> dict[str, Reals]:
    """The mean number of wrong bits after a read, at each noise, for several numbers of neurons."""
    rng, trials = np.random.default_rng(8), 3
    found: dict[str, list[Reals]] = {}
    for _ in range(trials):
        patterns, neurons = rng.integers(0, 2, (PATTERNS, DIM)), rng.integers(0, 2, (20_000, DIM))
        order = np.argsort(rng.random((PATTERNS, DIM)), axis=-1)
        queries = patterns ^ (order < NOISE[:, None, None])  # (noise, patterns, bits)
        options = {"radius": READ_RADIUS, "threshold": True}
        for count in (500, 3000, 20_000):
            read = sdm_neuron_attention(queries, patterns, patterns, neurons[:count], **options)
            found.setdefault(f"{count:,} neurons", []).append(np.abs(read - patterns).sum(axis=-1).mean(axis=-1))
        read = sdm_attention(queries, patterns, patterns, **options)
        found.setdefault("a neuron at every address", []).append(np.abs(read - patterns).sum(axis=-1).mean(axis=-1))
    return {label: np.mean(wrong, axis=0) for label, wrong in found.items()}


def _radius(figure: Figure) -> str:
    axes = figure.subplots()
    for index, dim in enumerate((32, 64, 256, 1000)):
        share = np.cumsum([comb(dim, i) / 2**dim for i in range(dim + 1)])
        axes.plot(np.arange(dim + 1) / dim, share, label=f"{dim} bits", **line(index))
        radius = sdm_radius(1e-3, dim=dim)
        axes.plot(radius / dim, share[radius], "o", color=LINES[index])
        axes.annotate(
            f"{radius}", (radius / dim, share[radius]), xytext=(-5, 5), textcoords="offset points", ha="right"
        )
    axes.axhline(1e-3, color="gray", linewidth=1)
    axes.set(
        yscale="log", ylim=(1e-6, 2), xlim=(0.1, 0.7),
        title="How far one address in a thousand is", xlabel="radius, as a share of the bits",
        ylabel="share of all addresses within it",
    )  # fmt: skip
    axes.legend()
    return (
        "The share of all addresses within a Hamming radius. The dots are the smallest radii that reach a thousandth: "
        "the more bits, the nearer all addresses crowd to half of them."
    )


def _optimal(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    patterns = np.unique(np.geomspace(1, 1e5, 60).astype(int))
    for index, neurons in enumerate((10**3, 10**4, 10**6)):
        radii = [sdm_optimal_radius(dim=DIM, patterns=int(n), neurons=neurons) for n in patterns]
        left.step(patterns, radii, label=f"10$^{len(str(neurons)) - 1}$ neurons", **line(index))
    left.set(xscale="log", title="Optimal radius, 64 bits", xlabel="stored patterns", ylabel="radius")
    left.legend()
    for index, neurons in enumerate((1000, 4000)):
        radii, quality = _signal_to_noise(neurons)
        right.plot(radii, quality, label=f"{neurons:,} neurons", **line(index))
        right.axvline(sdm_optimal_radius(dim=DIM, patterns=100, neurons=neurons), color=LINES[index], linewidth=1)
    right.set(title="Signal to noise, 100 patterns", xlabel="radius", ylabel="mean / standard deviation")
    right.legend()
    return (
        "Left: the more patterns and neurons, the fewer addresses should be reached. Right: the sum that is read for a "
        "bit, signed so that it should be positive, over many random patterns. The verticals are the optimal radii "
        "of the formula, which holds for many bits: with 64 the best is a bit or two smaller."
    )


@cache
def _signal_to_noise(neurons: int) -> tuple[list[int], list[float]]:
    """Mean over standard deviation of the sums read at stored addresses, by radius."""
    rng, radii = np.random.default_rng(9), list(range(18, 31))
    quality = []
    for radius in radii:
        sums = []
        for _ in range(6):
            patterns, places = rng.choice([-1, 1], size=(100, DIM)), rng.choice([-1, 1], size=(neurons, DIM))
            read = sdm_neuron_attention(
                patterns, patterns, rng_values := rng.choice([-1, 1], size=(100, DIM)), places,
                radius=radius, bipolar=True, normalize=False,
            )  # fmt: skip
            sums.append(read * rng_values)
        every = np.concatenate(sums)
        quality.append(float(every.mean() / every.std()))
    return radii, quality


FIGURES = {
    "sdm_circle_intersection": _overlaps,
    "sdm_attention": _softmax,
    "sdm_neuron_attention": _reading,
    "sdm_radius": _radius,
    "sdm_optimal_radius": _optimal,
}
