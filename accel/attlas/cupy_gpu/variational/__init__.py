"""Attention as a latent variable, as array programs."""

from .captions import show_attend_attention, visual_sentinel_attention
from .choices import hard_attention
from .gumbel import gumbel_softmax_attention

__all__ = [
    "gumbel_softmax_attention",
    "hard_attention",
    "show_attend_attention",
    "visual_sentinel_attention",
]
