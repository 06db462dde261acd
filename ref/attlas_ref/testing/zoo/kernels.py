"""Bugs of kernels. They live in Numba's CUDA simulator, whose threads disagree as those of a GPU would."""

from .bug import Bug

TILE, PIECES = "attlas.numba_cuda.tile", "attlas.numba_cuda.pieces"

BUGS = (
    Bug(
        "a_missing_barrier",
        "softmax_attention",
        "cold_attention_is_the_best_value",
        "Threads multiply a tile before the others have loaded their part of it, and read what stood in shared "
        "memory before. On a GPU it is right most of the time.",
        (
            (
                "            cuda.syncthreads()  # until the tiles are complete\n"
                "            multiply(sums, left, right, x, y)",
                "            multiply(sums, left, right, x, y)",
            ),
        ),
        module=PIECES,
    ),
    Bug(
        "stale_shared_memory",
        "softmax_attention",
        "cold_attention_is_the_best_value",
        "A quick thread loads the next tile while a slow one still multiplies the last.",
        (("            cuda.syncthreads()  # until no thread reads the tiles of before\n", ""),),
        module=PIECES,
    ),
    Bug(
        "the_last_tile_is_dropped",
        "softmax_attention",
        "repeating_a_key_is_a_bias_of_log_r",
        "The number of tiles is rounded down. It shows where n is not a multiple of the tile.",
        (
            (
                "        for j0 in range(0, min(n, i0 + own + diagonal), other):\n            pair_products(\n",
                "        for j0 in range(0, max(min(n, i0 + own + diagonal) // other, 1) * other, other):\n"
                "            pair_products(\n",
            ),
        ),
        module=TILE,
    ),
    Bug(
        "a_tile_that_is_not_rescaled",
        "softmax_attention",
        "any_tree_over_any_partition_is_softmax_attention",
        "The running sum is scaled down under the new maximum, the accumulator is not.",
        (("                    for o in range(outputs):\n                        accumulator[r, o] *= rescale\n", ""),),
        module=TILE,
    ),
    Bug(
        "a_hidden_score_of_zero",
        "softmax_attention",
        "a_mask_is_a_bias_of_minus_infinity",
        "Hidden pairs get the score 0 instead of −∞, as the zeros that pad a tile do.",
        (("    hidden = lowest if softmax else zero\n", "    hidden = zero\n"),),
        module=TILE,
    ),
)
