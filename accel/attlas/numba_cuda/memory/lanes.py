"""Every kernel of the family, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..assemble import build_assemble
from ..blocks import Block
from ..pairs import WEIGHTS, build_pairs
from ..rows import ROW_ON_GPU
from ..rules import Real
from ..simplex import BISECTED, ENTMAX, ENTMAX15, SPARSEMAX
from ..tile import build_forward
from . import activations, dense_turns, hopfield_gradient, landmark, packed, sdm, sphere, titans_network, turns
from .band_gradients import build_carry, seen
from .feed_forward import build_depthwise
from .hopfield import build_advance
from .titans import TOKENS, build_titans

FELT = {"seen": seen, "in_scores": landmark.felt_in_scores, "in_values": landmark.felt_in_values}


def kernels(block: Block, real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    row = ROW_ON_GPU
    for rule in (activations.gelu, activations.silu):
        yield f"forward_{rule.__name__}", build_forward(block, real, rule), True
        yield f"weights_{rule.__name__}", build_pairs(block, real, rule, WEIGHTS), True
    for entry in (hopfield_gradient.total, sdm.over_half, sdm.sign, sdm.quotient):
        yield f"assemble_{entry.__name__}", build_assemble(real, entry), False
    yield "advance", build_advance(row, real), True
    for row_rule in (SPARSEMAX, ENTMAX15, ENTMAX, BISECTED):
        yield f"slopes_{row_rule.name}", hopfield_gradient.build_slopes(row, real, row_rule), True
    for name, felt in FELT.items():
        for by_query in (True, False) if felt is not landmark.felt_in_values else (False,):
            yield f"carry_{name}_{by_query}", build_carry(block, real, felt, by_query), True
    yield "turn", turns.build_turn(real), False
    yield "strays", turns.build_strays(real), False
    yield "one_by_one", turns.build_one_by_one(row, real), True
    for exponential in (False, True):
        yield f"pull_{exponential}", dense_turns.build_pull(block, real, exponential), True
        yield f"dense_one_by_one_{exponential}", dense_turns.build_dense_one_by_one(row, real, exponential), True
    yield "pack", packed.build_pack(real), False
    yield "distances", packed.build_distances(block, real), False
    for finite in (False, True):
        yield f"shares_{finite}", sdm.build_shares(row, real, finite), True
    yield "tally", sdm.build_tally(row, real), True
    yield "directions", sphere.build_directions(row, real), True
    yield "caps", sphere.build_caps(row, real), True
    for gradient in (False, True):
        yield f"landmarks_{gradient}", landmark.build_landmarks(row, real, gradient), True
    yield "titans", build_titans(row, TOKENS, real), True
    yield "titans_network", titans_network.build_network(row, TOKENS, real), True
    yield "depthwise", build_depthwise(real), False
