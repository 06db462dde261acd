# Written by `python -m attlas.stubs` from the records; do not edit.

from typing import Any

from attlas.threads import get_num_threads as get_num_threads
from attlas.threads import set_num_threads as set_num_threads
from attlas_ref.contract.results import AttentionPartial as AttentionPartial
from attlas_ref.contract.results import AttentionResult as AttentionResult
from attlas_ref.contract.results import AttentionVJP as AttentionVJP
from attlas_ref.contract.results import AttentionVJPWithBias as AttentionVJPWithBias
from attlas_ref.dotproduct.attention_partial import empty_attention_partial as empty_attention_partial

__version__: str
__all__: list[str]

def softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Scaled dot-product attention: each output is a weighted mean of the values.

    See `attlas_ref.dotproduct.softmax_attention` for the lesson.
    """

def attention_energy(
    query: Any,
    key: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    temperature: float = 1.0,
    backend: str | None = None,
) -> Any:
    """Log-sum-exp energy of each query: minus the free energy of its scores.

    See `attlas_ref.dotproduct.attention_energy` for the lesson.
    """

def softmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    key_chunk_size: int | None = None,
    return_grad_bias: bool = False,
    backend: str | None = None,
) -> AttentionVJP | AttentionVJPWithBias:
    """Gradients of sum(softmax_attention(...) * grad_output).

    See `attlas_ref.dotproduct.softmax_attention_vjp` for the lesson.
    """

def memory_efficient_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_chunk_size: int = 1024,
    key_chunk_size: int = 4096,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention, chunk by chunk, without the (m, n) matrix.

    See `attlas_ref.dotproduct.memory_efficient_attention` for the lesson.
    """

def attention_partial(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    query_offset: int = 0,
    key_offset: int = 0,
    backend: str | None = None,
) -> AttentionPartial:
    """Softmax attention over one block of keys, in the form that merges.

    See `attlas_ref.dotproduct.attention_partial` for the lesson.
    """

def merge_attention_partials(
    first: tuple[Any, Any, Any],
    second: tuple[Any, Any, Any],
    *,
    backend: str | None = None,
) -> AttentionPartial:
    """Join the partial attentions of two disjoint sets of keys.

    See `attlas_ref.dotproduct.attention_partial` for the lesson.
    """

def finish_attention_partial(
    partial: tuple[Any, Any, Any],
    *,
    backend: str | None = None,
) -> Any:
    """Return the output of a partial attention: $A / S$, and 0 where $S = 0$.

    See `attlas_ref.dotproduct.attention_partial` for the lesson.
    """

def distance_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax over negative squared distances: nearer keys weigh more.

    See `attlas_ref.dotproduct.distance_attention` for the lesson.
    """

def sigmoid_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    offset: float | None = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Sum of the values, each weighted by a logistic function of its own score.

    See `attlas_ref.normalizers.sigmoid_attention` for the lesson.
    """

def relu_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    length_power: float = 1.0,
    squared: bool = False,
    normalize: str | None = "length",
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Sum of the values, each weighted by the positive part of its score.

    See `attlas_ref.normalizers.relu_attention` for the lesson.
    """

def softcapped_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    cap: float,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention whose scores are bent so that none exceeds `cap`.

    See `attlas_ref.normalizers.softcapped_attention` for the lesson.
    """
