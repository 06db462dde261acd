"""Bugs of gradients, which no row of weights shows."""

from .bug import Bug

BUGS = (
    Bug(
        "a_softmax_without_its_mean",
        "softmax_attention_vjp",
        "the_gradient_of_the_bias_sums_to_zero",
        "The gradient of a softmax is w (g − Σ w g); the mean is left out. Training still goes down, a little worse.",
        (("weights * (grad_weights - mean)", "weights * grad_weights"),),
    ),
    Bug(
        "a_mean_over_the_wrong_axis",
        "softmax_attention_vjp",
        "the_gradient_of_the_bias_sums_to_zero",
        "The mean runs over the queries. (flash-linear-attention #850: a cumulative sum over the wrong axis, in "
        "the *reference*, after a change of layout.)",
        (
            (
                "(weights * grad_weights).sum(axis=-1, keepdims=True)",
                "(weights * grad_weights).sum(axis=-2, keepdims=True)",
            ),
        ),
    ),
    Bug(
        "a_shared_head_gets_the_mean",
        "softmax_attention_vjp",
        "gradients_of_broadcast_arrays_are_sums",
        "One key for many heads (grouped queries): its gradient is the sum of theirs, not their mean.",
        (
            (
                "    return gradient.sum(axis=stretched, keepdims=True)",
                "    copies = max(gradient.size // max(np.prod(shape), 1), 1)\n"
                "    return gradient.sum(axis=stretched, keepdims=True) / copies",
            ),
        ),
    ),
    Bug(
        "the_scale_counts_once",
        "softmax_attention_vjp",
        "the_gradient_is_the_slope_in_the_key",
        "The gradient of the query is scaled, that of the key is not.",
        (("grad_key = factor * weighted_sum", "grad_key = weighted_sum"),),
    ),
    Bug(
        "a_baseline_that_is_not_weighted",
        "alignment_score_gradient",
        "gradients_of_alignments_sum_to_zero",
        "The baseline of the rewards is their plain mean instead of their mean under the policy.",
        (
            (
                "np.where(visible, q * rewards, 0).sum(axis=-1, keepdims=True)",
                "np.where(visible, rewards, 0).mean(axis=-1, keepdims=True)",
            ),
        ),
    ),
    Bug(
        "the_divergence_turned_around",
        "latent_alignment_bounds",
        "what_a_bound_loses_is_a_divergence",
        "KL(p ‖ q) where KL(q ‖ p) belongs. Both are never negative, and both are 0 where p = q.",
        (("kl = _expected(q, log_posterior - log_prior)", "kl = _expected(p, log_prior - log_posterior)"),),
    ),
)
