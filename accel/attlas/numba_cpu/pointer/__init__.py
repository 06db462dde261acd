"""Attention that picks, on the CPU."""

from .copying import copy_mixture
from .coverage import coverage_attention
from .distribution import pointer_attention
from .pursuit import orthogonal_matching_pursuit
from .trees import tree_cross_attention, tree_search_path

__all__ = [
    "copy_mixture",
    "coverage_attention",
    "orthogonal_matching_pursuit",
    "pointer_attention",
    "tree_cross_attention",
    "tree_search_path",
]
