"""One bell on the unit interval whose place is fed back, on Numba-CUDA: two formulations.

What a state says is projected first; `bell_steps` takes the steps, and says what bounds it and how it differs from the
reference.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import with_extras

from ...no_values import also_without_values
from ..learned import multiplied, projected
from ..operands import dtype_of, lay_out, shape_of
from ..probabilistic.teams import in_turns, most_at_once
from ..target import allocate, launch, shaped
from ..views import as_cell, as_row, once, viewed
from . import bell_steps as bell
from .bell_steps import build_bell_steps
from .steps import TEAM, leading_of, owners, unfilled


def _run(
    query: Any,
    value: Any,
    rho: Any,
    sigma: Any,
    *,
    form: int,
    origin: int,
    numbers: tuple[float, ...],
    previous: Any,
    mask: Any,
    return_weights: bool,
    return_position: bool,
    mix: Any = None,
    asked: Any = None,
    key: Any = None,
    bell_alone: bool = False,
) -> Any:
    """Take all steps; `rho`, `sigma` and `mix` are (..., m, *)."""
    dtype, m, (n, e) = dtype_of(query), shape_of(query)[-2], shape_of(value)[-2:]
    real: Any = dtype.type
    nothing = np.zeros((1, 1), dtype)
    begin = nothing if previous is None else as_cell(previous)
    shown = None if mask is None else viewed(mask, np.atleast_2d)
    leading = leading_of(rho, sigma, mix, asked, key, begin, shown)
    batch = np.broadcast_shapes(leading, shape_of(value)[:-2])
    given = [rho, sigma, mix, begin, asked, key, value, np.array([numbers], dtype)]
    given = [nothing if array is None else array for array in given]
    memories, layout = lay_out([*given, np.ones((1, 1), bool) if shown is None else shown], batch)
    output, positions = allocate((*batch, m, e), dtype), allocate((*leading, m), dtype)
    weights = allocate((*leading, m, n) if return_weights else (1,), dtype)
    problems = math.prod(batch)
    field = allocate((most_at_once(problems, 2 * n), 2 * n), dtype)
    d = 0 if key is None else shape_of(key)[-1]
    flags = (
        int(origin != bell.MOVES),
        int(bell_alone),
        int(mix is not None),
        int(previous is None),
        int(return_weights),
    )
    for first, count in in_turns(problems, 2 * n):
        launch(
            build_bell_steps(TEAM, real), TEAM.blocks(count), TEAM.block.threads,
            first, m, n, e, d, form, origin, *flags, *memories, layout, owners(leading, batch), field, output, weights,
            positions,
        )  # fmt: skip
    return with_extras(
        shaped(output, (*batch, m, e)),
        weights=shaped(weights, (*leading, m, n)) if return_weights else None,
        position=shaped(positions, (*leading, m)) if return_position else None,
    )


@also_without_values(unfilled, dtype_of)
def monotonic_location_attention(
    query: Any,
    value: Any,
    *,
    key: Any,
    content_query: Any,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    step: str,
    step_bias: float,
    softstair_temperature: float,
    w_mix: Any,
    b_mix: float,
    position_past: bool,
    previous: Any,
    mask: Any,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """Compute `attlas_ref.monotonic_location_attention`."""
    state = projected(query, w_state, as_row(b_state))
    forms = {
        "sigmoid": bell.SIGMOID,
        "relu": bell.RELU,
        "controlled_relu": bell.CONTROLLED,
        "softstair": bell.STAIR,
        "free": bell.FREE,
    }
    small = math.exp(-abs(step_bias))
    share = (1 if step_bias >= 0 else small) / (1 + small)
    mixed: dict[str, Any] = {}
    scale = 1.0
    if w_mix is not None:
        scale = 1 / math.sqrt(shape_of(key)[-1])
        mixed = {"mix": multiplied(once(query), as_row(w_mix)), "asked": content_query, "key": key}
    return _run(
        query,
        value,
        multiplied(state, as_row(w_rho)),
        multiplied(state, as_row(w_sigma)),
        form=forms[step],
        origin=bell.MOVES,
        numbers=(share, softstair_temperature, b_mix, scale),
        previous=previous,
        mask=mask,
        return_weights=return_weights,
        return_position=return_position,
        bell_alone=position_past,
        **mixed,
    )


@also_without_values(unfilled, dtype_of)
def location_attender(
    query: Any,
    value: Any,
    *,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    simplified: bool,
    steps: str,
    softstair_temperature: float,
    previous: Any,
    mask: Any,
    return_weights: bool,
    return_position: bool,
) -> Any:
    """Compute `attlas_ref.location_attender`."""
    state = projected(query, w_state, as_row(b_state))
    return _run(
        query,
        value,
        projected(state, w_rho),
        multiplied(state, as_row(w_sigma)),
        form=bell.STAIR if steps == "softstair" else bell.SIGMOID,
        origin=bell.STARTS if simplified else bell.GATED,
        numbers=(0.0, softstair_temperature, 0.0, 1.0),
        previous=previous,
        mask=mask,
        return_weights=return_weights,
        return_position=return_position,
    )
