"""Compositions of the dense core."""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionPartial

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "finish_attention_partial",
    "merge_attention_partials",
]

Partial = tuple[Any, Any, Any]


def merge_attention_partials(here: "Place", first: Partial, second: Partial) -> AttentionPartial:
    """Express both partials in the larger maximum and add."""
    maximum = here.xp.maximum(first[0], second[0])  # (..., m)
    total: Any = 0.0
    accumulator: Any = 0.0
    for old, part_total, part_accumulator in (first, second):
        # exp(-inf - (-inf)) counts as 0: merging two empty partials gives an empty one.
        rescale = here.xp.where(old == -math.inf, 0, here.xp.exp(old - maximum))
        total = total + rescale * part_total
        accumulator = accumulator + rescale[..., None] * part_accumulator
    return AttentionPartial(maximum, total, accumulator)


def finish_attention_partial(here: "Place", partial: Partial) -> Any:
    """Divide, and give 0 where nothing was visible."""
    _, total, accumulator = partial
    return accumulator / here.xp.where(total == 0, 1, total)[..., None]
