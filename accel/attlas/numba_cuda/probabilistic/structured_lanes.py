"""Every kernel of chains, segments and trees, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..rules import Real
from . import (
    chain_argmax,
    chain_marginals,
    chain_sample,
    dependency,
    projective,
    relations,
    semi_markov,
    skip_chain,
    tree_marginals,
)
from .teams import CROWD, LONERS, WARP


def kernels(real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    for name, team in (("together", WARP), ("alone", LONERS)):
        yield f"chain_marginals_{name}", chain_marginals.build_marginals(team, real), True
        yield f"chain_argmax_{name}", chain_argmax.build_argmax(team, real), True
        yield f"chain_beginnings_{name}", chain_sample.build_beginnings(team, real), True
        yield f"chain_sample_{name}", chain_sample.build_sample(team, real), True
    yield "semi_markov", semi_markov.build_semi_markov(CROWD, real), True
    yield "skip_chain", skip_chain.build_skip_chain(WARP, real), True
    yield "tree_marginals", tree_marginals.build_trees(CROWD, real), True
    yield "projective_trees", projective.build_projective(CROWD, real), True
    yield "constituents", dependency.build_constituents(CROWD, real), False
    yield "parents", dependency.build_parents(CROWD, real), True
    yield "relate", relations.build_relate(relations.TILE_OF_PAIRS, real), True
