"""Hopfield networks, sparse distributed memory, long contexts and memories that learn, as array programs."""

from .bits import classical_hopfield, dense_associative_memory
from .feedforward import ffn_memory, ffnified_attention
from .hopfield import hopfield_attention, hopfield_attention_vjp
from .landmark import landmark_attention, landmark_attention_vjp
from .sdm import sdm_attention, sdm_continuous_attention, sdm_neuron_attention
from .titans import titans_memory, titans_mlp_memory

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
