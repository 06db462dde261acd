"""Attention that moves forward, as array programs."""

from .alignment import monotonic_alignment, monotonic_alignment_vjp
from .alignment_search import monotonic_alignment_search
from .bells import gmm_attention, location_attender, monotonic_location_attention
from .ctc import ctc_log_likelihood, ctc_posterior, ctc_viterbi
from .energy import monotonic_energy
from .latent import latent_monotonic_log_prob, latent_monotonic_posterior, latent_monotonic_viterbi
from .location import dynamic_convolution_attention, forward_attention, location_sensitive_attention
from .lookback import infinite_lookback_weights, mocha_weights, moving_sum
from .near import luong_local_attention, windowed_soft_attention
from .positions import monotonic_position_log_prob
from .segments import segment_alignment
from .shared_out import segmental_soft_attention
from .stops import monotonic_hard_alignment, sampled_monotonic_alignment, stepwise_monotonic_alignment
from .warping import dtw_path, soft_dtw

__all__ = [
    "ctc_log_likelihood",
    "ctc_posterior",
    "ctc_viterbi",
    "dtw_path",
    "dynamic_convolution_attention",
    "forward_attention",
    "gmm_attention",
    "infinite_lookback_weights",
    "latent_monotonic_log_prob",
    "latent_monotonic_posterior",
    "latent_monotonic_viterbi",
    "location_attender",
    "location_sensitive_attention",
    "luong_local_attention",
    "mocha_weights",
    "monotonic_alignment",
    "monotonic_alignment_search",
    "monotonic_alignment_vjp",
    "monotonic_energy",
    "monotonic_hard_alignment",
    "monotonic_location_attention",
    "monotonic_position_log_prob",
    "moving_sum",
    "sampled_monotonic_alignment",
    "segment_alignment",
    "segmental_soft_attention",
    "soft_dtw",
    "stepwise_monotonic_alignment",
    "windowed_soft_attention",
]
