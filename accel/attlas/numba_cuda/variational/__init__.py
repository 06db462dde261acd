"""Alignment as a latent variable, in CUDA through Numba."""

from .captions import show_attend_attention, visual_sentinel_attention
from .sampled import gumbel_softmax_attention, hard_attention

__all__ = [
    "gumbel_softmax_attention",
    "hard_attention",
    "show_attend_attention",
    "visual_sentinel_attention",
]
