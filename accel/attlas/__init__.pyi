# Written by `python -m attlas.stubs` from the records; do not edit.

from typing import Any

from attlas.threads import get_num_threads as get_num_threads
from attlas.threads import set_num_threads as set_num_threads
from attlas_ref.contract.results import AttentionPartial as AttentionPartial
from attlas_ref.contract.results import AttentionResult as AttentionResult
from attlas_ref.contract.results import AttentionVJP as AttentionVJP
from attlas_ref.contract.results import AttentionVJPWithBias as AttentionVJPWithBias
from attlas_ref.contract.results import MutualResult as MutualResult
from attlas_ref.contract.results import MutualResultWithWeights as MutualResultWithWeights
from attlas_ref.contract.results import ShiftedQueryKey as ShiftedQueryKey
from attlas_ref.dotproduct.attention_partial import empty_attention_partial as empty_attention_partial
from attlas_ref.dotproduct.multi_source_attention import multi_source_attention as multi_source_attention
from attlas_ref.normalizers.counterfactual_attention_map import counterfactual_attention_map as counterfactual_attention_map
from attlas_ref.normalizers.differential_attention import differential_strength as differential_strength
from attlas_ref.normalizers.masks import block_mask as block_mask
from attlas_ref.normalizers.masks import causal_mask as causal_mask
from attlas_ref.normalizers.masks import identity_mask as identity_mask
from attlas_ref.normalizers.masks import isolation_mask as isolation_mask
from attlas_ref.normalizers.masks import prefix_mask as prefix_mask
from attlas_ref.normalizers.modality_masks import composite_mask as composite_mask
from attlas_ref.normalizers.modality_masks import known_token_mask as known_token_mask
from attlas_ref.normalizers.modality_masks import modality_mutual_mask as modality_mutual_mask
from attlas_ref.normalizers.modality_masks import skip_causal_mask as skip_causal_mask
from attlas_ref.normalizers.soft_mask import soft_mask as soft_mask
from attlas_ref.normalizers.visual_sink_tokens import visual_sink_tokens as visual_sink_tokens

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

def prefix_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    method: str = "scan",
    state: Any = None,
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention of one query to every prefix of the keys.

    See `attlas_ref.dotproduct.prefix_attention` for the lesson.
    """

def prefix_tuning_attention(
    query: Any,
    key: Any,
    value: Any,
    prefix_key: Any,
    prefix_value: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_share: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention over a learned prefix and the content.

    See `attlas_ref.dotproduct.prefix_tuning_attention` for the lesson.
    """

