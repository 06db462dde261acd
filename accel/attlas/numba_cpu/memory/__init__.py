"""Attention as memory, on the CPU."""

from .classical import classical_hopfield as classical_hopfield
from .dense_memory import dense_associative_memory as dense_associative_memory
from .depthwise import ffnified_attention as ffnified_attention
from .ffn import ffn_memory as ffn_memory
from .hopfield import hopfield_attention as hopfield_attention
from .hopfield import hopfield_attention_vjp as hopfield_attention_vjp
from .landmark import landmark_attention as landmark_attention
from .landmark_gradient import landmark_attention_vjp as landmark_attention_vjp
from .neurons import sdm_neuron_attention as sdm_neuron_attention
from .sdm import sdm_attention as sdm_attention
from .sphere import sdm_continuous_attention as sdm_continuous_attention
from .titans import titans_memory as titans_memory
from .titans_mlp import titans_mlp_memory as titans_mlp_memory
