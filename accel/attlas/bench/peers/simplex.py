"""The `entmax` package (Correia, Niculae & Martins): sparsemax and entmax of rows, and attention with them."""

from typing import Any

import entmax
import torch

from .parts import default_scale, scaled_scores


def package_sparsemax(scores: Any, *, axis: int = -1) -> Any:
    """Exact, by sorting."""
    return entmax.sparsemax(scores, dim=axis)


def package_entmax(scores: Any, *, alpha: float = 1.5, axis: int = -1) -> Any:
    """Exact for alpha 1.5, else by bisection."""
    return _entmax(scores, alpha, axis)


def package_sparsemax_vjp(scores: Any, grad_output: Any, *, axis: int = -1) -> Any:
    """Forwards and backwards: from the same two arrays, the gradient needs both."""
    return _backward(lambda leaf: entmax.sparsemax(leaf, dim=axis), scores, grad_output)


def package_entmax_vjp(scores: Any, grad_output: Any, *, alpha: float = 1.5, axis: int = -1) -> Any:
    """Forwards and backwards."""
    return _backward(lambda leaf: _entmax(leaf, alpha, axis), scores, grad_output)


def package_sparsemax_attention(query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """Two products, and the package between."""
    return package_sparsemax(scaled_scores(query, key, default_scale(scale, query), causal)) @ value


def package_entmax_attention(
    query: Any, key: Any, value: Any, *, alpha: float = 1.5, scale: Any = None, causal: bool = False
) -> Any:
    """Two products, and the package between."""
    return package_entmax(scaled_scores(query, key, default_scale(scale, query), causal), alpha=alpha) @ value


def _entmax(scores: Any, alpha: float, axis: int) -> Any:
    return entmax.entmax15(scores, dim=axis) if alpha == 1.5 else entmax.entmax_bisect(scores, alpha=alpha, dim=axis)


def _backward(forward: Any, scores: Any, grad_output: Any) -> Any:
    leaf = scores.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(forward(leaf), leaf, grad_output)[0]
