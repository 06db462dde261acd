"""Attention that picks: compositions of accelerated functions."""

from .copying import copy_gate, copy_log_prob, coverage_loss, pointer_sentinel_mixture
from .networks import pointer_glimpse, pointer_network_decode, pointer_network_log_prob
from .selection import build_token_tree, sequential_attention_select, sequential_attention_weights

__all__ = [
    "build_token_tree",
    "copy_gate",
    "copy_log_prob",
    "coverage_loss",
    "pointer_glimpse",
    "pointer_network_decode",
    "pointer_network_log_prob",
    "pointer_sentinel_mixture",
    "sequential_attention_select",
    "sequential_attention_weights",
]
