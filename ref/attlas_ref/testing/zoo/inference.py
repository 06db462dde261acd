"""Bugs of attention as inference: plans, chains, draws."""

from .bug import Bug

BUGS = (
    Bug(
        "slots_that_do_not_compete",
        "competitive_attention",
        "without_eps_competition_is_reversed_attention",
        "The softmax of slot attention runs over the slots, so that they compete for the inputs. Over the inputs "
        "it is plain attention, whose rows sum to one just as well, and all slots learn the same.",
        (("softmax_weights(scores.mT, visible.mT).mT", "softmax_weights(scores, visible)"),),
    ),
    Bug(
        "a_plan_for_half_of_the_marginals",
        "sinkhorn_plan",
        "a_single_row_takes_the_columns_as_they_are",
        "Only the rows are made right: without the other half of the steps Sinkhorn's plan is a softmax.",
        (
            (
                "g = np.where(moving[..., None], columns_right, g)",
                "g = np.where(moving[..., None], 0 * columns_right, g)",
            ),
        ),
    ),
    Bug(
        "transitions_the_wrong_way_round",
        "linear_chain_marginals",
        "a_chain_may_be_read_backward",
        "The forward pass takes P(b, a) for P(a, b). Symmetric transitions in the unit test do not mind.",
        (
            (
                "log_sum_exp(alpha[..., :, None] + pairwise[..., t - 1, :, :], axis=-2)",
                "log_sum_exp(alpha[..., :, None] + pairwise[..., t - 1, :, :].mT, axis=-2)",
            ),
        ),
    ),
    Bug(
        "a_normalizer_that_is_thrown_away",
        "linear_chain_marginals",
        "constants_per_position_move_log_z_alone",
        "The sums are normalized at each step so that nothing overflows, and the last factor never reaches log Z. "
        "All marginals are right.",
        (
            (
                "np.where(visible, np.concatenate(totals, axis=-1), 0)",
                "np.where(visible, np.concatenate(totals, axis=-1), 0)[..., 1:]",
            ),
        ),
    ),
    Bug(
        "the_last_of_the_best",
        "hard_attention",
        "the_first_best_key_is_chosen",
        "Of equal scores the last is chosen on one device and the first on another: two engines read different values.",
        (
            (
                "before = (np.cumsum(best, axis=-1) == 0).sum(axis=-1)",
                "before = scores.shape[-1] - 1 - (np.cumsum(best[..., ::-1], axis=-1) == 0).sum(axis=-1)",
            ),
        ),
    ),
    Bug(
        "noise_of_the_wrong_sign",
        "gumbel_softmax_attention",
        "the_noise_is_added_to_the_scores",
        "One minus of −log(−log u) is lost. The weights still sum to one, and no draw follows them.",
        (
            (
                "gumbel = -np.log(-np.log(uniform + EPSILON) + EPSILON)",
                "gumbel = np.log(-np.log(uniform + EPSILON) + EPSILON)",
            ),
        ),
    ),
)
