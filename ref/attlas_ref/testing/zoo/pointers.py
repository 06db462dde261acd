"""Bugs of pointers and of what they copy."""

from .bug import Bug

BUGS = (
    Bug(
        "a_word_said_twice_counts_once",
        "copy_mixture",
        "a_word_said_twice_collects_both_weights",
        "The weights of the source words are written into the vocabulary (`scatter`), not added (`scatter_add`): "
        "of a word that occurs twice only one occurrence counts.",
        (
            (
                "total = total + np.where(here, weights[..., j, None], 0)",
                "total = np.where(here, weights[..., j, None], total)",
            ),
        ),
    ),
    Bug(
        "a_clip_of_cooled_logits",
        "pointer_attention",
        "the_temperature_divides_clipped_logits",
        "The logits are divided by the temperature before they are clipped, not after: however cold, two positions "
        "stay within e^{2C} of each other, and annealing stalls.",
        (
            (
                "        logits = logit_clip * np.tanh(logits)\n    logits = logits / temperature\n",
                "        logits = logit_clip * np.tanh(logits / temperature)\n"
                "    else:\n        logits = logits / temperature\n",
            ),
        ),
    ),
    Bug(
        "a_position_may_be_visited_again",
        "pointer_network_log_prob",
        "a_repetition_is_impossible",
        "What has been visited is not masked: the model may propose a tour that stays at home.",
        (("taken = np.cumsum(chosen, axis=-2) - chosen > 0", "taken = np.zeros_like(chosen)"),),
    ),
    Bug(
        "a_coverage_that_forgets",
        "coverage_attention",
        "coverage_is_the_sum_of_all_weights",
        "The coverage is that of the last step instead of the sum over all.",
        (("coverage = coverage + row", "coverage = 0 * coverage + row"),),
    ),
    Bug(
        "a_step_that_covers_itself",
        "coverage_loss",
        "coming_back_costs_and_nothing_else_does",
        "The coverage of a step contains the step itself, so that looking at anything costs.",
        (
            (
                "so_far = np.concatenate([none, np.cumsum(weights, axis=-2)[..., :-1, :]], axis=-2)",
                "so_far = np.cumsum(weights, axis=-2) + none",
            ),
        ),
    ),
)
