"""Attention as inference, in CUDA through Numba."""

from .chain_argmax import linear_chain_argmax
from .chain_marginals import linear_chain_marginals
from .chain_sample import linear_chain_sample
from .combiner import combiner_axial_attention, combiner_fixed_attention
from .competitive import competitive_attention
from .dependency import syntactic_dependency
from .fenwick import combiner_logsparse_attention
from .mixture import probabilistic_attention
from .mixture_of_axes import combiner_mixture_attention
from .projective import projective_tree_marginals
from .proximal import ipot_plan
from .relations import dependency_constrained_attention
from .semi_markov import semi_markov_marginals
from .sinkhorn import sinkhorn_plan, unbalanced_sinkhorn_plan
from .skip_chain import skip_chain_crf
from .tree_marginals import tree_attention_marginals

__all__ = [
    "combiner_axial_attention",
    "combiner_fixed_attention",
    "combiner_logsparse_attention",
    "combiner_mixture_attention",
    "competitive_attention",
    "dependency_constrained_attention",
    "ipot_plan",
    "linear_chain_argmax",
    "linear_chain_marginals",
    "linear_chain_sample",
    "probabilistic_attention",
    "projective_tree_marginals",
    "semi_markov_marginals",
    "sinkhorn_plan",
    "skip_chain_crf",
    "syntactic_dependency",
    "tree_attention_marginals",
    "unbalanced_sinkhorn_plan",
]