def mutual_attention(
    first: Any,
    second: Any,
    first_value: Any,
    second_value: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> MutualResult | MutualResultWithWeights:
    """Attention of two sequences to each other.

    See `attlas_ref.dotproduct.mutual_attention` for the lesson.
    """

def additive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    score_vector: Any,
    score_bias: Any = None,
    mask: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a one-layer network as its score (Bahdanau).

    See `attlas_ref.dotproduct.additive_attention` for the lesson.
    """

def concat_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight: Any,
    score_vector: Any,
    mask: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a one-layer network over the concatenation of query and key.

    See `attlas_ref.dotproduct.concat_attention` for the lesson.
    """

def bilinear_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight: Any,
    normalizer: str = "softmax",
    mask: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a bilinear form as its score.

    See `attlas_ref.dotproduct.bilinear_attention` for the lesson.
    """

def location_attention(
    query: Any,
    value: Any,
    *,
    weight: Any,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention to positions, without keys.

    See `attlas_ref.dotproduct.location_attention` for the lesson.
    """

def neural_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight1: Any,
    bias1: Any,
    weight3: Any,
    bias3: float,
    weight2: Any = None,
    bias2: Any = None,
    mask: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a network of one or two hidden layers as its score.

    See `attlas_ref.dotproduct.neural_attention` for the lesson.
    """

def graph_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_vector: Any,
    key_vector: Any,
    mask: Any = None,
    negative_slope: float = 0.2,
    edge_bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention over the edges of a graph with a score that is linear in both nodes, then bent.

    See `attlas_ref.dotproduct.graph_attention` for the lesson.
    """

def graph_attention_v2(
    query: Any,
    key: Any,
    value: Any,
    *,
    score_vector: Any,
    mask: Any = None,
    negative_slope: float = 0.2,
    edge_bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention over the edges of a graph with a score that can rank senders differently for each receiver.

    See `attlas_ref.dotproduct.graph_attention_v2` for the lesson.
    """

def coulomb_graph_attention(
    features: Any,
    adjacency: Any,
    *,
    weight: Any,
    node_bias: Any,
    score_matrix: Any,
    power: Any = None,
    negative_slope: float = 0.2,
    activation: str = "relu",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Graph attention whose neighborhood is a softmax of powers of the adjacency.

    See `attlas_ref.dotproduct.coulomb_graph_attention` for the lesson.
    """

def relational_attention(
    query: Any,
    key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    relation_weight: Any,
    activation: str = "identity",
    relation_scale: float | None = None,
    symbols_relative: bool = False,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention that reads relations and symbols instead of values.

    See `attlas_ref.dotproduct.relational_attention` for the lesson.
    """

def dual_attention(
    query: Any,
    key: Any,
    value: Any,
    relational_query: Any,
    relational_key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    relation_weight: Any,
    activation: str = "identity",
    relation_scale: float | None = None,
    scale: float | None = None,
    mask: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Concatenate the outputs of softmax heads and of relational heads.

    See `attlas_ref.dotproduct.dual_attention` for the lesson.
    """

def conditional_cross_attention(
    query: Any,
    key: Any,
    value: Any,
    query_spatial: Any,
    key_spatial: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention with the sum of a content score and a spatial score.

    See `attlas_ref.dotproduct.conditional_cross_attention` for the lesson.
    """

def conditioned_attention(
    inputs: Any,
    features: Any,
    *,
    score_weight: Any,
    score_bias: float = 0.0,
    method: str = "concat",
    gate_weight: Any = None,
    gate_bias: Any = None,
    scale_weight: Any = None,
    scale_bias: Any = None,
    shift_weight: Any = None,
    shift_bias: Any = None,
    hidden_weight: Any = None,
    hidden_bias: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Pool a sequence with scores that external features condition.

    See `attlas_ref.dotproduct.conditioned_attention` for the lesson.
    """

def collapsed_attention(
    inputs: Any,
    context: Any = None,
    *,
    weight: Any,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention with a single weight matrix.

    See `attlas_ref.dotproduct.collapsed_attention` for the lesson.
    """

def symmetric_attention(
    inputs: Any,
    *,
    factor: Any,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Self-attention with symmetric scores.

    See `attlas_ref.dotproduct.symmetric_attention` for the lesson.
    """

def optimized_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    output_weight: Any,
    mask: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Multi-head attention whose heads read slices of the values.

    See `attlas_ref.dotproduct.optimized_attention` for the lesson.
    """

def lean_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    output_weight: Any,
    mask: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a query and an output projection only.

    See `attlas_ref.dotproduct.lean_attention` for the lesson.
    """

def super_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    alignment: Any,
    output_weight: Any,
    mask: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Lean attention to values that were mixed across positions.

    See `attlas_ref.dotproduct.super_attention` for the lesson.
    """

def uniform_attention(
    value: Any,
    *,
    m: int | None = None,
    mask: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> Any:
    """Return the mean of the visible values for every query.

    See `attlas_ref.dotproduct.uniform_attention` for the lesson.
    """

def blend_bidirectional(
    causal_feature: Any,
    bidirectional_feature: Any,
    *,
    weight: Any,
    base: Any,
    backend: str | None = None,
) -> Any:
    """Return a convex combination of causal and bidirectional features.

    See `attlas_ref.dotproduct.blend_bidirectional` for the lesson.
    """

def selective_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    select_head: int = 0,
    keep_first: bool = True,
    scale: float | None = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal softmax attention in which tokens mask earlier tokens for later ones.

    See `attlas_ref.dotproduct.selective_attention` for the lesson.
    """

def multi_token_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    key_query_kernel: Any = None,
    post_kernel: Any = None,
    pre_head_mixing: Any = None,
    head_kernel: Any = None,
    post_head_mixing: Any = None,
    norm_weight: Any = None,
    norm_eps: float = 1e-05,
    norm_scale: float = 1.0,
    pad_key: str = "both",
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention with convolutions over queries, keys and heads.

    See `attlas_ref.dotproduct.multi_token_attention` for the lesson.
    """

def threshold_relative_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    forget: Any,
    qk_norm: bool = True,
    norm_eps: float = 1e-06,
    threshold: float = 0.0,
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention to the relevant keys, with distance counted among the relevant ones.

    See `attlas_ref.dotproduct.threshold_relative_attention` for the lesson.
    """

def stacked_cross_attention(
    query: Any,
    key: Any,
    value: Any = None,
    *,
    inverse_temperature: Any = 9.0,
    factors: Any = None,
    slope: float = 0.1,
    eps: float = 1e-08,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention over similarities that are normalized along the queries first.

    See `attlas_ref.dotproduct.stacked_cross_attention` for the lesson.
    """

def softmax_plus_n_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    extra: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention with a constant added to the denominator, so that a query may attend to nothing.

    See `attlas_ref.normalizers.softmax_plus_n_attention` for the lesson.
    """

def sink_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    sink: Any,
    sink_value: Any = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention in which learned logits take a share of the weight.

    See `attlas_ref.normalizers.sink_attention` for the lesson.
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

def sparsemax(
    scores: Any,
    *,
    axis: int = -1,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Project scores onto the probability simplex: a softmax with exact zeros.

    See `attlas_ref.normalizers.sparsemax` for the lesson.
    """

def entmax(
    scores: Any,
    *,
    alpha: float = 1.5,
    axis: int = -1,
    mask: Any = None,
    method: str = "auto",
    iterations: int = 60,
    backend: str | None = None,
) -> Any:
    """Turn scores into probabilities, sparser than a softmax for alpha above 1.

    See `attlas_ref.normalizers.entmax` for the lesson.
    """

def sparsemax_vjp(
    scores: Any,
    grad_output: Any,
    *,
    axis: int = -1,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Gradient of sum(sparsemax(scores) * grad_output).

    See `attlas_ref.normalizers.sparsemax` for the lesson.
    """

def entmax_vjp(
    scores: Any,
    grad_output: Any,
    *,
    alpha: float = 1.5,
    axis: int = -1,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Gradient of sum(entmax(scores) * grad_output).

    See `attlas_ref.normalizers.entmax` for the lesson.
    """

def sparsemax_attention(
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
    """Attention whose weights are the projection of the scores onto the simplex.

    See `attlas_ref.normalizers.sparsemax_attention` for the lesson.
    """

def entmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    alpha: float = 1.5,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention whose weights are the entmax of the scores.

    See `attlas_ref.normalizers.entmax_attention` for the lesson.
    """

def pladis_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    alpha: float = 1.5,
    strength: float = 2.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Weights on the line from softmax through entmax, usually beyond it.

    See `attlas_ref.normalizers.pladis_attention` for the lesson.
    """

def cosine_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    eps: float = 1e-12,
    scale: float = 10.0,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention by the angle between query and key.

    See `attlas_ref.normalizers.cosine_attention` for the lesson.
    """

def cog_attention(
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
    """Softmax over the sizes of the scores, with their signs kept.

    See `attlas_ref.normalizers.cog_attention` for the lesson.
    """

def differential_attention(
    query: Any,
    key: Any,
    query_negative: Any,
    key_negative: Any,
    value: Any,
    *,
    strength: Any,
    norm_eps: float | None = None,
    norm_scale: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with the difference of two softmax maps.

    See `attlas_ref.normalizers.differential_attention` for the lesson.
    """

def topk_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    top_k: int,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention to the top_k best keys of each query.

    See `attlas_ref.normalizers.topk_softmax_attention` for the lesson.
    """

def reversed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    sender_gate: Any = None,
    renormalize: bool = False,
    eps: float = 1e-08,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention that is normalized over the queries: each key sends a weight of 1 (or of its gate).

    See `attlas_ref.normalizers.reversed_attention` for the lesson.
    """

def calibrate_attention_sinks(
    weights: Any,
    *,
    threshold: float,
    beta: float = 0.4,
    heads: Any = None,
    keep_first: bool = True,
    backend: str | None = None,
) -> Any:
    """Damp the sink columns of causal weights and give the rest to the other keys of the row.

    See `attlas_ref.normalizers.calibrate_attention_sinks` for the lesson.
    """

def redistribute_visual_attention(
    weights: Any,
    *,
    sinks: Any,
    image_start: int,
    image_length: int,
    keep: float = 0.6,
    rho: float = 0.5,
    threshold: float = 0.2,
    first_query: int | None = None,
    backend: str | None = None,
) -> Any:
    """Move weight from the sinks to the other image tokens, in the rows that look at the image.

    See `attlas_ref.normalizers.redistribute_visual_attention` for the lesson.
    """

def split_softmax(
    weights: Any,
    *,
    subset: Any,
    exponent: float,
    backend: str | None = None,
) -> Any:
    r"""Change the mass of a subset of the keys from $\pi$ to $\pi^\tau$.

    See `attlas_ref.normalizers.split_softmax` for the lesson.
    """

def shift_along_direction(
    query: Any,
    key: Any,
    *,
    query_direction: Any,
    key_direction: Any,
    strength: float,
    backend: str | None = None,
) -> ShiftedQueryKey:
    """Move queries and keys along a direction each.

    See `attlas_ref.normalizers.shift_along_direction` for the lesson.
    """

def amplify_heads(
    weights: Any,
    *,
    tokens: Any,
    gains: Any,
    renormalize: bool = True,
    backend: str | None = None,
) -> Any:
    """Multiply the weights of chosen keys by 1 + gain, head by head.

    See `attlas_ref.normalizers.amplify_heads` for the lesson.
    """

def contrastive_attention_map(
    task: Any,
    general: Any,
    *,
    regularizer: float,
    backend: str | None = None,
) -> Any:
    """Divide the attention map of a task by that of a general instruction.

    See `attlas_ref.normalizers.contrastive_attention_map` for the lesson.
    """

def transfer_attention(
    weights: Any,
    *,
    rows: Any,
    targets: Any,
    threshold: float,
    strength: float = 1.0,
    kept_weight: float = 100.0,
    dropped_weight: float = 5.0,
    backend: str | None = None,
) -> Any:
    """Move the weight of weak keys to target keys, in rows that look at a target.

    See `attlas_ref.normalizers.transfer_attention` for the lesson.
    """

def interpolated_attention(
    query: Any,
    key_start: Any,
    value_start: Any,
    key_end: Any,
    value_end: Any,
    *,
    t: float,
    mode: str = "outer",
    key: Any = None,
    value: Any = None,
    scale: float | None = None,
    backend: str | None = None,
) -> Any:
    """Attend between two sources of keys and values.

    See `attlas_ref.normalizers.interpolated_attention` for the lesson.
    """

def deceptive_attention_penalty(
    weights: Any,
    *,
    impermissible: Any,
    strength: float = 1.0,
    reduction: str = "mean",
    return_grad: bool = False,
    backend: str | None = None,
) -> Any:
    """Penalise the mass that falls on impermissible tokens.

    See `attlas_ref.normalizers.deceptive_attention_penalty` for the lesson.
    """

def region_attention_energy(
    weights: Any,
    *,
    region: Any,
    return_grad: bool = False,
    backend: str | None = None,
) -> Any:
    """Return the squared share of a map that lies outside a region.

    See `attlas_ref.normalizers.region_attention_energy` for the lesson.
    """

def attention_perturbation(
    grad_scores: Any,
    *,
    size: float,
    sign: float = 1.0,
    mask: Any = None,
    eps: float = 1e-12,
    backend: str | None = None,
) -> Any:
    """Return the perturbation of the scores that changes the loss most.

    See `attlas_ref.normalizers.attention_perturbation` for the lesson.
    """
