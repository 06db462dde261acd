# Written by `python -m attlas.stubs` from the records; do not edit.

from typing import Any

from attlas.threads import get_num_threads as get_num_threads
from attlas.threads import set_num_threads as set_num_threads
from attlas_ref.contract.aligned import AlignmentScore as AlignmentScore
from attlas_ref.contract.aligned import AlignmentVJP as AlignmentVJP
from attlas_ref.contract.aligned import PathScore as PathScore
from attlas_ref.contract.aligned import WarpingPath as WarpingPath
from attlas_ref.contract.inferred import ChainMarginals as ChainMarginals
from attlas_ref.contract.inferred import ConversationResult as ConversationResult
from attlas_ref.contract.inferred import LatentBounds as LatentBounds
from attlas_ref.contract.inferred import SegmentMarginals as SegmentMarginals
from attlas_ref.contract.inferred import SpectrumPropertiesResult as SpectrumPropertiesResult
from attlas_ref.contract.inferred import SpectrumResult as SpectrumResult
from attlas_ref.contract.inferred import TransportPlansResult as TransportPlansResult
from attlas_ref.contract.inferred import TransportResult as TransportResult
from attlas_ref.contract.inferred import TreeMarginals as TreeMarginals
from attlas_ref.contract.pointing import DecodedSequence as DecodedSequence
from attlas_ref.contract.pointing import SearchPath as SearchPath
from attlas_ref.contract.pointing import SelectionResult as SelectionResult
from attlas_ref.contract.pointing import TreeLevel as TreeLevel
from attlas_ref.contract.results import AttentionPartial as AttentionPartial
from attlas_ref.contract.results import AttentionResult as AttentionResult
from attlas_ref.contract.results import AttentionVJP as AttentionVJP
from attlas_ref.contract.results import AttentionVJPWithBias as AttentionVJPWithBias
from attlas_ref.contract.results import IndexResult as IndexResult
from attlas_ref.contract.results import MutualResult as MutualResult
from attlas_ref.contract.results import MutualResultWithWeights as MutualResultWithWeights
from attlas_ref.contract.results import ShiftedQueryKey as ShiftedQueryKey
from attlas_ref.contract.results import SimplicialAttentionVJP as SimplicialAttentionVJP
from attlas_ref.contract.results import TensorAttentionVJP as TensorAttentionVJP
from attlas_ref.contract.results import TriDirectionalResult as TriDirectionalResult
from attlas_ref.dotproduct.attention_partial import empty_attention_partial as empty_attention_partial
from attlas_ref.dotproduct.multi_source_attention import multi_source_attention as multi_source_attention
from attlas_ref.kronecker.match_tasks import match2_construction as match2_construction
from attlas_ref.kronecker.match_tasks import match2_task as match2_task
from attlas_ref.kronecker.match_tasks import match3_construction as match3_construction
from attlas_ref.kronecker.match_tasks import match3_task as match3_task
from attlas_ref.kronecker.nearest_neighbor_task import low_rank_heads_error as low_rank_heads_error
from attlas_ref.kronecker.nearest_neighbor_task import nearest_neighbor_task as nearest_neighbor_task
from attlas_ref.memory.cmr import cmr_crp as cmr_crp
from attlas_ref.memory.cmr import cmr_encode as cmr_encode
from attlas_ref.memory.cmr import cmr_recall as cmr_recall
from attlas_ref.memory.compressed_memory_attention import compressed_memory_mask as compressed_memory_mask
from attlas_ref.memory.mqar_task import mqar_draws as mqar_draws
from attlas_ref.memory.mqar_task import mqar_task as mqar_task
from attlas_ref.memory.sdm_beta import sdm_beta as sdm_beta
from attlas_ref.memory.sdm_cap_intersection import sdm_cap_intersection as sdm_cap_intersection
from attlas_ref.memory.sdm_circle_intersection import sdm_circle_intersection as sdm_circle_intersection
from attlas_ref.memory.sdm_radius import sdm_optimal_radius as sdm_optimal_radius
from attlas_ref.memory.sdm_radius import sdm_radius as sdm_radius
from attlas_ref.monotonic.align_with_purpose import shift_alignment as shift_alignment
from attlas_ref.monotonic.attention_window_mask import attention_window_mask as attention_window_mask
from attlas_ref.monotonic.average_lagging import average_lagging as average_lagging
from attlas_ref.monotonic.average_lagging import average_proportion as average_proportion
from attlas_ref.monotonic.average_lagging import length_adaptive_average_lagging as length_adaptive_average_lagging
from attlas_ref.monotonic.beta_binomial_prior import beta_binomial_alignment_prior as beta_binomial_alignment_prior
from attlas_ref.monotonic.beta_binomial_prior import beta_binomial_prior as beta_binomial_prior
from attlas_ref.monotonic.ctc_collapse import ctc_collapse as ctc_collapse
from attlas_ref.monotonic.ctc_collapse import ctc_greedy as ctc_greedy
from attlas_ref.monotonic.linear_alignment import linear_alignment as linear_alignment
from attlas_ref.monotonic.waitk_p_choose import waitk_p_choose as waitk_p_choose
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
from attlas_ref.pointer.diverse_beam_step import diverse_beam_step as diverse_beam_step
from attlas_ref.pointer.held_karp import held_karp as held_karp
from attlas_ref.pointer.planar_labels import convex_hull_labels as convex_hull_labels
from attlas_ref.pointer.planar_labels import delaunay_labels as delaunay_labels
from attlas_ref.pointer.pointer_decode import pointer_decode as pointer_decode
from attlas_ref.pointer.pointer_task import pointer_task as pointer_task
from attlas_ref.pointer.tour_length import tour_length as tour_length
from attlas_ref.probabilistic.optimal_transport_distance import optimal_transport_distance as optimal_transport_distance
from attlas_ref.probabilistic.priors import causal_prior as causal_prior
from attlas_ref.probabilistic.priors import gaussian_prior as gaussian_prior
from attlas_ref.probabilistic.priors import geometric_prior as geometric_prior
from attlas_ref.probabilistic.priors import neighborhood_prior as neighborhood_prior
from attlas_ref.probabilistic.priors import uniform_prior as uniform_prior
from attlas_ref.probabilistic.slot_attention import slots_init as slots_init
from attlas_ref.probabilistic.spectral_slot_count import slot_dictionary_lookup as slot_dictionary_lookup

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

def hopfield_attention(
    query: Any,
    key: Any,
    value: Any = None,
    *,
    beta: float | None = None,
    steps: int = 1,
    tol: float = 0.0,
    alpha: float = 1.0,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    return_steps: bool = False,
    backend: str | None = None,
) -> Any:
    """Retrieve stored patterns: attention whose query first moves among the keys.

    See `attlas_ref.memory.hopfield_attention` for the lesson.
    """

def hopfield_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    beta: float | None = None,
    steps: int = 1,
    alpha: float = 1.0,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    backend: str | None = None,
) -> AttentionVJP:
    """Gradients of sum(hopfield_attention(...) * grad_output).

    See `attlas_ref.memory.hopfield_attention_vjp` for the lesson.
    """

