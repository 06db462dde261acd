"""Attention as memory, in CUDA through Numba."""

from .associative import classical_hopfield, dense_associative_memory
from .feed_forward import ffn_memory, ffnified_attention
from .hopfield import hopfield_attention
from .hopfield_gradient import hopfield_attention_vjp
from .landmark import landmark_attention, landmark_attention_vjp
from .sdm import sdm_attention, sdm_neuron_attention
from .sphere import sdm_continuous_attention
from .titans import titans_memory
from .titans_network import titans_mlp_memory

__all__ = [
    "classical_hopfield",
    "dense_associative_memory",
    "ffn_memory",
    "ffnified_attention",
    "hopfield_attention",
    "hopfield_attention_vjp",
    "landmark_attention",
    "landmark_attention_vjp",
    "sdm_attention",
    "sdm_continuous_attention",
    "sdm_neuron_attention",
    "titans_memory",
    "titans_mlp_memory",
]
