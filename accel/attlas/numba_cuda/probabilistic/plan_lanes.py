"""Every kernel of plans, mixtures and groups, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..assemble import build_assemble
from ..blocks import Block
from ..pairs import WEIGHTS, build_pairs
from ..rows import ROW_ON_GPU
from ..rules import Real
from ..tile import build_forward
from . import competitive, implied, mixture, mixture_steps, proximal, representatives, sets, transport, transport_parts
from .half_steps import COLUMNS_ON_GPU
from .readings import build_readings


def kernels(block: Block, real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    row = ROW_ON_GPU
    for rule in (competitive.won, mixture.weighed_by_prior, mixture.received, mixture.received_by_prior):
        yield f"forward_{rule.__name__}", build_forward(block, real, rule), True
    for rule in (competitive.won, mixture.weighed_by_prior):
        yield f"weights_{rule.__name__}", build_pairs(block, real, rule, WEIGHTS), True
    for entry in (mixture.part_of_taken, mixture.taken_alone, proximal.as_number):
        yield f"assemble_{entry.__name__}", build_assemble(real, entry), False
    for of_units in (False, True):
        yield f"features_{of_units}", mixture_steps.build_features(real, of_units), False
    yield "adapt", mixture_steps.build_adapt(real), False
    yield "half_step_rows", transport.build_rows(row, real), True
    yield "half_step_columns", transport.build_columns(COLUMNS_ON_GPU, real), True
    yield "half_step_merge", transport.build_merge(real), False
    yield "half_step_settle", transport.build_settle(row, real), True
    yield "plan_finish", transport.build_finish(row, real), True
    yield "plan_scaled", transport_parts.build_scaled_plan(real), False
    yield "plan_kernel", transport_parts.build_next_kernel(real), False
    yield "plan_price", transport_parts.build_price(row, real), True
    yield "plan_total", transport_parts.build_total(row, real), True
    yield "masses_spread", transport_parts.build_spread(row, real), True
    yield "masses_logarithms", transport_parts.build_logarithms(real), False
    for averages in (False, True):
        yield f"represent_{averages}", representatives.build_represent(real, averages), False
        yield f"before_{averages}", representatives.build_before(real, averages), False
    for of_groups in (False, True):
        yield f"readings_{of_groups}", build_readings(row, real, of_groups), True
    yield "meet", sets.build_meet(real), False
    yield "implied", implied.build_implied(real), False
    yield "implied_crossed", implied.build_implied_crossed(real), False
    yield "implied_doubling", implied.build_implied_doubling(real), False
