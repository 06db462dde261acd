"""Bugs of other normalizers than the softmax, and of scores between three and more."""

from .bug import Bug

BUGS = (
    Bug(
        "a_cap_on_hidden_scores",
        "softcapped_attention",
        "hidden_keys_have_no_effect",
        "The soft cap comes after the mask: −∞ becomes −cap, and everything that was hidden is read again.",
        (
            (
                "softmax_weights(cap * np.tanh(scores / cap), visible)",
                "softmax_weights(cap * np.tanh(np.where(visible, scores, -np.inf) / cap), np.ones_like(visible))",
            ),
        ),
    ),
    Bug(
        "exactly_k_keys",
        "topk_softmax_attention",
        "no_more_than_the_ties_are_kept",
        "Of equal scores the ones that stand first are kept, so that the result depends on the order of the keys; "
        "with half precision and ReLU scores ties are everywhere.",
        (
            (
                "kept = visible & ~(scores < threshold)",
                "kept = visible & (np.argsort(np.argsort(-scores, axis=-1, kind='stable'), axis=-1) < top_k)",
            ),
        ),
    ),
    Bug(
        "the_best_k_keep_their_weights",
        "topk_softmax_attention",
        "keeping_one_key_gives_the_best_value",
        "The k largest weights are taken out of a finished softmax and not normalized again.",
        (
            (
                "    weights = softmax_weights(scores, kept)\n",
                "    weights = np.where(kept, softmax_weights(scores, visible), 0)\n",
            ),
        ),
    ),
    Bug(
        "a_power_that_the_normalizer_hides",
        "entmax",
        "sorting_and_bisection_agree",
        'The square of 1.5-entmax is forgotten. The division that was added "for numerical safety" makes the '
        "rows sum to one again, and hides it.",
        (("_threshold_by_sorting(shifted / 2), 0) ** 2, 0)", "_threshold_by_sorting(shifted / 2), 0), 0)"),),
    ),
    Bug(
        "one_is_added_after_the_shift",
        "softmax_plus_n_attention",
        "extra_mass_is_that_of_empty_keys",
        '"Softmax off by one" adds 1 to the denominator. Added to the *shifted* sum it weighs e^M, a different '
        "number in every row.",
        (("added = extra * np.exp(-maximum) if extra > 0 else 0", "added = extra"),),
    ),
    Bug(
        "the_length_of_the_wrong_sequence",
        "sigmoid_attention",
        "sigmoid_weights_of_equal_scores",
        "The offset −log n counts the queries. In self-attention that is the same number.",
        (("n = key.shape[-2]", "n = query.shape[-2]"),),
    ),
    Bug(
        "a_series_without_factorials",
        "fastmax_attention",
        "fastmax_factorizes",
        "The polynomial 1 + s + s²/2 is written 1 + s + s². It is normalized all the same.",
        (("total = 1 + scores / l * total", "total = 1 + scores * total"),),
    ),
    Bug(
        "an_off_by_one_window",
        "simplicial_attention",
        "simplicial_attention_is_tensor_attention",
        "A window of w keys holds w + 1. (`jax.nn` #32300 ignored its window altogether when there was no mask.)",
        (("j > i + n - m - min(windows[r], m + n)", "j >= i + n - m - min(windows[r], m + n)"),),
        module="attlas_ref.kronecker.tensor_attention",
    ),
    Bug(
        "products_in_another_order",
        "tensor_attention",
        "tensor_attention_is_softmax_attention_to_products",
        "Keys are multiplied in the order (j, k) and values in the order (k, j): each weight meets the value of "
        "another tuple.",
        (
            (
                "weighted_sum(weights, formula(khatri_rao)(values), visible)",
                "weighted_sum(weights, formula(khatri_rao)(values[::-1]), visible)",
            ),
        ),
    ),
)
