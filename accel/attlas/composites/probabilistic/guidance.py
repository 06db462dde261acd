"""Blurs and edits of attention for guidance: sums over the taps of a kernel, and softmax attention after them."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "attention_guidance",
    "gaussian_blur_2d",
    "identity_attention",
    "sag_degrade",
    "smoothed_energy_attention",
]


def gaussian_blur_2d(here: "Place", x: Any, *, kernel_size: int, sigma: float) -> Any:
    """Blur along one axis, then along the other.

    Never as a product with a banded matrix: a NaN would reach pixels that no tap ties to it.
    """
    width = x.shape[-1]
    kernel_size = min(kernel_size, width - (width % 2 - 1))
    bell = [math.exp(-(((t - (kernel_size - 1) / 2) / sigma) ** 2) / 2) for t in range(kernel_size)]
    kernel = [tap / math.fsum(bell) for tap in bell]
    for axis in (-1, -2):
        x = _blurred_along(here.xp, x, axis, kernel)
    return x


def _blurred_along(xp: Any, x: Any, axis: int, kernel: list[float]) -> Any:
    """Return the sum of the map, mirrored at its edges and moved by each tap; taps of one distance are taken together.

    The bell has a middle and two equal sides, so pairs of pixels are added before they are multiplied.
    """
    size, half = x.shape[axis], len(kernel) // 2
    if half == 0:
        return kernel[0] * x
    around = [(0, 0)] * x.ndim
    around[axis] = (half, half)
    mirrored = xp.moveaxis(xp.pad(x, around, mode="reflect"), axis, -1)
    moved = kernel[half] * mirrored[..., half : half + size]
    for t in range(half):
        moved += kernel[t] * (mirrored[..., t : t + size] + mirrored[..., 2 * half - t : 2 * half - t + size])
    return xp.moveaxis(moved, -1, axis)


def smoothed_energy_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    sigma: float,
    height: int,
    width: int,
    kernel_size: int | None,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Blur the queries over the grid, or take their mean once for all, and attend."""
    xp, (n, d) = here.xp, query.shape[-2:]
    if sigma == math.inf:
        blurred = query.sum(axis=-2)[..., None, :] / max(n, 1)
    else:
        kernel_size = math.ceil(6 * sigma) | 1 if kernel_size is None else kernel_size
        grid = xp.moveaxis(query.reshape(*query.shape[:-2], height, width, d), -1, -3)  # (..., d, height, width)
        grid = gaussian_blur_2d(here, grid, kernel_size=kernel_size, sigma=sigma)
        blurred = xp.moveaxis(grid, -3, -1).reshape(query.shape)
    result = here.softmax_attention(
        blurred,
        key,
        value,
        temperature=1.0,
        scale=scale,
        mask=None,
        bias=None,
        causal=False,
        return_weights=return_weights,
    )
    if sigma < math.inf:
        return result
    # One query stands for all of them.
    rows = [xp.repeat(array, n, axis=-2) for array in (result if return_weights else (result,))]
    return AttentionResult(*rows) if return_weights else rows[0]


def identity_attention(here: "Place", query: Any, key: Any, value: Any, *, return_weights: bool) -> Any:
    """Return the values."""
    xp, n = here.xp, query.shape[-2]
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    batch = np.broadcast_shapes(leading, value.shape[:-2])
    output = xp.broadcast_to(value, (*batch, *value.shape[-2:])).copy()
    if not return_weights:
        return output
    return AttentionResult(output, xp.broadcast_to(xp.eye(n, dtype=query.dtype), (*leading, n, n)).copy())


def attention_guidance(
    here: "Place",
    conditional: Any,
    perturbed: Any,
    *,
    unconditional: Any,
    guidance_scale: float,
    perturbed_scale: float,
) -> Any:
    """Go from the perturbed prediction through the conditional one."""
    base = conditional
    if unconditional is not None:
        base = unconditional + guidance_scale * (conditional - unconditional)
    return base + perturbed_scale * (conditional - perturbed)


def sag_degrade(
    here: "Place",
    latents: Any,
    attention_weights: Any,
    *,
    map_height: int,
    map_width: int,
    kernel_size: int,
    sigma: float,
    threshold: float,
) -> Any:
    """Blur all of the picture, and keep of that what the others look at."""
    xp, heads = here.xp, attention_weights.shape[-3]
    mass = attention_weights.sum(axis=-3) / heads  # (..., n, n)
    mass = mass.sum(axis=-2)
    mass = mass.reshape(*mass.shape[:-1], map_height, map_width)
    rows, columns = (
        xp.asarray(np.arange(size) * cells // size)  # floor(pixel · cells / pixels)
        for size, cells in zip(latents.shape[-2:], (map_height, map_width), strict=True)
    )
    mass = mass[..., None, rows[:, None], columns]  # (..., 1, H, W)
    blurred = gaussian_blur_2d(here, latents, kernel_size=kernel_size, sigma=sigma)
    return xp.where(xp.isnan(mass), mass, xp.where(mass > threshold, blurred, latents))
