"""Records of edits of attention for guidance, and other probabilistic readings."""

import math
from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..legal import host
from ..record import Draft, Record, Source
from ..shared import DENSE, POSITIVE, VISIBILITY
from .posterior import visible_in

SEG = Source("Hong", "Smoothed Energy Guidance", 2024, "2408.00760")
PAG = Source(
    "Ahn, Cho, Min, Jang, Kim, Kim, Park, Jin & Kim",
    "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance",
    2024,
    "2403.17377",
)
SAG = Source(
    "Hong, Lee, Jang & Kim",
    "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance",
    2022,
    "2210.00939",
)
FU = Source(
    "Fu, Guo, Bai & Mei",
    "What can a Single Attention Layer Learn? A Study Through the Random Features Lens",
    2023,
    "2307.11353",
)
TAPS = Integer(low=1, draw=(1, 9))
GRID = Integer(low=1, draw=(1, 6))
OF_HEADS = {"core": ("heads", "G"), "batched": False, "shared": True}
RANDOM_HEADS = {
    "activation": Choice(values=("relu", "identity")),
    "bias_matrix": Array(core=("d+1", "d+1"), optional=True, batched=False),
    "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
}


def _kernel_fits(function: str, kernel_size: int, height: int, width: int) -> None:
    if kernel_size % 2 == 0:
        raise ValueError(f"{function}: kernel_size is {kernel_size}; it needs an odd number")
    half = min(kernel_size // 2, width // 2)  # what is larger than the map is cut
    if half and min(height, width) <= half:
        raise ValueError(
            f"{function}: kernel_size is {kernel_size}, and {half} taps to a side reach over all of {height} by "
            f"{width}; it needs fewer"
        )


def _kernel_fits_the_map(function: str, values: dict[str, Any]) -> None:
    _kernel_fits(function, values["kernel_size"], *values["x"].shape[-2:])


def _kernel_fits_the_picture(function: str, values: dict[str, Any]) -> None:
    _kernel_fits(function, values["kernel_size"], *values["latents"].shape[-2:])


def _kernel_fits_the_grid(function: str, values: dict[str, Any]) -> None:
    height, width, kernel_size, sigma = (values[name] for name in ("height", "width", "kernel_size", "sigma"))
    n = values["query"].shape[-2]
    if height * width != n:
        raise ValueError(f"{function}: height is {height} and width {width}; they need to make n = {n}")
    if kernel_size is not None or sigma < math.inf:
        _kernel_fits(function, math.ceil(6 * sigma) | 1 if kernel_size is None else kernel_size, height, width)


def _the_map_has_n_cells(function: str, values: dict[str, Any]) -> None:
    height, width, n = values["map_height"], values["map_width"], values["attention_weights"].shape[-1]
    if height * width != n:
        raise ValueError(f"{function}: map_height is {height} and map_width {width}; they need to make n = {n}")


def _heads_have_numbers(function: str, values: dict[str, Any]) -> None:
    rank, axis, heads = len(values["x"].shape), values["axis"], values["heads"]
    if not -rank <= axis < rank:
        raise ValueError(f"{function}: axis is {axis}; it needs one of the {rank} axes of x")
    size = values["x"].shape[axis]
    if size // heads < 2:
        raise ValueError(f"{function}: heads is {heads} and the axis has {size} numbers; it needs 2 for each head")
    for name in ("mean_offset", "spread"):
        shape = tuple(values[name].shape)
        if len(shape) == 2 and shape[0] != heads:
            raise ValueError(f"{function}: {name} has {shape[0]} rows; it needs heads = {heads}, or one axis")
    if bool((values["spread"] == 0).any()):
        raise ValueError(f"{function}: spread holds a 0; it needs other numbers")


def _visible_draws_lie_in_0_to_1(function: str, values: dict[str, Any]) -> None:
    if values["uniform"] is None:
        return
    draws = host(values["uniform"])
    if bool((((draws < 0) | (draws >= 1)) & visible_in(values)).any()):
        raise ValueError(f"{function}: uniform leaves the range; it needs numbers of at least 0 and below 1")


def _draw_noise_with_a_temperature(draft: Draft) -> None:
    """A draw is never whole, so calls of whole numbers, which give only what is required, have none."""
    if draft.options.get("temperature") is None:
        draft.given.discard("uniform")


def _draw_an_odd_kernel(draft: Draft) -> None:
    """Half a kernel is never longer than half the width, so it fits a map that is as high as that."""
    if draft.options.get("kernel_size") is not None:
        draft.options["kernel_size"] |= 1
    draft.sizes["H"] = max(draft.sizes["H"], draft.sizes["W"] // 2 + 1) if "H" in draft.sizes else 0


def _rows_and_columns(draft: Draft, most_columns: int) -> tuple[int, int]:
    """Any two numbers that make n, at least 1."""
    n = draft.sizes["n"] = max(1, draft.sizes["n"])
    columns = int(draft.rng.choice([part for part in range(1, most_columns + 1) if n % part == 0]))
    return n // columns, columns


def _draw_a_grid(draft: Draft) -> None:
    # Half the width is less than the height.
    n = max(1, draft.sizes["n"])
    wide = max(part for part in range(1, n + 1) if n % part == 0 and n // part > part // 2)
    draft.options["height"], draft.options["width"] = _rows_and_columns(draft, wide)
    if draft.rng.random() < 0.2:
        draft.options["sigma"] = math.inf


def _draw_a_map(draft: Draft) -> None:
    draft.options["map_height"], draft.options["map_width"] = _rows_and_columns(draft, max(1, draft.sizes["n"]))


def _draw_heads_with_numbers(draft: Draft) -> None:
    heads = draft.options.get("heads", 1)
    draft.sizes["heads"], draft.sizes["n"] = heads, max(draft.sizes["n"], 2 * heads)


RECORDS = (
    Record(
        name="gaussian_blur_2d",
        family="probabilistic",
        title="Separable Gaussian blur of a map",
        formula="out_ab = Σ_s Σ_t k_s k_t x_(a+s, b+t),  k_t ∝ exp(−t² / 2σ²)",
        signature="(H,W)->(H,W)",
        source=SEG,
        options={"kernel_size": TAPS, "sigma": POSITIVE},
        kind="C",
        tier=2,
        checks=(_kernel_fits_the_map,),
        arrange=(_draw_an_odd_kernel,),
    ),
    Record(
        name="smoothed_energy_attention",
        family="probabilistic",
        title="Attention with blurred queries (SEG)",
        formula="out = softmax(scale · (G_σ ∗ Q) Kᵀ) V",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=SEG,
        options={
            "sigma": Number(low=0.0, open_low=True, infinite=True),
            "height": GRID,
            "width": GRID,
            "kernel_size": Integer(low=1, optional=True),
            "scale": VISIBILITY["scale"],
            "return_weights": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_kernel_fits_the_grid,),
        arrange=(_draw_a_grid, _draw_an_odd_kernel),
    ),
    Record(
        name="identity_attention",
        family="probabilistic",
        title="Attention that looks at itself alone (PAG)",
        formula="out_i = v_i",
        signature="(n,d),(n,d),(n,e)->(n,e)",
        source=PAG,
        options={"return_weights": Flag()},
        kind="C",
        tier=2,
    ),
    Record(
        name="attention_guidance",
        family="probabilistic",
        title="Guidance away from a perturbed prediction",
        formula="out = base + s (ε − ε̂),  base = ε∅ + g (ε − ε∅)",
        signature="(c),(c)->(c)",
        source=PAG,
        options={
            "unconditional": Array(core=("c",), optional=True),
            "guidance_scale": Number(draw=(-2.0, 9.0)),
            "perturbed_scale": Number(draw=(-2.0, 9.0)),
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="sag_degrade",
        family="probabilistic",
        title="Blur where attention is concentrated (SAG)",
        formula="out = M ⊙ (G_σ ∗ x) + (1 − M) ⊙ x,  M = [Σ_i mean_h A_hij > threshold]",
        signature="(c,H,W),(h,n,n)->(c,H,W)",
        source=SAG,
        options={
            "map_height": GRID,
            "map_width": GRID,
            "kernel_size": TAPS,
            "sigma": POSITIVE,
            "threshold": Number(draw=(-1.0, 2.0)),
        },
        kind="C",
        tier=2,
        checks=(_the_map_has_n_cells, _kernel_fits_the_picture),
        arrange=(_draw_a_map, _draw_an_odd_kernel),
        positive=("h",),
    ),
    Record(
        name="gaussian_adaptive_attention",
        family="probabilistic",
        title="Gaussian adaptive attention (GAAM)",
        formula="out = x ⊙ g / max(Σ g, eps),  g = Π_i N(x; μ + δ_i, v c_i²)",
        signature="(n)->(n)",
        source=Source("Ioannides, Chadha & Elkins", "Gaussian Adaptive Attention is All You Need", 2024, "2401.11143"),
        options={
            "mean_offset": Array(**OF_HEADS),  # type: ignore[arg-type]
            "spread": Array(**OF_HEADS, valid=lambda c: np.where(c < 0, c - 1, c + 1)),  # type: ignore[arg-type]
            "axis": Integer(low=None, draw=(-1, -1)),
            "heads": Integer(low=1, draw=(1, 3)),
            "eps": Number(low=0.0, open_low=True, draw=(1e-8, 1e-2)),
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "padding": Choice(values=("ignore", "reference")),
            "return_weights": Flag(),
        },
        kind="C",
        checks=(_heads_have_numbers,),
        arrange=(_draw_heads_with_numbers,),
        positive=("G",),
    ),
    Record(
        name="consciousness_attention",
        family="probabilistic",
        title="Top-k bottleneck",
        formula="w_ij ∝ m_ij exp(s_ij),  m_ij = σ((s_ij − λ_i)/τ),  Σ_j m_ij = k",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Bengio", "The Consciousness Prior", 2017, "1709.08568"),
        options={
            "k": Integer(low=1),
            "temperature": Number(low=0.0, open_low=True, optional=True),
            "uniform": Array(
                core=("m", "n"), optional=True, valid=lambda x: (0.01 + 0.98 * (np.abs(x) % 1)).astype(x.dtype)
            ),
            **DENSE,
        },
        tier=3,
        engines=(),
        checks=(_visible_draws_lie_in_0_to_1,),
        arrange=(_draw_noise_with_a_temperature,),
    ),
    Record(
        name="random_feature_attention_layer",
        family="probabilistic",
        title="One attention layer with random query-key features",
        formula="f = Σ_m (1/n) Σ_i act(x̃₀ᵀ (W_m + W₀) x̃_i) <v_m, x̃_i>",
        signature="(d),(n,d)->()",
        source=FU,
        options={
            "w": Array(core=("M", "d+1", "d+1"), batched=False),
            "v": Array(core=("M", "d+1"), batched=False),
            **RANDOM_HEADS,
        },
        tier=3,
        engines=(),
        positive=("M",),
    ),
    Record(
        name="random_feature_map",
        family="probabilistic",
        title="Random features of a set of tokens",
        formula="Φ_m = (1/n) Σ_i act(x̃₀ᵀ (W_m + W₀) x̃_i) x̃_i",
        signature="(d),(n,d)->(M,d+1)",
        source=FU,
        options={"w": Array(core=("M", "d+1", "d+1"), batched=False), **RANDOM_HEADS},
        tier=3,
        file="random_feature_attention_layer",
        engines=(),
        positive=("M",),
    ),
)
