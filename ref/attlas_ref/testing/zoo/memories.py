"""Bugs of associative memories."""

from .bug import Bug

BUGS = (
    Bug(
        "one_retrieval_too_many",
        "hopfield_attention",
        "hopfield_one_step_is_softmax",
        'The pattern is updated once before the values are read, so that "one step" is two. What ξ is in the '
        "code is not what ξ is in the paper (hopfield-layers #22).",
        (("for _ in range(1, steps):", "for _ in range(steps):"),),
    ),
    Bug(
        "a_tie_turns_the_bit_off",
        "classical_hopfield",
        "a_negative_is_recalled_as_the_negative",
        "sign(0) is taken for −1, where a field of 0 leaves the bit as it is. Ties are not rare among whole numbers.",
        (("np.where(field == 0, old, np.sign(field))", "np.where(field > 0, 1.0, -1.0)"),),
    ),
    Bug(
        "a_neuron_that_feels_itself",
        "classical_hopfield",
        "a_field_needs_no_weight_matrix",
        "The diagonal of the weights is kept: every pattern, also the random one, becomes stable.",
        (("    if zero_diagonal:\n", "    if not zero_diagonal:\n"),),
    ),
    Bug(
        "a_landmark_is_a_token",
        "landmark_attention",
        "the_value_of_a_landmark_is_not_read",
        "Landmark tokens stand for their block. They are let into the sum as tokens of their own.",
        (("(block[:, None] == block) & ~is_landmark", "(block[:, None] == block)"),),
    ),
    Bug(
        "a_memory_read_before_it_is_written",
        "titans_memory",
        "a_step_of_the_right_size_stores_the_value",
        "A token reads the memory as it was before it, and so never its own value.",
        (("output[..., t, None, :] = q @ M", "output[..., t, None, :] = q @ C"),),
    ),
    Bug(
        "momentum_with_the_wrong_sign",
        "titans_memory",
        "one_chunk_is_a_few_matrix_products",
        "The surprise of the past is subtracted: the memory converges, more slowly.",
        (("S = momentum[..., t, None, None] * S - lr", "S = -momentum[..., t, None, None] * S - lr"),),
    ),
)
