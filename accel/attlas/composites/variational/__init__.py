"""Alignment as a latent variable: compositions of accelerated functions."""

from .bounds import importance_weighted_bound as importance_weighted_bound
from .bounds import latent_alignment_bounds as latent_alignment_bounds
from .captions import doubly_stochastic_penalty as doubly_stochastic_penalty
from .captions import sentinel_gate as sentinel_gate
from .decoder import soft_alignment_log_likelihood as soft_alignment_log_likelihood
from .dirichlet import dirichlet_attention as dirichlet_attention
from .dirichlet import dirichlet_kl as dirichlet_kl
from .score_function import alignment_score_gradient as alignment_score_gradient
