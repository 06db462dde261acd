"""Feed-forward layers as attention over slots, on the CPU: the tile template with weights that need no division."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..attention import attend
from ..dense import build_softmax
from ..operands import Array
from ..real import Real
from ..tile import Kernels, build, elementwise
from .activations import activations_of

__all__ = ["ffn_memory"]


def _plain(dot, query_square, key_square, bias, parameters):
    return dot


def build_ffn(activation: str, real: Real) -> Kernels:
    """Weights that are an activation of the dot product; no parameters."""
    apply = activations_of(real)[activation]

    def weight(score, parameters):
        return apply(score)

    weight.__qualname__ = f"{activation}_weight"
    return build(f"ffn-{activation}", real, _plain, elementwise(real, weight))


BUILDS: dict[str, Callable[[Real], Kernels]] = {
    name: partial(build_ffn, name) for name in ("gelu", "relu", "silu", "identity")
}


def ffn_memory(query: Array, key_memory: Array, value_memory: Array, *, activation: str, return_weights: bool) -> Any:
    """See `attlas_ref.memory.ffn_memory`."""
    options: dict[str, Any] = {"mask": None, "bias": None, "causal": False, "return_weights": return_weights}
    if activation == "softmax":
        return attend(build_softmax, query, key_memory, value_memory, 1.0, 1.0, **options)
    return attend(BUILDS[activation], query, key_memory, value_memory, divide=False, **options)
