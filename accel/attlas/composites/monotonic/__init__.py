"""Attention that moves forward: compositions of accelerated functions."""

from .attention import mocha_attention, monotonic_attention, monotonic_multihead_attention
from .flow import daft_attention, total_transition_length
from .foresight import lm_augmented_monotonic_energy
from .latency import differentiable_average_lagging, expected_delay, latency_loss
from .luong import context_aware_cross_attention, luong_attention, luong_score
from .places import align_with_purpose_loss, bidirectional_encoding, relative_position_cross_attention
from .reading import mass_preservation

__all__ = [
    "align_with_purpose_loss",
    "bidirectional_encoding",
    "context_aware_cross_attention",
    "daft_attention",
    "differentiable_average_lagging",
    "expected_delay",
    "latency_loss",
    "lm_augmented_monotonic_energy",
    "luong_attention",
    "luong_score",
    "mass_preservation",
    "mocha_attention",
    "monotonic_attention",
    "monotonic_multihead_attention",
    "relative_position_cross_attention",
    "total_transition_length",
]