def hopfield_energy(
    query: Any,
    key: Any,
    *,
    beta: float | None = None,
    alpha: float = 1.0,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Energy of each state among the stored patterns.

    See `attlas_ref.memory.hopfield_energy` for the lesson.
    """

def classical_hopfield(
    query: Any,
    key: Any,
    *,
    steps: int = 1,
    zero_diagonal: bool = True,
    return_field: bool = False,
    update: str = "sync",
    order: Any = None,
    backend: str | None = None,
) -> Any:
    """Recall bits from a network with Hebb's weights.

    See `attlas_ref.memory.classical_hopfield` for the lesson.
    """

def dense_associative_memory(
    query: Any,
    key: Any,
    *,
    energy: str = "polynomial",
    degree: int = 2,
    rectified: bool = False,
    steps: int = 1,
    update: str = "sync",
    order: Any = None,
    return_field: bool = False,
    backend: str | None = None,
) -> Any:
    """Recall bits by the energy that each of them would have.

    See `attlas_ref.memory.dense_associative_memory` for the lesson.
    """

def sdm_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    radius: int,
    neurons: int | None = None,
    uniforms: Any = None,
    threshold: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Read a sparse distributed memory that has a neuron at every address.

    See `attlas_ref.memory.sdm_attention` for the lesson.
    """

def sdm_neuron_attention(
    query: Any,
    key: Any,
    value: Any,
    neurons: Any,
    *,
    radius: int,
    threshold: bool = False,
    bipolar: bool = False,
    normalize: bool = True,
    return_counters: bool = False,
    backend: str | None = None,
) -> Any:
    """Write patterns to the neurons near their addresses, and read the neurons near the queries.

    See `attlas_ref.memory.sdm_neuron_attention` for the lesson.
    """

def sdm_continuous_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    cap_cosine: float,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention whose weights are areas that two caps of the sphere share.

    See `attlas_ref.memory.sdm_continuous_attention` for the lesson.
    """

def landmark_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    is_landmark: Any,
    scale: float | None = None,
    top_k: int | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention that reaches earlier blocks through their landmarks.

    See `attlas_ref.memory.landmark_attention` for the lesson.
    """

def landmark_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    is_landmark: Any,
    scale: float | None = None,
    backend: str | None = None,
) -> AttentionVJP:
    """Gradients of sum(landmark_attention(...) * grad_output).

    See `attlas_ref.memory.landmark_attention` for the lesson.
    """

