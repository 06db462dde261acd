"""The libraries' functions on NumPy arrays (b, h, m, d), with the arguments of each library's own."""

from typing import Any

import numpy as np

from attlas.interop import onnx_attention

Rows = np.ndarray


def pytorch(query: Rows, key: Rows, value: Rows, *, plain: bool | None = None, **options: Any) -> Rows:
    """Run PyTorch: as it chooses, or with the plain or the fused kernel of the CPU."""
    from contextlib import nullcontext

    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    kernel = {None: nullcontext, True: lambda: sdpa_kernel(SDPBackend.MATH)}
    kernel[False] = lambda: sdpa_kernel(SDPBackend.FLASH_ATTENTION)
    with kernel[plain]():
        attention = torch.nn.functional.scaled_dot_product_attention
        return attention(*map(torch.from_numpy, (query, key, value)), **tensors).numpy()


def jax(query: Rows, key: Rows, value: Rows, **options: Any) -> Rows:
    """Run JAX, which has the heads behind the rows."""
    import jax

    rows = (np.swapaxes(x, 1, 2) for x in (query, key, value))
    return np.swapaxes(np.asarray(jax.nn.dot_product_attention(*rows, **options)), 1, 2)


def onnx(query: Rows, key: Rows, value: Rows, attn_mask: Any = None, **options: Any) -> Rows:
    """Run ONNX's evaluator."""
    with np.errstate(all="ignore"):
        result: Rows = onnx_attention(query, key, value, attn_mask, **options)
    return result


def masked(library: str, mask: Rows) -> dict[str, Rows]:
    """Return a mask under the library's name for it."""
    return {"mask" if library == "jax" else "attn_mask": mask}


def biased(library: str, bias: Rows) -> dict[str, Rows]:
    """Return a bias under the library's name for it."""
    return {"bias" if library == "jax" else "attn_mask": bias}


RUN = {"pytorch": pytorch, "jax": jax, "onnx": onnx}


def plainly(query: Rows, key: Rows, value: Rows, visible: Any = True, bias: Any = 0.0, scale: Any = None) -> Rows:
    """The formula in float64, for rows that see something."""
    scores = query.astype(float) @ key.astype(float).swapaxes(-1, -2)
    scores = scores * (query.shape[-1] ** -0.5 if scale is None else scale) + bias
    scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value.astype(float)


def agree(actual: Rows, expected: Rows) -> bool:
    """Whether two results are the same up to what float32 makes of numbers around 1, sums of ten and width 4."""
    return bool(np.allclose(actual, expected, rtol=0, atol=200 * np.finfo(np.float32).eps))
