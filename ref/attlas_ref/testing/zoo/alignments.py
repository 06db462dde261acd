"""Bugs of monotonic attention and alignments."""

from .bug import Bug

BUGS = (
    Bug(
        "a_clamp_at_one_in_a_million",
        "monotonic_alignment",
        "the_scan_is_the_recursion",
        "The closed form divides by a product of probabilities, which is clamped at 1e-6 so that nothing is "
        "divided by 0: on long inputs the alignment fades away. Implementations of "
        "monotonic attention do so.",
        (
            (
                "_clamped_arrivals(chance, alpha, eps) if eps else _scanned_arrivals(chance, alpha)",
                "_clamped_arrivals(chance, alpha, eps or 1e-6)",
            ),
        ),
    ),
    Bug(
        "a_chunk_of_one_too_many",
        "mocha_weights",
        "chunks_of_one_are_the_alignment",
        "A chunk of w keys holds w + 1. No mass is lost.",
        (("max(0, k - chunk_size + 1)", "max(0, k - chunk_size)"),),
    ),
    Bug(
        "a_window_without_its_edge",
        "windowed_soft_attention",
        "a_window_of_one_copies_a_value",
        "<= became <: the leftmost key of the window is not read.",
        (("(place - j <= left)", "(place - j < left)"),),
    ),
    Bug(
        "a_window_around_the_wrong_entry",
        "moving_sum",
        "the_smallest_window_is_the_identity",
        "The padding has one entry too few in front, and everything is shifted by one.",
        (("padded[..., start : start + n]", "np.roll(padded, -1, axis=-1)[..., start : start + n]"),),
    ),
    Bug(
        "distances_that_begin_anew",
        "relative_position_cross_attention",
        "only_the_distance_matters",
        "The distance is counted from the first query of the *call*: right in training, wrong in decoding, where "
        "each call has one query (flash-attention #907 for ALiBi; x-transformers #298).",
        (("np.arange(1 - m, n) - query_offset", "np.arange(1 - m, n)"),),
    ),
    Bug(
        "a_repeated_letter_needs_no_blank",
        "ctc_log_likelihood",
        "too_few_frames_leave_nothing",
        'Between two equal symbols the blank may be skipped, so that "aab" is heard in "ab". The likelihood is '
        "too large for words with double letters only.",
        (
            (
                "skips[..., 2:] = (symbols[..., 2:] != blank) & (symbols[..., 2:] != symbols[..., :-2])",
                "skips[..., 2:] = symbols[..., 2:] != blank",
            ),
        ),
        module="attlas_ref.monotonic.ctc",
    ),
    Bug(
        "the_last_word_is_not_waited_for",
        "average_lagging",
        "whoever_waits_for_k_words_lags_by_k",
        "The first word that has seen the whole source belongs to the average; it is left out.",
        (("np.cumsum(over, axis=-1) - over == 0", "np.cumsum(over, axis=-1) == 0"),),
    ),
    Bug(
        "a_soft_minimum_that_is_a_maximum",
        "soft_dtw",
        "the_soft_minimum_is_below_the_minimum",
        "A sign is lost in −γ log Σ exp(−x/γ).",
        (
            (
                "_added(cost[..., i, j], -gamma * log_sum_exp(paths))",
                "_added(cost[..., i, j], gamma * log_sum_exp(paths))",
            ),
        ),
    ),
)
