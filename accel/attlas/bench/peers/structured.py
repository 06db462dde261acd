"""Sums over chains, segments and dependency trees by the package torch-struct."""

from typing import Any

import torch
import torch_struct
from torch_struct.deptree import deptree_nonproj, deptree_part

# The package says nothing about what its potentials may be, which PyTorch would warn of.
torch_struct.StructDistribution.arg_constraints = {}


def struct_linear_chain_marginals(unary: Any, pairwise: Any) -> tuple[Any, Any, Any]:
    """Log Z, the marginals of labels and those of steps; the package makes the latter alone."""
    batch, edges = _edges(unary, pairwise)
    log_partition, steps = _sums(torch_struct.LinearChainCRF(edges))
    labels = torch.cat([steps[:, :1].sum(-2), steps.sum(-1)], dim=1)
    return log_partition.reshape(batch), labels.reshape(unary.shape), steps.mT.reshape(pairwise.shape)


def struct_linear_chain_argmax(unary: Any, pairwise: Any) -> Any:
    """The best path, of its steps as ones among zeros."""
    batch, edges = _edges(unary, pairwise)
    with torch.enable_grad():
        best = torch_struct.LinearChainCRF(edges).argmax
    return torch.cat([best[:, :1].sum(-2), best.sum(-1)], dim=1).argmax(-1).reshape(*batch, -1)


def struct_semi_markov_marginals(scores: Any) -> tuple[Any, Any]:
    """Log Z and the marginals of segments."""
    log_partition, marginals = _sums(torch_struct.SemiMarkovCRF(scores.reshape(-1, *scores.shape[-4:])))
    return log_partition.reshape(scores.shape[:-4]), marginals.reshape(scores.shape)


def struct_tree_attention_marginals(
    arc_scores: Any, root_scores: Any, *, multi_root: bool = False
) -> tuple[Any, Any, Any]:
    """Log Z and the marginals of arcs and roots over all trees.

    What the distribution of the package calls; it would add 1e-5 to the weight of every arc.
    """
    scores = _joined(arc_scores, root_scores)
    log_partition = deptree_part(scores, multi_root, eps=0.0)
    return _apart(root_scores, log_partition, deptree_nonproj(scores, multi_root, eps=0.0))


def struct_projective_tree_marginals(
    arc_scores: Any, root_scores: Any, *, multi_root: bool = False
) -> tuple[Any, Any, Any]:
    """Log Z and the marginals of arcs and roots over trees without crossing arcs."""
    # The package writes in place into what it is given, which must not be a leaf of the gradient.
    with torch.enable_grad():
        scores = 1 * _joined(arc_scores, root_scores).requires_grad_()
    return _apart(root_scores, *_sums(torch_struct.DependencyCRF(scores, multiroot=multi_root)))


def _sums(distribution: Any) -> tuple[Any, Any]:
    with torch.enable_grad():
        return distribution.partition, distribution.marginals


def _edges(unary: Any, pairwise: Any) -> tuple[Any, Any]:
    """The leading axes, and all potentials on the steps, of which the package wants (later label, earlier label)."""
    leading = unary.shape[:-2]
    unary, pairwise = unary.reshape(-1, *unary.shape[-2:]), pairwise.reshape(-1, *pairwise.shape[-3:])
    edges = pairwise.mT + unary[:, 1:, :, None]
    edges[:, 0] += unary[:, 0, None, :]
    return leading, edges


def _joined(arc_scores: Any, root_scores: Any) -> Any:
    """The scores of roots on the diagonal, where the package wants them."""
    scores = arc_scores.reshape(-1, *arc_scores.shape[-2:]).clone()
    torch.diagonal(scores, dim1=-2, dim2=-1).copy_(root_scores.reshape(-1, root_scores.shape[-1]))
    return scores


def _apart(root_scores: Any, log_partition: Any, marginals: Any) -> tuple[Any, Any, Any]:
    roots = torch.diagonal(marginals, dim1=-2, dim2=-1).clone()
    torch.diagonal(marginals, dim1=-2, dim2=-1).zero_()
    shape = root_scores.shape
    return log_partition.reshape(shape[:-1]), marginals.reshape(*shape, shape[-1]), roots.reshape(shape)