def titans_memory(
    query: Any,
    key: Any,
    value: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    memory: Any = None,
    surprise: Any = None,
    chunk_size: int = 1,
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Read a linear memory that is trained on every token by gradient descent with momentum and decay.

    See `attlas_ref.memory.titans_memory` for the lesson.
    """

def titans_mlp_memory(
    query: Any,
    key: Any,
    value: Any,
    weight1: Any,
    weight2: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int = 1,
    activation: str = "gelu",
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Read a network of two layers that is trained on every token.

    See `attlas_ref.memory.titans_mlp_memory` for the lesson.
    """

def memory_as_context(
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    segment: int,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int | None = None,
    norm_weight: Any = None,
    memory_norm_weight: Any = None,
    causal: bool = True,
    scale: float | None = None,
    memory: Any = None,
    surprise: Any = None,
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention over persistent tokens, the memory's answers and the segment, gated by the memory.

    See `attlas_ref.memory.memory_as_context` for the lesson.
    """

def memory_as_gate(
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    window: int,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int = 1,
    norm_weight: Any = None,
    memory_norm_weight: Any = None,
    scale: float | None = None,
    memory: Any = None,
    surprise: Any = None,
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Windowed attention times a gate that a memory opens.

    See `attlas_ref.memory.memory_as_gate` for the lesson.
    """

def memory_as_layer(
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    window: int,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int = 1,
    scale: float | None = None,
    memory: Any = None,
    surprise: Any = None,
    return_state: bool = False,
    backend: str | None = None,
) -> Any:
    """Windowed attention over what a memory has read.

    See `attlas_ref.memory.memory_as_layer` for the lesson.
    """

def compressed_memory_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: Any,
    is_memory: Any,
    merge: str | float | None = None,
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention within a block and to the memory tokens of earlier blocks.

    See `attlas_ref.memory.compressed_memory_attention` for the lesson.
    """

def conditional_lora(
    x: Any,
    weight: Any,
    lora_a: Any,
    lora_b: Any,
    *,
    is_memory: Any,
    scaling: float = 1.0,
    backend: str | None = None,
) -> Any:
    """A linear layer with a low-rank correction at some tokens.

    See `attlas_ref.memory.conditional_lora` for the lesson.
    """

def scratchpad_write(
    memory: Any,
    state: Any,
    context: Any,
    *,
    w_gate: Any,
    b_gate: float,
    w_update: Any,
    b_update: Any,
    backend: str | None = None,
) -> Any:
    """Move every row of a memory towards one note, each as far as its gate lets it.

    See `attlas_ref.memory.scratchpad_write` for the lesson.
    """

def ffn_memory(
    query: Any,
    key_memory: Any,
    value_memory: Any,
    *,
    activation: str = "gelu",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Unnormalized attention over learned slots: a feed-forward layer.

    See `attlas_ref.memory.ffn_memory` for the lesson.
    """

def ffnified_attention(
    query: Any,
    kernel_key: Any,
    kernel_value: Any,
    *,
    bias_key: Any = None,
    bias_value: Any = None,
    activation: str = "gelu",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """A depth-wise convolution, an activation, another depth-wise convolution.

    See `attlas_ref.memory.ffnified_attention` for the lesson.
    """

def tensor_brain_step(
    state: Any,
    embeddings: Any,
    *,
    bias: Any = None,
    index: Any = None,
    backend: str | None = None,
) -> IndexResult:
    """One round from the state of mind to the names of things and back.

    See `attlas_ref.memory.tensor_brain_step` for the lesson.
    """

def tensor_attention(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    *,
    scale: float | None = None,
    mask: Any = None,
    causal: bool = False,
    windows: tuple[int, ...] | None = None,
    score: str = "product",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Order-p attention: one softmax over all p-tuples of keys.

    See `attlas_ref.kronecker.tensor_attention` for the lesson.
    """

def tensor_attention_vjp(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    grad_output: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    causal: bool = False,
    windows: tuple[int, ...] | None = None,
    backend: str | None = None,
) -> TensorAttentionVJP:
    """Gradients of sum(tensor_attention(...) * grad_output), with the score "product".

    See `attlas_ref.kronecker.tensor_attention` for the lesson.
    """

def khatri_rao(
    arrays: tuple[Any, ...],
    *,
    backend: str | None = None,
) -> Any:
    """Row-wise product of all tuples of rows.

    See `attlas_ref.kronecker.khatri_rao` for the lesson.
    """

def simplicial_attention(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    *,
    scale: float | None = None,
    windows: tuple[int, int] | None = None,
    causal: bool = False,
    mask: Any = None,
    key2_bias: float = 0.0,
    value2_bias: float = 0.0,
    score: str = "product",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """2-simplicial attention: one softmax over all pairs of keys, with a bias on the second.

    See `attlas_ref.kronecker.simplicial_attention` for the lesson.
    """

def simplicial_attention_vjp(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    grad_output: Any,
    *,
    scale: float | None = None,
    windows: tuple[int, int] | None = None,
    causal: bool = False,
    mask: Any = None,
    key2_bias: float = 0.0,
    value2_bias: float = 0.0,
    score: str = "product",
    backend: str | None = None,
) -> SimplicialAttentionVJP:
    """Gradients of sum(simplicial_attention(...) * grad_output).

    See `attlas_ref.kronecker.simplicial_attention` for the lesson.
    """

def tri_directional_attention(
    key1: Any,
    value1: Any,
    key2: Any,
    value2: Any,
    key3: Any,
    value3: Any,
    *,
    scale: float | None = None,
    backend: str | None = None,
) -> TriDirectionalResult:
    """Attention of each of three sets to the pairs of the other two, from one cube of scores.

    See `attlas_ref.kronecker.tri_directional_attention` for the lesson.
    """

def fastmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    order: int = 2,
    scale: float | None = None,
    causal: bool = False,
    key_mask: Any = None,
    normalize: str | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention whose weights are a truncated exponential of the scores, divided by its sum.

    See `attlas_ref.kronecker.fastmax_attention` for the lesson.
    """

def fastmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    order: int = 2,
    scale: float | None = None,
    causal: bool = False,
    key_mask: Any = None,
    backend: str | None = None,
) -> AttentionVJP:
    """Gradients of sum(fastmax_attention(...) * grad_output), without normalization.

    See `attlas_ref.kronecker.fastmax_attention` for the lesson.
    """

def tensor_attention_lowrank(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    *,
    degree: int,
    scale: float | None = None,
    kernel: str = "taylor",
    backend: str | None = None,
) -> Any:
    """Order-p attention with a truncated exponential, as products of sums.

    See `attlas_ref.kronecker.tensor_attention_lowrank` for the lesson.
    """

def high_order_attention(
    x: Any,
    proj: Any,
    output_proj: Any,
    *,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Gate every channel by polynomials of the channels at its position.

    See `attlas_ref.kronecker.high_order_attention` for the lesson.
    """

def structural_prior_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    prior: Any = None,
    log_prior: Any = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Mean of the values under the posterior of a latent edge.

    See `attlas_ref.probabilistic.structural_prior_attention` for the lesson.
    """

def iterative_attention(
    query: Any,
    key: Any,
    value: Any = None,
    *,
    steps: int = 1,
    scale: float | None = None,
    step_size: float = 1.0,
    prior: Any = None,
    mask: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    return_energy: bool = False,
    backend: str | None = None,
) -> Any:
    """Move each query down the collapsed energy of its latent edge, then read.

    See `attlas_ref.probabilistic.iterative_attention` for the lesson.
    """

def probabilistic_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_precision: Any = None,
    value_precision: Any = 0.0,
    prior: Any = "uniform",
    value_init: Any = None,
    mask: Any = None,
    key_update_steps: int = 0,
    key_prior_precision: Any = None,
    value_fixed: Any = None,
    value_fixed_mask: Any = None,
    value_update_steps: int = 0,
    value_prior_precision: Any = None,
    anchor: str = "initial",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Expected value under the responsibilities of a Gaussian mixture, whose keys and values may adapt first.

    See `attlas_ref.probabilistic.probabilistic_attention` for the lesson.
    """

def linear_chain_marginals(
    unary: Any,
    pairwise: Any,
    *,
    mask: Any = None,
    backend: str | None = None,
) -> ChainMarginals:
    """Sum over all labelings of a chain: their log partition function and the marginals of labels and pairs.

    See `attlas_ref.probabilistic.linear_chain_marginals` for the lesson.
    """

def linear_chain_argmax(
    unary: Any,
    pairwise: Any,
    *,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Find the highest-scoring labeling of a chain.

    See `attlas_ref.probabilistic.linear_chain_argmax` for the lesson.
    """

def linear_chain_sample(
    unary: Any,
    pairwise: Any,
    *,
    uniform: Any,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Draw a labeling of a chain, each with its probability.

    See `attlas_ref.probabilistic.linear_chain_sample` for the lesson.
    """

def segmentation_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    transition: Any,
    state_bias: Any = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    normalize: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention to the keys that a binary chain selects.

    See `attlas_ref.probabilistic.segmentation_attention` for the lesson.
    """

def semi_markov_marginals(
    scores: Any,
    *,
    backend: str | None = None,
) -> SegmentMarginals:
    """Sum over all segmentations of a sequence: their log partition function and the marginals of segments.

    See `attlas_ref.probabilistic.semi_markov_marginals` for the lesson.
    """

def tree_attention_marginals(
    arc_scores: Any,
    root_scores: Any,
    *,
    multi_root: bool = False,
    mask: Any = None,
    backend: str | None = None,
) -> TreeMarginals:
    """Sum over all dependency trees: their log partition function and the marginals of arcs and roots.

    See `attlas_ref.probabilistic.tree_attention_marginals` for the lesson.
    """

def projective_tree_marginals(
    arc_scores: Any,
    root_scores: Any,
    *,
    multi_root: bool = False,
    mask: Any = None,
    backend: str | None = None,
) -> TreeMarginals:
    """Sum over all dependency trees without crossing arcs.

    See `attlas_ref.probabilistic.projective_tree_marginals` for the lesson.
    """

def syntactic_attention(
    value: Any,
    arc_scores: Any,
    root_scores: Any,
    *,
    projective: bool = False,
    multi_root: bool = False,
    direction: str = "parent",
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Read the values of heads or dependents, weighted by the marginals of dependency trees.

    See `attlas_ref.probabilistic.syntactic_attention` for the lesson.
    """

def syntactic_dependency(
    distance: Any,
    height: Any,
    *,
    distance_temperature: float = 1.0,
    height_temperature: float = 1.0,
    combine: str = "minimum",
    backend: str | None = None,
) -> Any:
    """Return the probability that token j is the parent of token i.

    See `attlas_ref.probabilistic.syntactic_dependency` for the lesson.
    """

def dependency_constrained_attention(
    query: Any,
    key: Any,
    value: Any,
    dependency: Any,
    relation_weights: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention through the relations of a parse.

    See `attlas_ref.probabilistic.dependency_constrained_attention` for the lesson.
    """

def skip_chain_crf(
    emissions: Any,
    tags: Any,
    speakers: Any,
    *,
    start: Any,
    end: Any,
    self_transition: Any,
    other_transition: Any,
    mask: Any = None,
    backend: str | None = None,
) -> ConversationResult:
    """Label a conversation by a chain with arcs to a speaker's last turn.

    See `attlas_ref.probabilistic.skip_chain_crf` for the lesson.
    """

def sinkhorn_plan(
    cost: Any,
    *,
    epsilon: float = 1.0,
    row_marginal: Any = None,
    column_marginal: Any = None,
    steps: int = 100,
    tolerance: float | None = None,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Return the transport plan of least cost plus entropy, after some of Sinkhorn's steps.

    See `attlas_ref.probabilistic.sinkhorn_plan` for the lesson.
    """

def sinkhorn_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    epsilon: float = 1.0,
    query_marginal: Any = None,
    key_marginal: Any = None,
    steps: int = 100,
    tolerance: float | None = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention whose weights are a transport plan from queries to keys.

    See `attlas_ref.probabilistic.sinkhorn_attention` for the lesson.
    """

def unbalanced_sinkhorn_plan(
    cost: Any,
    *,
    row_marginal: Any,
    column_marginal: Any,
    epsilon: float = 1.0,
    marginal_penalty: float = 1.0,
    steps: int = 1000,
    backend: str | None = None,
) -> Any:
    """Return the transport plan whose marginals may miss their targets at a price.

    See `attlas_ref.probabilistic.unbalanced_sinkhorn_plan` for the lesson.
    """

def ipot_plan(
    cost: Any,
    *,
    row_mask: Any = None,
    column_mask: Any = None,
    beta: float = 0.5,
    steps: int = 50,
    inner_steps: int = 1,
    return_distance: bool = False,
    backend: str | None = None,
) -> Any:
    """Return a transport plan between uniform masses by proximal point steps.

    See `attlas_ref.probabilistic.ipot_plan` for the lesson.
    """

def cosine_cost(
    x: Any,
    y: Any,
    *,
    eps: float = 1e-05,
    backend: str | None = None,
) -> Any:
    """Return one minus the cosine similarity of all pairs.

    See `attlas_ref.probabilistic.cosine_cost` for the lesson.
    """

def conditional_transport(
    cost: Any,
    navigator_scores: Any = None,
    *,
    forward_weight: float = 0.5,
    row_weights: Any = None,
    column_weights: Any = None,
    row_mask: Any = None,
    column_mask: Any = None,
    return_plans: bool = False,
    backend: str | None = None,
) -> TransportResult | TransportPlansResult:
    """Return what it costs two sets to attend to each other.

    See `attlas_ref.probabilistic.conditional_transport` for the lesson.
    """

def competitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    eps: float = 1e-08,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention for which the queries compete: a softmax over the queries, then a mean over the keys.

    See `attlas_ref.probabilistic.competitive_attention` for the lesson.
    """

def slot_attention(
    inputs: Any,
    slots: Any,
    *,
    w_query: Any,
    b_query: Any,
    w_key: Any,
    b_key: Any,
    w_value: Any,
    b_value: Any,
    gru_w_input: Any,
    gru_w_hidden: Any,
    gru_b_input: Any,
    gru_b_hidden: Any,
    mlp_w1: Any,
    mlp_b1: Any,
    mlp_w2: Any,
    mlp_b2: Any,
    norm_input_gain: Any,
    norm_input_bias: Any,
    norm_slots_gain: Any,
    norm_slots_bias: Any,
    norm_mlp_gain: Any,
    norm_mlp_bias: Any,
    steps: int = 3,
    eps: float = 1e-08,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Refine slots by letting them compete for inputs.

    See `attlas_ref.probabilistic.slot_attention` for the lesson.
    """

def conditional_slot_attention(
    key: Any,
    value: Any,
    slots: Any,
    *,
    w_query: Any,
    b_query: Any,
    gru_w_input: Any,
    gru_w_hidden: Any,
    gru_b_input: Any,
    gru_b_hidden: Any,
    mlp_w1: Any,
    mlp_b1: Any,
    mlp_w2: Any,
    mlp_b2: Any,
    norm_slots_gain: Any,
    norm_slots_bias: Any,
    norm_mlp_gain: Any,
    norm_mlp_bias: Any,
    steps: int = 3,
    eps: float = 1e-08,
    mlp_output_relu: bool = True,
    backend: str | None = None,
) -> Any:
    """Refine M draws of the slots over the same keys and values.

    See `attlas_ref.probabilistic.conditional_slot_attention` for the lesson.
    """

def spectral_slot_count(
    features: Any,
    *,
    return_properties: bool = False,
    backend: str | None = None,
) -> SpectrumResult | SpectrumPropertiesResult:
    """Count the slots that a set of features calls for, by the spectrum of its cosines.

    See `attlas_ref.probabilistic.spectral_slot_count` for the lesson.
    """

def combiner_fixed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    causal: bool = True,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention to the own block, and to each earlier block as a whole.

    See `attlas_ref.probabilistic.combiner_fixed_attention` for the lesson.
    """

def combiner_logsparse_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention to oneself, and to the past in groups of doubling size.

    See `attlas_ref.probabilistic.combiner_logsparse_attention` for the lesson.
    """

def combiner_axial_attention(
    query: Any,
    key: Any,
    value: Any,
    summary_key: Any = None,
    *,
    block: int,
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention to the own row of a grid, and to each earlier row as the token above has read it.

    See `attlas_ref.probabilistic.combiner_axial_attention` for the lesson.
    """

def combiner_mixture_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    summary: str = "max",
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Causal attention to the own row and column of a grid, and to all others by rows and by columns.

    See `attlas_ref.probabilistic.combiner_mixture_attention` for the lesson.
    """

def gaussian_blur_2d(
    x: Any,
    *,
    kernel_size: int,
    sigma: float,
    backend: str | None = None,
) -> Any:
    """Blur maps with a Gaussian kernel and mirrored edges.

    See `attlas_ref.probabilistic.gaussian_blur_2d` for the lesson.
    """

def smoothed_energy_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    sigma: float,
    height: int,
    width: int,
    kernel_size: int | None = None,
    scale: float | None = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention with queries that are blurred over a grid.

    See `attlas_ref.probabilistic.smoothed_energy_attention` for the lesson.
    """

def identity_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Give each query the value at its own place.

    See `attlas_ref.probabilistic.identity_attention` for the lesson.
    """

def attention_guidance(
    conditional: Any,
    perturbed: Any,
    *,
    unconditional: Any = None,
    guidance_scale: float = 1.0,
    perturbed_scale: float,
    backend: str | None = None,
) -> Any:
    """Extrapolate from a perturbed prediction through the conditional one.

    See `attlas_ref.probabilistic.attention_guidance` for the lesson.
    """

def sag_degrade(
    latents: Any,
    attention_weights: Any,
    *,
    map_height: int,
    map_width: int,
    kernel_size: int = 9,
    sigma: float = 1.0,
    threshold: float = 1.0,
    backend: str | None = None,
) -> Any:
    """Blur a picture where self-attention gathers more than a threshold.

    See `attlas_ref.probabilistic.sag_degrade` for the lesson.
    """

def gaussian_adaptive_attention(
    x: Any,
    *,
    mean_offset: Any,
    spread: Any,
    axis: int = -1,
    heads: int = 1,
    eps: float = 1e-08,
    mask: Any = None,
    padding: str = "ignore",
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Weight each number by a product of Gaussians around the mean of its axis.

    See `attlas_ref.probabilistic.gaussian_adaptive_attention` for the lesson.
    """

def latent_alignment_bounds(
    log_prior: Any,
    log_likelihood: Any,
    log_posterior: Any = None,
    *,
    mask: Any = None,
    backend: str | None = None,
) -> LatentBounds:
    """Return the log likelihood of a latent alignment, and the bounds below it.

    See `attlas_ref.variational.latent_alignment_bounds` for the lesson.
    """

def importance_weighted_bound(
    log_prior: Any,
    log_likelihood: Any,
    log_posterior: Any,
    *,
    samples: Any,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Estimate the log likelihood of a latent alignment from K samples of q.

    See `attlas_ref.variational.importance_weighted_bound` for the lesson.
    """

def soft_alignment_log_likelihood(
    query: Any,
    memory: Any,
    *,
    w_score: Any,
    w_output: Any,
    w_vocab: Any,
    b_vocab: Any = None,
    mask: Any = None,
    return_details: bool = False,
    backend: str | None = None,
) -> Any:
    """Log probabilities of the words under soft attention, with those under each alignment on request.

    See `attlas_ref.variational.soft_alignment_log_likelihood` for the lesson.
    """

def hard_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any = None,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    return_index: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention that reads the value of one key: the best, or one drawn by its weight.

    See `attlas_ref.variational.hard_attention` for the lesson.
    """

def gumbel_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any,
    temperature: float = 1.0,
    hard: bool = False,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a relaxed draw: the softmax of scores with Gumbel noise.

    See `attlas_ref.variational.gumbel_softmax_attention` for the lesson.
    """

def alignment_score_gradient(
    logits: Any,
    rewards: Any,
    *,
    samples: Any = None,
    baseline: Any = 0.0,
    entropy_weight: float = 0.0,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Gradient of the expected reward with respect to the logits of the alignment.

    See `attlas_ref.variational.alignment_score_gradient` for the lesson.
    """

def dirichlet_attention(
    concentration: Any,
    value: Any,
    *,
    gamma: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with the mean weights of a Dirichlet distribution, or with a draw from it.

    See `attlas_ref.variational.dirichlet_attention` for the lesson.
    """

def dirichlet_kl(
    concentration: Any,
    prior_concentration: Any,
    *,
    backend: str | None = None,
) -> Any:
    """Kullback-Leibler divergence of a Dirichlet distribution from another.

    See `attlas_ref.variational.dirichlet_kl` for the lesson.
    """

def show_attend_attention(
    hidden: Any,
    annotations: Any,
    *,
    w_annotation: Any,
    b_annotation: Any,
    w_hidden: Any,
    b_hidden: Any,
    w_score: Any,
    b_score: float = 0.0,
    w_gate: Any = None,
    b_gate: Any = None,
    activation: str = "tanh",
    mask: Any = None,
    return_weights: bool = False,
    return_gate: bool = False,
    backend: str | None = None,
) -> Any:
    """Additive attention of a caption's states to the regions of an image, gated by the state.

    See `attlas_ref.variational.show_attend_attention` for the lesson.
    """

def doubly_stochastic_penalty(
    weights: Any,
    *,
    target: float = 1.0,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Squared distance of the column sums of attention weights from a target.

    See `attlas_ref.variational.doubly_stochastic_penalty` for the lesson.
    """

def sentinel_gate(
    x: Any,
    hidden_previous: Any,
    cell: Any,
    *,
    w_input: Any,
    w_hidden: Any,
    backend: str | None = None,
) -> Any:
    """Gate the memory cell of an LSTM into a sentinel.

    See `attlas_ref.variational.sentinel_gate` for the lesson.
    """

def visual_sentinel_attention(
    hidden: Any,
    features: Any,
    sentinel: Any,
    *,
    w_feature: Any,
    w_hidden: Any,
    w_sentinel: Any,
    w_score: Any,
    mask: Any = None,
    return_weights: bool = False,
    return_sentinel: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention to the regions of an image and to a sentinel that stands for not looking.

    See `attlas_ref.variational.visual_sentinel_attention` for the lesson.
    """

def pointer_attention(
    query: Any,
    key: Any,
    *,
    w_query: Any = None,
    w_key: Any = None,
    b_query: Any = None,
    b_key: Any = None,
    v: Any = None,
    score: str = "additive",
    scale: float | None = None,
    logit_clip: float | None = None,
    temperature: float = 1.0,
    mask: Any = None,
    log: bool = False,
    return_logits: bool = False,
    backend: str | None = None,
) -> Any:
    """Distribution over the positions that each query may point at.

    See `attlas_ref.pointer.pointer_attention` for the lesson.
    """

def pointer_glimpse(
    query: Any,
    key: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_query: Any = None,
    b_key: Any = None,
    v: Any,
    mask: Any = None,
    glimpses: int = 1,
    value: str = "projected",
    backend: str | None = None,
) -> Any:
    """Refine queries by what they see at a few glimpses.

    See `attlas_ref.pointer.pointer_glimpse` for the lesson.
    """

def pointer_network_log_prob(
    embedded: Any,
    key: Any,
    sequence: Any,
    *,
    h0: Any,
    c0: Any,
    start: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    w_query: Any,
    w_key: Any,
    v: Any,
    b_query: Any = None,
    b_key: Any = None,
    glimpse_w_query: Any = None,
    glimpse_b_query: Any = None,
    glimpse_w_key: Any = None,
    glimpse_b_key: Any = None,
    glimpse_v: Any = None,
    glimpses: int = 0,
    logit_clip: float | None = None,
    forbid_repeats: bool = True,
    mask: Any = None,
    return_steps: bool = False,
    backend: str | None = None,
) -> Any:
    """Log likelihood of sequences of positions under a pointer network.

    See `attlas_ref.pointer.pointer_network_log_prob` for the lesson.
    """

def pointer_network_decode(
    embedded: Any,
    key: Any,
    *,
    h0: Any,
    c0: Any,
    start: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    w_query: Any,
    w_key: Any,
    v: Any,
    b_query: Any = None,
    b_key: Any = None,
    glimpse_w_query: Any = None,
    glimpse_b_query: Any = None,
    glimpse_w_key: Any = None,
    glimpse_b_key: Any = None,
    glimpse_v: Any = None,
    glimpses: int = 0,
    logit_clip: float | None = None,
    forbid_repeats: bool = True,
    mask: Any = None,
    length: int | None = None,
    method: str = "greedy",
    beam_width: int = 1,
    uniform: Any = None,
    end_index: int | None = None,
    backend: str | None = None,
) -> DecodedSequence:
    """Search a sequence of positions that a pointer network finds probable.

    See `attlas_ref.pointer.pointer_network_decode` for the lesson.
    """

def copy_mixture(
    vocab_prob: Any,
    weights: Any,
    gate: Any,
    source_ids: Any,
    *,
    size: int | None = None,
    backend: str | None = None,
) -> Any:
    """Mix what a decoder generates with what its attention copies.

    See `attlas_ref.pointer.copy_mixture` for the lesson.
    """

def copy_gate(
    context: Any,
    state: Any,
    embedded: Any,
    *,
    w_context: Any,
    w_state: Any,
    w_embedded: Any,
    b: float = 0.0,
    backend: str | None = None,
) -> Any:
    """Return the probability to generate a word rather than copy one.

    See `attlas_ref.pointer.copy_gate` for the lesson.
    """

def copy_log_prob(
    vocab_prob: Any,
    weights: Any,
    gate: Any,
    source_ids: Any,
    target: Any,
    *,
    backend: str | None = None,
) -> Any:
    """Return the log probability of one word per step under `copy_mixture`.

    See `attlas_ref.pointer.copy_log_prob` for the lesson.
    """

def pointer_sentinel_mixture(
    query: Any,
    key: Any,
    sentinel: Any,
    vocab_prob: Any,
    source_ids: Any,
    *,
    w_query: Any,
    b_query: Any,
    mask: Any = None,
    size: int | None = None,
    return_gate: bool = False,
    backend: str | None = None,
) -> Any:
    """Mix a vocabulary with pointers into the past, a sentinel being the gate.

    See `attlas_ref.pointer.pointer_sentinel_mixture` for the lesson.
    """

def coverage_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any = None,
    w_coverage: Any,
    b_coverage: Any = None,
    v: Any,
    b_v: float = 0.0,
    scale: float = 1.0,
    initial: Any = "zeros",
    mask: Any = None,
    return_weights: bool = False,
    return_coverage: bool = False,
    backend: str | None = None,
) -> Any:
    """Additive attention whose scores see how much each key has been attended to before.

    See `attlas_ref.pointer.coverage_attention` for the lesson.
    """

def coverage_loss(
    weights: Any,
    *,
    initial: Any = 0.0,
    backend: str | None = None,
) -> Any:
    """Return how much attention falls on what has been attended to before.

    See `attlas_ref.pointer.coverage_loss` for the lesson.
    """

def build_token_tree(
    tokens: Any,
    *,
    branch_factor: int = 2,
    mask: Any = None,
    aggregator: str = "mean",
    backend: str | None = None,
) -> tuple[TreeLevel, ...]:
    """Return the levels of a tree over tokens, the root first.

    See `attlas_ref.pointer.build_token_tree` for the lesson.
    """

def tree_search_path(
    query: Any,
    levels: tuple[TreeLevel, ...],
    *,
    w_query: Any,
    w_key: Any,
    mode: str = "greedy",
    uniform: Any = None,
    backend: str | None = None,
) -> SearchPath:
    """Walk down a tree of summaries, one path per query.

    See `attlas_ref.pointer.tree_search_path` for the lesson.
    """

def tree_cross_attention(
    query: Any,
    tokens: Any,
    *,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    b_out: Any = None,
    branch_factor: int = 2,
    aggregator: str = "mean",
    levels: tuple[TreeLevel, ...] | None = None,
    mask: Any = None,
    mode: str = "greedy",
    uniform: Any = None,
    return_weights: bool = False,
    return_selected: bool = False,
    return_log_prob: bool = False,
    backend: str | None = None,
) -> Any:
    """Attend to one block of tokens, found by search of a tree, and to the summaries of all others.

    See `attlas_ref.pointer.tree_cross_attention` for the lesson.
    """

def sequential_attention_weights(
    logits: Any,
    selected: Any,
    *,
    backend: str | None = None,
) -> Any:
    """Return 1 for selected features, and a softmax over all others.

    See `attlas_ref.pointer.sequential_attention_weights` for the lesson.
    """

def orthogonal_matching_pursuit(
    features: Any,
    target: Any,
    *,
    k: int,
    return_coefficients: bool = False,
    backend: str | None = None,
) -> Any | SelectionResult:
    """Select k features of a linear model, one at a time.

    See `attlas_ref.pointer.orthogonal_matching_pursuit` for the lesson.
    """

def sequential_attention_select(
    features: Any,
    target: Any,
    *,
    k: int,
    method: str = "omp",
    backend: str | None = None,
) -> Any:
    """Select k features by the program that sequential attention solves in a linear model.

    See `attlas_ref.pointer.sequential_attention_select` for the lesson.
    """

def monotonic_energy(
    query: Any,
    key: Any,
    *,
    score: str = "additive",
    w_query: Any = None,
    w_key: Any = None,
    b: Any = None,
    v: Any = None,
    g: float = 1.0,
    r: float = 0.0,
    scale: float | None = None,
    noise: Any = None,
    noise_scale: float = 1.0,
    mask: Any = None,
    return_probability: bool = False,
    backend: str | None = None,
) -> Any:
    """Energies of a monotonic pointer, or its probabilities to stop.

    See `attlas_ref.monotonic.monotonic_energy` for the lesson.
    """

def monotonic_alignment(
    p_choose: Any,
    *,
    previous: Any = None,
    mask: Any = None,
    method: str = "recursive",
    eps: float = 0.0,
    backend: str | None = None,
) -> Any:
    """Probability that a pointer which only moves forward stops at each key, for each output.

    See `attlas_ref.monotonic.monotonic_alignment` for the lesson.
    """

def monotonic_alignment_vjp(
    p_choose: Any,
    grad_output: Any,
    *,
    previous: Any = None,
    mask: Any = None,
    backend: str | None = None,
) -> AlignmentVJP:
    """Gradients of the expected alignment with respect to the probabilities and the start.

    See `attlas_ref.monotonic.monotonic_alignment_vjp` for the lesson.
    """

def monotonic_hard_alignment(
    p_choose: Any,
    *,
    threshold: float = 0.5,
    previous: Any = None,
    mask: Any = None,
    stay_on_last: bool = False,
    return_index: bool = False,
    backend: str | None = None,
) -> Any:
    """Stop at the first key from the last stop on whose probability reaches a threshold.

    See `attlas_ref.monotonic.monotonic_hard_alignment` for the lesson.
    """

def sampled_monotonic_alignment(
    p_choose: Any,
    *,
    uniform: Any,
    previous: Any = None,
    mask: Any = None,
    stay_on_last: bool = False,
    return_index: bool = False,
    backend: str | None = None,
) -> Any:
    """Stop at the first key from the last stop on whose coin says so.

    See `attlas_ref.monotonic.sampled_monotonic_alignment` for the lesson.
    """

def monotonic_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    score: str = "additive",
    w_query: Any = None,
    w_key: Any = None,
    b: Any = None,
    v: Any = None,
    g: float = 1.0,
    r: float = 0.0,
    scale: float | None = None,
    noise: Any = None,
    noise_scale: float = 1.0,
    hard: bool = False,
    mass_preservation: bool = False,
    previous: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Read the values where a pointer that only moves forward stops.

    See `attlas_ref.monotonic.monotonic_attention` for the lesson.
    """

def mass_preservation(
    alignment: Any,
    *,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Let the last visible key of each row take what the others leave of 1.

    See `attlas_ref.monotonic.mass_preservation` for the lesson.
    """

def mocha_weights(
    alignment: Any,
    energy: Any,
    *,
    chunk_size: int,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Expected weights when each stop of a pointer attends softly to the chunk that ends there.

    See `attlas_ref.monotonic.mocha_weights` for the lesson.
    """

def mocha_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    chunk_size: int,
    energy: Any = None,
    score: str = "additive",
    w_query: Any = None,
    w_key: Any = None,
    b: Any = None,
    v: Any = None,
    g: float = 1.0,
    r: float = 0.0,
    scale: float | None = None,
    noise: Any = None,
    noise_scale: float = 1.0,
    hard: bool = False,
    previous: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Read softly from the chunk of keys that ends where a pointer stops.

    See `attlas_ref.monotonic.mocha_attention` for the lesson.
    """

def infinite_lookback_weights(
    alignment: Any,
    energy: Any,
    *,
    mask: Any = None,
    backend: str | None = None,
) -> Any:
    """Expected weights when each stop of a pointer attends softly to all keys up to it.

    See `attlas_ref.monotonic.infinite_lookback_weights` for the lesson.
    """

def moving_sum(
    x: Any,
    *,
    back: int,
    forward: int,
    backend: str | None = None,
) -> Any:
    """Sum each entry with some before it and some after it.

    See `attlas_ref.monotonic.moving_sum` for the lesson.
    """

def monotonic_multihead_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    soft_query: Any = None,
    soft_key: Any = None,
    kind: str = "hard",
    chunk_size: int | None = None,
    energy_bias: float = 0.0,
    noise: Any = None,
    scale: float | None = None,
    mask: Any = None,
    mass_preservation: bool = True,
    streaming: bool = False,
    return_weights: bool = False,
    return_alignment: bool = False,
    return_probability: bool = False,
    return_reads: bool = False,
    backend: str | None = None,
) -> Any:
    """Read from where the pointer of each head stops, or from what it has passed.

    See `attlas_ref.monotonic.monotonic_multihead_attention` for the lesson.
    """

def stepwise_monotonic_alignment(
    p_stay: Any,
    *,
    previous: Any = None,
    mask: Any = None,
    hard: bool = False,
    absorb_last: bool = False,
    backend: str | None = None,
) -> Any:
    """Probability of each place of a pointer that stays or moves to the next key.

    See `attlas_ref.monotonic.stepwise_monotonic_alignment` for the lesson.
    """

def differentiable_average_lagging(
    delays: Any,
    *,
    source_length: Any,
    target_length: Any = None,
    backend: str | None = None,
) -> Any:
    """Differentiable average lagging: the mean lag when lost time is never made up for.

    See `attlas_ref.monotonic.differentiable_average_lagging` for the lesson.
    """

def expected_delay(
    alignment: Any,
    *,
    backend: str | None = None,
) -> Any:
    """Mean number of source positions read before each word.

    See `attlas_ref.monotonic.expected_delay` for the lesson.
    """

def latency_loss(
    alignment: Any,
    *,
    source_length: Any,
    metric: str = "dal",
    gather: str = "weighted_average",
    weight: float = 1.0,
    backend: str | None = None,
) -> Any:
    """Latency of several heads as one number.

    See `attlas_ref.monotonic.latency_loss` for the lesson.
    """

def latent_monotonic_log_prob(
    log_emission: Any,
    log_transition: Any,
    log_initial: Any = None,
    *,
    return_posterior: bool = False,
    backend: str | None = None,
) -> Any:
    """Log likelihood of an output, summed over all alignments.

    See `attlas_ref.monotonic.latent_monotonic_log_prob` for the lesson.
    """

def latent_monotonic_viterbi(
    log_emission: Any,
    log_transition: Any,
    log_initial: Any = None,
    *,
    backend: str | None = None,
) -> PathScore:
    """Best alignment of an output, and its score.

    See `attlas_ref.monotonic.latent_monotonic_viterbi` for the lesson.
    """

def latent_monotonic_posterior(
    log_emission: Any,
    log_transition: Any,
    log_initial: Any = None,
    *,
    backend: str | None = None,
) -> Any:
    """Probability of each position at each step, given the whole output.

    See `attlas_ref.monotonic.latent_monotonic_posterior` for the lesson.
    """

def monotonic_position_log_prob(
    energy: Any,
    *,
    strict: bool = False,
    allow_last: bool = False,
    log: bool = True,
    backend: str | None = None,
) -> Any:
    """Transition probabilities of a position that only moves forward.

    See `attlas_ref.monotonic.monotonic_position_log_prob` for the lesson.
    """

def windowed_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    center: Any,
    *,
    left: int = 5,
    right: int = 4,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention to the keys in a window about a given place.

    See `attlas_ref.monotonic.windowed_soft_attention` for the lesson.
    """

def segmental_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    boundaries: Any,
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention to the keys between the last boundary and the own one.

    See `attlas_ref.monotonic.segmental_soft_attention` for the lesson.
    """

def luong_score(
    query: Any,
    key: Any,
    *,
    score: str = "dot",
    w_score: Any = None,
    w_query: Any = None,
    w_key: Any = None,
    b_query: Any = None,
    v: Any = None,
    backend: str | None = None,
) -> Any:
    """Scores of all pairs by one of five functions.

    See `attlas_ref.monotonic.luong_score` for the lesson.
    """

def luong_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    score: str = "dot",
    w_score: Any = None,
    w_query: Any = None,
    w_key: Any = None,
    b_query: Any = None,
    v: Any = None,
    mask: Any = None,
    w_out: Any = None,
    b_out: Any = None,
    return_weights: bool = False,
    return_attentional: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention with a choice of scores, and an attentional vector.

    See `attlas_ref.monotonic.luong_attention` for the lesson.
    """

def luong_local_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    window: int,
    alignment: str = "monotonic",
    center: Any = None,
    w_position: Any = None,
    b_position: Any = None,
    v_position: Any = None,
    sigma: float | None = None,
    center_offset: float = 0.0,
    score: str = "dot",
    w_score: Any = None,
    w_query: Any = None,
    w_key: Any = None,
    b_query: Any = None,
    v: Any = None,
    mask: Any = None,
    lengths: Any = None,
    return_weights: bool = False,
    return_center: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention in a window about a center that is given, in step, or predicted.

    See `attlas_ref.monotonic.luong_local_attention` for the lesson.
    """

def context_aware_cross_attention(
    query: Any,
    key: Any,
    value: Any,
    gate: Any,
    *,
    radius: int,
    center: Any = None,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Mixture of attention to all keys and attention to those near the best one.

    See `attlas_ref.monotonic.context_aware_cross_attention` for the lesson.
    """

def location_sensitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any = None,
    conv: Any,
    b_conv: Any = None,
    w_location: Any,
    v: Any,
    b_v: float = 0.0,
    scale: float = 1.0,
    feedback: str = "previous",
    initial: Any = "uniform",
    previous: Any = None,
    cumulative: Any = None,
    normalize: str = "softmax",
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Additive attention whose scores see the weights of the last step.

    See `attlas_ref.monotonic.location_sensitive_attention` for the lesson.
    """

def dynamic_convolution_attention(
    query: Any,
    value: Any,
    *,
    w_query: Any,
    b_query: Any,
    w_dynamic: Any,
    conv: Any,
    w_static: Any,
    w_feature: Any,
    b_feature: Any,
    v: Any,
    prior: Any = None,
    prior_length: int = 11,
    prior_alpha: float = 0.1,
    prior_beta: float = 0.9,
    prior_floor: float = 1e-06,
    initial: Any = "first",
    previous: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention that is computed from its own last weights by static, dynamic and prior filters (DCA).

    See `attlas_ref.monotonic.dynamic_convolution_attention` for the lesson.
    """

def gmm_attention(
    query: Any,
    value: Any,
    *,
    w_hidden: Any,
    b_hidden: Any,
    w_params: Any,
    b_params: Any,
    version: int | str = 2,
    sigma_floor: float = 0.0,
    initial_mean: Any = None,
    mask: Any = None,
    normalize: bool = False,
    return_weights: bool = False,
    return_means: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention by a mixture whose components move forward (GMM attention).

    See `attlas_ref.monotonic.gmm_attention` for the lesson.
    """

def forward_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any = None,
    v: Any,
    b_v: float = 0.0,
    conv: Any = None,
    w_location: Any = None,
    scale: float = 1.0,
    agent: bool = False,
    w_agent: Any = None,
    b_agent: float = 0.0,
    previous_output: Any = None,
    agent_moves: bool = True,
    smooth: float = 0.0,
    floor: float = 0.0,
    initial_rest: float = 0.0,
    previous: Any = None,
    previous_agent: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    return_agent: bool = False,
    return_next_agent: bool = False,
    backend: str | None = None,
) -> Any:
    """Additive attention that stays at a key or moves to the next one, with or without a transition agent.

    See `attlas_ref.monotonic.forward_attention` for the lesson.
    """

def monotonic_location_attention(
    query: Any,
    value: Any,
    *,
    key: Any = None,
    content_query: Any = None,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    step: str = "sigmoid",
    step_bias: float = 20.0,
    softstair_temperature: float = 20.0,
    w_mix: Any = None,
    b_mix: float = 0.0,
    position_past: bool = False,
    previous: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    return_position: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention by a bell that moves on by a learned number of keys.

    See `attlas_ref.monotonic.monotonic_location_attention` for the lesson.
    """

def location_attender(
    query: Any,
    value: Any,
    *,
    w_state: Any,
    b_state: Any,
    w_sigma: Any,
    w_rho: Any,
    simplified: bool = True,
    steps: str = "softstair",
    softstair_temperature: float = 20.0,
    previous: Any = None,
    mask: Any = None,
    return_weights: bool = False,
    return_position: bool = False,
    backend: str | None = None,
) -> Any:
    """Attention by a bell that starts anywhere and moves by nearly whole keys, forward or back.

    See `attlas_ref.monotonic.location_attender` for the lesson.
    """

def relative_position_cross_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_position: Any,
    content_bias: Any,
    position_bias: Any,
    query_offset: int = 0,
    mask: Any = None,
    return_weights: bool = False,
    backend: str | None = None,
) -> Any:
    """Softmax attention with learned scores of relative distance, in the form of Transformer-XL.

    See `attlas_ref.monotonic.relative_position_cross_attention` for the lesson.
    """

def bidirectional_encoding(
    encoded: Any,
    gate: Any,
    *,
    lengths: Any = None,
    backend: str | None = None,
) -> Any:
    """Mix a sequence with its reversal.

    See `attlas_ref.monotonic.bidirectional_encoding` for the lesson.
    """

def ctc_log_likelihood(
    log_probs: Any,
    target: Any,
    *,
    blank: int = 0,
    input_lengths: Any = None,
    target_lengths: Any = None,
    return_posterior: bool = False,
    backend: str | None = None,
) -> Any:
    """Sum over all alignments of a target with the frames of an input.

    See `attlas_ref.monotonic.ctc_log_likelihood` for the lesson.
    """

def ctc_posterior(
    log_probs: Any,
    target: Any,
    *,
    blank: int = 0,
    input_lengths: Any = None,
    target_lengths: Any = None,
    backend: str | None = None,
) -> Any:
    """Tell how often each symbol occurs in each frame among all alignments of a target.

    See `attlas_ref.monotonic.ctc_log_likelihood` for the lesson.
    """

def ctc_viterbi(
    log_probs: Any,
    target: Any,
    *,
    blank: int = 0,
    input_lengths: Any = None,
    target_lengths: Any = None,
    backend: str | None = None,
) -> AlignmentScore:
    """Find the best alignment of a target with the frames of an input.

    See `attlas_ref.monotonic.ctc_viterbi` for the lesson.
    """

def align_with_purpose_loss(
    log_probs: Any,
    alignments: Any,
    improved: Any,
    *,
    margin: float = 0.0,
    space: str = "probability",
    backend: str | None = None,
) -> Any:
    """Charge for alignments that are likelier than their improved forms.

    See `attlas_ref.monotonic.align_with_purpose` for the lesson.
    """

def monotonic_alignment_search(
    log_prob: Any,
    *,
    mask: Any = None,
    return_score: bool = False,
    backend: str | None = None,
) -> Any:
    """Find the best path that gives each frame a letter, in order and leaving out none.

    See `attlas_ref.monotonic.monotonic_alignment_search` for the lesson.
    """

def segment_alignment(
    scores: Any,
    *,
    length_penalty: float = 0.5,
    return_score: bool = False,
    backend: str | None = None,
) -> Any:
    """Cover a matrix of attention from corner to corner by blocks of one row or one column.

    See `attlas_ref.monotonic.segment_alignment` for the lesson.
    """

def soft_dtw(
    cost: Any,
    *,
    gamma: float = 1.0,
    return_alignment: bool = False,
    backend: str | None = None,
) -> Any:
    """Take the soft minimum of the costs of all warping paths.

    See `attlas_ref.monotonic.soft_dtw` for the lesson.
    """

def dtw_path(
    cost: Any,
    *,
    backend: str | None = None,
) -> WarpingPath:
    """Find the cheapest warping path.

    See `attlas_ref.monotonic.soft_dtw` for the lesson.
    """

def daft_attention(
    context: Any,
    question: Any,
    *,
    w_question: Any,
    b_question: Any,
    w_logit: Any,
    b_logit: Any,
    initial: Any = 0.0,
    method: str = "exact",
    substeps: int = 1,
    mask: Any = None,
    return_weights: bool = False,
    return_logits: bool = False,
    backend: str | None = None,
) -> Any:
    """Read a context in steps, with logits that follow a differential equation.

    See `attlas_ref.monotonic.daft_attention` for the lesson.
    """

def total_transition_length(
    weights: Any,
    *,
    clamp: float = 1e-10,
    return_steps: bool = False,
    backend: str | None = None,
) -> Any:
    """Sum the Jensen–Shannon divergences between the attentions of neighboring steps.

    See `attlas_ref.monotonic.total_transition_length` for the lesson.
    """
