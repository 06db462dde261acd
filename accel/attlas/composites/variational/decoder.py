"""A decoder with soft attention, beside every hard alignment."""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import SoftAlignment

from .parts import log_sum_exp

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["soft_alignment_log_likelihood"]


def soft_alignment_log_likelihood(
    here: "Place",
    query: Any,
    memory: Any,
    *,
    w_score: Any,
    w_output: Any,
    w_vocab: Any,
    b_vocab: Any,
    mask: Any,
    return_details: bool,
) -> Any:
    """Attend, then decode: the weights of the output are split into those of the state and those of the context."""
    xp, split = here.xp, query.shape[-1]
    attended = here.softmax_attention(
        query @ w_score,
        memory,
        memory,
        temperature=1.0,
        scale=1.0,
        mask=mask,
        bias=None,
        causal=False,
        return_weights=return_details,
    )
    context = attended.output if return_details else attended

    def log_words(hidden: Any) -> Any:
        logits = hidden @ w_vocab
        logits = logits if b_vocab is None else logits + b_vocab
        return logits - log_sum_exp(xp, logits)

    of_query = query @ w_output[:split]
    hidden = xp.tanh(of_query + context @ w_output[split:])
    log_prob = log_words(hidden)
    if not return_details:
        return log_prob
    of_memory = memory @ w_output[split:]
    each = log_words(xp.tanh(of_query[..., :, None, :] + of_memory[..., None, :, :]))  # (..., m, n, V)
    each = each if mask is None else xp.where(mask[..., None], each, -math.inf)
    return SoftAlignment(log_prob, attended.weights, context, hidden, each)
