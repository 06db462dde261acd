"""States that write and are written on: a scratchpad, and the layers of the tensor brain."""

from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import IndexResult

from ..pointwise import sigmoid
from ..shapes import side_by_side

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["scratchpad_write", "tensor_brain_step"]


def scratchpad_write(
    here: "Place",
    memory: Any,
    state: Any,
    context: Any,
    *,
    w_gate: Any,
    b_gate: float,
    w_update: Any,
    b_update: Any,
) -> Any:
    """Mix every row with the note, each by its own gate."""
    xp, split = here.xp, state.shape[-1] + context.shape[-1]
    step = side_by_side(xp, state, context)
    step = step[..., None, :]  # a product of its own for each member of the batch: (..., 1, s + e)
    note = xp.tanh(step @ w_update + b_update)
    gate = sigmoid(xp, step @ w_gate[:split, None] + memory @ w_gate[split:, None] + b_gate)
    return gate * memory + (1 - gate) * note


def tensor_brain_step(here: "Place", state: Any, embeddings: Any, *, bias: Any, index: Any) -> IndexResult:
    """Attend from the active state to the embeddings; an index takes one of them instead of their mean."""
    xp = here.xp
    said, probabilities = here.softmax_attention(
        sigmoid(xp, state)[..., None, :],
        embeddings,
        embeddings if index is None else embeddings[..., :0],
        temperature=1.0,
        scale=1.0,
        mask=None,
        bias=None if bias is None else bias[None, :],
        causal=False,
        return_weights=True,
    )
    if index is None:
        said = said[..., 0, :]
    else:
        leading = np.broadcast_shapes(index.shape, embeddings.shape[:-2])
        rows = xp.broadcast_to(embeddings, (*leading, *embeddings.shape[-2:]))
        chosen = xp.broadcast_to(index, leading)[..., None, None]
        said = xp.take_along_axis(rows, chosen, axis=-2)[..., 0, :]
    return IndexResult(state + said, probabilities[..., 0, :])
