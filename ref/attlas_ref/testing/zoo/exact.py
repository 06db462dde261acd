"""Bugs of dot-product attention: masks, causal rules, scales, streams of blocks."""

from .bug import Bug

_HERE = "    visible = visible_pairs(query, key, mask, causal)\n"
_SUM = "    output = weighted_sum(weights, value, visible)  # (..., m, e)\n"

BUGS = (
    Bug(
        "a_mask_of_minus_a_million",
        "softmax_attention",
        "a_mask_is_a_bias_of_minus_infinity",
        "Hidden scores are set to −1e6 instead of being left out. A query that sees no key then reads the *mean* "
        "of all that it must not see, and a score below −1e6 leaks. Textbooks and course assignments teach it so.",
        (
            ("scores = np.where(visible, scores, -np.inf)", "scores = np.where(visible, scores, -1e6)"),
            ("np.where(visible, np.exp(scores - maximum), 0)", "np.exp(scores - maximum)"),
            (
                "return np.where(visible, unnormalized / np.where(total == 0, 1, total), 0)",
                "return unnormalized / total",
            ),
        ),
    ),
    Bug(
        "a_maximum_that_starts_at_minus_ten_thousand",
        "softmax_attention",
        "softmax_rows_sum_to_one",
        'The search for the largest score starts at −10000, "TODO something better" (the CPU code of llm.c): '
        "where all scores of a row lie below, every exponential underflows, and the row reads zeros.",
        (("scores.max(axis=-1, keepdims=True, initial=-np.inf)", "scores.max(axis=-1, keepdims=True, initial=-1e4)"),),
    ),
    Bug(
        "exp_without_a_shift",
        "softmax_attention",
        "loud_scores_stay_finite",
        "The exponential is taken of the scores as they are. In float32 a score of 89 is infinite, and ∞/∞ is NaN. "
        "Popular re-implementations of the attention-free transformer do so.",
        (("np.exp(scores - maximum)", "np.exp(scores)"),),
    ),
    Bug(
        "causal_from_the_first_key",
        "softmax_attention",
        "causal_is_a_mask",
        "The causal mask is aligned at the first key instead of the last. Nobody notices while m = n; with a cache "
        "of keys the new token no longer sees its past. The most repeated question in the trackers of the field "
        "(flash-attention #20, #282, #351, #1778; ONNX Runtime #29020).",
        ((_HERE, _HERE.replace("causal)", "causal, offset=0)")),),
    ),
    Bug(
        "the_next_token_is_visible",
        "softmax_attention",
        "the_future_has_no_effect",
        "j <= i became j <= i + 1: each token sees the one that it is asked to predict, the loss is wonderful, and "
        "the model is useless. (JAX PR #39576: a window that leaks the future silently.)",
        ((_HERE, _HERE.replace("causal)", "causal, offset=key.shape[-2] - query.shape[-2] + 1)")),),
    ),
    Bug(
        "a_mask_that_multiplies",
        "softmax_attention",
        "hidden_keys_need_not_be_numbers",
        "The weight of a hidden key is 0, but 0 × NaN is NaN: one bad number in the padding spoils the batch "
        "(PyTorch #101967; ONNX's reference evaluator too).",
        ((_SUM, "    output = weights @ value\n"),),
    ),
    Bug(
        "softmax_over_the_queries",
        "softmax_attention",
        "queries_are_independent",
        "The softmax runs over the wrong axis. With as many queries as keys no shape gives it away.",
        (
            (
                "    weights = softmax_weights(scores, visible)\n",
                "    weights = softmax_weights(scores.mT, visible.mT).mT\n",
            ),
        ),
    ),
    Bug(
        "the_scale_is_forgotten",
        "softmax_attention",
        "any_tree_over_any_partition_is_softmax_attention",
        "Without `scale` the factor is 1 instead of 1/√d. The rows still sum to one, only much more sharply; "
        "training slows down and nobody knows why.",
        (("dot_scores(query, key, scale, bias)", "dot_scores(query, key, 1.0 if scale is None else scale, bias)"),),
    ),
    Bug(
        "the_bias_is_not_cooled",
        "softmax_attention",
        "temperature_divides_scale_and_bias",
        "The temperature divides the dot products and not the bias that was added to them.",
        (
            (
                "dot_scores(query, key, scale, bias) / temperature",
                "dot_scores(query, key, scale, None) / temperature + (0 if bias is None else bias)",
            ),
        ),
    ),
    Bug(
        "a_bias_behind_the_back_of_half_precision",
        "softmax_attention",
        "a_constant_per_query_changes_nothing",
        'Scores are rounded to half precision "because the inputs were", and lose what the bias said.',
        (
            (
                "/ temperature  # (..., m, n)",
                "/ temperature\n    scores = scores.astype(np.float16).astype(query.dtype)",
            ),
        ),
    ),
    Bug(
        "a_merge_without_rescale",
        "memory_efficient_attention",
        "memory_efficient_attention_is_softmax_attention",
        "A new block raises the running maximum, and what was summed under the old one is not scaled down. Sum and "
        "accumulator lose it together, so the weights still sum to one: the classic mistake of a streaming "
        "softmax.",
        (("rescale_1 = _rescale(maximum_1, maximum)", "rescale_1 = np.ones_like(maximum)"),),
        module="attlas_ref.dotproduct.attention_partial",
    ),
    Bug(
        "an_accumulator_without_rescale",
        "memory_efficient_attention",
        "the_chunk_sizes_change_nothing",
        "The same for the accumulator alone: the sum is right, the output is not.",
        (("rescale_1[..., None] * accumulator_1", "accumulator_1"),),
        module="attlas_ref.dotproduct.attention_partial",
    ),
    Bug(
        "the_last_block_is_dropped",
        "memory_efficient_attention",
        "memory_efficient_attention_is_softmax_attention",
        "n // block blocks, and what is left over is not read. Benchmarks use powers of two, so it is never left "
        "over there.",
        (("range(0, n, key_chunk_size)", "range(0, max(n - n % key_chunk_size, 1), key_chunk_size)"),),
    ),
    Bug(
        "every_block_begins_at_zero",
        "memory_efficient_attention",
        "memory_efficient_attention_is_softmax_attention",
        "A block of keys does not know where it stands: with the causal rule later blocks are hidden as if they "
        "were the first. (ALiBi, too, is lost so between training and decoding: flash-attention #907.)",
        (("key_offset=j,", "key_offset=0,"),),
    ),
    Bug(
        "a_state_without_its_maximum",
        "prefix_attention",
        "a_sequence_may_be_fed_in_pieces",
        "The state that one call hands to the next forgets the maximum under which it was summed.",
        (("np.broadcast_to(maximum[..., None], (*leading, 1)),", "np.zeros((*leading, 1), dtype),"),),
    ),
)
