"""Alignment as a latent variable, on the CPU."""

from .captions import show_attend_attention as show_attend_attention
from .captions import visual_sentinel_attention as visual_sentinel_attention
from .choices import hard_attention as hard_attention
from .gumbel import gumbel_softmax_attention as gumbel_softmax_attention
