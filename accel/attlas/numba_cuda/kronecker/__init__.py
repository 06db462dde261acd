"""Attention over pairs and triples, in CUDA through Numba."""

from .fastmax import fastmax_attention, fastmax_attention_vjp
from .lowrank import tensor_attention_lowrank
from .tensor import (
    simplicial_attention,
    simplicial_attention_vjp,
    tensor_attention,
    tensor_attention_vjp,
    tri_directional_attention,
)

__all__ = [
    "fastmax_attention",
    "fastmax_attention_vjp",
    "simplicial_attention",
    "simplicial_attention_vjp",
    "tensor_attention",
    "tensor_attention_lowrank",
    "tensor_attention_vjp",
    "tri_directional_attention",
]
