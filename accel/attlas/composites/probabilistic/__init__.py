"""Attention as inference: compositions of accelerated functions."""

from .guidance import attention_guidance as attention_guidance
from .guidance import gaussian_blur_2d as gaussian_blur_2d
from .guidance import identity_attention as identity_attention
from .guidance import sag_degrade as sag_degrade
from .guidance import smoothed_energy_attention as smoothed_energy_attention
from .posterior import gaussian_adaptive_attention as gaussian_adaptive_attention
from .posterior import iterative_attention as iterative_attention
from .posterior import structural_prior_attention as structural_prior_attention
from .slots import conditional_slot_attention as conditional_slot_attention
from .slots import slot_attention as slot_attention
from .spectrum import spectral_slot_count as spectral_slot_count
from .structured import segmentation_attention as segmentation_attention
from .structured import syntactic_attention as syntactic_attention
from .transport import conditional_transport as conditional_transport
from .transport import cosine_cost as cosine_cost
from .transport import sinkhorn_attention as sinkhorn_attention
